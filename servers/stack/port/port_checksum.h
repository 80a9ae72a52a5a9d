/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the checksums that a port may be granted. */
#ifndef STACKDUEL_PORT_CHECKSUM_H
#define STACKDUEL_PORT_CHECKSUM_H

/* Bits: the checksums that the port verifies (RX) and fills in (TX). */
enum port_checksum {
    PORT_RX_IPV4 = 1 << 0,
    PORT_RX_TCP = 1 << 1,
    PORT_RX_UDP = 1 << 2,
    PORT_TX_IPV4 = 1 << 3,
    PORT_TX_TCP = 1 << 4,
    PORT_TX_UDP = 1 << 5,
};

#endif
