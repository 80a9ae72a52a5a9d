/* SPDX-License-Identifier: BSD-3-Clause */
/* When requests are meant to leave, as nanoseconds from a common start: at equal distances, or as a Poisson
 * process, which is what many clients that know nothing of each other make together. Must not know clocks,
 * connections or what became of a request. */
#ifndef STACKDUEL_SCHEDULE_H
#define STACKDUEL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/* The next request of one of `shares` threads, which together make the whole rate. */
struct schedule {
    double distance;  /* ns between two requests of all threads; 0: no schedule */
    uint32_t shares;  /* threads */
    uint32_t share;   /* which of them, from 0 */
    bool poisson;     /* else at equal distances */
    uint64_t random;  /* state of splitmix64 */
    uint64_t number;  /* of this share's next request, from 0 */
    double elapsed;   /* of a Poisson process, ns */
    uint64_t time_ns; /* of the next request */
};

/* Begins a schedule. `rate`: requests/s of all shares together, more than 0. Equal arguments give equal
 * times. */
void schedule_init(struct schedule *schedule, double rate, bool poisson, uint64_t seed, uint32_t share,
                   uint32_t shares);

/* Goes on to the request behind. */
void schedule_advance(struct schedule *schedule);

#endif
