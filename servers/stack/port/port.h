/* SPDX-License-Identifier: BSD-3-Clause */
/* One Ethernet port, of one core or shared by several: configured, received from, sent to, closed. Every core
 * has a queue to send by; one without a queue to receive from gets its packets from the others. port.c,
 * port_sleep.c and port_report.c are the only places with rte_eth_*. Must not know lwIP. */
#ifndef STACKDUEL_PORT_H
#define STACKDUEL_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_epoll.h>
#include <rte_mbuf.h>

#include "port_checksum.h"
#include "steer.h"
#include "waker.h"

#define PORT_CORES_MAX STEER_CORES_MAX
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
    uint64_t tx_dropped; /* ring and queue were full, or the link went down before the packet had left */
    uint64_t rx_bad_checksum;
};

struct port_shared;

/* One core's end of the port. */
struct port {
    uint16_t id;
    uint16_t core; /* its number, and that of its queues; core 0 opened the port and closes it */
    bool receives; /* has a queue to receive from */
    bool steered;  /* packets are sorted by core */
    struct port_shared *shared;
    struct steer steer;
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
    struct rte_mbuf *tx_queue[PORT_QUEUE];
};

/* Configures and starts the port, for core 0. 0, or a negative errno with the reason in error[]; nothing is
 * left open. */
int port_open(struct port *port, const struct port_config *config, char *error, size_t size);

/* The same port for another of the cores that it was opened for, `shared` being core 0's. */
void port_join(struct port *port, struct port_shared *shared, uint16_t core);

/* Stops and closes the port, frees its pools; by core 0 when the others have closed theirs, who only send
 * what waits. Buffers lent out must have come back. Never raises SIGPIPE, though a driver may write to a peer
 * that is gone. */
void port_close(struct port *port);

/* The set of enum port_checksum that software need not do for packets of this port. */
unsigned port_checksums(const struct port *port);

/* Whether the port cuts up what is larger than the MTU. */
bool port_segments(const struct port *port);

/* Core 0 asks the driver, the others go by its answer. net_virtio_user answers every question about a dead
 * peer with errors in the log: the first of them stays, the others are held back until the link is up again.
 */
bool port_link_up(struct port *port);

/* Whether somebody wants the device back, as who unplugs it does. The kernel then waits until the port is
 * closed.
 */
bool port_gone(const struct port *port);

/* Up to PORT_BURST packets with a good or an unverified checksum of IPv4 and TCP/UDP resolved: those that
 * are wrong are dropped and counted. The caller owns the packets. */
unsigned port_receive(struct port *port, struct rte_mbuf *packets[PORT_BURST]);

/* Whether port_send() can take a packet. */
bool port_has_room(struct port *port);

/* Queues one packet; it goes out with the burst or with port_flush(). Takes ownership, also without room:
 * then the packet is dropped and counted. */
void port_send(struct port *port, struct rte_mbuf *packet);

/* The same for a packet that says itself which checksums the port is to fill in, and whether it is to cut it
 * up. */
void port_send_prepared(struct port *port, struct rte_mbuf *packet);

/* Packets are handed to the driver as `count` wait, 1 to PORT_BURST; without the measure "batch" one by one.
 */
void port_set_burst(struct port *port, unsigned count);

/* Hands queued packets to the driver, as many as it takes now; the others keep their order and wait. */
void port_flush(struct port *port);

/* Drops and counts what waits. */
void port_drop_queue(struct port *port);

/* Packets lost on receive: ring full, no buffer, errors. What only the port or its driver counts is core 0's.
 */
void port_receive_losses(const struct port *port, uint64_t *dropped, uint64_t *no_mbuf);

#endif
