/* SPDX-License-Identifier: BSD-3-Clause */
/* ARP for Ethernet and IPv4 (RFC 826) as bytes: asking for one station, answering for a range of addresses.
 * Keeps nothing. Addresses in host byte order. */
#ifndef STACKDUEL_ARP_H
#define STACKDUEL_ARP_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define ARP_FRAME 42 /* bytes of Ethernet and ARP */

struct arp {
    uint16_t operation; /* RTE_ARP_OP_REQUEST or RTE_ARP_OP_REPLY */
    uint8_t sender_mac[6];
    uint32_t sender, target;
};

/* Reads an ARP packet. False: it is no whole one of these kinds. */
bool arp_read(struct arp *arp, const struct rte_mbuf *packet);

/* Writes ARP_FRAME bytes: to everybody if `to` is NULL. */
void arp_write(uint8_t *frame, const struct arp *arp, const uint8_t to[6]);

#endif
