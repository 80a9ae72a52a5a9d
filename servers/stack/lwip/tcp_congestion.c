/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The congestion window where it is not measured, see tcp_congestion.h.
 */
#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/def.h"
#include "lwip/tcp_congestion.h"
#include "lwip/tcp_rto.h"

#define TCP_FIRST_SEGMENTS 10U
#define TCP_FIRST_BYTES 14600U
#define TCP_PLAIN_FIRST_SEGMENTS 4U
#define TCP_PLAIN_FIRST_BYTES 4380U

static tcpwnd_size_t
tcp_congestion_first(const struct tcp_pcb *pcb)
{
  u8_t on = feature_on(OBLIGATION_CONGESTION_WINDOW);
  u32_t most = (on ? TCP_FIRST_SEGMENTS : TCP_PLAIN_FIRST_SEGMENTS) * pcb->mss;
  u32_t bytes = on ? TCP_FIRST_BYTES : TCP_PLAIN_FIRST_BYTES;

  return (tcpwnd_size_t)LWIP_MIN(most, LWIP_MAX(2U * pcb->mss, bytes));
}

tcpwnd_size_t
tcp_congestion_initial(const struct tcp_pcb *pcb)
{
  return feature_on(OBLIGATION_CONGESTION_WINDOW) && tcp_rto_lost_handshake(pcb) ? pcb->mss : tcp_congestion_first(pcb);
}

void
tcp_congestion_timeout(struct tcp_pcb *pcb)
{
  tcpwnd_size_t half = LWIP_MIN(pcb->cwnd, pcb->snd_wnd) / 2;

  if (feature_on(OBLIGATION_CONGESTION_WINDOW)) {
    half = (tcpwnd_size_t)((pcb->snd_nxt - pcb->lastack) / 2);
  }
  if (pcb->nrtx == 0 || !feature_on(OBLIGATION_CONGESTION_WINDOW)) {
    pcb->ssthresh = (tcpwnd_size_t)LWIP_MAX(half, 2U * pcb->mss);
  }
  pcb->cwnd = pcb->mss;
}

void
tcp_congestion_restart(struct tcp_pcb *pcb, u32_t idle)
{
  tcpwnd_size_t first = tcp_congestion_first(pcb);

  if (pcb->cwnd > first && (idle - 1) * TCP_TIMER_SLOW > (u32_t)pcb->rto && feature_on(OBLIGATION_CONGESTION_WINDOW)) {
    pcb->cwnd = first;
  }
}

#endif /* LWIP_TCP */
