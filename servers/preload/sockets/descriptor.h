/* SPDX-License-Identifier: BSD-3-Clause */
/* Which descriptor numbers stand for something of ours. A number is always a real one: the kernel holds a
 * placeholder under it, so ours and the kernel's never collide. Must not know sockets or epoll. */
#ifndef STACKDUEL_DESCRIPTOR_H
#define STACKDUEL_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>

enum description_kind { DESCRIPTION_SOCKET, DESCRIPTION_EPOLL };

/* An open file description, as POSIX has it: what descriptors that are duplicates share. First member of what
 * is described. */
struct description {
    enum description_kind kind;
    int number;                            /* one that stands for it, of perhaps several; -1: none */
    unsigned descriptors;                  /* numbers that stand for it */
    unsigned users;                        /* calls under way, which keep it alive */
    void (*closed)(struct description *);  /* the last number was closed */
    void (*release)(struct description *); /* nobody uses it any more; frees it */
};

/* Descriptors from this on stay with the kernel. */
#define DESCRIPTOR_LIMIT (1 << 20)

extern struct description *descriptor_table[DESCRIPTOR_LIMIT];

/* What `fd` stands for; NULL: nothing of ours. May be called without the lock, for the test against NULL
 * only. */
static inline struct description *descriptor_get(int fd) {
    return (unsigned)fd < DESCRIPTOR_LIMIT ? __atomic_load_n(&descriptor_table[fd], __ATOMIC_RELAXED) : NULL;
}

/* One more number for it. What the number stood for before is dropped. False: the number is beyond the limit.
 */
bool descriptor_put(int fd, struct description *description);

/* The number is closed. */
void descriptor_drop(int fd);

/* A call begins and ends. */
void description_hold(struct description *description);
void description_unhold(struct description *description);

#endif
