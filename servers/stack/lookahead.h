/* SPDX-License-Identifier: BSD-3-Clause */
/* What a burst of packets will need is fetched before the first is handled: for each in turn its place in the
 * table of connections, then the connection, then what that points to. So the cache misses of many
 * connections overlap. Must not change anything. */
#ifndef STACKDUEL_LOOKAHEAD_H
#define STACKDUEL_LOOKAHEAD_H

struct rte_mbuf;

/* For up to PORT_BURST packets. */
void look_ahead(struct rte_mbuf *const packets[], unsigned count);

#endif
