/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * TCP's timers by deadline, see tcp_timer.h. What is done when a deadline has come is tcp.c's.
 */
#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/debug.h"
#include "lwip/def.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp_timer.h"

#include <stddef.h>

LWIP_TLS struct tcp_wheel tcp_wheel;

#define TCP_TIMER_NEVER 0xffffffffU

void
tcp_timer_count(struct tcp_pcb *pcb)
{
  u32_t interval = LWIP_MAX(pcb->pollinterval, 1);
  u32_t ticks = tcp_wheel.now - pcb->timer.counted;

  pcb->timer.counted = tcp_wheel.now;
  if (ticks == 0 || pcb->state == CLOSED) {
    return;
  }
  if (pcb->persist_backoff > 0) {
    u32_t limit = tcp_persist_backoff[pcb->persist_backoff - 1];

    if (pcb->persist_cnt < limit) {
      pcb->persist_cnt = (u8_t)(pcb->persist_cnt + LWIP_MIN(ticks, limit - pcb->persist_cnt));
    }
  } else if (pcb->rtime >= 0) {
    pcb->rtime = (s16_t)(pcb->rtime + (s32_t)LWIP_MIN(ticks, (u32_t)(0x7FFF - pcb->rtime)));
  }
  if (pcb->polltmr >= interval) {
    /* the interval was made shorter: the first tick ends it */
    pcb->polltmr = 0;
    ticks--;
  }
  pcb->polltmr = (u8_t)((pcb->polltmr + ticks) % interval);
}

/* In how many ticks the PCB will have been idle for more than `limit` of them. */
static u32_t
tcp_timer_idle(const struct tcp_pcb *pcb, u32_t limit)
{
  u32_t idle = tcp_ticks - pcb->tmr;

  return idle > limit ? 1 : limit - idle + 1;
}

static u32_t
tcp_timer_keepalive(const struct tcp_pcb *pcb)
{
  return tcp_timer_idle(pcb, (pcb->keep_idle + pcb->keep_cnt_sent * TCP_KEEP_INTVL(pcb)) / TCP_SLOW_INTERVAL);
}

/* The retransmission and the persist timer, of which one runs at most. */
static u32_t
tcp_timer_send(const struct tcp_pcb *pcb)
{
  if (pcb->nrtx >= TCP_RETRIES(pcb) || (pcb->state == SYN_SENT && pcb->nrtx >= TCP_SYNMAXRTX)) {
    return 1; /* given up */
  }
  if (pcb->persist_backoff > 0) {
    u8_t limit = tcp_persist_backoff[pcb->persist_backoff - 1];

    return pcb->persist_probe < TCP_RETRIES(pcb) && pcb->persist_cnt < limit ? (u32_t)(limit - pcb->persist_cnt) : 1;
  }
  if (pcb->rtime >= pcb->rto) {
    return 1;
  }
  return pcb->rtime >= 0 ? (u32_t)(pcb->rto - pcb->rtime) : TCP_TIMER_NEVER;
}

/* Whether tcp_output() would do anything. What does not fit into the window waits for an acknowledgement or for
   the persist timer, if that runs. */
static int
tcp_timer_has_output(const struct tcp_pcb *pcb)
{
  const struct tcp_seg *seg = pcb->unsent;
  u32_t wnd = LWIP_MIN(pcb->snd_wnd, pcb->cwnd);

  if (pcb->flags & (TF_ACK_NOW | TF_NAGLEMEMERR)) {
    return 1;
  }
  if (seg == NULL) {
    return 0;
  }
  return lwip_ntohl(seg->tcphdr->seqno) - pcb->lastack + seg->len <= wnd ||
         (wnd == pcb->snd_wnd && pcb->unacked == NULL && pcb->persist_backoff == 0);
}

/* tcp_slowtmr() asks the application and calls tcp_output(). */
static u32_t
tcp_timer_poll(const struct tcp_pcb *pcb)
{
#if LWIP_CALLBACK_API
  if (pcb->poll == NULL && !tcp_timer_has_output(pcb)) {
    return TCP_TIMER_NEVER;
  }
#endif /* LWIP_CALLBACK_API */
  return pcb->polltmr < pcb->pollinterval ? (u32_t)(pcb->pollinterval - pcb->polltmr) : 1;
}

/* In how many ticks tcp_slowtmr() has something to do with the PCB, whose counters are those of now. */
static u32_t
tcp_timer_next(const struct tcp_pcb *pcb)
{
  u32_t ticks;

  if (pcb->state == TIME_WAIT) {
    return tcp_timer_idle(pcb, 2 * TCP_MSL / TCP_SLOW_INTERVAL);
  }
  ticks = LWIP_MIN(tcp_timer_send(pcb), tcp_timer_poll(pcb));
  if (ip_get_option(pcb, SOF_KEEPALIVE) && (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT)) {
    u32_t keepalive = tcp_timer_keepalive(pcb);

    ticks = LWIP_MIN(ticks, keepalive);
  }
#if TCP_QUEUE_OOSEQ
  if (pcb->ooseq != NULL) {
    u32_t ooseq = (u32_t)pcb->rto * TCP_OOSEQ_TIMEOUT;

    ooseq = ooseq == 0 ? 1 : tcp_timer_idle(pcb, ooseq - 1);
    ticks = LWIP_MIN(ticks, ooseq);
  }
#endif /* TCP_QUEUE_OOSEQ */
  if (pcb->state == FIN_WAIT_2 && (pcb->flags & TF_RXCLOSED)) {
    u32_t end = tcp_timer_idle(pcb, TCP_FIN_WAIT_TIMEOUT / TCP_SLOW_INTERVAL);

    ticks = LWIP_MIN(ticks, end);
  } else if (pcb->state == SYN_RCVD) {
    u32_t end = tcp_timer_idle(pcb, TCP_SYN_RCVD_TIMEOUT / TCP_SLOW_INTERVAL);

    ticks = LWIP_MIN(ticks, end);
  } else if (pcb->state == LAST_ACK) {
    u32_t end = tcp_timer_idle(pcb, 2 * TCP_MSL / TCP_SLOW_INTERVAL);

    ticks = LWIP_MIN(ticks, end);
  }
  return ticks;
}

