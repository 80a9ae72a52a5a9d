/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <rte_mempool.h>

#include "common/random.h"

struct port_shared *port_shared_create(uint16_t cores) {
    struct port_shared *shared =
        aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(sizeof(*shared), (size_t)RTE_CACHE_LINE_SIZE));

    if (shared != NULL) {
        memset(shared, 0, sizeof(*shared));
        shared->cores = cores;
    }
    return shared;
}

/* The port spreads flows if every core has a queue and every packet tells that it was spread: some drivers
 * (net_tap) offer the first and do not do it. A key of our own, as the drivers' is known to everybody. */
static void ask_to_spread(struct port_shared *shared, const struct rte_eth_dev_info *info,
                          struct rte_eth_conf *conf) {
    if (shared->cores == 1 || shared->rx_queues < shared->cores ||
        !(info->flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_TCP) ||
        !(info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH)) {
        return;
    }
    shared->by_port = true;
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
    conf->rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
    if (info->hash_key_size > 0 && info->hash_key_size <= sizeof(shared->hash_key)) {
        random_draw(shared->hash_key, info->hash_key_size);
        conf->rx_adv_conf.rss_conf.rss_key = shared->hash_key;
        conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
    }
}

int port_shared_decide_queues(struct port_shared *shared, const struct rte_eth_dev_info *info,
                              struct rte_eth_conf *conf, char *error, size_t size) {
    if (info->max_tx_queues < shared->cores) {
        snprintf(error, size,
                 "%s has %u transmit queue%s, and %u cores need one each: lower --cores, or give the device "
                 "more (queues= or qpairs= among its words)",
                 info->driver_name, info->max_tx_queues, info->max_tx_queues == 1 ? "" : "s", shared->cores);
        return -ENOTSUP;
    }
    shared->rx_queues = RTE_MIN(info->max_rx_queues, shared->cores);
    ask_to_spread(shared, info, conf);
    return 0;
}

static int create_wakers(struct port_shared *shared) {
    shared->wakers = aligned_alloc(RTE_CACHE_LINE_SIZE, shared->cores * sizeof(*shared->wakers));
    if (shared->wakers == NULL) {
        return -ENOMEM;
    }
    for (unsigned core = 0; core < shared->cores; core++) {
        atomic_init(&shared->wakers[core].asleep, false);
        shared->wakers[core].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    for (unsigned core = 0; core < shared->cores; core++) {
        if (shared->wakers[core].fd < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

int port_shared_complete(struct port_shared *shared) {
    if (shared->interrupts && create_wakers(shared) != 0) {
        return -ENOMEM;
    }
    if (shared->cores > 1) {
        shared->rss = software_rss_create(shared->cores, shared->by_port, shared->wakers);
        if (shared->rss == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

void port_shared_take(struct port *port, uint16_t core) {
    struct port_shared *shared = port->shared;

    port->core = core;
    port->receives = core < shared->rx_queues;
    port->sorts = shared->rss != NULL;
    port->rss = (struct software_rss_core){.shared = shared->rss, .core = core};
    port->rx_pool = shared->rx_pools[core];
    port->tx_pool = shared->tx_pools[core];
    port->attach_pool = shared->attach_pools[core];
}

void port_join(struct port *port, struct port_shared *shared, uint16_t core) {
    *port = shared->first;
    port_shared_take(port, core);
}

void port_shared_free(struct port_shared *shared) {
    if (shared == NULL) {
        return;
    }
    software_rss_free(shared->rss);
    for (unsigned core = 0; core < shared->cores; core++) {
        rte_mempool_free(shared->rx_pools[core]);
        rte_mempool_free(shared->tx_pools[core]);
        rte_mempool_free(shared->attach_pools[core]);
        if (shared->wakers != NULL && shared->wakers[core].fd >= 0) {
            close(shared->wakers[core].fd);
        }
    }
    free(shared->wakers);
    free(shared);
}
