/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port is: what was asked for, one core's end of it, what was counted. */
#ifndef STACKDUEL_PORT_STATE_H
#define STACKDUEL_PORT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_epoll.h>
#include <rte_mbuf.h>

#include "software_rss.h"

#define PORT_CORES_MAX SOFTWARE_RSS_CORES_MAX
#define PORT_BURST 32
/* Packets that may wait for room in the ring, as a peer that has the processor taken from it needs a while.
 */
#define PORT_QUEUE 1024

struct port_config {
    uint16_t id;             /* ethdev port number */
    uint16_t rx_descriptors; /* wished for; the driver may round */
    uint16_t tx_descriptors;
    uint16_t mtu;          /* bytes of IP packet */
    unsigned mbufs;        /* receive buffers of each queue */
    uint16_t mbuf_private; /* bytes of private area in each receive buffer */
    bool offload;          /* ask for what the port can do; false: everything in software */
    bool verify;      /* received checksums that the port is not granted to verify are verified in software */
    bool promiscuous; /* frames to an address other than the port's own are wanted */
    uint16_t cores;   /* that share the port; 0: one */
    bool interrupts;  /* port_sleep() is wanted */
};

struct port_counters {
    uint64_t rx_packets;
    uint64_t tx_packets;
    uint64_t
        tx_dropped; /* ring and queue were full, the link went down before it left, the driver refused it */
    uint64_t rx_bad_checksum;
};

struct port_shared;

/* One core's end of the port. */
struct port {
    uint16_t id;
    uint16_t core; /* its number, and that of its queues; core 0 opened the port and closes it */
    bool receives; /* has a queue to receive from */
    bool sorts;    /* packets are sorted by core */
    struct port_shared *shared;
    struct software_rss_core rss;
    int epoll; /* what port_sleep() waits on; -1: port_sleep_prepare() was not called */
    struct rte_epoll_event wake_event; /* DPDK's, of the waker in it */
    uint16_t mtu;
    uint16_t rx_descriptors_asked, rx_descriptors; /* asked for, granted */
    uint16_t tx_descriptors_asked, tx_descriptors;
    const char *driver;
    const char *device; /* its name on its bus, such as a PCI address */
    uint8_t mac[6];
    bool promiscuous; /* granted */
    bool verify;
    uint64_t rx_offloads_asked, rx_offloads; /* RTE_ETH_RX_OFFLOAD_*: asked for, granted */
    uint64_t tx_offloads_asked, tx_offloads; /* RTE_ETH_TX_OFFLOAD_* */
    unsigned spare_mbufs;                    /* receive buffers that may be kept without starving the ring */
    struct rte_mempool *rx_pool;
    struct rte_mempool *tx_pool;
    struct rte_mempool
        *attach_pool; /* mbufs without room, to point elsewhere; NULL if a packet is one segment */
    struct port_counters counters;
    bool link_up;    /* as port_link_up() found it last; true before */
    bool link_known; /* it was asked for, and so what follows */
    bool full_duplex;
    uint32_t link_mbps; /* RTE_ETH_SPEED_NUM_* */
    uint32_t log_type;  /* of net_virtio_user, which complains at every question about a link that is down */
    uint32_t log_level; /* its level otherwise */
    unsigned tx_burst;  /* packets that are handed to the driver at a time, 1 to PORT_BURST */
    unsigned tx_first, tx_count; /* what waits: tx_queue[tx_first] to tx_queue[tx_first + tx_count - 1] */
    uint64_t refused_since, refused_after; /* the driver takes no packet: since when, after how many */
    struct rte_mbuf *tx_queue[PORT_QUEUE];
};

#endif
