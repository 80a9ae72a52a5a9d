/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes the stack fast, optimisation by optimisation, each of which can be left out so that its worth
 * can be measured. With "request" and "batch" alone it is the design of published small servers: received
 * packets copied, a list of connections that is walked, a first-fit heap, three copies on transmit, checksums
 * in software. Without these two it parses every request, and sends packet after packet.
 *
 * And what a TCP owes to its peers and to the others that it serves, obligation by obligation. Each that
 * costs cycles can be waived, so that its price can be measured; with none of them it is what lwIP does by
 * itself.
 *
 * Must not know lwIP nor DPDK: lwIP's patches ask here too.
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

/* In the upper half of the word. */
enum obligation {
    OBLIGATION_ISN = 1 << 16,
    OBLIGATION_ACCEPTABLE = 1 << 17,
    OBLIGATION_SYN_COOKIES = 1 << 20,
    OBLIGATION_ORPHANS = 1 << 21,
    OBLIGATION_SEGMENT_BUDGET = 1 << 22,
    OBLIGATION_INPUT_BUDGET = 1 << 23,
    OBLIGATION_RTO = 1 << 24,
    OBLIGATION_CONGESTION_WINDOW = 1 << 25,
    OBLIGATION_RECOVERY = 1 << 26,
};
#define OBLIGATIONS UINT32_C(0xffff0000)

/* One row an optimisation or obligation, in the order in which the ladder of `make ablate` adds them. */
struct feature_row {
    uint32_t bit;
    const char *name; /* as on the command line */
    const char *what; /* one line for a reader */
};

struct feature_table {
    const char *kind; /* of what: one word for a message */
    const char *option;
    uint32_t all;
    const struct feature_row *rows;
    size_t count;
};

extern const struct feature_table optimisations, obligations;

/* The optimisations and obligations in force; all of them at first. */
extern uint32_t features;

static inline bool feature_on(uint32_t bit) {
    return (features & bit) != 0;
}

/* Leaves out what `list` names of the table ("lookup,timers"; "all"). False, with one line in error[size], if
 * a name is unknown. */
bool features_leave_out(const struct feature_table *table, const char *list, char *error, size_t size);

/* Writes the names of the table's rows in force as a JSON array in text[size]. */
void features_describe(const struct feature_table *table, char *text, size_t size);

#endif
