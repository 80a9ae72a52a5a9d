/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A slowdown of known size, for tests of the measurement: only what is compiled with -DSLOW_CYCLES=n may
 * include this (make slow). Such a server says so when it starts and among its counters.
 */
#ifndef STACKDUEL_SLOW_H
#define STACKDUEL_SLOW_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/cycle_counter.h"

/* Does nothing for SLOW_CYCLES cycles of the counter. */
static inline void slow_down(void) {
    uint64_t begin = cycle_counter();
    while (cycle_counter() - begin < (uint64_t)SLOW_CYCLES) {
        cycle_pause();
    }
}

/* Writes one more member for the line of counters into text[size]. */
static inline void slow_append(char *text, size_t size) {
    snprintf(text, size, ", \"slow_cycles\": %llu", (unsigned long long)SLOW_CYCLES);
}

/* Prints one line on stderr. */
static inline void slow_warn(void) {
    fprintf(stderr, "%s: a test build: every request costs %llu cycles more\n", program_invocation_short_name,
            (unsigned long long)SLOW_CYCLES);
}

#endif
