/* SPDX-License-Identifier: BSD-3-Clause */
/* Who wants to know what happens to a socket. The socket has the list; who watches has the memory, and knows
 * what is around its watch. */
#ifndef STACKDUEL_WATCH_H
#define STACKDUEL_WATCH_H

#include <stdint.h>
#include <sys/queue.h>

enum watch_event {
    WATCH_READY,   /* one of `events` holds */
    WATCH_DECIDED, /* the socket is lwIP's or the kernel's from now on; the watch may leave the list */
    WATCH_CLOSED   /* the watch must leave the list */
};

struct watch {
    LIST_ENTRY(watch) of_socket;
    uint32_t events; /* EPOLL* bits that it waits for */
    void (*notify)(struct watch *, enum watch_event);
};

LIST_HEAD(watches, watch);

#endif
