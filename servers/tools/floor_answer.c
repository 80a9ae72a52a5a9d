/* SPDX-License-Identifier: BSD-3-Clause */
#include "floor_answer.h"

#include <netinet/ip_icmp.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_memcpy.h>
#include <rte_tcp.h>

#include "loadgen/tcp/arp.h"

#define FIRST_SEQUENCE 1 /* of every connection; nothing here needs one that nobody guesses */
#define WINDOW 65535
#define FIN_SYN_RST (RTE_TCP_FIN_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG)

static const uint8_t largest_segment[] = {2, 4, 1460 >> 8, 1460 & 0xff};

struct headers {
    struct rte_ether_hdr ethernet;
    struct rte_ipv4_hdr ip;
    struct rte_tcp_hdr tcp;
};

_Static_assert(sizeof(struct headers) == 14 + 20 + 20, "as they follow one another in a packet");

static bool answer_arp(const struct floor *floor, struct rte_mbuf *packet) {
    struct arp asked;

    if (!arp_read(&asked, packet) || asked.operation != RTE_ARP_OP_REQUEST ||
        asked.target != rte_be_to_cpu_32(floor->address) || packet->data_len < ARP_FRAME) {
        return false;
    }
    struct arp answer = {.operation = RTE_ARP_OP_REPLY, .sender = asked.target, .target = asked.sender};
    memcpy(answer.sender_mac, floor->mac, sizeof(answer.sender_mac));
    arp_write(rte_pktmbuf_mtod(packet, uint8_t *), &answer, asked.sender_mac);
    packet->data_len = ARP_FRAME;
    packet->pkt_len = ARP_FRAME;
    return true;
}

/* The checksum of a header whose word `before` becomes `after` (RFC 1624). */
static rte_be16_t updated(rte_be16_t sum, rte_be16_t before, rte_be16_t after) {
    uint32_t total = (uint16_t)~sum + (uint32_t)(uint16_t)~before + after;

    total = (total & 0xffff) + (total >> 16);
    return (rte_be16_t) ~((total & 0xffff) + (total >> 16));
}

/* Both addresses change places: IPv4's checksum and the pseudo header's stay as they are. */
static void send_back(const struct floor *floor, struct rte_ether_hdr *ethernet, struct rte_ipv4_hdr *ip) {
    ethernet->dst_addr = ethernet->src_addr;
    memcpy(&ethernet->src_addr, floor->mac, sizeof(ethernet->src_addr));
    ip->dst_addr = ip->src_addr;
    ip->src_addr = floor->address;
}

static bool answer_ping(const struct floor *floor, struct headers *headers) {
    struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)&headers->tcp;
    const rte_be16_t request = rte_cpu_to_be_16(ICMP_ECHO << 8);

    if (headers->ip.next_proto_id != IPPROTO_ICMP || icmp->icmp_type != ICMP_ECHO || icmp->icmp_code != 0) {
        return false;
    }
    icmp->icmp_type = ICMP_ECHOREPLY;
    icmp->icmp_cksum = updated(icmp->icmp_cksum, request, 0);
    send_back(floor, &headers->ethernet, &headers->ip);
    return true;
}

/* Makes it a segment of `flags` with `size` bytes behind TCP's fixed header, `options` of them its own. */
static void finish_segment(const struct floor *floor, struct rte_mbuf *packet, struct headers *headers,
                           uint8_t flags, rte_be32_t sequence, uint32_t acknowledged, uint16_t options,
                           uint16_t size) {
    struct rte_tcp_hdr *tcp = &headers->tcp;
    rte_be16_t port = tcp->src_port;
    rte_be16_t length = rte_cpu_to_be_16((uint16_t)(sizeof(headers->ip) + sizeof(*tcp) + size));

    send_back(floor, &headers->ethernet, &headers->ip);
    headers->ip.hdr_checksum = updated(headers->ip.hdr_checksum, headers->ip.total_length, length);
    headers->ip.total_length = length;
    *tcp = (struct rte_tcp_hdr){.src_port = tcp->dst_port,
                                .dst_port = port,
                                .sent_seq = sequence,
                                .recv_ack = rte_cpu_to_be_32(acknowledged),
                                .data_off = (uint8_t)((sizeof(*tcp) + options) / 4 << 4),
                                .tcp_flags = flags,
                                .rx_win = rte_cpu_to_be_16(WINDOW)};
    packet->data_len = (uint16_t)(sizeof(*headers) + size);
    packet->pkt_len = packet->data_len;
    if (!floor->sums_tcp) {
        tcp->cksum = rte_ipv4_udptcp_cksum(&headers->ip, tcp);
    }
}

