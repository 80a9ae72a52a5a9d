/* SPDX-License-Identifier: BSD-3-Clause */
/* Which core a packet belongs to, and how it gets there. A flow's core follows from its addresses and ports
 * alone, by a hash with secret keys, so that nobody can choose ports that load one core. Packets go from core
 * to core in batches through rings with one writer and one reader each. Must not know ports nor lwIP. */
#ifndef STACKDUEL_STEER_H
#define STACKDUEL_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "waker.h"

#define STEER_CORES_MAX 64
#define STEER_BURST_MAX 64
/* Packets that may be on their way from one core to another. */
#define STEER_RING 512

/* Of no core in particular: whoever received it keeps it, or everybody gets it. */
#define STEER_WHOEVER STEER_CORES_MAX
#define STEER_EVERYBODY (STEER_CORES_MAX + 1)

/* What the cores have in common; written by steering_create() and only read from then on, but for the rings.
 */
struct steering;

/* One core's end; only that core uses it. */
struct steer {
    struct steering *shared;
    unsigned core;
    unsigned next; /* whose ring is looked at first */
    uint64_t handed_over;
    uint64_t taken_over;
    uint64_t dropped; /* the ring was full, or there was no buffer for a copy */
};

/* For `cores` (2 to STEER_CORES_MAX) cores. `by_port`: the port spreads flows itself; packets that carry its
 * hash stay where they came. `wakers`: of all cores, which must outlive it, or NULL when none ever sleeps.
 * NULL: no memory. */
struct steering *steering_create(unsigned cores, bool by_port, const struct waker *wakers);

/* Frees also the packets that are still on their way. No core may be running. */
void steering_free(struct steering *steering);

/* The core that a packet belongs to, or STEER_WHOEVER (neither TCP nor UDP, fragments) or STEER_EVERYBODY
 * (what an ARP table is to learn from: an answer, or news of an address). */
unsigned steer_owner(const struct steering *steering, const struct rte_mbuf *packet);

/* Of packets[count] (up to STEER_BURST_MAX) those of this core remain, in their order; returns how many. The
 * others are handed over. Packets for everybody are copied into buffers of `pool`. */
unsigned steer_sort(struct steer *steer, struct rte_mbuf **packets, unsigned count, struct rte_mempool *pool);

/* Up to `room` packets that other cores have handed over; the caller owns them. */
unsigned steer_take(struct steer *steer, struct rte_mbuf **packets, unsigned room);

#endif
