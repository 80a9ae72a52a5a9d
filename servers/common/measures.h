/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes the stack fast, measure by measure, each of which can be left out so that its worth can be
 * measured. All left out is the plain small design: received packets copied, a list of connections that is
 * walked, a first-fit heap, three copies on transmit, checksums in software. Must not know lwIP nor DPDK:
 * lwIP's patches ask here too.
 *
 * Set once before the stack starts, read by every core from then on. */
#ifndef STACKDUEL_MEASURES_H
#define STACKDUEL_MEASURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum measure {
    MEASURE_LOOKUP = 1 << 0,
    MEASURE_TIMERS = 1 << 1,
    MEASURE_POOLS = 1 << 2,
    MEASURE_RX_LEND = 1 << 3,
    MEASURE_TX_IN_PLACE = 1 << 4,
    MEASURE_TX_ATTACH = 1 << 5,
    MEASURE_TSO = 1 << 6,
    MEASURE_OFFLOAD = 1 << 7,
    MEASURE_SUM_IN_COPY = 1 << 8,
    MEASURE_PREFETCH = 1 << 9,
    MEASURE_BATCH = 1 << 10,
    MEASURE_CLOCK = 1 << 11,
    MEASURE_REQUEST = 1 << 12,
    MEASURE_PREDICTION = 1 << 13,
};

/* One row a measure, in the order in which the ladder of `make ablate` adds them to the plain design. */
struct measure_row {
    uint32_t bit;
    const char *name; /* as on the command line */
    const char *what; /* one line for a reader */
};

extern const struct measure_row measure_rows[];
extern const size_t measure_row_count;

/* The measures in force; all of them at first. */
extern uint32_t measures;

static inline bool measure(uint32_t bit) {
    return (measures & bit) != 0;
}

/* Leaves out what `list` names ("lookup,timers"; "all"). False, with one line in error[size], if a name is
 * unknown. */
bool measures_leave_out(const char *list, char *error, size_t size);

/* The names of those in force as a JSON array in text[size]. */
void measures_describe(char *text, size_t size);

#endif
