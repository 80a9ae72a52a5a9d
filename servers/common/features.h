/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes the stack fast, optimisation by optimisation, each of which can be left out so that its worth
 * can be measured. With "request" and "batch" alone it is the design of published small servers: received
 * packets copied, a list of connections that is walked, a first-fit heap, three copies on transmit, checksums
 * in software. Without these two it parses every request, and sends packet after packet. Must not know lwIP
 * nor DPDK: lwIP's patches ask here too.
 *
 * Set once before the stack starts, read by every core from then on. */
#ifndef STACKDUEL_FEATURES_H
#define STACKDUEL_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum feature {
    FEATURE_LOOKUP = 1 << 0,
    FEATURE_TIMERS = 1 << 1,
    FEATURE_POOLS = 1 << 2,
    FEATURE_RX_ZERO_COPY = 1 << 3,
    FEATURE_TX_IN_PLACE = 1 << 4,
    FEATURE_TX_ATTACH = 1 << 5,
    FEATURE_TSO = 1 << 6,
    FEATURE_OFFLOAD = 1 << 7,
    FEATURE_SUM_IN_COPY = 1 << 8,
    FEATURE_PREFETCH = 1 << 9,
    FEATURE_BATCH = 1 << 10,
    FEATURE_CLOCK = 1 << 11,
    FEATURE_REQUEST = 1 << 12,
    FEATURE_PREDICTION = 1 << 13,
};

/* One row an optimisation, in the order in which the ladder of `make ablate` adds them. */
struct feature_row {
    uint32_t bit;
    const char *name; /* as on the command line */
    const char *what; /* one line for a reader */
};

extern const struct feature_row feature_rows[];
extern const size_t feature_row_count;

/* The optimisations in force; all of them at first. */
extern uint32_t features;

static inline bool feature_on(uint32_t bit) {
    return (features & bit) != 0;
}

/* Leaves out what `list` names ("lookup,timers"; "all"). False, with one line in error[size], if a name is
 * unknown. */
bool features_leave_out(const char *list, char *error, size_t size);

/* Writes the names of those in force as a JSON array in text[size]. */
void features_describe(char *text, size_t size);

#endif
