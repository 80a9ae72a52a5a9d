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
#include "lwip/sys.h"
#include "lwip/tcp_recovery.h"
#include "lwip/tcp_timer.h"

#include <stddef.h>

LWIP_TLS struct tcp_wheel tcp_wheel;

#define TCP_TIMER_NEVER 0xffffffffU

/* The clock: at `ms` of sys_now() it was `tick`. tcp_timer_run() is to be called at tick `wake`. */
static LWIP_TLS struct {
  u32_t ms;
  u32_t tick;
  u32_t wake;
} tcp_clock;

/* In how many ticks of the wheel the next but `ticks` of tcp_slowtmr() is; at least 1. */
static u32_t
tcp_timer_slow(u32_t ticks)
{
  return LWIP_MAX(ticks, 1) * TCP_TIMER_SLOW - tcp_wheel.now % TCP_TIMER_SLOW;
}

/* In how many ticks of the wheel the work of tcp_fasttmr() is done. */
static u32_t
tcp_timer_fast(void)
{
  return TCP_TIMER_FAST - (tcp_wheel.now + 1) % TCP_TIMER_FAST;
}

void
tcp_timer_count(struct tcp_pcb *pcb)
{
  u32_t interval = LWIP_MAX(pcb->pollinterval, 1);
  u32_t passed = tcp_wheel.now - pcb->timer.counted;
  u32_t ticks = (pcb->timer.counted % TCP_TIMER_SLOW + passed) / TCP_TIMER_SLOW;

  pcb->timer.counted = tcp_wheel.now;
  if (passed == 0 || pcb->state == CLOSED) {
    return;
  }
  if (pcb->persist_backoff > 0) {
    u32_t limit = tcp_persist_backoff[pcb->persist_backoff - 1];

    if (pcb->persist_cnt < limit) {
      pcb->persist_cnt = (u8_t)(pcb->persist_cnt + LWIP_MIN(ticks, limit - pcb->persist_cnt));
    }
  } else if (pcb->rtime >= 0) {
    u32_t counts = feature_on(OBLIGATION_RTO) ? passed : ticks * TCP_TIMER_SLOW;

    pcb->rtime += (s32_t)LWIP_MIN(counts, (u32_t)(TCP_RTIME_MAX - pcb->rtime));
  }
  if (ticks == 0) {
    return;
  }
  if (pcb->polltmr >= interval) {
    /* the interval was made shorter: the first tick ends it */
    pcb->polltmr = 0;
    ticks--;
  }
  pcb->polltmr = (u8_t)((pcb->polltmr + ticks) % interval);
}

/* In how many ticks the PCB will have been idle for more than `limit` ticks of tcp_slowtmr(). */
static u32_t
tcp_timer_idle(const struct tcp_pcb *pcb, u32_t limit)
{
  u32_t idle = tcp_ticks - pcb->tmr;

  return tcp_timer_slow(idle > limit ? 1 : limit - idle + 1);
}

u32_t
tcp_timer_until_rto(const struct tcp_pcb *pcb)
{
  u32_t ticks = pcb->rtime < pcb->rto ? (u32_t)(pcb->rto - pcb->rtime) : 0;

  return feature_on(OBLIGATION_RTO) ? LWIP_MAX(ticks, 1)
                                    : tcp_timer_slow((ticks + TCP_TIMER_SLOW - 1) / TCP_TIMER_SLOW);
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
  if (!feature_on(OBLIGATION_RTO) &&
      (pcb->nrtx >= TCP_RETRIES(pcb) || (pcb->state == SYN_SENT && pcb->nrtx >= TCP_SYNMAXRTX))) {
    return tcp_timer_slow(1); /* given up */
  }
  if (pcb->persist_backoff > 0) {
    u8_t limit = tcp_persist_backoff[pcb->persist_backoff - 1];

    return tcp_timer_slow(
        pcb->persist_probe < TCP_RETRIES(pcb) && pcb->persist_cnt < limit ? (u32_t)(limit - pcb->persist_cnt) : 1);
  }
  return pcb->rtime >= 0 ? tcp_timer_until_rto(pcb) : TCP_TIMER_NEVER;
}

/* Whether tcp_output() would do anything. What does not fit into the window waits for an acknowledgement or for
   the persist timer, if that runs. */
static int
tcp_timer_has_output(const struct tcp_pcb *pcb)
{
  const struct tcp_seg *seg = pcb->unsent;
  u32_t wnd = tcp_recovery_window(pcb);

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
  return tcp_timer_slow(pcb->polltmr < pcb->pollinterval ? (u32_t)(pcb->pollinterval - pcb->polltmr) : 1);
}

