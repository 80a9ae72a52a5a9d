/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The table of neighbours, which etharp.c fills and asks: found by a keyed hash, and given up in an order that a
 * flood cannot turn against those in use. Must not know ARP.
 */
#ifndef LWIP_HDR_NEIGHBOUR_H
#define LWIP_HDR_NEIGHBOUR_H

#include <sys/queue.h>

#include "lwip/ip4_addr.h"
#include "lwip/netif.h"
#include "lwip/prot/ethernet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From the first to be given up to the last. Whoever is on the link can be heard, but a packet of an established
   connection goes to nobody who has only forged an address. */
enum neighbour_standing {
  NEIGHBOUR_HEARD, /* asked for us, or has answered */
  NEIGHBOUR_PENDING, /* is being asked for */
  NEIGHBOUR_USED, /* packets were sent to it by the hint of a connection */
  NEIGHBOUR_FIXED /* never given up */
};

struct etharp_entry {
#if ARP_QUEUEING
  /** Pointer to queue of pending outgoing packets on this ARP entry. */
  struct etharp_q_entry *q;
#else /* ARP_QUEUEING */
  /** Pointer to a single pending outgoing packet on this ARP entry. */
  struct pbuf *q;
#endif /* ARP_QUEUEING */
  struct netif *netif;
  ip4_addr_t ipaddr;
  u16_t ctime;
  struct eth_addr ethaddr;
  u8_t state; /* etharp.c's */
  u8_t standing; /* in which list it is */
  u8_t used; /* a connection has sent to it since it was last thought of giving it up */
  struct etharp_entry *place_next; /* shares a place of the hash, or is as free as this one */
  TAILQ_ENTRY(etharp_entry) link;
};

/* As many were in use at once at the most: those from here on have never been touched. */
struct neighbour_table {
  struct etharp_entry *entries;
  netif_addr_idx_t end;
};
extern LWIP_TLS struct neighbour_table neighbours;

/* Index of the entry of an address behind a netif (NULL: any); -1 if there is none. */
int neighbour_find(const ip4_addr_t *ipaddr, const struct netif *netif);

/* Index of a new entry, NEIGHBOUR_HEARD and all else zero; -1 if there is no room. */
int neighbour_take(const ip4_addr_t *ipaddr, struct netif *netif);

/* Moves an entry to the end of another list. */
void neighbour_stands(int index, enum neighbour_standing standing);

/* Index of the entry whose place is to be taken next; -1 if all must stay. */
int neighbour_least(void);

/* The entry that has been pending for the longest; -1 if there is none. */
int neighbour_oldest_pending(void);
unsigned neighbour_pending(void);

/* Takes an entry out of the table. */
void neighbour_leave(int index);

#ifdef __cplusplus
}
#endif

#endif /* LWIP_HDR_NEIGHBOUR_H */
