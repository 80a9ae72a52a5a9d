/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests on the simulated wire, that hold with every optimisation and with none, and whatever the ports can
 * do. */
#ifndef STACKDUEL_TESTS_SIM_MAIN_H
#define STACKDUEL_TESTS_SIM_MAIN_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/features.h"
#include "sim_net.h"

/* How many times the seeds of `make test` are to be tried: PROGRAM [TIMES]. */
static unsigned sim_times = 1;

struct sim_run {
    const char *name;
    uint32_t features;
    struct sim_ends ends;
    bool as_before; /* the run before sent the same frames at the same times */
};

static const struct sim_run sim_runs[] = {
    {"ports that cut up segments, and header prediction", UINT32_MAX, {SIM_PORT_CUTS, true}, false},
    {"the same without header prediction", UINT32_MAX, {SIM_PORT_CUTS, false}, true},
    {"ports that take lean segments, and header prediction", UINT32_MAX, {SIM_PORT_LEAN, true}, false},
    {"ports that take packets", UINT32_MAX, {SIM_PORT_PACKETS, false}, false},
    {"no optimisation", OBLIGATIONS, {SIM_PORT_PACKETS, false}, false},
    {"no obligation", ~OBLIGATIONS, {SIM_PORT_CUTS, true}, false},
};

#define SIM_TRACE 4096

/* How the simulations of a run ended, in memory that all processes share. */
struct sim_trace {
    size_t count;
    struct {
        uint64_t seed;
        uint64_t digest;
    } ends[SIM_TRACE];
};

static struct sim_trace *sim_trace;

static inline void sim_record(uint64_t seed) {
    size_t at = sim_trace->count++;

    if (at < SIM_TRACE) {
        sim_trace->ends[at].seed = seed;
        sim_trace->ends[at].digest = sim_met().digest;
    }
}

static inline bool sim_same(const struct sim_trace *a, const struct sim_trace *b) {
    size_t count = a->count < SIM_TRACE ? a->count : SIM_TRACE;

    for (size_t i = 0; i < count; i++) {
        if (a->ends[i].digest != b->ends[i].digest) {
            printf("-- simulation %zu, with seed %" PRIu64
                   ", is the first that sent other frames than in the run before\n",
                   i, a->ends[i].seed);
            return false;
        }
    }
    return a->count == b->count;
}

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
    features = which->features;
    sim_ends = which->ends;
    sim_has_ended = sim_record;
    failed = run();
    if (sim_left(&seed)) {
        printf("-- it failed with seed %" PRIu64 ", %s\n", seed, which->name);
    }
    return failed == 0 && sim_run_was_one(which) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* In a process of its own, as optimisations are chosen before lwIP starts. False if a test failed. */
static inline bool sim_fork_one(const struct sim_run *which, int (*run)(void)) {
    pid_t child;
    int status;

    fflush(NULL);
    if ((child = fork()) == 0) {
        exit(sim_run_one(which, run));
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* Runs the tests again and again. The exit code. */
static inline int sim_main(int argc, char *argv[], int (*run)(void)) {
    const size_t runs = sizeof(sim_runs) / sizeof(sim_runs[0]);
    struct sim_trace *traces =
        mmap(NULL, runs * sizeof(*traces), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool good = traces != MAP_FAILED;

    if (argc > 1 && (sim_times = (unsigned)strtoul(argv[1], NULL, 10)) == 0) {
        fprintf(stderr, "usage: %s [TIMES]\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; good && i < runs; i++) {
        sim_trace = &traces[i];
        good = sim_fork_one(&sim_runs[i], run) &&
               (!sim_runs[i].as_before || sim_same(&traces[i], &traces[i - 1]));
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
