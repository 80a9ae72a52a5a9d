/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of openload. */
#ifndef STACKDUEL_OPENLOAD_OPTIONS_H
#define STACKDUEL_OPENLOAD_OPTIONS_H

#include "common/options.h"

/* In the order of the words of --arrivals. */
enum option_arrivals { ARRIVALS_CONSTANT, ARRIVALS_POISSON };

/* Every field is set, from its row's default when the option was not given. */
struct openload_options {
    uint32_t address;   /* of the server */
    uint64_t port;      /* of the server */
    uint64_t body_size; /* bytes of an answer's body */
    uint64_t connections;
    uint64_t rate; /* requests/s; 0: closed loop */
    uint64_t duration_us;
    uint64_t warmup_us;
    const char *path;
    uint64_t threads;
    uint64_t seed;
    uint64_t arrivals;     /* enum option_arrivals */
    uint64_t spin_us;      /* of every wait, the end that is not slept */
    uint64_t lag_limit_us; /* p99 of its own delay from which on it is the limit */
    const char *output;    /* NULL: stdout */
};

extern const struct option_table openload_options;

#endif
