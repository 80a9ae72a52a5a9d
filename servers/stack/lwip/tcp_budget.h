/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What one connection may have of what all share: segments to send, and buffers of input that nobody has read. By
 * dynamic thresholds, as switches give buffers to their queues (Choudhury and Hahne, IEEE/ACM Transactions on
 * Networking 6, 1998): a fraction of what is free. So one alone may have much, and however many take all they can get,
 * some of it stays free for whoever comes next.
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
  u64_t input; /* a segment was dropped, as it had not read as much as it may have */
  u64_t out_of_order; /* segments that wait for one before them were dropped */
};

extern LWIP_TLS struct tcp_budget_counters tcp_budget_counters;

/* Of the pool of segments so many are not shared out by tcp_budget_may_queue(). To be called before lwip_init(). */
void tcp_budget_reserve(size_t segments);

/* No segment is made smaller than this because of a small window, but it waits for one and is split (as Linux). */
#define TCP_BUDGET_SMALLEST 48

int tcp_budget_has_share(u32_t queued);

/* Whether a connection may have so many segments (or pbufs in them) queued. */
static inline int
tcp_budget_may_queue(u32_t queued)
{
  return queued <= TCP_BUDGET_ALWAYS || tcp_budget_has_share(queued);
}

/* Buffers of input that nobody has read, of all connections together: 64 MiB of 2 KiB each. */
#define TCP_BUDGET_INPUT 32768

/** So many bytes that it has not read may wait for a connection; it announces no more. */
extern LWIP_TLS u32_t tcp_budget_unread;

/* So many buffers more are held, or less. */
void tcp_budget_hold_input(s32_t buffers);

struct tcp_pcb;
int tcp_budget_has_input(const struct tcp_pcb *pcb, u16_t length);
u32_t tcp_budget_window_left(const struct tcp_pcb *pcb);

/* Whether the budget is ample: no connection reaches its share. */
static inline int
tcp_budget_is_ample(void)
{
  return tcp_budget_unread >= TCP_WND;
}

/* So many pbufs of a connection may wait for one before them (TCP_OOSEQ_PBUFS_LIMIT). */
u16_t tcp_budget_out_of_order(void);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_HDR_TCP_BUDGET_H */
