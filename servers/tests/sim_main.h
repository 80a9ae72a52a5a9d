/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests on the simulated wire, that hold with every measure and with none. */
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

static inline int sim_run_with(uint32_t which, int (*run)(void)) {
    uint64_t seed;
    int failed;

    measures = which;
    failed = run();
    if (sim_left(&seed)) {
        printf("-- it failed with seed %" PRIu64 ", %s\n", seed, which == 0 ? "no measure" : "every measure");
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Runs the tests twice, in processes of their own as measures are chosen before lwIP starts. The exit code.
 */
static inline int sim_main(int argc, char *argv[], int (*run)(void)) {
    const uint32_t all_and_none[] = {UINT32_MAX, 0};
    int worst = EXIT_SUCCESS;

    if (argc > 1 && (sim_times = (unsigned)strtoul(argv[1], NULL, 10)) == 0) {
        fprintf(stderr, "usage: %s [TIMES]\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < 2; i++) {
        pid_t child;
        int status;

        fflush(NULL);
        if ((child = fork()) == 0) {
            exit(sim_run_with(all_and_none[i], run));
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            worst = EXIT_FAILURE;
        }
    }
    return worst;
}

#endif
