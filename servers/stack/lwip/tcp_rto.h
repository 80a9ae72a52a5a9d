/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The time after which TCP sends again what was not acknowledged (RFC 6298): measured in milliseconds, counted in ticks
 * of a 128th of a second. Of lwIP's own: ticks of 500 ms, retransmissions measured, the first after three seconds;
 * that remains where obligation "rto" is waived.
 */
#ifndef LWIP_HDR_TCP_RTO_H
#define LWIP_HDR_TCP_RTO_H

#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/tcp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Ticks of rtime, which are those of the timing wheel, to one of tcp_slowtmr(). */
#define TCP_TIMER_SLOW 64U

/* rtime counts no further. */
#define TCP_RTIME_MAX 0x3fffffff

/* Before anything was measured; `handshake`: of a SYN or its answer. */
void tcp_rto_init(struct tcp_pcb *pcb, u8_t handshake);

/* The segment that begins at `seqno` leaves: it is measured if none is. One that is sent again never is, as nobody knows
   which of the two is acknowledged (Karn 1987). */
void tcp_rto_measure(struct tcp_pcb *pcb, u32_t seqno);

/* What was measured is acknowledged if it was sent before `ackno`: the time is set anew. */
void tcp_rto_sample(struct tcp_pcb *pcb, u32_t ackno);

/* New data was acknowledged. */
void tcp_rto_acked(struct tcp_pcb *pcb);

/* The handshake has ended. */
void tcp_rto_established(struct tcp_pcb *pcb);

/* Whether a SYN or the answer to it was sent again more than once, and nothing was measured since; once may have been
   too soon. */
u8_t tcp_rto_lost_handshake(const struct tcp_pcb *pcb);

/* The time is over: twice as long from now on. */
void tcp_rto_back_off(struct tcp_pcb *pcb);

/* Whether the last try, if it was that, has had its time; lwIP's own gives it none. */
static inline u8_t
tcp_rto_is_over(const struct tcp_pcb *pcb)
{
  return !feature_on(OBLIGATION_RTO) || pcb->rtime >= pcb->rto;
}

/* After how many ticks of tcp_slowtmr() of silence data that is out of order is given up. */
u32_t tcp_rto_ooseq(const struct tcp_pcb *pcb);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_TCP */

#endif /* LWIP_HDR_TCP_RTO_H */
