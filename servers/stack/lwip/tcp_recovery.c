/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Recovery from losses, see tcp_recovery.h.
 */
#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/def.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp_recovery.h"

static void
tcp_recovery_begin(struct tcp_pcb *pcb)
{
  u32_t half = LWIP_MIN(pcb->cwnd, pcb->snd_wnd) / 2;

  if (feature_on(OBLIGATION_RECOVERY)) {
    u32_t flight = pcb->snd_nxt - pcb->lastack;

    if (pcb->flags & TF_RTO) {
      return; /* after a time-out all is sent again anyway (RFC 6582, 4) */
    }
    half = LWIP_MIN(flight, pcb->cwnd) / 2; /* not what limited transmit has added (RFC 3042, 2) */
  }
  if (tcp_rexmit(pcb) != ERR_OK) {
    return;
  }
  pcb->rto_end = pcb->snd_nxt;
  pcb->ssthresh = (tcpwnd_size_t)LWIP_MAX(half, 2U * pcb->mss);
  pcb->cwnd = (tcpwnd_size_t)(pcb->ssthresh + 3U * pcb->mss);
  tcp_set_flags(pcb, TF_INFR);
  /* Reset the retransmission timer to prevent immediate rto retransmissions */
  pcb->rtime = 0;
}

void
tcp_recovery_duplicate(struct tcp_pcb *pcb)
{
  if (pcb->dupacks > TCP_DUPLICATES && ((pcb->flags & TF_INFR) || !feature_on(OBLIGATION_RECOVERY))) {
    /* one more has arrived */
    TCP_WND_INC(pcb->cwnd, pcb->mss);
  }
  if (pcb->dupacks >= TCP_DUPLICATES && pcb->unacked != NULL && (pcb->flags & TF_INFR) == 0) {
    tcp_recovery_begin(pcb);
  }
}

u8_t
tcp_recovery_acked(struct tcp_pcb *pcb, u32_t ackno)
{
  u32_t acked = ackno - pcb->lastack, flight = pcb->snd_nxt - ackno;

  if (!feature_on(OBLIGATION_RECOVERY)) {
    tcp_clear_flags(pcb, TF_INFR);
    pcb->cwnd = pcb->ssthresh;
    pcb->bytes_acked = 0;
    return 0;
  }
  if (TCP_SEQ_LT(ackno, pcb->rto_end)) {
    /* a partial one: what has left is taken off, and one new segment may follow (RFC 6582, 3.2 (5)) */
    u32_t cwnd = pcb->cwnd > acked ? pcb->cwnd - acked : 0;

    cwnd += acked >= pcb->mss ? pcb->mss : 0;
    pcb->cwnd = (tcpwnd_size_t)LWIP_MAX(cwnd, pcb->mss);
    return 1;
  }
  /* a full one: no burst of all that the window has room for (RFC 6582, 3.2 (3)) */
  tcp_clear_flags(pcb, TF_INFR);
  flight = LWIP_MAX(flight, pcb->mss) + pcb->mss;
  pcb->cwnd = (tcpwnd_size_t)LWIP_MIN(pcb->ssthresh, flight);
  pcb->bytes_acked = 0;
  return 0;
}

#endif /* LWIP_TCP */
