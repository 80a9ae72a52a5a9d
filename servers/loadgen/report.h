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

/* From now on latencies are recorded. */
void interval_begin(struct interval *interval, struct generator *generator);
void interval_end(struct interval *interval, struct generator *generator);

/* One JSON object on stdout, flushed. */
void report_print(const struct interval *interval, const struct generator *generator);

#endif
