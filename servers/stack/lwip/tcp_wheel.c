/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A timing wheel, see tcp_wheel.h. Must not know what the entries are for.
 */
#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/debug.h"
#include "lwip/def.h"
#include "lwip/tcp_wheel.h"

static void
tcp_wheel_push(struct tcp_wheel_entry **list, struct tcp_wheel_entry *entry)
{
  entry->next = *list;
  entry->at = list;
  if (entry->next != NULL) {
    entry->next->at = &entry->next;
  }
  *list = entry;
}

void
tcp_wheel_cancel(struct tcp_wheel_entry *entry)
{
  if (entry->at != NULL) {
    *entry->at = entry->next;
    if (entry->next != NULL) {
      entry->next->at = entry->at;
    }
    entry->at = NULL;
  }
}

void
tcp_wheel_arm(struct tcp_wheel *wheel, struct tcp_wheel_entry *entry, u32_t ticks)
{
  LWIP_ASSERT("tcp_wheel_arm: ticks > 0", ticks > 0);

  tcp_wheel_cancel(entry);
  entry->due = wheel->now + ticks;
  tcp_wheel_push(&wheel->slots[entry->due % TCP_WHEEL_SLOTS], entry);
}

void
tcp_wheel_tick(struct tcp_wheel *wheel)
{
  struct tcp_wheel_entry **slot;

  LWIP_ASSERT("tcp_wheel_tick: all visited", wheel->firing == NULL);

  wheel->now++;
  slot = &wheel->slots[wheel->now % TCP_WHEEL_SLOTS];
  wheel->firing = *slot;
  if (wheel->firing != NULL) {
    wheel->firing->at = &wheel->firing;
  }
  *slot = NULL;
}

u32_t
tcp_wheel_quiet(const struct tcp_wheel *wheel, u32_t most)
{
  u32_t ticks = 1;

  while (ticks < most && wheel->slots[(wheel->now + ticks) % TCP_WHEEL_SLOTS] == NULL) {
    ticks++;
  }
  return ticks;
}

struct tcp_wheel_entry *
tcp_wheel_next(struct tcp_wheel *wheel)
{
  struct tcp_wheel_entry *entry;

  while ((entry = wheel->firing) != NULL) {
    tcp_wheel_cancel(entry);
    if (entry->due == wheel->now) {
      wheel->visits++;
      return entry;
    }
    /* one of a later turn */
    tcp_wheel_push(&wheel->slots[entry->due % TCP_WHEEL_SLOTS], entry);
  }
  return NULL;
}

#endif /* LWIP_TCP */
