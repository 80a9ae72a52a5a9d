/* SPDX-License-Identifier: BSD-3-Clause */
/* rte_dev_event_callback_register(), so called since DPDK 18.05 */
#define ALLOW_EXPERIMENTAL_API

#include "port.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_log.h>

#include "common/features.h"
#include "eal_log.h"
#include "port_report.h"
#include "port_shared.h"
#include "port_sleep.h"

#define MEMPOOL_CACHE 256
/* At the end: a full ring drains in some microseconds; a peer that is gone never drains it. */
#define LAST_ATTEMPTS 64

/* The private area, so that the frame begins 16 bytes into a cache line: virtio puts its header of up to 12
 * bytes before it, and that, the headers and a small request or response then lie in two lines, not in three.
 * Over shared memory each is a line to be had from another core. */
#define PRIVATE_SIZE(wanted) ((uint16_t)(RTE_ALIGN((wanted), RTE_CACHE_LINE_SIZE) + 16))

#define NO_MEMORY "packet buffers (lower --mbufs, or give EAL more memory)"

#define RX_OFFLOADS                                                                                          \
    (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |           \
     RTE_ETH_RX_OFFLOAD_SCATTER)
#define TX_OFFLOADS                                                                                          \
    (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |           \
     RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_TSO)
#define TX_CUT_UP (RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)

static int fail(char *error, size_t size, const char *what, int code) {
    snprintf(error, size, "%s: %s", what, rte_strerror(code < 0 ? -code : code));
    return code < 0 ? code : -code;
}

/* Makes pools for every core: a packet is freed by the core that has its pool, unless it changed cores. */
static int create_pools(struct port *port, const struct port_config *config, char *error, size_t size) {
    struct port_shared *shared = port->shared;
    /* One buffer holds a frame of the MTU, so that a received packet is one segment. */
    unsigned frame = config->mtu + RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN;
    unsigned room = RTE_PKTMBUF_HEADROOM + RTE_MAX(frame, (unsigned)RTE_MBUF_DEFAULT_DATAROOM);
    unsigned tx_mbufs = port->tx_descriptors + PORT_QUEUE + 2 * MEMPOOL_CACHE;
    /* by the ring, in passing, and on their way to other cores */
    unsigned held = port->rx_descriptors + 2u * PORT_BURST + (shared->cores - 1u) * SOFTWARE_RSS_RING;
    char name[RTE_MEMPOOL_NAMESIZE];

    if (config->mbufs <= held || config->mbufs < 2 * MEMPOOL_CACHE) {
        snprintf(error, size, "--mbufs %u is too few for a receive ring of %u: give more than %u",
                 config->mbufs, port->rx_descriptors, RTE_MAX(held, 2 * MEMPOOL_CACHE - 1u));
        return -EINVAL;
    }
    /* Any core may come to hold packets of any pool, unless the port sorts them. */
    port->spare_mbufs = (config->mbufs - held) / (shared->by_port ? 1 : shared->cores);
    for (unsigned core = 0; core < shared->cores; core++) {
        snprintf(name, sizeof(name), "tx%u.%u", port->id, core);
        shared->tx_pools[core] = rte_pktmbuf_pool_create(name, tx_mbufs, MEMPOOL_CACHE, PRIVATE_SIZE(0),
                                                         (uint16_t)room, SOCKET_ID_ANY);
        snprintf(name, sizeof(name), "rx%u.%u", port->id, core);
        if (core < shared->rx_queues) {
            shared->rx_pools[core] =
                rte_pktmbuf_pool_create(name, config->mbufs, MEMPOOL_CACHE,
                                        PRIVATE_SIZE(config->mbuf_private), (uint16_t)room, SOCKET_ID_ANY);
        }
        if (shared->tx_pools[core] == NULL || (core < shared->rx_queues && shared->rx_pools[core] == NULL)) {
            return fail(error, size, NO_MEMORY, rte_errno);
        }
        if (!(port->tx_offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS)) {
            continue;
        }
        snprintf(name, sizeof(name), "attach%u.%u", port->id, core);
        shared->attach_pools[core] =
            rte_pktmbuf_pool_create(name, tx_mbufs, MEMPOOL_CACHE, 0, 0, SOCKET_ID_ANY);
        if (shared->attach_pools[core] == NULL) {
            return fail(error, size, NO_MEMORY, rte_errno);
        }
    }
    return 0;
}

