/* SPDX-License-Identifier: BSD-3-Clause */
/* What openload prints when it is done: one JSON object of all threads together, with fields as loadgen's
 * where they are the same thing. */
#ifndef STACKDUEL_OPENLOAD_REPORT_H
#define STACKDUEL_OPENLOAD_REPORT_H

#include <stdio.h>

#include "client.h"
#include "openload_options.h"

/* CPU times as /proc/stat has them when the interval begins and when it ends; owned by who took them. */
struct report_stat {
    char *before, *after;
};

/* Writes the object and a newline. `clients`: one a thread, `count` of them; their histograms are added up in
 * the first one's. */
void report_print(FILE *out, const struct openload_options *options, struct client *const *clients,
                  uint32_t count, const struct report_stat *stat);

/* Finds the value that `share` of the counts (0..1) do not exceed; 0 without any. */
double report_quantile(const struct histogram *histogram, double share);

#endif
