/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes of a TCP socket: received, sent, and whether it is ready for either. */
#ifndef STACKDUEL_TCP_DATA_H
#define STACKDUEL_TCP_DATA_H

#include "socket.h"

ssize_t tcp_part_receive(struct socket *socket, struct message *message, int flags);
ssize_t tcp_part_send(struct socket *socket, const struct message *message, size_t skip, int flags);
int tcp_part_readable_bytes(const struct socket *socket);
uint32_t tcp_part_ready(struct socket *socket);
bool tcp_part_unsent(const struct socket *socket);

/* Frees what has come and was not read. */
void tcp_part_drop_input(struct tcp_part *tcp);

#endif
