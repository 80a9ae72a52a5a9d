/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A timing wheel: entries with deadlines in ticks, each visited when its deadline has come
 * (Varghese and Lauck 1987, scheme 6: one list a slot, a deadline beyond one turn waits in its slot).
 * Must not know what the entries are for.
 */
#ifndef LWIP_HDR_TCP_WHEEL_H
#define LWIP_HDR_TCP_WHEEL_H

#include "lwip/arch.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A turn of 32,768 ticks of 1/128 s is longer than all but rare deadlines. */
#define TCP_WHEEL_SLOTS 32768U

/* Part of what is to be visited. All bytes zero: in no list. */
struct tcp_wheel_entry {
  struct tcp_wheel_entry *next;
  struct tcp_wheel_entry **at; /* what points to this entry; NULL if it is in no list */
  u32_t due; /* the tick of its visit */
  u32_t counted; /* the owner's: the tick up to which it has counted; stands here as there is room */
};

/* All bytes zero: nothing to visit. */
struct tcp_wheel {
  u32_t now; /* ticks so far; wraps */
  u32_t visits; /* entries that tcp_wheel_next() has returned; wraps */
  struct tcp_wheel_entry *firing; /* to be visited before the tick is over */
  struct tcp_wheel_entry *slots[TCP_WHEEL_SLOTS];
};

/* The entry is visited in `ticks` ticks (at least 1), and no more when it was to be visited. */
void tcp_wheel_arm(struct tcp_wheel *wheel, struct tcp_wheel_entry *entry, u32_t ticks);

/* The entry is visited in `ticks` ticks (at least 1) or, if that was said before, earlier. */
static inline void
tcp_wheel_within(struct tcp_wheel *wheel, struct tcp_wheel_entry *entry, u32_t ticks)
{
  if (entry->at == NULL || entry->due - wheel->now > ticks) {
    tcp_wheel_arm(wheel, entry, ticks);
  }
}

/* The entry is not visited. It need not be in a list. */
void tcp_wheel_cancel(struct tcp_wheel_entry *entry);

/* A tick has passed. What is due is then given by tcp_wheel_next(), until it gives NULL. */
void tcp_wheel_tick(struct tcp_wheel *wheel);

/* In how many ticks the next of the `most` slots that has entries is, or `most` if they are empty. What waits there
   may be of a later turn. */
u32_t tcp_wheel_quiet(const struct tcp_wheel *wheel, u32_t most);

/* The next entry that is due, which is in no list then; NULL if there is none. Between two calls entries may
   be armed and cancelled, those included that are still to come. */
struct tcp_wheel_entry *tcp_wheel_next(struct tcp_wheel *wheel);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_HDR_TCP_WHEEL_H */
