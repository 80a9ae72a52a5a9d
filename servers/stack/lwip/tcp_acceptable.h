/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What a segment for a connection must be before anything of it is used (RFC 9293, 3.10.7.4, with RFC 5961), and how
 * often an answer is owed to one that is not. Must not know tcp_in.c's variables.
 */
#ifndef LWIP_HDR_TCP_ACCEPTABLE_H
#define LWIP_HDR_TCP_ACCEPTABLE_H

#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/tcp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* No segment is smaller because the peer wants so: each would cost a header and an element of the pools
   (CVE-2019-11479; Linux has the same floor, net.ipv4.tcp_min_snd_mss). */
#define TCP_MSS_MIN 48

/* Challenge ACKs of a stack a second, on average: net.ipv4.tcp_challenge_ack_limit of Linux. */
#define TCP_CHALLENGES 1000

/* Whether a segment of these numbers and flags, `len` long with SYN or FIN, may be used by a connection that is in
   SYN-RECEIVED or synchronized. If not, it was answered as far as it is due. */
int tcp_segment_acceptable(struct tcp_pcb *pcb, u32_t seqno, u16_t len, u32_t ackno, u8_t flags);

/* A challenge ACK, if this connection was answered none in this tick and the stack not too many: how many those are
   is drawn every second, so that nobody learns from their number what others were answered (CVE-2016-5696). */
void tcp_challenge(struct tcp_pcb *pcb);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_TCP */

#endif /* LWIP_HDR_TCP_ACCEPTABLE_H */
