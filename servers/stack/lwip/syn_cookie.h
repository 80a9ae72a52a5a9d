/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * SYN cookies (Bernstein 1996; RFC 4987, 3.6; obligation "syn-cookies"): a listener whose backlog is full answers a SYN
 * without keeping anything of it. What it has to know later is in the sequence number of its answer, which the peer
 * acknowledges: a keyed hash that only this stack can make, when it was made, and the peer's MSS, rounded down to one
 * of a table. There is no room for a window scale, which nobody is offered then. Must not know PCBs.
 */
#ifndef LWIP_HDR_SYN_COOKIE_H
#define LWIP_HDR_SYN_COOKIE_H

#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#ifdef __cplusplus
extern "C" {
#endif

/* What a cookie is for: addresses in network byte order, ports in the host's. */
struct syn_cookie_flow {
  u32_t local, remote;
  u16_t local_port, remote_port;
};

/* Where the sequence numbers begin of the answer to a SYN with this sequence number, at this tick of tcp_slowtmr(). */
u32_t syn_cookie_make(const struct syn_cookie_flow *flow, u32_t seqno, u16_t mss, u32_t tick);

/* The MSS in a cookie that syn_cookie_make() gave for the same connection one to two minutes ago at the most; 0 if that is
 * none. One guess in 2^29 is taken for one, as with Linux's. */
u16_t syn_cookie_mss(const struct syn_cookie_flow *flow, u32_t seqno, u32_t cookie, u32_t tick);

/* Of a stack: answers with a cookie; acknowledgements of one; and of none, when there might have been one. */
struct syn_cookie_counters {
  u64_t sent, accepted, refused;
};
extern LWIP_TLS struct syn_cookie_counters syn_cookie_counters;

/* So many ticks a cookie may be valid. */
#define SYN_COOKIE_EPOCH (60 * 1000 / 500)
#define SYN_COOKIE_TICKS (2 * SYN_COOKIE_EPOCH)

#ifdef __cplusplus
}
#endif

#endif /* LWIP_TCP */

#endif /* LWIP_HDR_SYN_COOKIE_H */
