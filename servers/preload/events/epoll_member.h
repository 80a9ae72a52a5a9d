/* SPDX-License-Identifier: BSD-3-Clause */
/* What an epoll set consists of, for the files that make sets and wait for them. */
#ifndef STACKDUEL_EPOLL_MEMBER_H
#define STACKDUEL_EPOLL_MEMBER_H

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include "preload/sockets/socket.h"

/* A socket in a set, under one descriptor number: epoll(7) Q1. */
struct member {
    struct watch watch; /* first; its events with EPOLLERR and EPOLLHUP; 0: a spent EPOLLONESHOT */
    TAILQ_ENTRY(member) of_set;
    struct socket *socket;
    struct epoll_set *set;
    int fd;
    uint32_t flags;
    epoll_data_t data;
    bool queued;
    bool kernels; /* the socket is undecided, so the kernel watches its placeholder */
};

struct epoll_set {
    struct description description;         /* first */
    TAILQ_HEAD(member_queue, member) ready; /* something happened to them */
    TAILQ_HEAD(, member) quiet;
    atomic_uint members;        /* sockets of ours */
    atomic_uint kernel_members; /* perhaps more than there are: a closed descriptor leaves without a word */
    atomic_uint kernel_waiters; /* threads that sleep in the kernel, as the set had no socket of ours */
    bool has_wake;
    bool kernel_turn;
    struct epoll_set *next_spare;
    uint64_t kernel_checked; /* when, by the time stamp counter */
};

/* Nothing happens to the member now, which is in the queue of those that are ready. */
void epoll_quieten(struct member *member);

/* A thread may sleep in the kernel for this set, from before it had a socket of ours. */
void epoll_wake_sleepers(struct epoll_set *set);

extern char epoll_wake_tag; /* the address by which the wake-up is known among events */

#endif
