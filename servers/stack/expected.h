/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way of a received packet to its connection: past Ethernet's, IP's and most of TCP's questions,
 * for the segment that a connection expects next. Must not know the port. */
#ifndef STACKDUEL_EXPECTED_H
#define STACKDUEL_EXPECTED_H

#include <stdbool.h>
#include <stddef.h>

struct mbuf_lending;
struct netif;
struct pbuf;
struct rte_mbuf;
struct tcp_pcb;

/* The connection for which these `size` bytes, a received frame in one piece, are what it expects next. NULL:
 * none expects them, or they are to go the long way for what they are. */
struct tcp_pcb *who_expects(const struct netif *netif, void *frame, size_t size);

/* Gives that connection the frame, which is lwIP's then. */
void give_expected(struct tcp_pcb *pcb, struct pbuf *frame);

/* Both for a packet of the port. True if it went the short way: it is lwIP's then. Else nothing has changed,
 * and it is still the caller's. */
bool take_expected(struct netif *netif, struct mbuf_lending *lending, struct rte_mbuf *packet);

#endif
