/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "lwip/mem.h"
#include "lwip/memp.h"
#include "lwip/priv/tcp_priv.h"

#include "pool.h"

/* Of each size of buffer, for each segment that there may be. */
#define BUFFER_BYTES ((size_t)2048)

static uint32_t connections_reserved;

/* Of what a connection needs only while it has data on the way there is enough for all of them at a time, and
 * for many segments of fewer. */
int memory_reserve(uint32_t connections) {
    uint32_t pcbs = (uint32_t)LWIP_MIN(2 * (uint64_t)connections, UINT32_MAX);
    uint32_t segments = (uint32_t)LWIP_MIN((uint64_t)pcbs + MEMP_NUM_TCP_SEG, UINT32_MAX);

    connections_reserved = connections;
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

static size_t append(char *text, size_t size, size_t length, const char *name,
                     const struct pool_usage *usage) {
    if (length < size) {
        length += (size_t)snprintf(text + length, size - length,
                                   "%s\"%s\": {\"used\": %zu, \"high\": %zu, \"bytes\": %zu}",
                                   length > 1 ? ", " : "", name, usage->used, usage->high, usage->bytes);
    }
    return length;
}

void memory_describe(char *text, size_t size) {
    size_t places = tcp_pcb_table_bytes() / sizeof(struct tcp_pcb *);
    /* A place is in use whether a connection stands there or not. */
    struct pool_usage usage = {.used = places, .high = places, .bytes = tcp_pcb_table_bytes()};
    size_t length = (size_t)snprintf(text, size, "{");

    length = append(text, size, length, "tcp_table", &usage);
    for (int type = 0; type < MEMP_MAX; type++) {
        const char *lwips = memp_describe((memp_t)type, &usage);
        char name[32];
        size_t i;

        for (i = 0; lwips[i] != '\0' && i + 1 < sizeof(name); i++) {
            name[i] = (char)tolower((unsigned char)lwips[i]);
        }
        name[i] = '\0';
        length = append(text, size, length, name, &usage);
    }
    for (unsigned i = 0; i < MEM_CLASSES; i++) {
        char name[32];

        snprintf(name, sizeof(name), "buffer_%zu", mem_describe(i, &usage));
        length = append(text, size, length, name, &usage);
    }
    if (length < size) {
        snprintf(text + length, size - length, "}");
    }
}
