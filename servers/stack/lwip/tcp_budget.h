/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What one connection may have of the segments that all share. By dynamic thresholds, as switches give buffers to
 * their queues (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6, 1998): a fraction of what is free. So one
 * alone may have much, and however many take all they can get, some of it stays free for whoever comes next.
 */
#ifndef LWIP_HDR_TCP_BUDGET_H
#define LWIP_HDR_TCP_BUDGET_H

#include "lwip/arch.h"
#include "lwip/opt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* So many segments any connection may queue. For these, and for SYN and FIN, the reserve is kept. */
#define TCP_BUDGET_ALWAYS 2

/** How often a connection had its share. */
struct tcp_budget_counters {
  u64_t segments; /* no more were queued for it */
};

extern LWIP_TLS struct tcp_budget_counters tcp_budget_counters;

/* Of the pool of segments so many are not shared out by tcp_budget_may_queue(). To be called before lwip_init(). */
void tcp_budget_reserve(size_t segments);

int tcp_budget_has_share(u32_t queued);

/* Whether a connection may have so many segments (or pbufs in them) queued. */
static inline int
tcp_budget_may_queue(u32_t queued)
{
  return queued <= TCP_BUDGET_ALWAYS || tcp_budget_has_share(queued);
}

#ifdef __cplusplus
}
#endif

#endif /* LWIP_HDR_TCP_BUDGET_H */
