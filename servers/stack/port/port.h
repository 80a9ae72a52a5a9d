/* SPDX-License-Identifier: BSD-3-Clause */
/* One Ethernet port, of one core or shared by several: configured, received from, sent to, closed. Every core
 * has a queue to send by; one without a queue to receive from gets its packets from the others. port.c,
 * port_send.c, port_sleep.c and port_report.c are the only places with rte_eth_*. Must not know lwIP. */
#ifndef STACKDUEL_PORT_H
#define STACKDUEL_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "port_checksum.h"
#include "port_state.h"
#include "waker.h"

/* Configures and starts the port, for core 0. 0, or a negative errno with the reason in error[]; nothing is
 * left open. */
int port_open(struct port *port, const struct port_config *config, char *error, size_t size);

/* Stops and closes the port, frees its pools; by core 0 when the others have closed theirs, who only send
 * what waits. Buffers lent out must have come back. Never raises SIGPIPE, though a driver may write to a peer
 * that is gone. */
void port_close(struct port *port);

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

/* Packets are handed to the driver as `count` wait, 1 to PORT_BURST; without the optimisation "batch" one by
 * one.
 */
void port_set_burst(struct port *port, unsigned count);

/* Hands queued packets to the driver, as many as it takes now; the others keep their order and wait. One that
 * it takes nothing before for a tenth of a second is dropped and counted. */
void port_flush(struct port *port);

/* Drops and counts what waits. */
void port_drop_queue(struct port *port);

/* Packets lost on receive: ring full, no buffer, errors. What only the port or its driver counts is core 0's.
 */
void port_receive_losses(const struct port *port, uint64_t *dropped, uint64_t *no_mbuf);

#endif
