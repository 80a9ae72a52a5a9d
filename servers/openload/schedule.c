/* SPDX-License-Identifier: BSD-3-Clause */
#include "schedule.h"

#include <math.h>

/* Makes the next random number, as in Steele, Lea and Flood, "Fast splittable pseudorandom number generators"
 * (2014). */
static uint64_t next_random(uint64_t *state) {
    uint64_t value = (*state += UINT64_C(0x9e3779b97f4a7c15));

    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* Makes a random number, more than 0 and at most 1, so that it has a logarithm. */
static double uniform(uint64_t *state) {
    return (double)((next_random(state) >> 11) + 1) * 0x1p-53;
}

static void place(struct schedule *schedule) {
    if (schedule->poisson) {
        schedule->elapsed -= log(uniform(&schedule->random)) * schedule->distance * schedule->shares;
        schedule->time_ns = (uint64_t)schedule->elapsed;
    } else {
        /* from the number and not from the time before, so that no error adds up */
        uint64_t number = schedule->number * schedule->shares + schedule->share;

        schedule->time_ns = (uint64_t)((double)number * schedule->distance);
    }
}

void schedule_init(struct schedule *schedule, double rate, bool poisson, uint64_t seed, uint32_t share,
                   uint32_t shares) {
    *schedule = (struct schedule){
        .distance = 1e9 / rate, .shares = shares, .share = share, .poisson = poisson, .random = seed};
    for (uint32_t i = 0; i <= share; i++) {
        uint64_t own = next_random(&schedule->random); /* neighbouring seeds have nothing in common */

        schedule->random = i == share ? own : schedule->random;
    }
    place(schedule);
}

void schedule_advance(struct schedule *schedule) {
    schedule->number++;
    place(schedule);
}
