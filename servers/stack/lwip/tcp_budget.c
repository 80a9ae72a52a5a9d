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
#define TCP_BUDGET_INPUT_PARTS 8

LWIP_TLS struct tcp_budget_counters tcp_budget_counters;

LWIP_TLS u32_t tcp_budget_unread = 0xffffffffU;

static LWIP_TLS size_t tcp_budget_reserved;
static LWIP_TLS size_t tcp_budget_input; /* buffers that are held */

void
tcp_budget_reserve(size_t segments)
{
  tcp_budget_reserved = segments;
}

static size_t
segments_share(void)
{
  size_t room = memp_room(MEMP_TCP_SEG);

  return room > tcp_budget_reserved ? (room - tcp_budget_reserved) / TCP_BUDGET_PARTS : 0;
}

int
tcp_budget_has_share(u32_t queued)
{
  size_t limit = LWIP_MIN(TCP_SND_QUEUELEN, TCP_SNDQUEUELEN_OVERFLOW);

  if (feature_on(OBLIGATION_SEGMENT_BUDGET)) {
    size_t share = segments_share();

    limit = LWIP_MIN(limit, share);
  }
  if (queued > limit) {
    tcp_budget_counters.segments++;
    return 0;
  }
  return 1;
}

void
tcp_budget_hold_input(s32_t buffers)
{
  size_t room, share;

  tcp_budget_input += buffers;
  if (!feature_on(OBLIGATION_INPUT_BUDGET)) {
    return;
  }
  room = tcp_budget_input < TCP_BUDGET_INPUT ? TCP_BUDGET_INPUT - tcp_budget_input : 0;
  share = room * TCP_MSS / TCP_BUDGET_INPUT_PARTS;
  tcp_budget_unread = (u32_t)LWIP_MAX(share, TCP_BUDGET_ALWAYS * TCP_MSS);
}

static u32_t
unread(const struct tcp_pcb *pcb)
{
  return pcb->rcv_wnd < TCP_WND_MAX(pcb) ? TCP_WND_MAX(pcb) - pcb->rcv_wnd : 0;
}

int
tcp_budget_has_input(const struct tcp_pcb *pcb, u16_t length)
{
  u32_t waits = unread(pcb);

  /* Who has read all may have one segment, whatever its size. */
  if (waits == 0 || waits + length <= tcp_budget_unread) {
    return 1;
  }
  tcp_budget_counters.input++;
  return 0;
}

u32_t
tcp_budget_window_left(const struct tcp_pcb *pcb)
{
  u32_t waits = unread(pcb);
  u32_t left = tcp_budget_unread > waits ? tcp_budget_unread - waits : 0;

  return LWIP_MIN(left, pcb->rcv_wnd);
}

u16_t
tcp_budget_out_of_order(void)
{
  size_t limit = TCP_OOSEQ_MAX_PBUFS;

  if (feature_on(OBLIGATION_SEGMENT_BUDGET)) {
    limit = LWIP_MIN(limit, segments_share());
  }
  if (!tcp_budget_is_ample()) {
    limit = LWIP_MIN(limit, tcp_budget_unread / TCP_MSS - TCP_BUDGET_ALWAYS);
  }
  return (u16_t)limit;
}

#endif /* LWIP_TCP */