static bool is_request(const uint8_t *data, uint32_t size) {
    return size >= 8 && memcmp(data, "GET ", 4) == 0 && memcmp(data + size - 4, "\r\n\r\n", 4) == 0;
}

static bool answer_segment(struct floor *floor, struct rte_mbuf *packet, struct headers *headers,
                           uint32_t size) {
    const struct rte_tcp_hdr *tcp = &headers->tcp;
    const struct iovec *response = &floor->response->part[0];
    uint8_t *data = (uint8_t *)(headers + 1), flags = tcp->tcp_flags & FIN_SYN_RST;
    uint32_t next = rte_be_to_cpu_32(tcp->sent_seq) + size + ((flags & ~RTE_TCP_RST_FLAG) != 0);

    if (likely(flags == 0 && is_request(data + (tcp->data_off >> 4) * 4 - sizeof(*tcp), size))) {
        floor->counters.requests_parsed++;
        floor->counters.responses_sent++;
        floor->counters.bytes_received += size;
        floor->counters.bytes_sent += response->iov_len;
        rte_memcpy(data, response->iov_base, response->iov_len);
        finish_segment(floor, packet, headers, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, tcp->recv_ack, next, 0,
                       (uint16_t)response->iov_len);
    } else if (flags == RTE_TCP_SYN_FLAG && size == 0) {
        floor->counters.accepts++;
        memcpy(data, largest_segment, sizeof(largest_segment));
        finish_segment(floor, packet, headers, RTE_TCP_ACK_FLAG | RTE_TCP_SYN_FLAG, RTE_BE32(FIRST_SEQUENCE),
                       next, sizeof(largest_segment), sizeof(largest_segment));
    } else if (flags == RTE_TCP_FIN_FLAG && size == 0) {
        floor->counters.closes++;
        finish_segment(floor, packet, headers, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG, tcp->recv_ack, next, 0,
                       0);
    } else if (size > 0 && !(flags & RTE_TCP_RST_FLAG)) { /* no request that it knows */
        floor->counters.errors_socket++;
        finish_segment(floor, packet, headers, RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG, tcp->recv_ack, next, 0,
                       0);
    } else {
        floor->counters.errors_socket += (flags & RTE_TCP_RST_FLAG) != 0;
        return false;
    }
    return true;
}

bool floor_answer(struct floor *floor, struct rte_mbuf *packet) {
    struct headers *headers = rte_pktmbuf_mtod(packet, struct headers *);
    uint32_t length, offset;

    packet->ol_flags = 0; /* of a packet that came, and not of one that leaves */
    if (unlikely(packet->nb_segs != 1 || packet->data_len < sizeof(headers->ethernet) + sizeof(headers->ip) +
                                                                sizeof(struct rte_icmp_hdr))) {
        return false;
    }
    if (unlikely(headers->ethernet.ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))) {
        return answer_arp(floor, packet);
    }
    length = rte_be_to_cpu_16(headers->ip.total_length);
    if (unlikely(headers->ip.version_ihl != RTE_IPV4_VHL_DEF || headers->ip.dst_addr != floor->address ||
                 (headers->ip.fragment_offset &
                  rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) ||
                 sizeof(headers->ethernet) + length > packet->data_len)) {
        return false;
    }
    if (unlikely(headers->ip.next_proto_id != IPPROTO_TCP)) {
        return answer_ping(floor, headers);
    }
    offset = (uint32_t)(headers->tcp.data_off >> 4) * 4;
    if (unlikely(packet->data_len < sizeof(*headers) || headers->tcp.dst_port != floor->port ||
                 offset < sizeof(headers->tcp) || sizeof(headers->ip) + offset > length)) {
        return false;
    }
    return answer_segment(floor, packet, headers, length - (uint32_t)sizeof(headers->ip) - offset);
}
