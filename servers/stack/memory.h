/* SPDX-License-Identifier: BSD-3-Clause */
/* How much memory lwIP may take for a number of connections, and what it has taken. Must not know the port.
 */
#ifndef STACKDUEL_MEMORY_H
#define STACKDUEL_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of memory that one established connection takes which has nothing on its way. */
struct memory_per_connection {
    size_t pcb;
    size_t table; /* its share of the table in which it is found */
};

/* Reserves addresses for so many connections at once, and as many again that are half open or in TIME-WAIT.
 * Memory comes with use. To be called once, before lwip_init(). 0, or -ENOMEM. */
int memory_reserve(uint32_t connections);

struct memory_per_connection memory_per_connection(void);

/* What each pool has taken as a JSON object in text[]: {"tcp_pcb": {"used": …, "high": …, "bytes": …}, …}:
 * elements in use, the most that were at once, bytes of memory touched. */
void memory_describe(char *text, size_t size);

#endif
