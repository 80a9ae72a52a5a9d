/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment.h"

#include <netinet/in.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_WINDOW_SCALE = 3 };

enum segment_kind segment_read(struct segment *segment, const struct rte_mbuf *packet) {
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ethernet + 1);
    const struct rte_tcp_hdr *tcp;
    uint32_t ip_length, total, tcp_length;

    if (packet->data_len < sizeof(*ethernet)) {
        return SEGMENT_BAD;
    }
    if (ethernet->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
        return SEGMENT_OTHER;
    }
    if (packet->data_len < sizeof(*ethernet) + sizeof(*ip)) {
        return SEGMENT_BAD;
    }
    ip_length = rte_ipv4_hdr_len(ip);
    total = rte_be_to_cpu_16(ip->total_length);
    if (ip->version_ihl >> 4 != 4 || ip_length < sizeof(*ip) || total < ip_length ||
        sizeof(*ethernet) + total > packet->pkt_len) {
        return SEGMENT_BAD;
    }
    if (ip->next_proto_id != IPPROTO_TCP ||
        (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0) {
        return SEGMENT_OTHER;
    }
    if (total < ip_length + sizeof(*tcp) || packet->data_len < sizeof(*ethernet) + ip_length + sizeof(*tcp)) {
        return SEGMENT_BAD;
    }
    tcp = (const struct rte_tcp_hdr *)((const uint8_t *)ip + ip_length);
    tcp_length = (uint32_t)(tcp->data_off >> 4) * 4;
    if (tcp_length < sizeof(*tcp) || total < ip_length + tcp_length ||
        packet->data_len < sizeof(*ethernet) + ip_length + tcp_length) {
        return SEGMENT_BAD;
    }
    *segment = (struct segment){
        .packet = packet,
        .source = rte_be_to_cpu_32(ip->src_addr),
        .destination = rte_be_to_cpu_32(ip->dst_addr),
        .source_port = rte_be_to_cpu_16(tcp->src_port),
        .destination_port = rte_be_to_cpu_16(tcp->dst_port),
        .seq = rte_be_to_cpu_32(tcp->sent_seq),
        .ack = rte_be_to_cpu_32(tcp->recv_ack),
        .payload = (uint32_t)sizeof(*ethernet) + ip_length + tcp_length,
        .length = total - ip_length - tcp_length,
        .options = (uint16_t)(sizeof(*ethernet) + ip_length + sizeof(*tcp)),
        .options_length = (uint16_t)(tcp_length - sizeof(*tcp)),
        .flags = tcp->tcp_flags,
    };
    return SEGMENT_TCP;
}

bool segment_offers_scaling(const struct segment *segment) {
    const uint8_t *options = rte_pktmbuf_mtod_offset(segment->packet, const uint8_t *, segment->options);
    uint32_t at = 0;

    while (at < segment->options_length && options[at] != OPTION_END) {
        if (options[at] == OPTION_NOP) {
            at++;
            continue;
        }
        if (at + 2 > segment->options_length || options[at + 1] < 2 ||
            at + options[at + 1] > segment->options_length) {
            return false;
        }
        if (options[at] == OPTION_WINDOW_SCALE) {
            return options[at + 1] == 3;
        }
        at += options[at + 1];
    }
    return false;
}
