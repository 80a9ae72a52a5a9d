/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls that a program makes, under the C library's names: each finds out whose descriptor it is, and is
 * the kernel's or ours. What they do is POSIX's and Linux's (their manual pages), errno included. This is
 * what they share. */
#ifndef STACKDUEL_INTERCEPT_H
#define STACKDUEL_INTERCEPT_H

#include <netinet/in.h>
#include <sys/types.h>

#include "preload/engine/engine.h"
#include "preload/engine/libc.h"
#include "preload/sockets/calls.h"
#include "preload/sockets/socket.h"

#define EXPORT __attribute__((visibility("default")))

/* A count, or a negative errno as the C library gives it: -1 and errno. */
ssize_t intercept_result(ssize_t code);

/* The socket of `fd`, held, with the lock taken, if it is at least `state`; else NULL and no lock. */
struct socket *intercept_enter_state(int fd, enum socket_state state);

/* The same for a socket that is ours. */
struct socket *intercept_enter(int fd);

/* After a call that has the address which decides: the socket if it is ours, with the lock; else NULL,
 * without. An address that the kernel would refuse is left to it. */
struct socket *intercept_enter_decided(int fd, const struct sockaddr *address, socklen_t size, int *code);

/* Gives socket and lock back, and the result. */
ssize_t intercept_leave(struct socket *socket, ssize_t code);

/* What is wrong with an address that a call was given: 0 or a negative errno. */
int intercept_check_name(const struct sockaddr *address, socklen_t size);

/* `name` into `address` of *size bytes, cut short where it is smaller. 0 or a negative errno. */
int intercept_give_name(const struct sockaddr_in *name, struct sockaddr *address, socklen_t *size);

#endif