static int start_queues(struct port *port, const struct rte_eth_dev_info *info,
                        const struct rte_eth_conf *conf) {
    struct rte_eth_rxconf rx = info->default_rxconf;
    struct rte_eth_txconf tx = info->default_txconf;
    int socket = rte_eth_dev_socket_id(port->id);
    const struct port_shared *shared = port->shared;
    int code = 0;

    rx.offloads = conf->rxmode.offloads;
    tx.offloads = conf->txmode.offloads;
    for (uint16_t queue = 0; code == 0 && queue < shared->rx_queues; queue++) {
        code = rte_eth_rx_queue_setup(port->id, queue, port->rx_descriptors, (unsigned)socket, &rx,
                                      shared->rx_pools[queue]);
    }
    for (uint16_t queue = 0; code == 0 && queue < shared->cores; queue++) {
        code = rte_eth_tx_queue_setup(port->id, queue, port->tx_descriptors, (unsigned)socket, &tx);
    }
    return code == 0 ? rte_eth_dev_start(port->id) : code;
}

/* net_tap cuts up in software, with 128 buffers of its own, and drops what they do not suffice for
 * (DPDK 22.11, drivers/net/tap/rte_eth_tap.c: TAP_GSO_MBUFS_NUM): slower than to send whole segments, and
 * lossy. */
static uint64_t wanted_of(const char *driver) {
    return strcmp(driver, "net_tap") == 0 ? TX_OFFLOADS & ~(uint64_t)RTE_ETH_TX_OFFLOAD_TCP_TSO : TX_OFFLOADS;
}

static int configure(struct port *port, const struct port_config *config, char *error, size_t size) {
    struct port_shared *shared = port->shared;
    struct rte_eth_conf conf = {0};
    struct rte_eth_dev_info info;
    int code = rte_eth_dev_info_get(port->id, &info);

    if (code != 0) {
        return fail(error, size, "port information", code);
    }
    port->driver = info.driver_name;
    port->device = rte_dev_name(info.device);
    port->rx_offloads_asked = config->offload ? RX_OFFLOADS : 0;
    port->tx_offloads_asked = config->offload ? wanted_of(info.driver_name) : 0;
    port->rx_offloads = conf.rxmode.offloads = port->rx_offloads_asked & info.rx_offload_capa;
    port->tx_offloads = conf.txmode.offloads = port->tx_offloads_asked & info.tx_offload_capa;
    conf.rxmode.mtu = config->mtu;
    conf.intr_conf.rxq = config->interrupts;
    if ((code = port_shared_decide_queues(shared, &info, &conf, error, size)) != 0) {
        return code;
    }
    if ((code = rte_eth_dev_configure(port->id, shared->rx_queues, shared->cores, &conf)) != 0) {
        return fail(error, size, "port configuration", code);
    }
    if ((code = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &port->rx_descriptors, &port->tx_descriptors)) !=
        0) {
        return fail(error, size, "descriptors", code);
    }
    if ((code = create_pools(port, config, error, size)) != 0) {
        return code;
    }
    if ((code = start_queues(port, &info, &conf)) != 0) {
        return fail(error, size, "port start", code);
    }
    return 0;
}

/* Runs on EAL's thread for interrupts: vfio-pci asks for the device so (DPDK, pci_vfio.c). */
static void on_device_event(const char *device, enum rte_dev_event_type event, void *shared) {
    (void)device;
    if (event == RTE_DEV_EVENT_REMOVE) {
        atomic_store(&((struct port_shared *)shared)->gone, true);
    }
}

static int open_shared(struct port *port, const struct port_config *config, char *error, size_t size) {
    struct port_shared *shared = port_shared_create(RTE_MAX(config->cores, (uint16_t)1));
    int code;

    if ((port->shared = shared) == NULL) {
        return fail(error, size, "port", -ENOMEM);
    }
    shared->interrupts = config->interrupts;
    if ((code = configure(port, config, error, size)) != 0) {
        return code;
    }
    if ((code = port_shared_complete(shared)) != 0) {
        return fail(error, size, "what the cores share", code);
    }
    if ((code = rte_eth_macaddr_get(port->id, (struct rte_ether_addr *)port->mac)) != 0) {
        return fail(error, size, "port address", code);
    }
    port_ask_device(port);
    if ((code = rte_dev_event_callback_register(port->device, on_device_event, shared)) != 0) {
        return fail(error, size, "news of the device", code);
    }
    return 0;
}

int port_open(struct port *port, const struct port_config *config, char *error, size_t size) {
    int code;

    *port = (struct port){.id = config->id,
                          .mtu = config->mtu,
                          .link_up = true,
                          .verify = config->verify,
                          .epoll = -1,
                          .rx_descriptors = config->rx_descriptors,
                          .rx_descriptors_asked = config->rx_descriptors,
                          .tx_descriptors = config->tx_descriptors,
                          .tx_descriptors_asked = config->tx_descriptors};
    port_set_burst(port, PORT_BURST);
    port->log_type = (uint32_t)rte_log_register("pmd.net.virtio.driver"); /* known to EAL by now */
    port->log_level = (uint32_t)rte_log_get_level(port->log_type);
    if (!rte_eth_dev_is_valid_port(config->id)) {
        snprintf(error, size, "no port %u: %s", config->id,
                 eal_log_reason("give EAL a device, as in --vdev=net_tap0"));
        return -ENODEV;
    }
    if ((code = open_shared(port, config, error, size)) != 0) {
        port_close(port);
        return code;
    }
    /* Some drivers (virtio-user) receive everything and cannot be told to: then failing is harmless. */
    if (config->promiscuous) {
        port->promiscuous = rte_eth_promiscuous_enable(port->id) == 0;
    }
    atomic_store(&port->shared->link_up, port->link_up);
    port->shared->first = *port;
    port_shared_take(port, 0);
    return 0;
}

