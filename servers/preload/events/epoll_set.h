/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll(7) sets, which may hold sockets of lwIP and descriptors of the kernel. As long as a set has none of
 * ours, a thread that waits for it sleeps in the kernel. */
#ifndef STACKDUEL_EPOLL_SET_H
#define STACKDUEL_EPOLL_SET_H

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "preload/sockets/socket.h"

struct epoll_set;

/* For a new epoll descriptor of the kernel. Takes no lock, so that threads of EAL may have sets while it
 * starts. False: no memory, or a number beyond the limit. */
bool epoll_set_create(int fd);

/* What descriptor `fd` stands for, if that is a set; else NULL. */
struct epoll_set *epoll_set_get(int fd);

/* `epfd`, in the calls below: the descriptor that the program named, of perhaps several. */

/* epoll_ctl(2) for a socket of the table: 0 or a negative errno. Under the lock. */
int epoll_set_control(struct epoll_set *set, int epfd, int operation, int fd, struct socket *socket,
                      struct epoll_event *event);

/* epoll_ctl(2) for a descriptor of the kernel: 0, or -1 with errno. */
int epoll_set_control_kernel(struct epoll_set *set, int epfd, int operation, int fd,
                             struct epoll_event *event);

/* epoll_pwait(2) with nanoseconds (negative: for ever). Takes the lock. A count or a negative errno. */
int epoll_set_wait(struct epoll_set *set, int epfd, struct epoll_event *events, int limit, int64_t timeout_ns,
                   const sigset_t *mask);

#endif
