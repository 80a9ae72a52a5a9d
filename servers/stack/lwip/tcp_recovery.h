/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * How TCP recovers from losses that duplicate acknowledgements tell of: limited transmit (RFC 3042) and NewReno
 * (RFC 6582). In recovery (TF_INFR) `rto_end` is where it ends: what had been sent when it began. Of lwIP's own: recovery
 * ends with the first acknowledgement of new data, so that a second loss waits for a time-out; that remains where
 * obligation "recovery" is waived.
 */
#ifndef LWIP_HDR_TCP_RECOVERY_H
#define LWIP_HDR_TCP_RECOVERY_H

#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/tcp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TCP_DUPLICATES 3

/* How much may be on the way. The first two duplicates each let one more segment out, as each tells of one that has
   arrived. */
static inline u32_t
tcp_recovery_window(const struct tcp_pcb *pcb)
{
  u32_t wnd = pcb->cwnd;

  if (pcb->dupacks > 0 && pcb->dupacks < TCP_DUPLICATES && (pcb->flags & (TF_INFR | TF_RTO)) == 0 &&
      feature_on(OBLIGATION_RECOVERY)) {
    wnd += (u32_t)pcb->dupacks * pcb->mss;
  }
  return LWIP_MIN(pcb->snd_wnd, wnd);
}

/* A duplicate acknowledgement, the dupacks-th in a row. */
void tcp_recovery_duplicate(struct tcp_pcb *pcb);

/* In recovery new data is acknowledged, up to `ackno`; pcb->lastack is still as before. Returns whether recovery goes on,
   and what is now the first segment is to be sent again: else it has ended. */
u8_t tcp_recovery_acked(struct tcp_pcb *pcb, u32_t ackno);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_TCP */

#endif /* LWIP_HDR_TCP_RECOVERY_H */
