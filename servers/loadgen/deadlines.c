/* SPDX-License-Identifier: BSD-3-Clause */
#include "deadlines.h"

void deadlines_init(struct deadlines *deadlines, struct connection *connections, uint32_t now_ms) {
    deadlines->connections = connections;
    deadlines->now_ms = now_ms;
    for (uint32_t i = 0; i < DEADLINES_HORIZON; i++) {
        deadlines->slots[i] = DEADLINES_NONE;
    }
}

void deadlines_place(struct deadlines *deadlines, uint32_t index) {
    struct connection *connection = &deadlines->connections[index];
    int32_t ahead = (int32_t)(connection->due_ms - deadlines->now_ms);
    uint32_t *slot;

    /* The slot of now_ms is done with. */
    if (ahead < 1) {
        ahead = 1;
    } else if (ahead >= DEADLINES_HORIZON) {
        ahead = DEADLINES_HORIZON - 1;
    }
    slot = &deadlines->slots[(deadlines->now_ms + (uint32_t)ahead) % DEADLINES_HORIZON];
    connection->flags |= CONNECTION_TIMED;
    connection->timed_next = *slot;
    *slot = index;
}

uint32_t deadlines_next(struct deadlines *deadlines, uint32_t now_ms, unsigned *budget) {
    while (deadlines->now_ms != now_ms && *budget > 0) {
        uint32_t *slot = &deadlines->slots[(deadlines->now_ms + 1) % DEADLINES_HORIZON];
        uint32_t index = *slot;
        struct connection *connection;

        if (index == DEADLINES_NONE) {
            deadlines->now_ms++;
            continue;
        }
        connection = &deadlines->connections[index];
        *slot = connection->timed_next;
        connection->flags &= (uint8_t)~CONNECTION_TIMED;
        (*budget)--;
        if (!connection->timed) {
            continue;
        }
        if ((int32_t)(connection->due_ms - now_ms) <= 0) {
            connection->timed = 0;
            return index;
        }
        deadlines_place(deadlines, index);
    }
    return DEADLINES_NONE;
}
