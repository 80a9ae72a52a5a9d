/* SPDX-License-Identifier: BSD-3-Clause */
#include "template.h"

#include <netinet/in.h>

void template_init(struct template *template, const struct template_ends *ends, uint8_t flags,
                   const uint8_t *options, size_t options_size, const void *payload, size_t payload_size) {
    struct rte_ether_hdr *ethernet = (struct rte_ether_hdr *)template->bytes;
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ethernet + 1);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    size_t segment = sizeof(*tcp) + options_size + payload_size;

    memset(template, 0, sizeof(*template));
    template->size = (uint16_t)(sizeof(*ethernet) + sizeof(*ip) + segment);
    template->payload = (uint16_t)payload_size;
    memcpy(&ethernet->src_addr, ends->mac, sizeof(ends->mac));
    memcpy(&ethernet->dst_addr, ends->server_mac, sizeof(ends->server_mac));
    ethernet->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    *ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
                                .total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + segment)),
                                .fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
                                .time_to_live = 64,
                                .next_proto_id = IPPROTO_TCP,
                                .dst_addr = rte_cpu_to_be_32(ends->server)};
    *tcp = (struct rte_tcp_hdr){.dst_port = rte_cpu_to_be_16(ends->server_port),
                                .data_off = (uint8_t)((sizeof(*tcp) + options_size) / 4 << 4),
                                .tcp_flags = flags};
    if (options_size > 0) {
        memcpy(tcp + 1, options, options_size);
    }
    if (payload_size > 0) {
        memcpy((uint8_t *)(tcp + 1) + options_size, payload, payload_size);
    }
    template->ip_sum = rte_raw_cksum(ip, sizeof(*ip));
    template->tcp_sum = (uint32_t)rte_ipv4_phdr_cksum(ip, 0) + rte_raw_cksum(tcp, segment);
}