/* In how many ticks there is something to do with the PCB but for what tcp_fasttmr() does. Its counters are those of now. */
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
    u32_t ooseq = tcp_timer_idle(pcb, tcp_rto_ooseq(pcb) - 1);

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
  tcp_timer_sync(pcb);
  ticks = tcp_timer_next(pcb);
  if (tcp_timer_is_fast(pcb)) {
    ticks = LWIP_MIN(ticks, tcp_timer_fast());
  }
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

/* What the tick does to a PCB that is neither listening nor in TIME-WAIT. The callbacks of the application may do
   anything, to other PCBs too. If one has changed the list, nobody knows whether this PCB still is: it is left for the
   next tick. */
static void
tcp_timer_visit_active(struct tcp_pcb *pcb)
{
  u8_t slow = tcp_wheel.now % TCP_TIMER_SLOW == 0, reset;
  err_t err;

  tcp_timer_sync(pcb);
  if ((tcp_wheel.now + 1) % TCP_TIMER_FAST == 0 && tcp_timer_is_fast(pcb)) {
    tcp_wheel_arm(&tcp_wheel, &pcb->timer, 1);
    tcp_active_pcbs_changed = 0;
    tcp_fasttmr_pcb(pcb);
    if (tcp_active_pcbs_changed) {
      return;
    }
  }
  if ((slow || (feature_on(OBLIGATION_RTO) && pcb->rtime >= pcb->rto)) && tcp_slowtmr_pcb(pcb, 0, &reset)) {
    tcp_timer_remove(pcb, reset);
    return;
  }
  if (slow && pcb->polltmr == 0) {
    tcp_wheel_arm(&tcp_wheel, &pcb->timer, 1);
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

void
tcp_timer_advance(u32_t ticks)
{
  while (ticks-- > 0) {
    struct tcp_wheel_entry *entry;

    tcp_wheel_tick(&tcp_wheel);
    if (tcp_wheel.now % TCP_TIMER_SLOW == 0) {
      tcp_ticks++;
    }
    while ((entry = tcp_wheel_next(&tcp_wheel)) != NULL) {
      struct tcp_pcb *pcb = (struct tcp_pcb *)(void *)((u8_t *)entry - offsetof(struct tcp_pcb, timer));

      if (pcb->state == TIME_WAIT) {
        tcp_timer_visit_time_wait(pcb);
      } else {
        tcp_timer_visit_active(pcb);
      }
    }
  }
}

void
tcp_timer_fasttmr(void)
{
  u32_t most = TCP_TIMER_SLOW - 1 - tcp_wheel.now % TCP_TIMER_SLOW;

  tcp_timer_advance(LWIP_MIN(tcp_timer_fast(), most));
}

/* By the clock, in milliseconds of sys_now(), rounded up. */
static u32_t
tcp_timer_time(u32_t tick)
{
  return tcp_clock.ms + ((tick - tcp_clock.tick) * TCP_SLOW_INTERVAL + TCP_TIMER_SLOW - 1) / TCP_TIMER_SLOW;
}

static u32_t
tcp_timer_until_wake(void)
{
  s32_t ms = (s32_t)(tcp_timer_time(tcp_clock.wake) - sys_now());

  return (u32_t)LWIP_MAX(ms, 1);
}

static u32_t
tcp_timer_next_run(u32_t ticks)
{
  tcp_clock.wake = tcp_wheel.now + ticks;
  return tcp_timer_until_wake();
}

u32_t
tcp_timer_quiet(void)
{
  return tcp_timer_next_run(tcp_wheel_quiet(&tcp_wheel, tcp_timer_fast()));
}

u32_t
tcp_timer_begin(void)
{
  tcp_clock.ms = sys_now();
  tcp_clock.tick = tcp_wheel.now;
  return tcp_timer_next_run(1);
}

u32_t
tcp_timer_run(void)
{
  s32_t late = (s32_t)(sys_now() - tcp_timer_time(tcp_clock.wake));

  if (late > TCP_SLOW_INTERVAL) {
    tcp_clock.ms += (u32_t)late;
  }
  while (tcp_timer_time(tcp_wheel.now + 1) - tcp_clock.ms <= sys_now() - tcp_clock.ms) {
    tcp_clock.wake = tcp_wheel.now + 1;
    tcp_timer_advance(1);
    if (tcp_wheel.now - tcp_clock.tick == TCP_TIMER_SLOW) {
      tcp_clock.tick = tcp_wheel.now;
      tcp_clock.ms += TCP_SLOW_INTERVAL;
    }
  }
  return tcp_timer_next_run(1);
}

#endif /* LWIP_TCP */
