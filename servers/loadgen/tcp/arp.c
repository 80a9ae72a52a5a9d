/* SPDX-License-Identifier: BSD-3-Clause */
#include "arp.h"

#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>

bool arp_read(struct arp *arp, const struct rte_mbuf *packet) {
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_arp_hdr *header = (const struct rte_arp_hdr *)(ethernet + 1);

    if (packet->data_len < ARP_FRAME || ethernet->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP) ||
        header->arp_hardware != rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) ||
        header->arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || header->arp_hlen != 6 ||
        header->arp_plen != 4) {
        return false;
    }
    arp->operation = rte_be_to_cpu_16(header->arp_opcode);
    memcpy(arp->sender_mac, &header->arp_data.arp_sha, sizeof(arp->sender_mac));
    arp->sender = rte_be_to_cpu_32(header->arp_data.arp_sip);
    arp->target = rte_be_to_cpu_32(header->arp_data.arp_tip);
    return arp->operation == RTE_ARP_OP_REQUEST || arp->operation == RTE_ARP_OP_REPLY;
}

void arp_write(uint8_t *frame, const struct arp *arp, const uint8_t to[6]) {
    struct rte_ether_hdr *ethernet = (struct rte_ether_hdr *)frame;
    struct rte_arp_hdr *header = (struct rte_arp_hdr *)(ethernet + 1);

    memset(frame, 0, ARP_FRAME);
    memset(&ethernet->dst_addr, 0xff, sizeof(ethernet->dst_addr));
    memcpy(&ethernet->src_addr, arp->sender_mac, sizeof(arp->sender_mac));
    ethernet->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
    header->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
    header->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    header->arp_hlen = 6;
    header->arp_plen = 4;
    header->arp_opcode = rte_cpu_to_be_16(arp->operation);
    memcpy(&header->arp_data.arp_sha, arp->sender_mac, sizeof(arp->sender_mac));
    header->arp_data.arp_sip = rte_cpu_to_be_32(arp->sender);
    header->arp_data.arp_tip = rte_cpu_to_be_32(arp->target);
    if (to != NULL) {
        memcpy(&ethernet->dst_addr, to, sizeof(ethernet->dst_addr));
        memcpy(&header->arp_data.arp_tha, to, sizeof(header->arp_data.arp_tha));
    }
}
