/* SPDX-License-Identifier: BSD-3-Clause */
/* What the cores of one port have in common. Written before port_open() returns, only read from then on, but
 * for what says otherwise. For port.c and the other port_*.c alone. */
#ifndef STACKDUEL_PORT_SHARED_H
#define STACKDUEL_PORT_SHARED_H

#include <rte_ethdev.h>

#include "port_state.h"

#define PORT_HASH_KEY_MAX 64 /* bytes; the longest key of a driver has 52 */
#define PORT_FIRMWARE_MAX 64

struct port_shared {
    uint16_t cores;
    uint16_t rx_queues;
    bool by_port;                        /* the port spreads flows over its queues */
    bool interrupts;                     /* were asked for */
    uint8_t hash_key[PORT_HASH_KEY_MAX]; /* as it is asked for, then as it is granted */
    uint8_t hash_key_size;               /* granted; 0: none, or the driver does not tell */
    uint64_t hash_functions;             /* RTE_ETH_RSS_*: granted */
    char firmware[PORT_FIRMWARE_MAX];    /* of the device; "": it does not tell */
    struct rte_mempool *rx_pools[PORT_CORES_MAX];
    struct rte_mempool *tx_pools[PORT_CORES_MAX];
    struct rte_mempool *attach_pools[PORT_CORES_MAX];
    struct software_rss *rss;                /* NULL: one core */
    struct waker *wakers;                    /* of all cores; NULL: nobody sleeps */
    struct port first;                       /* core 0's, as it was when opened */
    atomic_bool gone;                        /* EAL's thread for interrupts says it */
    atomic_bool link_up __rte_cache_aligned; /* core 0 says it whenever it changes */
};

/* For `cores` cores without anything in it yet; NULL without memory. */
struct port_shared *port_shared_create(uint16_t cores);

/* How many queues the port is to have, and whether it spreads flows over them: written to *conf. 0, or
 * -ENOTSUP with one line in error[] when it has too few. */
int port_shared_decide_queues(struct port_shared *shared, const struct rte_eth_dev_info *info,
                              struct rte_eth_conf *conf, char *error, size_t size);

/* Adds what software needs to bring packets to their cores, and what wakes them. 0 or -ENOMEM. */
int port_shared_complete(struct port_shared *shared);

/* The port that port_open() opened, for another of the cores that it was opened for, `shared` being core 0's.
 */
void port_join(struct port *port, struct port_shared *shared, uint16_t core);

/* Gives `core` its part, the rest of *port being as core 0 opened it. */
void port_shared_take(struct port *port, uint16_t core);

/* Frees it with all that is in it; NULL is allowed. */
void port_shared_free(struct port_shared *shared);

#endif