/* Whether tcp_fasttmr() has something to do with the PCB. */
static int
tcp_timer_is_fast(const struct tcp_pcb *pcb)
{
  return pcb->state != TIME_WAIT && ((pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND)) || pcb->refused_data != NULL);
}

void
tcp_timer_update(struct tcp_pcb *pcb)
{
  u32_t ticks;

  if (!feature_on(FEATURE_TIMERS) || pcb->state == CLOSED) {
    return;
  }
  if (tcp_timer_is_fast(pcb)) {
    tcp_wheel_soon(&tcp_wheel, &pcb->timer);
    return;
  }
  tcp_timer_sync(pcb);
  ticks = tcp_timer_next(pcb);
  if (ticks != TCP_TIMER_NEVER) {
    tcp_wheel_within(&tcp_wheel, &pcb->timer, ticks);
  }
}

/* The PCB was visited: its next deadline, be it nearer or farther than the last. */
static void
tcp_timer_again(struct tcp_pcb *pcb)
{
  tcp_wheel_cancel(&pcb->timer);
  tcp_timer_update(pcb);
}

static void
tcp_timer_remove(struct tcp_pcb *pcb, u8_t reset)
{
#if LWIP_CALLBACK_API
  tcp_err_fn err_fn = pcb->errf;
#endif /* LWIP_CALLBACK_API */
  void *err_arg = pcb->callback_arg;
  err_t error = tcp_timeout_error(pcb);
  enum tcp_state last_state;

  tcp_pcb_purge(pcb);
  TCP_RMV_ACTIVE(pcb);
  if (reset) {
    tcp_rst(pcb, pcb->snd_nxt, pcb->rcv_nxt, &pcb->local_ip, &pcb->remote_ip, pcb->local_port, pcb->remote_port);
  }
  last_state = pcb->state;
  tcp_free(pcb);
  TCP_EVENT_ERR(last_state, err_fn, err_arg, error);
}

static void
tcp_timer_visit(struct tcp_pcb *pcb)
{
  u8_t reset;
  err_t err;

  tcp_timer_sync(pcb);
  if (tcp_slowtmr_pcb(pcb, 0, &reset)) {
    tcp_timer_remove(pcb, reset);
    return;
  }
  if (pcb->polltmr == 0) {
    /* The callback may do anything, to other PCBs too. If it has changed the list, nobody knows whether this
       one still is: it is left for the next tick. */
    tcp_wheel_within(&tcp_wheel, &pcb->timer, 1);
    tcp_active_pcbs_changed = 0;
    TCP_EVENT_POLL(pcb, err);
    if (tcp_active_pcbs_changed) {
      return;
    }
    if (err == ERR_OK) {
      tcp_output(pcb);
    }
  }
  tcp_timer_again(pcb);
}

static void
tcp_timer_visit_time_wait(struct tcp_pcb *pcb)
{
  if ((u32_t)(tcp_ticks - pcb->tmr) > 2 * TCP_MSL / TCP_SLOW_INTERVAL) {
    tcp_pcb_purge(pcb);
    TCP_RMV(&tcp_tw_pcbs, pcb);
    tcp_free(pcb);
  } else {
    tcp_timer_again(pcb);
  }
}

/* The PCB that is to be visited next, or NULL. */
static struct tcp_pcb *
tcp_timer_due(void)
{
  struct tcp_wheel_entry *entry = tcp_wheel_next(&tcp_wheel);

  return entry == NULL ? NULL : (struct tcp_pcb *)(void *)((u8_t *)entry - offsetof(struct tcp_pcb, timer));
}

void
tcp_timer_slow(void)
{
  struct tcp_pcb *pcb;

  tcp_wheel_tick(&tcp_wheel);
  while ((pcb = tcp_timer_due()) != NULL) {
    if (pcb->state == TIME_WAIT) {
      tcp_timer_visit_time_wait(pcb);
    } else {
      tcp_timer_visit(pcb);
    }
  }
}

void
tcp_timer_fast(void)
{
  struct tcp_pcb *pcb;

  tcp_wheel_fire_soon(&tcp_wheel);
  while ((pcb = tcp_timer_due()) != NULL) {
    /* As above: the application may be called, and then the list tells whether the PCB still is. */
    tcp_wheel_soon(&tcp_wheel, &pcb->timer);
    tcp_active_pcbs_changed = 0;
    if (pcb->state != TIME_WAIT) {
      tcp_fasttmr_pcb(pcb);
    }
    if (!tcp_active_pcbs_changed) {
      tcp_timer_again(pcb);
    }
  }
}

#endif /* LWIP_TCP */
