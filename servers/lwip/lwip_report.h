/* SPDX-License-Identifier: BSD-3-Clause */
/* The line of counters of lwip_server: the sums of all cores, and each core's own. Must not know how the
 * cores came to their figures. */
#ifndef STACKDUEL_LWIP_REPORT_H
#define STACKDUEL_LWIP_REPORT_H

#include <stdint.h>

#include <rte_common.h>

#include "common/counters.h"
#include "stack/memory/memory.h"
#include "stack/stack.h"

/* What one core has counted. It alone writes it. */
struct lwip_report {
    uint64_t lcore; /* EAL's number of the core it runs on */
    struct counters counters;
    struct stack_counters stack;
    struct memory_usage memory;
    uint64_t writes_refused; /* lwIP had no segment or no room in its queue; tried again later */
    uint64_t syn_dropped;
} __rte_cache_aligned;

/* Prints the line for reports[count]. By core 0, whose stack describes the port. session_bytes: what a
 * connection costs beside lwIP's part. */
void lwip_report_print(const struct lwip_report *reports, unsigned count, size_t session_bytes);

#endif
