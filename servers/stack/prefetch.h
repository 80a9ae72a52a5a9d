/* SPDX-License-Identifier: BSD-3-Clause */
/* Prefetches what a burst of packets will need, before the first is handled: for each in turn its place in
 * the table of connections, then the connection, then what that points to. So the cache misses of many
 * connections overlap. Must not change anything. */
#ifndef STACKDUEL_PREFETCH_H
#define STACKDUEL_PREFETCH_H

struct rte_mbuf;

/* Prefetches the connections of up to PORT_BURST packets. */
void prefetch_connections(struct rte_mbuf *const packets[], unsigned count);

#endif
