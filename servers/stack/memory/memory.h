/* SPDX-License-Identifier: BSD-3-Clause */
/* How much memory a core's lwIP may take for a number of connections, and what it has taken. Must not know
 * the port. */
#ifndef STACKDUEL_MEMORY_H
#define STACKDUEL_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "stack/memory/pool.h"

/* Bytes of memory that one established connection takes which has nothing on its way. */
struct memory_per_connection {
    size_t pcb;
    size_t table; /* its share of the table in which it is found */
};

/* Reserves addresses for so many connections at once, and as many again that are half open or in TIME-WAIT.
 * Memory comes with use. To be called once, before lwip_init(), on the same thread. 0, or -ENOMEM. */
int memory_reserve(uint32_t connections);

struct memory_per_connection memory_per_connection(void);

#define MEMORY_POOLS_MAX 32

/* What a stack's pools have taken. */
struct memory_usage {
    unsigned count;
    struct {
        char name[24];
        struct pool_usage pool;
    } pools[MEMORY_POOLS_MAX];
};

/* Of this thread's stack. */
void memory_count(struct memory_usage *usage);

/* Adds one core's to a sum, which is all zero or of the same pools. */
void memory_add(struct memory_usage *sum, const struct memory_usage *usage);

/* As a JSON object in text[]: {"tcp_pcb": {"used": …, "high": …, "bytes": …}, …}: elements in use, the most
 * that were at once (added up: on each core), bytes of memory touched. */
void memory_describe(const struct memory_usage *usage, char *text, size_t size);

#endif
