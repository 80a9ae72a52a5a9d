/* SPDX-License-Identifier: BSD-3-Clause */
/* Software RSS: decides which core a packet belongs to, and brings it there. A flow's core follows from its
 * addresses and ports alone, by a hash with secret keys, so that nobody can choose ports that load one core.
 * Packets go from core to core in batches through rings with one writer and one reader each. Must not know
 * ports nor lwIP. */
#ifndef STACKDUEL_SOFTWARE_RSS_H
#define STACKDUEL_SOFTWARE_RSS_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "waker.h"

#define SOFTWARE_RSS_CORES_MAX 64
#define SOFTWARE_RSS_BURST_MAX 64
/* Packets that may be on their way from one core to another. */
#define SOFTWARE_RSS_RING 512

/* Of no core in particular: whoever received it keeps it, or everybody gets it. */
#define SOFTWARE_RSS_WHOEVER SOFTWARE_RSS_CORES_MAX
#define SOFTWARE_RSS_EVERYBODY (SOFTWARE_RSS_CORES_MAX + 1)

/* What the cores have in common; written by software_rss_create() and only read from then on, but for the
 * rings.
 */
struct software_rss;

/* One core's end; only that core uses it. */
struct software_rss_core {
    struct software_rss *shared;
    unsigned core;
    unsigned next; /* whose ring is looked at first */
    uint64_t handed_over;
    uint64_t taken_over;
    uint64_t dropped; /* the ring was full, or there was no buffer for a copy */
};

/* Makes it for `cores` (2 to SOFTWARE_RSS_CORES_MAX) cores. `by_port`: the port spreads flows itself; packets
 * that carry its hash stay where they came. `wakers`: of all cores, which must outlive it, or NULL when none
 * ever sleeps. NULL: no memory. */
struct software_rss *software_rss_create(unsigned cores, bool by_port, const struct waker *wakers);

/* Frees also the packets that are still on their way. No core may be running. */
void software_rss_free(struct software_rss *rss);

/* Returns the core that a packet belongs to, or SOFTWARE_RSS_WHOEVER (neither TCP nor UDP, fragments) or
 * SOFTWARE_RSS_EVERYBODY (what an ARP table is to learn from: an answer, or news of an address). */
unsigned software_rss_owner(const struct software_rss *rss, const struct rte_mbuf *packet);

/* Sorts packets[count] (up to SOFTWARE_RSS_BURST_MAX): those of this core remain, in their order; returns how
 * many. The others are handed over. Packets for everybody are copied into buffers of `pool`. */
unsigned software_rss_sort(struct software_rss_core *end, struct rte_mbuf **packets, unsigned count,
                           struct rte_mempool *pool);

/* Takes up to `room` packets that other cores have handed over; the caller owns them. */
unsigned software_rss_take(struct software_rss_core *end, struct rte_mbuf **packets, unsigned room);

#endif
