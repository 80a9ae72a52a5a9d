/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * TCP's timers by deadline (optimisation "timers"): a PCB is in a timing wheel at a tick that is not later than the
 * next one at which tcp_slowtmr() would do anything with it, or in no list if there is none. It may be visited
 * too early: then it is put where it belongs. So a deadline that moves away costs nothing, and only one that
 * comes nearer moves the PCB.
 *
 * The counters of a PCB (rtime, persist_cnt, polltmr) are not counted up by every tick, but by what has passed
 * when somebody looks: tcp_timer_sync() before they are read or set. A new PCB needs no call: none of them runs,
 * and tcp_output() looks before it starts one.
 */
#ifndef LWIP_HDR_TCP_TIMER_H
#define LWIP_HDR_TCP_TIMER_H

#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/tcp_wheel.h"
#include "lwip/tcp.h"

#ifdef __cplusplus
extern "C" {
#endif

#if LWIP_TCP_KEEPALIVE
#define TCP_KEEP_COUNT(pcb) ((pcb)->keep_cnt)
#define TCP_KEEP_INTVL(pcb) ((pcb)->keep_intvl)
#else /* LWIP_TCP_KEEPALIVE */
#define TCP_KEEP_COUNT(pcb) TCP_KEEPCNT_DEFAULT
#define TCP_KEEP_INTVL(pcb) TCP_KEEPINTVL_DEFAULT
#endif /* LWIP_TCP_KEEPALIVE */

/* Its ticks are those of tcp_slowtmr(). */
extern LWIP_TLS struct tcp_wheel tcp_wheel;

/* What tcp_slowtmr() and tcp_fasttmr() do once they have counted the tick. */
void tcp_timer_slow(void);
void tcp_timer_fast(void);

/* The counters of the PCB, as they are now. */
void tcp_timer_count(struct tcp_pcb *pcb);

static inline void
tcp_timer_sync(struct tcp_pcb *pcb)
{
  if (pcb->timer.counted != tcp_wheel.now) {
    tcp_timer_count(pcb);
  }
}

/* The same where all that has happened is that the retransmission timer was started or its time shortened. */
static inline void
tcp_timer_rto(struct tcp_pcb *pcb)
{
  if (feature_on(FEATURE_TIMERS)) {
    tcp_wheel_within(&tcp_wheel, &pcb->timer, pcb->rtime < pcb->rto ? (u32_t)(pcb->rto - pcb->rtime) : 1);
  }
}

/* The same at the end of tcp_input(). Nothing else that a segment does to a connection that stays established
   with all sent, taken and acknowledged brings a deadline nearer: a keep-alive only moves away. */
static inline void
tcp_timer_input(struct tcp_pcb *pcb)
{
  if (pcb->state != ESTABLISHED || pcb->unsent != NULL || pcb->refused_data != NULL ||
#if TCP_QUEUE_OOSEQ
      pcb->ooseq != NULL ||
#endif /* TCP_QUEUE_OOSEQ */
      pcb->nrtx > 0 || (pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND | TF_NAGLEMEMERR))) {
    tcp_timer_update(pcb);
  }
}

/* tcp.c: what a tick does to one active PCB, in part common to both designs. */
extern const u8_t tcp_persist_backoff[7];
u8_t tcp_slowtmr_pcb(struct tcp_pcb *pcb, u8_t count, u8_t *reset);
void tcp_fasttmr_pcb(struct tcp_pcb *pcb);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_TCP */

#endif /* LWIP_HDR_TCP_TIMER_H */
