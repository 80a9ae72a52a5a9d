/* SPDX-License-Identifier: BSD-3-Clause */
/* Ethernet frames of TCP segments to one server, made once; a copy gets its flow, its numbers and its
 * checksums. Knows bytes, no buffers. */
#ifndef STACKDUEL_TEMPLATE_H
#define STACKDUEL_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#define TEMPLATE_HEADERS                                                                                     \
    (sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))
/* Every host takes segments of 536 bytes (RFC 9293 3.7.1), so a request is never cut. */
#define TEMPLATE_PAYLOAD_MAX 536
#define TEMPLATE_OPTIONS_MAX 8
#define TEMPLATE_MAX 608 /* of bytes; a multiple of 16 */

struct template_ends {
    uint8_t mac[6];
    uint8_t server_mac[6];
    uint32_t server; /* host byte order */
    uint16_t server_port;
};

struct template {
    uint16_t size;    /* bytes of the frame */
    uint16_t payload; /* of them TCP's */
    uint32_t ip_sum;  /* of what does not change; folded where it is used */
    uint32_t tcp_sum;
    _Alignas(16) uint8_t bytes[TEMPLATE_MAX];
};

/* What changes. Host byte order. */
struct template_values {
    uint32_t address;
    uint32_t seq;
    uint32_t ack;
    uint16_t port;
    uint16_t window; /* as in the header */
};

_Static_assert(TEMPLATE_HEADERS + TEMPLATE_OPTIONS_MAX + TEMPLATE_PAYLOAD_MAX <= TEMPLATE_MAX,
               "the longest frame has room");

/* Makes a template. `options`: bytes of TCP options, a multiple of 4, ≤ TEMPLATE_OPTIONS_MAX; payload_size ≤
 * TEMPLATE_PAYLOAD_MAX. */
void template_init(struct template *template, const struct template_ends *ends, uint8_t flags,
                   const uint8_t *options, size_t options_size, const void *payload, size_t payload_size);

/* Folds the one's complement sum of what is in `sum` to 16 bits, and inverts it (RFC 1071). */
static inline uint16_t template_fold(uint32_t sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Adds both halves of a word as it lies in memory. */
static inline uint32_t template_halves(uint32_t word) {
    return (word & 0xffff) + (word >> 16);
}

/* Writes template->size bytes at `frame`, where TEMPLATE_MAX may be written. */
static inline void template_write(const struct template *template, uint8_t *frame,
                                  const struct template_values *values) {
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + sizeof(struct rte_ether_hdr));
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    uint32_t address = rte_cpu_to_be_32(values->address);
    uint32_t seq = rte_cpu_to_be_32(values->seq), ack = rte_cpu_to_be_32(values->ack);
    uint16_t port = rte_cpu_to_be_16(values->port), window = rte_cpu_to_be_16(values->window);

    /* A copy of known size is a few instructions; most requests are no longer. */
    if (template->size <= 128) {
        memcpy(frame, template->bytes, 128);
    } else {
        memcpy(frame, template->bytes, template->size);
    }
    ip->src_addr = address;
    ip->hdr_checksum = template_fold(template->ip_sum + template_halves(address));
    tcp->src_port = port;
    tcp->sent_seq = seq;
    tcp->recv_ack = ack;
    tcp->rx_win = window;
    tcp->cksum = template_fold(template->tcp_sum + template_halves(address) + port + template_halves(seq) +
                               template_halves(ack) + window);
}

#endif
