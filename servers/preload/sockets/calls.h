/* SPDX-License-Identifier: BSD-3-Clause */
/* Socket calls that may wait, for sockets that are ours (or lost). Under the lock, which is given up while
 * waiting. A count or 0, or a negative errno. */
#ifndef STACKDUEL_CALLS_H
#define STACKDUEL_CALLS_H

#include "socket.h"

/* `flags` are those of recvmsg(2); MSG_WAITALL moves message->pieces on. */
ssize_t call_receive(struct socket *socket, struct message *message, int flags);

/* `flags` are those of sendmsg(2). SIGPIPE is the caller's business. */
ssize_t call_send(struct socket *socket, const struct message *message, int flags);

int call_connect(struct socket *socket, const struct sockaddr_in *address);

/* Gives the descriptor; `flags` are those of accept4(2). */
int call_accept(struct socket *listener, int flags, struct sockaddr_in *peer);

/* Before the last descriptor is closed: SO_LINGER with a time waits for what is unsent. */
void call_linger(struct socket *socket);

/* `size` bytes of file `in`, from *offset on (which moves), or from its own position. */
ssize_t call_sendfile(struct socket *socket, int in, off_t *offset, size_t size);

#endif
