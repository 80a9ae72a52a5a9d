/* SPDX-License-Identifier: BSD-3-Clause */
/* The headers of a plain TCP packet, Ethernet and IPv4 without options, as they lie in a buffer. Must not
 * know the port. */
#ifndef STACKDUEL_TCP_HEADERS_H
#define STACKDUEL_TCP_HEADERS_H

#include <rte_mbuf.h>

#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/tcp.h"

struct tcp_headers {
    struct eth_hdr ethernet;
    struct ip_hdr ip;
    struct tcp_hdr tcp;
} __attribute__((packed));

/* The headers of a frame, of which `size` bytes are here, if it is a plain one of TCP, else NULL. Its lengths
 * and sums have not been looked at, but the headers are there. */
static inline struct tcp_headers *tcp_headers_in(void *frame, size_t size) {
    struct tcp_headers *headers = frame;

    return size >= sizeof(*headers) && headers->ethernet.type == PP_HTONS(ETHTYPE_IP) &&
                   headers->ip._v_hl == 0x45 && headers->ip._proto == IP_PROTO_TCP
               ? headers
               : NULL;
}

static inline struct tcp_headers *tcp_headers_of(const struct rte_mbuf *packet) {
    return tcp_headers_in(rte_pktmbuf_mtod(packet, void *), packet->data_len);
}

/* Of the pseudo header (RFC 9293, 3.1), not inverted, in network byte order. */
static inline uint16_t tcp_headers_pseudo_sum(const struct tcp_headers *headers, unsigned tcp_length) {
    uint32_t source = headers->ip.src.addr, destination = headers->ip.dest.addr;
    uint32_t sum = (source & 0xffff) + (source >> 16) + (destination & 0xffff) + (destination >> 16) +
                   PP_HTONS(IP_PROTO_TCP) + lwip_htons((uint16_t)tcp_length);

    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

#endif
