/* SPDX-License-Identifier: BSD-3-Clause */
/* Deadlines of connections in a timing wheel of milliseconds. A connection has one deadline and one place in
 * the wheel. Moving or dropping the deadline leaves the place alone, as every request does it: where the
 * place comes up too early, it moves on. So a deadline that has moved nearer is seen when the older one would
 * have been, at most DEADLINES_HORIZON late. A connection without deadline costs nothing, or is looked at
 * once more.
 *
 * Must not know what a deadline is for. */
#ifndef STACKDUEL_DEADLINES_H
#define STACKDUEL_DEADLINES_H

#include <stdint.h>

#include "loadgen/tcp/connection.h"

#define DEADLINES_HORIZON 1024 /* ms; a power of two */
#define DEADLINES_NONE UINT32_MAX

struct deadlines {
    struct connection *connections;
    uint32_t now_ms;                   /* up to which all was given out */
    uint32_t slots[DEADLINES_HORIZON]; /* first connection, or DEADLINES_NONE */
};

void deadlines_init(struct deadlines *deadlines, struct connection *connections, uint32_t now_ms);

/* Gives, for deadlines_set(), the connection a place. */
void deadlines_place(struct deadlines *deadlines, uint32_t index);

/* Sets the connection's deadline to `due_ms`, in place of one that it may have. */
static inline void deadlines_set(struct deadlines *deadlines, uint32_t index, uint32_t due_ms) {
    struct connection *connection = &deadlines->connections[index];

    connection->due_ms = due_ms;
    connection->timed = 1;
    if (!(connection->flags & CONNECTION_TIMED)) {
        deadlines_place(deadlines, index);
    }
}

static inline void deadlines_drop(struct connection *connection) {
    connection->timed = 0;
}

/* Takes the next connection whose deadline has passed by `now_ms`, which then has none; DEADLINES_NONE: there
 * is none. Looks at no more than *budget connections, and takes them off it. */
uint32_t deadlines_next(struct deadlines *deadlines, uint32_t now_ms, unsigned *budget);

#endif
