/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests on the simulated wire, that hold with every measure and with none, and whatever the ports can do. */
#ifndef STACKDUEL_TESTS_SIM_MAIN_H
#define STACKDUEL_TESTS_SIM_MAIN_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measures.h"
#include "sim_net.h"

/* How many times the seeds of `make test` are to be tried: PROGRAM [TIMES]. */
static unsigned sim_times = 1;

struct sim_run {
    const char *name;
    uint32_t measures;
    struct sim_ends ends;
};

static const struct sim_run sim_runs[] = {
    {"ports that cut up segments, and header prediction", UINT32_MAX, {SIM_PORT_CUTS, true}},
    {"ports that take lean segments", UINT32_MAX, {SIM_PORT_LEAN, false}},
    {"ports that take packets, and header prediction", UINT32_MAX, {SIM_PORT_PACKETS, true}},
    {"no measure", 0, {SIM_PORT_PACKETS, false}},
};

/* Whether the run has met what it is for. */
static inline bool sim_run_was_one(const struct sim_run *which) {
    struct sim_met met = sim_met();
    bool as_said =
        (met.cut > 0) == (which->ends.port == SIM_PORT_CUTS) && (met.expected > 0) == which->ends.predict;

    if (!as_said) {
        printf("-- %s: %" PRIu64 " segments were cut up, %" PRIu64 " frames went the short way\n",
               which->name, met.cut, met.expected);
    }
    return as_said;
}

static inline int sim_run_one(const struct sim_run *which, int (*run)(void)) {
    uint64_t seed;
    int failed;

    printf("-- %s\n", which->name);
    measures = which->measures;
    sim_ends = which->ends;
    failed = run();
    if (sim_left(&seed)) {
        printf("-- it failed with seed %" PRIu64 ", %s\n", seed, which->name);
    }
    return failed == 0 && sim_run_was_one(which) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Runs the tests again and again, each time in a process of its own as measures are chosen before lwIP
 * starts. The exit code. */
static inline int sim_main(int argc, char *argv[], int (*run)(void)) {
    int worst = EXIT_SUCCESS;

    if (argc > 1 && (sim_times = (unsigned)strtoul(argv[1], NULL, 10)) == 0) {
        fprintf(stderr, "usage: %s [TIMES]\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < sizeof(sim_runs) / sizeof(sim_runs[0]); i++) {
        pid_t child;
        int status;

        fflush(NULL);
        if ((child = fork()) == 0) {
            exit(sim_run_one(&sim_runs[i], run));
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            worst = EXIT_FAILURE;
        }
    }
    return worst;
}

#endif
