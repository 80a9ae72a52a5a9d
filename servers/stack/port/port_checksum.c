/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_checksum.h"

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "port_state.h"

unsigned port_checksums(const struct port *port) {
    return (port->rx_offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM ? PORT_RX_IPV4 : 0) |
           (port->rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM ? PORT_RX_TCP : 0) |
           (port->rx_offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM ? PORT_RX_UDP : 0) |
           (port->tx_offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM ? PORT_TX_IPV4 : 0) |
           (port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM ? PORT_TX_TCP : 0) |
           (port->tx_offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM ? PORT_TX_UDP : 0);
}

/* TCP's or UDP's checksum over the pseudo header and `length` bytes at `offset`, in any number of segments.
 */
static bool l4_checksum_right(const struct rte_mbuf *packet, const struct rte_ipv4_hdr *ip, uint32_t offset,
                              uint32_t length) {
    uint16_t sum;
    uint32_t total;

    if (rte_raw_cksum_mbuf(packet, offset, length, &sum) != 0) {
        return false;
    }
    total = (uint32_t)sum + rte_ipv4_phdr_cksum(ip, 0);
    return (total & 0xffff) + (total >> 16) == 0xffff;
}

static bool is_fragment(const struct rte_ipv4_hdr *ip) {
    return (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0;
}

static bool verify_in_software(const struct rte_mbuf *packet, bool ip_known, bool l4_known) {
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ethernet + 1);
    const struct rte_udp_hdr *udp;
    uint32_t header, length;

    if (packet->data_len < sizeof(*ethernet) + sizeof(*ip) + sizeof(*udp) ||
        ethernet->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
        return true; /* not ours to judge: lwIP refuses what is too short */
    }
    header = rte_ipv4_hdr_len(ip);
    length = rte_be_to_cpu_16(ip->total_length);
    if (header < sizeof(*ip) || length < header || sizeof(*ethernet) + length > packet->pkt_len ||
        sizeof(*ethernet) + header + sizeof(*udp) > packet->data_len) {
        return false;
    }
    if (!ip_known && rte_raw_cksum(ip, header) != 0xffff) {
        return false;
    }
    udp = (const struct rte_udp_hdr *)((const uint8_t *)ip + header);
    if (l4_known || is_fragment(ip) ||
        (ip->next_proto_id != IPPROTO_TCP && ip->next_proto_id != IPPROTO_UDP) ||
        (ip->next_proto_id == IPPROTO_UDP && udp->dgram_cksum == 0)) {
        return true;
    }
    return l4_checksum_right(packet, ip, (uint32_t)sizeof(*ethernet) + header, length - header);
}

bool port_checksums_right(const struct port *port, const struct rte_mbuf *packet) {
    const uint64_t l4_offloads = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    uint64_t ip = packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    uint64_t l4 = packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    bool ip_known, l4_known;

    if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD) {
        return false;
    }
    /* "None" is a sum that is not filled in, of a packet that never left this machine: verified by its
     * source. */
    ip_known = ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD || ip == RTE_MBUF_F_RX_IP_CKSUM_NONE ||
               !(port->verify || (port->rx_offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM));
    l4_known = l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE ||
               !(port->verify || (port->rx_offloads & l4_offloads));
    return (ip_known && l4_known) || verify_in_software(packet, ip_known, l4_known);
}

void port_ask_for_checksums(const struct port *port, struct rte_mbuf *packet) {
    struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, struct rte_ether_hdr *);
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ethernet + 1);

    if (ethernet->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
        return;
    }
    packet->l2_len = sizeof(*ethernet);
    packet->l3_len = rte_ipv4_hdr_len(ip);
    if (port->tx_offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) {
        packet->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
        ip->hdr_checksum = 0;
    }
    if (ip->next_proto_id == IPPROTO_TCP && (port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)) {
        struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)((uint8_t *)ip + packet->l3_len);

        packet->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
        packet->l4_len = (uint8_t)((tcp->data_off >> 4) * 4);
        tcp->cksum = rte_ipv4_phdr_cksum(ip, packet->ol_flags);
    } else if (ip->next_proto_id == IPPROTO_UDP && (port->tx_offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM)) {
        struct rte_udp_hdr *udp = (struct rte_udp_hdr *)((uint8_t *)ip + packet->l3_len);

        packet->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
        packet->l4_len = sizeof(*udp);
        udp->dgram_cksum = rte_ipv4_phdr_cksum(ip, packet->ol_flags);
    }
}
