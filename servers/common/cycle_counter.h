/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counter that "cycles" are of: the time stamp counter on x86-64, the generic timer on aarch64. Both run
 * at one rate, whatever the core's frequency is; the generic timer is much slower (often 25 MHz to 1 GHz).
 */
#ifndef STACKDUEL_CYCLE_COUNTER_H
#define STACKDUEL_CYCLE_COUNTER_H

#include <stdint.h>

#if defined(__x86_64__)
#include <x86intrin.h>

/* Not before what stands before it is done. */
static inline uint64_t cycle_counter(void) {
    unsigned cpu;
    return __rdtscp(&cpu);
}

static inline void cycle_pause(void) {
    _mm_pause();
}
#elif defined(__aarch64__)
static inline uint64_t cycle_counter(void) {
    uint64_t value;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value) : : "memory");
    return value;
}

static inline void cycle_pause(void) {
    __asm__ volatile("yield");
}
#else
#error "which counter runs at one rate on this processor?"
#endif

#endif
