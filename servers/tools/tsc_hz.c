/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counter that cycles are of and its frequency, as one JSON object: {"tsc_hz": N}.
 * Measured against CLOCK_MONOTONIC_RAW, since neither cpuid nor /proc tells it in every virtual machine. Exit
 * code 3 where it does not run at one rate.
 */
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "common/cycle_counter.h"

enum { SAMPLES = 64, PAUSE_MS = 200 };

/* Two measurements that differ by more tell of a counter that follows the core's frequency, or of a machine
 * that was stopped meanwhile. */
static const double AGREE = 1e-4;

struct instant {
    double seconds;
    uint64_t cycles;
};

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC_RAW, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* Reads both, of many readings of clock, counter, clock the one that nothing came between. */
static struct instant read_both(void) {
    struct instant best = {0};
    double shortest = INFINITY;
    for (int i = 0; i < SAMPLES; i++) {
        double before = now();
        uint64_t cycles = cycle_counter();
        double after = now();
        if (after - before < shortest) {
            shortest = after - before;
            best = (struct instant){(before + after) / 2, cycles};
        }
    }
    return best;
}

static double measure(void) {
    struct timespec pause = {0, PAUSE_MS * 1000000L / 2};
    struct instant first = read_both();
    nanosleep(&pause, NULL);
    struct instant last = read_both();
    return (double)(last.cycles - first.cycles) / (last.seconds - first.seconds);
}

int main(void) {
    double one = measure(), two = measure();
    if (fabs(one - two) > AGREE * one) {
        fprintf(stderr, "tsc_hz: the counter does not run at one rate: %.0f Hz, then %.0f Hz\n", one, two);
        return 3;
    }
    printf("{\"tsc_hz\": %" PRIu64 "}\n", (uint64_t)((one + two) / 2));
    return 0;
}
