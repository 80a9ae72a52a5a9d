/* SPDX-License-Identifier: BSD-3-Clause */
#include "generator.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include <rte_cycles.h>

#define RTO_INITIAL_MS 1000 /* RFC 6298 2.1 */

void generator_fail(struct generator *generator, const char *format, ...) {
    va_list arguments;

    if (generator->problem[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(generator->problem, sizeof(generator->problem), format, arguments);
        va_end(arguments);
    }
}

/* Allocates connections, zeroed, in large pages where the kernel has them: every segment may be another
 * connection's. */
static struct connection *allocate(uint32_t count) {
    size_t size = (size_t)count * sizeof(struct connection);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

static uint32_t usable_flows(const struct loadgen_options *options, uint32_t count) {
    uint64_t all = options->addresses * FLOW_PORTS;

    if (all > UINT32_MAX - 1) {
        all = UINT32_MAX - 1; /* FLOW_NONE is none */
    }
    return (uint32_t)(all - all % count);
}

int generator_init(struct generator *generator, const struct loadgen_options *options, char *error,
                   size_t size) {
    uint32_t count = (uint32_t)options->connections;
    int code;

    generator->options = options;
    generator->count = count;
    generator->active = (uint32_t)RTE_MIN(options->active, options->connections);
    generator->flow_end = usable_flows(options, count);
    generator->sequence_key = sequence_key_draw();
    generator->connections = allocate(count);
    if (generator->connections == NULL || !queue_init(&generator->ready, count)) {
        snprintf(error, size, "no memory for %u connections", count);
        return -ENOMEM;
    }
    if ((code = link_open(&generator->link, options, error, size)) != 0) {
        return code;
    }
    answer_init(&generator->answer, (uint32_t)options->body_size);
    generator->tsc_hz = rte_get_tsc_hz();
    generator->start = generator->turn_end = generator->now = rte_rdtsc();
    generator->rto_ms = RTO_INITIAL_MS;
    generator->ack_first = QUEUE_EMPTY;
    generator->phase = PHASE_REST;
    deadlines_init(&generator->deadlines, generator->connections, 0);
    return 0;
}

void generator_free(struct generator *generator) {
    if (generator->connections != NULL) {
        (void)munmap(generator->connections, (size_t)generator->count * sizeof(struct connection));
    }
    queue_free(&generator->ready);
    answer_free(&generator->answer);
}

uint64_t generator_bytes(const struct generator *generator) {
    return (uint64_t)generator->count * sizeof(struct connection) + queue_bytes(&generator->ready) +
           generator->answer.size + sizeof(*generator);
}
