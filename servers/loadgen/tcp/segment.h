/* SPDX-License-Identifier: BSD-3-Clause */
/* A received frame read as a TCP segment. Knows no connections. */
#ifndef STACKDUEL_SEGMENT_H
#define STACKDUEL_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct segment {
    const struct rte_mbuf *packet;
    /* host byte order */
    uint32_t source, destination; /* addresses */
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint32_t payload; /* where in the packet */
    uint32_t length;  /* of the payload: by IP's length, not by the frame's, which may be padded */
    uint16_t options; /* where in the packet */
    uint16_t options_length;
    uint8_t flags; /* RTE_TCP_*_FLAG */
};

enum segment_kind { SEGMENT_TCP, SEGMENT_OTHER, SEGMENT_BAD };

/* Fills in *segment if the packet is TCP. SEGMENT_OTHER: whole, but no TCP over IPv4, or a fragment;
 * SEGMENT_BAD: cut short or with impossible lengths. All headers must lie in the first buffer. Checksums are
 * the port's. */
enum segment_kind segment_read(struct segment *segment, const struct rte_mbuf *packet);

/* Tells whether a SYN offers window scaling (RFC 7323). */
bool segment_offers_scaling(const struct segment *segment);

#endif
