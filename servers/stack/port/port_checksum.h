/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides who verifies and fills in checksums: the port, as far as it was granted, or software. Must not know
 * lwIP. */
#ifndef STACKDUEL_PORT_CHECKSUM_H
#define STACKDUEL_PORT_CHECKSUM_H

#include <stdbool.h>

struct port;
struct rte_mbuf;

/* Bits: the checksums that the port verifies (RX) and fills in (TX). */
enum port_checksum {
    PORT_RX_IPV4 = 1 << 0,
    PORT_RX_TCP = 1 << 1,
    PORT_RX_UDP = 1 << 2,
    PORT_TX_IPV4 = 1 << 3,
    PORT_TX_TCP = 1 << 4,
    PORT_TX_UDP = 1 << 5,
};

/* Returns the set of enum port_checksum that software need not do for packets of this port. */
unsigned port_checksums(const struct port *port);

/* Tells whether the checksums of a received packet are right. lwIP skips exactly those checks that the port
 * has been granted: a packet that the port did not judge (flags "unknown") is judged here, and where no stack
 * checks, every other, too. */
bool port_checksums_right(const struct port *port, const struct rte_mbuf *packet);

/* Asks the port to fill in the checksums of a packet to be sent, those that it was granted. */
void port_ask_for_checksums(const struct port *port, struct rte_mbuf *packet);

#endif
