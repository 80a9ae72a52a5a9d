/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way of a received packet to its connection: past Ethernet's, IP's and most of TCP's questions,
 * for the segment that a connection expects next. Must not know the port. */
#ifndef STACKDUEL_EXPECTED_H
#define STACKDUEL_EXPECTED_H

#include <stdbool.h>

struct mbuf_lending;
struct netif;
struct rte_mbuf;

/* True if the packet went the short way: it is lwIP's then. Else nothing has changed, and it is still the
 * caller's. */
bool take_expected(struct netif *netif, struct mbuf_lending *lending, struct rte_mbuf *packet);

#endif
