/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What one connection may have of what all share, see tcp_budget.h.
 */
#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/def.h"
#include "lwip/memp.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp_budget.h"

/* A connection's share of what is free: one of so many parts. */
#define TCP_BUDGET_PARTS 64

LWIP_TLS struct tcp_budget_counters tcp_budget_counters;

static LWIP_TLS size_t tcp_budget_reserved;

void
tcp_budget_reserve(size_t segments)
{
  tcp_budget_reserved = segments;
}

int
tcp_budget_has_share(u32_t queued)
{
  size_t limit = LWIP_MIN(TCP_SND_QUEUELEN, TCP_SNDQUEUELEN_OVERFLOW);

  if (feature_on(OBLIGATION_SEGMENT_BUDGET)) {
    size_t room = memp_room(MEMP_TCP_SEG);
    size_t share = room > tcp_budget_reserved ? (room - tcp_budget_reserved) / TCP_BUDGET_PARTS : 0;

    limit = LWIP_MIN(limit, share);
  }
  if (queued > limit) {
    tcp_budget_counters.segments++;
    return 0;
  }
  return 1;
}

#endif /* LWIP_TCP */
