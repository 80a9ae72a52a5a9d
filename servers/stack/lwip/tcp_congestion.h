/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * How much TCP has on the way where nothing tells it how much the path bears: at first, after a pause, and after a
 * time-out. Of lwIP's own: a first window of three or four segments (RFC 2581), and the window that was, however old;
 * that remains where obligation "congestion-window" is waived.
 */
#ifndef LWIP_HDR_TCP_CONGESTION_H
#define LWIP_HDR_TCP_CONGESTION_H

#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The window at the end of the handshake: ten segments (RFC 6928, 2), or one if a SYN was sent
   again twice (RFC 5681, 3.1, as Linux has it). */
tcpwnd_size_t tcp_congestion_initial(const struct tcp_pcb *pcb);

/* A time-out: half of what was on the way is the new threshold, once for all of it (RFC 5681, 3.1 (4)). */
void tcp_congestion_timeout(struct tcp_pcb *pcb);

/* After a pause of more than a time-out the window is the first one again (RFC 5681, 4.1). `idle`: for more than one less
   ticks of tcp_slowtmr(). */
void tcp_congestion_restart(struct tcp_pcb *pcb, u32_t idle);

/* A segment came: the PCB is idle from now on. A request ends a pause, so this is looked at before it is answered. */
static inline void
tcp_congestion_heard(struct tcp_pcb *pcb)
{
  u32_t idle = tcp_ticks - pcb->tmr;

  pcb->tmr = tcp_ticks;
  if (idle > 1 && pcb->unacked == NULL) {
    tcp_congestion_restart(pcb, idle);
  }
}

#ifdef __cplusplus
}
#endif

#endif /* LWIP_TCP */

#endif /* LWIP_HDR_TCP_CONGESTION_H */
