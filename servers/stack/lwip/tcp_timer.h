/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * TCP's timers by deadline (optimisation "timers"): a PCB is in a timing wheel at a tick that is not later than the
 * next one at which anything is to be done with it, or in no list if there is none. It may be visited too early: then
 * it is put where it belongs. So a deadline that moves away costs nothing, and only one that comes nearer moves the PCB.
 *
 * The wheel has 64 ticks to one of tcp_slowtmr(). Retransmission counts the wheel's ticks; all else that lwIP does in
 * tcp_slowtmr() is done at each 64th, and what it does in tcp_fasttmr() one tick before each 32nd: so it comes first
 * where both are due.
 *
 * The counters of a PCB (rtime, persist_cnt, polltmr) are not counted up by every tick, but by what has passed
 * when somebody looks: tcp_timer_sync() before they are read or set. A new PCB needs no call: none of them runs,
 * and tcp_output() looks before it starts one.
 */
#ifndef LWIP_HDR_TCP_TIMER_H
#define LWIP_HDR_TCP_TIMER_H

#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/tcp_rto.h"
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

/* Ticks of the wheel to one of tcp_fasttmr(). */
#define TCP_TIMER_FAST (TCP_TIMER_SLOW * TCP_FAST_INTERVAL / TCP_SLOW_INTERVAL)

extern LWIP_TLS struct tcp_wheel tcp_wheel;

/* So many of the wheel's ticks pass: what is due at each is done. */
void tcp_timer_advance(u32_t ticks);

/* The same up to the next tick at which tcp_fasttmr()'s work is done, but not beyond one of tcp_slowtmr(). */
void tcp_timer_fasttmr(void);

/* The clock begins, as there was no connection and now is one; returns in how many milliseconds tcp_timer_run() is to
   be called for the first time. */
u32_t tcp_timer_begin(void);

/* All that is due by sys_now(); returns in how many milliseconds it is to be called again. Time in which it was not
   called for long has not passed: the process was stopped. */
u32_t tcp_timer_run(void);

/* In how many milliseconds anything is due, but for what begins from now on. */
u32_t tcp_timer_quiet(void);

/* timeouts.c: whoever sleeps until lwIP's next timer is woken by no tick at which nothing is due; and that it is awake, so
   that what begins is counted from now on. */
void tcp_timer_doze(void);
void tcp_timer_rouse(void);

/* The counters of the PCB, as they are now. */
void tcp_timer_count(struct tcp_pcb *pcb);

static inline void
tcp_timer_sync(struct tcp_pcb *pcb)
{
  if (pcb->timer.counted != tcp_wheel.now) {
    tcp_timer_count(pcb);
  }
}

/* In how many ticks retransmission is due, whose timer runs. */
u32_t tcp_timer_until_rto(const struct tcp_pcb *pcb);

/* The same as tcp_timer_update() where all that has happened is that the retransmission timer was started or its time
   shortened. */
static inline void
tcp_timer_rto(struct tcp_pcb *pcb)
{
  if (feature_on(FEATURE_TIMERS)) {
    tcp_wheel_within(&tcp_wheel, &pcb->timer,
                     feature_on(OBLIGATION_RTO) && pcb->rtime < pcb->rto ? (u32_t)(pcb->rto - pcb->rtime)
                                                                         : tcp_timer_until_rto(pcb));
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
