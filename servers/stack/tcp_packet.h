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

/* Memory that a packet may point into: the port's device can read it, and nobody writes to it or frees it
 * while packets are on their way. */
struct tcp_packet_region {
    uint8_t *base; /* NULL: there is none */
    size_t size;
    size_t page;       /* bytes; base begins with one */
    rte_iova_t *iovas; /* of each page */
    struct rte_mbuf_ext_shared_info shared;
};

/* The sum of data in the region, by the address of the first byte and the size. */
struct tcp_packet_sum {
    const uint8_t *data;
    uint16_t size;
    uint16_t sum;
};

/* A power of two: the segments of a body of a mebibyte find room. */
#define TCP_PACKET_SUMS 1024

struct tcp_packet_config {
    const uint8_t *source; /* hardware address */
    unsigned checksums;    /* enum port_checksum: what the port fills in */
    bool cuts_up;          /* the port makes several packets of one */
    struct rte_mempool
        *attachments; /* of mbufs without room; NULL: the port takes one segment a packet only */
    struct tcp_packet_region *region;
    /* Sums that no port computes: those of data that are copied are computed by the way, those of attached
     * data are remembered here, in TCP_PACKET_SUMS of them, all zero at first. NULL: each is a pass of its
     * own, every time. */
    struct tcp_packet_sum *sums;
};

/* Data from this size on are attached to their packet, if they lie in the region. */
#define TCP_PACKET_ATTACH_FROM 512

static inline rte_iova_t tcp_packet_iova(const struct tcp_packet_region *region, const uint8_t *data) {
    size_t offset = (size_t)(data - region->base);

    return region->iovas[offset / region->page] + offset % region->page;
}

/* How many of these bytes one packet may point to: those that are in one piece for the device too. 0: none.
 */
static inline size_t tcp_packet_attachable(const struct tcp_packet_config *config, const uint8_t *data,
                                           size_t size) {
    const struct tcp_packet_region *region = config->region;
    size_t whole; /* to the end of a page */

    if (config->attachments == NULL || data < region->base || data + size > region->base + region->size) {
        return 0;
    }
    whole = region->page - (size_t)(data - region->base) % region->page;
    while (whole < size && tcp_packet_iova(region, data + whole) == tcp_packet_iova(region, data) + whole) {
        whole += region->page;
    }
    return whole < size ? whole : size;
}

/* The cache lines that a small packet will be written to are on their way, for writing. */
static inline void tcp_packet_prefetch(const struct rte_mbuf *packet) {
    const char *line = (const char *)packet->buf_addr + RTE_PKTMBUF_HEADROOM;

    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + RTE_CACHE_LINE_SIZE, 1);
}

/* Makes the packet of a lean segment, whose header is complete but for its checksum, in `packet`, which is
 * empty and stays the caller's: data in the region are attached where that pays, others are copied. More than
 * the MSS is marked for the port to cut up, if it does that. False, with the packet as it was, if the data do
 * not fit. */
bool tcp_packet_make(struct rte_mbuf *packet, const struct tcp_packet_config *config,
                     const struct eth_addr *to, const struct tcp_pcb *pcb, const struct tcp_seg *segment);

#endif
