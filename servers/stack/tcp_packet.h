/* SPDX-License-Identifier: BSD-3-Clause */
/* A TCP segment as a packet, made in the buffer that leaves: Ethernet, IPv4 and TCP header and the data, each
 * written once. Must not know the port, nor when it is sent. */
#ifndef STACKDUEL_TCP_PACKET_H
#define STACKDUEL_TCP_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct eth_addr;
struct tcp_pcb;
struct tcp_seg;

/* Bytes by which an empty buffer's data begin later than DPDK has it: then the headers, and the 10 or 12
 * bytes that virtio puts before them, begin with a cache line, and a small response takes two lines, not
 * three. */
#define TCP_PACKET_SHIFT 14

struct tcp_packet_config {
    const uint8_t *source; /* hardware address */
    unsigned checksums;    /* enum port_checksum: what the port fills in */
};

/* The cache lines that a small packet will be written to are on their way, for writing. */
static inline void tcp_packet_prefetch(const struct rte_mbuf *packet) {
    const char *line = (const char *)packet->buf_addr + RTE_PKTMBUF_HEADROOM;

    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + RTE_CACHE_LINE_SIZE, 1);
}

/* Makes the packet of a lean segment, whose header is complete but for its checksum, in `packet`, which is
 * empty and stays the caller's. False, with the packet as it was, if the data do not fit. */
bool tcp_packet_make(struct rte_mbuf *packet, const struct tcp_packet_config *config,
                     const struct eth_addr *to, const struct tcp_pcb *pcb, const struct tcp_seg *segment);

#endif
