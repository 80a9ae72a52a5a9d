/* SPDX-License-Identifier: BSD-3-Clause */
/* Log-linear histogram of values with three significant digits, as HdrHistogram's description has it: 2,048
 * buckets of width 1, then 1,024 for every doubling, so that no bucket is wider than 1/1,024 of its values.
 * Must not know what the values are. */
#ifndef STACKDUEL_HISTOGRAM_H
#define STACKDUEL_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_HALF_BITS 10
#define HISTOGRAM_MAX ((UINT64_C(1) << 43) - 1) /* what is larger counts as this */
#define HISTOGRAM_BUCKETS 34816

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value) {
    uint32_t shift;

    if (value > HISTOGRAM_MAX) {
        value = HISTOGRAM_MAX;
    }
    shift = 63 - HISTOGRAM_HALF_BITS - (uint32_t)__builtin_clzll(value | (1 << HISTOGRAM_HALF_BITS));
    return (shift << HISTOGRAM_HALF_BITS) + (uint32_t)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->counts[histogram_bucket(value)]++;
}

void histogram_clear(struct histogram *histogram);

/* Returns the middle of a bucket, which no value in it misses by more than 1/2,048. */
double histogram_value(uint32_t bucket);

#endif
