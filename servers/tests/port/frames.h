/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames for tests, as a client on the wire would send them. */
#ifndef STACKDUEL_TESTS_FRAMES_H
#define STACKDUEL_TESTS_FRAMES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#define FRAME_CLIENT RTE_BE32(0xc6120001) /* 198.18.0.1 */
#define FRAME_SERVER RTE_BE32(0xc6120003)

static const struct rte_ether_addr frame_client_mac = {{2, 0, 0, 0, 0, 1}};
static const struct rte_ether_addr frame_server_mac = {{2, 0, 0, 0, 0, 3}};

static inline void *frame_begin(struct rte_mempool *pool, struct rte_mbuf **packet, uint16_t type,
                                size_t size) {
    struct rte_ether_hdr *ethernet;

    *packet = rte_pktmbuf_alloc(pool);
    assert_non_null(*packet);
    ethernet = (struct rte_ether_hdr *)rte_pktmbuf_append(*packet, (uint16_t)(sizeof(*ethernet) + size));
    assert_non_null(ethernet);
    memset(ethernet, 0, sizeof(*ethernet) + size);
    ethernet->dst_addr = frame_server_mac;
    ethernet->src_addr = frame_client_mac;
    ethernet->ether_type = rte_cpu_to_be_16(type);
    return ethernet + 1;
}

/* A segment of the client at `port` to port 80, with right checksums and an MSS if it is a SYN. */
static inline struct rte_mbuf *frame_tcp(struct rte_mempool *pool, uint16_t port, uint8_t flags,
                                         uint32_t sequence, uint32_t acknowledged, const char *data) {
    size_t options = flags & RTE_TCP_SYN_FLAG ? 4 : 0, length = strlen(data);
    struct rte_mbuf *packet;
    struct rte_ipv4_hdr *ip = frame_begin(pool, &packet, RTE_ETHER_TYPE_IPV4,
                                          sizeof(*ip) + sizeof(struct rte_tcp_hdr) + options + length);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);

    ip->version_ihl = RTE_IPV4_VHL_DEF;
    ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + sizeof(*tcp) + options + length));
    ip->time_to_live = 64;
    ip->next_proto_id = IPPROTO_TCP;
    ip->src_addr = FRAME_CLIENT;
    ip->dst_addr = FRAME_SERVER;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    tcp->src_port = rte_cpu_to_be_16(port);
    tcp->dst_port = rte_cpu_to_be_16(80);
    tcp->sent_seq = rte_cpu_to_be_32(sequence);
    tcp->recv_ack = rte_cpu_to_be_32(acknowledged);
    tcp->data_off = (uint8_t)((sizeof(*tcp) + options) / 4 << 4);
    tcp->tcp_flags = flags;
    tcp->rx_win = rte_cpu_to_be_16(65000);
    if (options > 0) {
        memcpy(tcp + 1, "\x02\x04\x05\xb4", options); /* 1460 */
    }
    memcpy((uint8_t *)(tcp + 1) + options, data, length);
    tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
    return packet;
}

/* `operation`: RTE_ARP_OP_REQUEST or _REPLY, of the client, about `target`. */
static inline struct rte_mbuf *frame_arp(struct rte_mempool *pool, uint16_t operation, rte_be32_t target) {
    struct rte_mbuf *packet;
    struct rte_arp_hdr *arp = frame_begin(pool, &packet, RTE_ETHER_TYPE_ARP, sizeof(*arp));

    arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
    arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    arp->arp_hlen = RTE_ETHER_ADDR_LEN;
    arp->arp_plen = 4;
    arp->arp_opcode = rte_cpu_to_be_16(operation);
    arp->arp_data.arp_sha = frame_client_mac;
    arp->arp_data.arp_sip = FRAME_CLIENT;
    arp->arp_data.arp_tha = frame_server_mac;
    arp->arp_data.arp_tip = target;
    return packet;
}

#endif
