/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of a TCP socket, as far as lwIP must know them. */
#ifndef STACKDUEL_TCP_OPTIONS_H
#define STACKDUEL_TCP_OPTIONS_H

#include "socket.h"

/* Gives the PCB, if there is one, what the socket has. */
void tcp_part_apply_options(struct socket *socket);

/* One option that the placeholder has accepted. */
void tcp_part_option(struct socket *socket, int level, int name, int value);

/* As TCP_INFO gives it (linux/tcp.h, net/tcp_states.h). */
int tcp_part_info_state(const struct socket *socket);

#endif
