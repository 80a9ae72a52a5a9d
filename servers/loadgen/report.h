/* SPDX-License-Identifier: BSD-3-Clause */
/* The measured interval and the JSON line about it. */
#ifndef STACKDUEL_REPORT_H
#define STACKDUEL_REPORT_H

#include "generator.h"

struct interval {
    struct tally begin, end;
    uint64_t begin_tsc, end_tsc; /* equal: nothing was measured */
    uint64_t rx_packets, tx_packets, rx_dropped, tx_dropped;
    double connect_seconds; /* until all stood */
};

/* Begins an interval: latencies are recorded from now on. */
void interval_begin(struct interval *interval, struct generator *generator);
void interval_end(struct interval *interval, struct generator *generator);

/* Prints one JSON object on stdout, and flushes it. */
void report_print(const struct interval *interval, const struct generator *generator);

#endif
