/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The table of neighbours, see neighbour.h.
 */
#include "lwip/opt.h"

#if LWIP_IPV4 && LWIP_ARP /* don't build if not configured for use in lwipopts.h */

#include "lwip/debug.h"
#include "lwip/def.h"
#include "lwip/neighbour.h"

#define PLACE_BITS 12

TAILQ_HEAD(neighbour_list, etharp_entry);

LWIP_TLS struct neighbour_table neighbours;

static LWIP_TLS struct {
  u64_t keys[2];
  struct etharp_entry **places;
  struct etharp_entry *free;
  struct neighbour_list lists[NEIGHBOUR_FIXED + 1];
  unsigned pending;
} table;

/* At the first neighbour, as memory costs nothing until it is touched. */
static int
neighbour_reserve(void)
{
  size_t i, entries = sizeof(struct etharp_entry) * ARP_TABLE_SIZE;
  u8_t *memory = (u8_t *)pool_reserve(entries + (sizeof(*table.places) << PLACE_BITS));

  if (memory == NULL) {
    return 0;
  }
  neighbours.entries = (struct etharp_entry *)memory;
  table.places = (struct etharp_entry **)(memory + entries);
  for (i = 0; i < LWIP_ARRAYSIZE(table.keys); i++) {
    table.keys[i] = ((u64_t)LWIP_RAND() << 32) | (u32_t)LWIP_RAND();
  }
  for (i = 0; i < LWIP_ARRAYSIZE(table.lists); i++) {
    TAILQ_INIT(&table.lists[i]);
  }
  return 1;
}

/* The multiply-shift hash of tcp.c's table: nobody can choose addresses that meet in one place. */
static struct etharp_entry **
neighbour_place(const ip4_addr_t *ipaddr)
{
  return &table.places[(table.keys[0] + table.keys[1] * ip4_addr_get_u32(ipaddr)) >> (64 - PLACE_BITS)];
}

static int
neighbour_index(const struct etharp_entry *entry)
{
  return entry != NULL ? (int)(entry - neighbours.entries) : -1;
}

int
neighbour_find(const ip4_addr_t *ipaddr, const struct netif *netif)
{
  struct etharp_entry *entry = neighbours.end > 0 ? *neighbour_place(ipaddr) : NULL;

  while (entry != NULL && !(ip4_addr_cmp(ipaddr, &entry->ipaddr) && (netif == NULL || netif == entry->netif))) {
    entry = entry->place_next;
  }
  return neighbour_index(entry);
}

static void
neighbour_enlist(struct etharp_entry *entry, enum neighbour_standing standing)
{
  entry->standing = (u8_t)standing;
  TAILQ_INSERT_TAIL(&table.lists[standing], entry, link);
  table.pending += standing == NEIGHBOUR_PENDING;
}

static void
neighbour_delist(struct etharp_entry *entry)
{
  TAILQ_REMOVE(&table.lists[entry->standing], entry, link);
  table.pending -= entry->standing == NEIGHBOUR_PENDING;
}

int
neighbour_take(const ip4_addr_t *ipaddr, struct netif *netif)
{
  struct etharp_entry *entry = table.free, **place;

  if (entry != NULL) {
    table.free = entry->place_next;
  } else if (neighbours.end < ARP_TABLE_SIZE && (neighbours.entries != NULL || neighbour_reserve())) {
    entry = &neighbours.entries[neighbours.end++];
  } else {
    return -1;
  }
  memset(entry, 0, sizeof(*entry));
  ip4_addr_copy(entry->ipaddr, *ipaddr);
  entry->netif = netif;
  place = neighbour_place(ipaddr);
  entry->place_next = *place;
  *place = entry;
  neighbour_enlist(entry, NEIGHBOUR_HEARD);
  return neighbour_index(entry);
}

void
neighbour_stands(int index, enum neighbour_standing standing)
{
  neighbour_delist(&neighbours.entries[index]);
  neighbour_enlist(&neighbours.entries[index], standing);
}

int
neighbour_oldest_pending(void)
{
  return neighbours.end > 0 ? neighbour_index(TAILQ_FIRST(&table.lists[NEIGHBOUR_PENDING])) : -1;
}

unsigned
neighbour_pending(void)
{
  return table.pending;
}

/* What was used since goes to the end of the list of those in use, once (second chance). */
int
neighbour_least(void)
{
  int list;

  for (list = NEIGHBOUR_HEARD; list <= NEIGHBOUR_USED; list++) {
    struct etharp_entry *entry;

    while ((entry = TAILQ_FIRST(&table.lists[list])) != NULL) {
      if (!entry->used) {
        return neighbour_index(entry);
      }
      entry->used = 0;
      neighbour_stands(neighbour_index(entry), NEIGHBOUR_USED);
    }
  }
  return -1;
}

void
neighbour_leave(int index)
{
  struct etharp_entry *entry = &neighbours.entries[index], **place = neighbour_place(&entry->ipaddr);

  neighbour_delist(entry);
  while (*place != entry) {
    LWIP_ASSERT("neighbour_leave: in the table", *place != NULL);
    place = &(*place)->place_next;
  }
  *place = entry->place_next;
  entry->place_next = table.free;
  table.free = entry;
}

#endif /* LWIP_IPV4 && LWIP_ARP */
