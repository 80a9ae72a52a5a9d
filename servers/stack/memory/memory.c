/* SPDX-License-Identifier: BSD-3-Clause */
#include "stack/memory/memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lwip/mem.h"
#include "lwip/memp.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp_budget.h"

#include "stack/memory/pool.h"

/* Of each size of buffer, for each segment that there may be. */
#define BUFFER_BYTES ((size_t)2048)

/* Closed connections that have not ended may be one for so many connections, as each may hold segments. */
#define ORPHANS 4

static LWIP_TLS uint32_t connections_reserved;

/* Of what a connection needs only while it has data on the way there is enough for all of them at a time, and
 * for many segments of fewer. */
int memory_reserve(uint32_t connections) {
    uint32_t pcbs = (uint32_t)LWIP_MIN(2 * (uint64_t)connections, UINT32_MAX);
    /* Of an established connection: what it may always queue, and a FIN; of one that is half open: a SYN. */
    uint64_t reserve = (uint64_t)pcbs * (TCP_BUDGET_ALWAYS + 2) / 2;
    uint32_t segments = (uint32_t)LWIP_MIN(reserve + MEMP_NUM_TCP_SEG, UINT32_MAX);

    connections_reserved = connections;
    tcp_budget_reserve(segments - MEMP_NUM_TCP_SEG);
    tcp_orphan_counters.limit = connections / ORPHANS;
    if (tcp_pcb_table_size(connections) != ERR_OK || memp_reserve(MEMP_TCP_PCB, pcbs) != ERR_OK ||
        memp_reserve(MEMP_TCP_SEG, segments) != ERR_OK || memp_reserve(MEMP_PBUF, segments) != ERR_OK ||
        mem_reserve(segments * BUFFER_BYTES) != ERR_OK) {
        return -ENOMEM;
    }
    return 0;
}

struct memory_per_connection memory_per_connection(void) {
    return (struct memory_per_connection){
        .pcb = memp_element_size(MEMP_TCP_PCB),
        .table = (tcp_pcb_table_bytes() + connections_reserved - 1) / connections_reserved,
    };
}

/* A pool of that name, in small letters. */
static void note(struct memory_usage *usage, const char *name, const struct pool_usage *pool) {
    char *to = usage->pools[usage->count].name;
    size_t i;

    for (i = 0; name[i] != '\0' && i + 1 < sizeof(usage->pools[0].name); i++) {
        to[i] = (char)tolower((unsigned char)name[i]);
    }
    to[i] = '\0';
    usage->pools[usage->count++].pool = *pool;
}

void memory_count(struct memory_usage *usage) {
    size_t places = tcp_pcb_table_bytes() / sizeof(struct tcp_pcb *);
    /* A place is in use whether a connection stands there or not. */
    struct pool_usage pool = {.used = places, .high = places, .bytes = tcp_pcb_table_bytes()};

    _Static_assert(1 + MEMP_MAX + MEM_CLASSES <= MEMORY_POOLS_MAX, "there is room for all");
    usage->count = 0;
    note(usage, "tcp_table", &pool);
    for (int type = 0; type < MEMP_MAX; type++) {
        const char *name = memp_describe((memp_t)type, &pool);

        note(usage, name, &pool);
    }
    for (unsigned i = 0; i < MEM_CLASSES; i++) {
        char name[sizeof(usage->pools[0].name)];

        snprintf(name, sizeof(name), "buffer_%zu", mem_describe(i, &pool));
        note(usage, name, &pool);
    }
}

void memory_add(struct memory_usage *sum, const struct memory_usage *usage) {
    sum->count = usage->count;
    for (unsigned i = 0; i < usage->count; i++) {
        memcpy(sum->pools[i].name, usage->pools[i].name, sizeof(sum->pools[i].name));
        sum->pools[i].pool.used += usage->pools[i].pool.used;
        sum->pools[i].pool.high += usage->pools[i].pool.high;
        sum->pools[i].pool.bytes += usage->pools[i].pool.bytes;
    }
}

void memory_describe(const struct memory_usage *usage, char *text, size_t size) {
    size_t length = (size_t)snprintf(text, size, "{");

    for (unsigned i = 0; i < usage->count && length < size; i++) {
        const struct pool_usage *pool = &usage->pools[i].pool;

        length += (size_t)snprintf(
            text + length, size - length, "%s\"%s\": {\"used\": %zu, \"high\": %zu, \"bytes\": %zu}",
            i > 0 ? ", " : "", usage->pools[i].name, pool->used, pool->high, pool->bytes);
    }
    if (length < size) {
        snprintf(text + length, size - length, "}");
    }
}