/* Runs `what` without SIGPIPE, which drivers of Unix sockets do not suppress: it is the program's. */
static void without_sigpipe(void (*what)(struct port *), struct port *port) {
    const struct timespec at_once = {0};
    sigset_t sigpipe, before, pending;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    sigpending(&pending);
    what(port);
    if (!sigismember(&pending, SIGPIPE)) {
        (void)sigtimedwait(&sigpipe, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Refusals to stop a port that never started are of no consequence here. */
static void stop_device(struct port *port) {
    if (port->device != NULL) {
        while (rte_dev_event_callback_unregister(port->device, on_device_event, port->shared) == -EAGAIN) {
            rte_pause(); /* it is just being called */
        }
    }
    (void)rte_eth_dev_stop(port->id);
    (void)rte_eth_dev_close(port->id);
}

static void hold_back_driver_log(const struct port *port, bool hold) {
    rte_log_set_level(port->log_type, hold ? RTE_LOG_CRIT : port->log_level);
}

void port_close(struct port *port) {
    for (int attempt = 0; port->tx_count > 0 && attempt < LAST_ATTEMPTS; attempt++) {
        port_flush(port);
    }
    port_drop_queue(port);
    port_sleep_finish(port);
    if (port->core == 0) {
        without_sigpipe(stop_device, port);
        hold_back_driver_log(port, false);
        port_shared_free(port->shared);
    }
    port->shared = NULL;
    port->rx_pool = port->tx_pool = port->attach_pool = NULL;
}

bool port_gone(const struct port *port) {
    return atomic_load_explicit(&port->shared->gone, memory_order_relaxed);
}

bool port_segments(const struct port *port) {
    return (port->tx_offloads & TX_CUT_UP) == TX_CUT_UP;
}

bool port_link_up(struct port *port) {
    struct rte_eth_link link = {0};
    bool up;

    if (port->core != 0) {
        return port->link_up = atomic_load_explicit(&port->shared->link_up, memory_order_relaxed);
    }
    up = rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    port->link_known = true;
    port->link_mbps = link.link_speed;
    port->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
    if (up != port->link_up) {
        hold_back_driver_log(port, !up);
        port->link_up = up;
        atomic_store_explicit(&port->shared->link_up, up, memory_order_relaxed);
    }
    return up;
}

/* First what others have handed over, then what came here: neither may keep the other waiting for ever. */
static unsigned receive_sorted(struct port *port, struct rte_mbuf *packets[PORT_BURST]) {
    unsigned taken = software_rss_take(&port->rss, packets, port->receives ? PORT_BURST / 2 : PORT_BURST);
    unsigned count;

    if (!port->receives) {
        return taken;
    }
    count = rte_eth_rx_burst(port->id, port->core, packets + taken, (uint16_t)(PORT_BURST - taken));
    port->counters.rx_packets += count;
    return taken + software_rss_sort(&port->rss, packets + taken, count, port->rx_pool);
}

static unsigned receive_burst(struct port *port, struct rte_mbuf *packets[PORT_BURST]) {
    unsigned count = rte_eth_rx_burst(port->id, 0, packets, PORT_BURST);

    port->counters.rx_packets += count;
    return count;
}

unsigned port_receive(struct port *port, struct rte_mbuf *packets[PORT_BURST]) {
    unsigned count = unlikely(port->sorts) ? receive_sorted(port, packets) : receive_burst(port, packets);
    unsigned kept = 0;

    for (unsigned i = 0; feature_on(FEATURE_PREFETCH) && i < count; i++) {
        rte_prefetch0(rte_pktmbuf_mtod(packets[i], void *));
    }
    for (unsigned i = 0; i < count; i++) {
        if (port_checksums_right(port, packets[i])) {
            packets[kept++] = packets[i];
        } else {
            port->counters.rx_bad_checksum++;
            rte_pktmbuf_free(packets[i]);
        }
    }
    return kept;
}

void port_receive_losses(const struct port *port, uint64_t *dropped, uint64_t *no_mbuf) {
    struct rte_eth_stats stats = {0};

    *dropped = port->counters.rx_bad_checksum + port->rss.dropped;
    *no_mbuf = 0;
    if (port->core == 0 && rte_eth_stats_get(port->id, &stats) == 0) {
        *dropped += stats.imissed + stats.ierrors;
        *no_mbuf = stats.rx_nombuf;
    }
}
