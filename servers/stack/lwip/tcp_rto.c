/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * When TCP sends again, see tcp_rto.h.
 */
#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/def.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/tcp_rto.h"

/* Milliseconds. The least is what is added to the mean, as in Linux: an acknowledgement may be delayed by as much. */
#define TCP_RTO_INITIAL 1000
#define TCP_RTO_AFTER_LOST_SYN 3000
#define TCP_RTO_LEAST_ADDED 200
#define TCP_RTO_MOST 120000

/* lwIP's own: after how many of its ticks a SYN and data are sent again, and how often that is doubled. */
#define TCP_RTO_PLAIN (3000 / TCP_SLOW_INTERVAL)
#define TCP_RTO_PLAIN_DOUBLINGS 7

/* A part of the first tick has passed. Whoever walks over all connections sees only those of tcp_slowtmr(). */
static s32_t
tcp_rto_ticks(u32_t ms)
{
  u32_t ticks = (LWIP_MIN(ms, TCP_RTO_MOST) * TCP_TIMER_SLOW + TCP_SLOW_INTERVAL - 1) / TCP_SLOW_INTERVAL;

  return (s32_t)(ticks + (feature_on(FEATURE_TIMERS) ? 1 : TCP_TIMER_SLOW));
}

static void
tcp_rto_set(struct tcp_pcb *pcb)
{
  if (feature_on(OBLIGATION_RTO)) {
    pcb->rto = tcp_rto_ticks((u32_t)(pcb->sa / 8 + LWIP_MAX(pcb->sv, TCP_RTO_LEAST_ADDED)));
  } else {
    pcb->rto = (pcb->sa / 8 + pcb->sv) * (s32_t)TCP_TIMER_SLOW;
  }
}

void
tcp_rto_init(struct tcp_pcb *pcb, u8_t handshake)
{
  pcb->sa = 0;
  if (feature_on(OBLIGATION_RTO)) {
    pcb->sv = 0;
    pcb->rto = tcp_rto_ticks(TCP_RTO_INITIAL);
  } else {
    pcb->sv = TCP_RTO_PLAIN;
    pcb->rto = (s32_t)((handshake ? TCP_SYN_ACK_RTO / TCP_SLOW_INTERVAL : TCP_RTO_PLAIN) * TCP_TIMER_SLOW);
  }
}

void
tcp_rto_measure(struct tcp_pcb *pcb, u32_t seqno)
{
  if (pcb->rttest != 0) {
    return;
  }
  if (!feature_on(OBLIGATION_RTO)) {
    pcb->rttest = tcp_ticks;
  } else if (!TCP_SEQ_LT(seqno, pcb->snd_nxt)) {
    u32_t now = sys_now();

    pcb->rttest = LWIP_MAX(now, 1);
  }
  pcb->rtseq = seqno;
}

/* Jacobson 1988: the mean is kept eightfold, its deviation fourfold. */
static void
tcp_rto_smooth(struct tcp_pcb *pcb, s32_t measured)
{
  s32_t error = measured - pcb->sa / 8;

  pcb->sa += error;
  pcb->sv += (error < 0 ? -error : error) - pcb->sv / 4;
}

void
tcp_rto_sample(struct tcp_pcb *pcb, u32_t ackno)
{
  if (pcb->rttest == 0 || !TCP_SEQ_LT(pcb->rtseq, ackno)) {
    return;
  }
  if (!feature_on(OBLIGATION_RTO)) {
    tcp_rto_smooth(pcb, (s32_t)(tcp_ticks - pcb->rttest));
  } else {
    s32_t ms = (s32_t)(sys_now() - pcb->rttest);

    ms = LWIP_MIN(LWIP_MAX(ms, 1), TCP_RTO_MOST);

    if (pcb->sa == 0) {
      pcb->sa = 8 * ms;
      pcb->sv = 2 * ms;
    } else {
      tcp_rto_smooth(pcb, ms);
    }
  }
  tcp_rto_set(pcb);
  pcb->rttest = 0;
}

void
tcp_rto_acked(struct tcp_pcb *pcb)
{
  if (!feature_on(OBLIGATION_RTO)) {
    tcp_rto_set(pcb);
  }
}

/* RFC 6298, 5.7: nothing was measured as the SYN was sent again. */
void
tcp_rto_established(struct tcp_pcb *pcb)
{
  if (feature_on(OBLIGATION_RTO) && pcb->sa == 0 && pcb->nrtx > 0) {
    s32_t least = tcp_rto_ticks(TCP_RTO_AFTER_LOST_SYN);

    pcb->rto = LWIP_MAX(pcb->rto, least);
  }
}

u8_t
tcp_rto_lost_handshake(const struct tcp_pcb *pcb)
{
  return feature_on(OBLIGATION_RTO) && pcb->sa == 0 && pcb->rto > tcp_rto_ticks(TCP_RTO_AFTER_LOST_SYN);
}

void
tcp_rto_back_off(struct tcp_pcb *pcb)
{
  if (feature_on(OBLIGATION_RTO)) {
    pcb->rto = LWIP_MIN(2 * pcb->rto, tcp_rto_ticks(TCP_RTO_MOST));
  } else if (pcb->state == SYN_RCVD) {
    pcb->rto *= 2;
  } else if (pcb->state != SYN_SENT) {
    u32_t doublings = LWIP_MIN(pcb->nrtx + 1U, TCP_RTO_PLAIN_DOUBLINGS);

    tcp_rto_set(pcb);
    pcb->rto <<= doublings;
  }
}

u32_t
tcp_rto_ooseq(const struct tcp_pcb *pcb)
{
  u32_t rto = ((u32_t)pcb->rto + TCP_TIMER_SLOW - 1) / TCP_TIMER_SLOW;

  return LWIP_MAX(rto, 2) * TCP_OOSEQ_TIMEOUT;
}

#endif /* LWIP_TCP */
