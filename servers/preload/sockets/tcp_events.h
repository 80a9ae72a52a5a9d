/* SPDX-License-Identifier: BSD-3-Clause */
/* What lwIP calls for a TCP socket, and how a socket gets a PCB and loses it. */
#ifndef STACKDUEL_TCP_EVENTS_H
#define STACKDUEL_TCP_EVENTS_H

#include "lwip/tcp.h"

#include "socket.h"

#define EVENTS_IN (EPOLLIN | EPOLLRDNORM)
#define EVENTS_OUT (EPOLLOUT | EPOLLWRNORM)
#define EVENTS_ALL (EVENTS_IN | EVENTS_OUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR)

void tcp_part_address(struct sockaddr_in *address, const ip_addr_t *ip, uint16_t port);

/* From now on lwIP calls the socket for what happens to the PCB, which has its options. */
void tcp_part_attach(struct socket *socket, struct tcp_pcb *pcb);

/* lwIP calls nobody for the PCB. */
void tcp_part_forget(struct tcp_pcb *pcb);

/* Both directions are shut: what is left (FIN, its acknowledgement, TIME-WAIT) is lwIP's alone, which frees
 * the PCB when it is done and tells nobody. */
void tcp_part_let_go(struct socket *socket);

/* Whether a socket with this PCB is writable. */
bool tcp_part_has_room(const struct tcp_pcb *pcb);

/* A neighbour does not answer. Who connects by way of it is told so; a connection goes on, as on Linux. */
void tcp_part_unreachable(struct socket *socket, uint32_t neighbour);

/* For tcp_connect() and tcp_accept(). */
err_t tcp_part_connected(void *argument, struct tcp_pcb *pcb, err_t error);
err_t tcp_part_arrived(void *argument, struct tcp_pcb *pcb, err_t error);

#endif
