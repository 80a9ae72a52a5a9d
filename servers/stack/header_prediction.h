/* SPDX-License-Identifier: BSD-3-Clause */
/* Header prediction (V. Jacobson): takes the segment that a connection expects next straight to it, past
 * Ethernet's, IP's and most of TCP's checks. Must not know the port. */
#ifndef STACKDUEL_HEADER_PREDICTION_H
#define STACKDUEL_HEADER_PREDICTION_H

#include <stdbool.h>
#include <stddef.h>

struct zero_copy;
struct netif;
struct pbuf;
struct rte_mbuf;
struct tcp_pcb;

/* Finds the connection for which these `size` bytes, a received frame in one piece, are what it expects next.
 * NULL: there is none, or lwIP's usual way has to look at the frame. */
struct tcp_pcb *rx_predict_lookup(const struct netif *netif, void *frame, size_t size);

/* Gives that connection the frame, which is lwIP's then. */
void rx_predict_input(struct tcp_pcb *pcb, struct pbuf *frame);

/* Does both for a packet of the port. True if it took the fast path: it is lwIP's then. Else nothing has
 * changed, and it is still the caller's. */
bool rx_fast_path(struct netif *netif, struct zero_copy *zero_copy, struct rte_mbuf *packet);

#endif
