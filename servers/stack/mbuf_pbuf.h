/* SPDX-License-Identifier: BSD-3-Clause */
/* Hands packet buffers over between DPDK (mbuf) and lwIP (pbuf), in both directions. Must not know ports or
 * protocols.
 *
 * Zero-copy receive: the pbuf is the mbuf. A custom pbuf lives in the mbuf's private area and its payload is
 * the mbuf's data; when lwIP frees the pbuf, the mbuf goes back to its pool. lwIP and the server may keep
 * such buffers for long (out-of-order data, input not yet consumed), so at most `limit` are with lwIP at a
 * time; beyond that, data is copied into lwIP's own memory and the mbuf goes back at once: the port can never
 * starve.
 *
 * Send: one copy into one mbuf; the pbuf stays with TCP for retransmission. */
#ifndef STACKDUEL_MBUF_PBUF_H
#define STACKDUEL_MBUF_PBUF_H

#include <stdint.h>

#include <rte_mbuf.h>

#include "lwip/pbuf.h"

/* What one stack has of the port's receive buffers. */
struct zero_copy {
    unsigned held;   /* segments that lwIP holds now */
    unsigned limit;  /* segments it may hold */
    uint64_t copied; /* packets copied because the limit was reached */
};

/* Returns the bytes of private area that every receive mbuf must have. */
uint16_t mbuf_pbuf_private_size(void);

/* Makes a pbuf chain of a packet. Takes ownership of the packet also on failure, when it returns NULL (out of
 * memory, or an empty or oversized packet). `zero_copy` must outlive the pbuf. */
struct pbuf *pbuf_from_mbuf(struct zero_copy *zero_copy, struct rte_mbuf *packet);

/* Does the same without a copy, for a packet that is not empty and not oversized. NULL, with the packet still
 * the caller's, if the limit is reached. */
struct pbuf *pbuf_zero_copy(struct zero_copy *zero_copy, struct rte_mbuf *packet);

/* Copies the pbuf chain into a new mbuf of `pool`; NULL if the pool is empty or the chain does not fit.
 * The pbuf stays with the caller, the mbuf is the caller's. */
struct rte_mbuf *mbuf_from_pbuf(struct rte_mempool *pool, const struct pbuf *chain);

#endif
