/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

#include <string.h>

_Static_assert(HISTOGRAM_BUCKETS == (43 - HISTOGRAM_HALF_BITS + 1) << HISTOGRAM_HALF_BITS,
               "the largest value falls into the last bucket");

void histogram_clear(struct histogram *histogram) {
    memset(histogram, 0, sizeof(*histogram));
}

double histogram_value(uint32_t bucket) {
    uint32_t shift = bucket < 2u << HISTOGRAM_HALF_BITS ? 0 : (bucket >> HISTOGRAM_HALF_BITS) - 1;
    uint64_t lowest = (uint64_t)(bucket - (shift << HISTOGRAM_HALF_BITS)) << shift;

    return (double)lowest + (double)((UINT64_C(1) << shift) - 1) / 2;
}
