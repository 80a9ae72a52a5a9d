/* SPDX-License-Identifier: BSD-3-Clause */
/* EAL for tests: no hugepages, no devices but those asked for, nothing left on the machine. */
#ifndef STACKDUEL_TESTS_EAL_H
#define STACKDUEL_TESTS_EAL_H

#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>

#define EAL_WORDS 9
#define EAL_DEVICES 18

/* EAL makes its runtime directory, empty here, and leaves it. */
static inline void remove_runtime_directory(void) {
    char path[256];

    snprintf(path, sizeof(path), "%s", rte_eal_get_runtime_dir());
    if (rmdir(path) == 0) {
        rmdir(dirname(path)); /* stays if other programs of DPDK use it */
    }
}

/* Ends the program when EAL does not start. `lcores`: a word of EAL. Ports 0 to count - 1 are devices of
 * `driver`. */
static inline void start_eal_on(const char *program, const char *lcores, const char *driver, int count) {
    static char devices[EAL_DEVICES][64];
    char *arguments[EAL_WORDS + EAL_DEVICES] = {(char *)(uintptr_t)program,
                                                "--no-huge",
                                                "-m",
                                                "128",
                                                "--no-pci",
                                                "--no-shconf",
                                                "--no-telemetry",
                                                "--log-level=4",
                                                (char *)(uintptr_t)lcores};

    for (int i = 0; i < count; i++) {
        snprintf(devices[i], sizeof(devices[i]), "--vdev=%s%d", driver, i);
        arguments[EAL_WORDS + i] = devices[i];
    }
    if (rte_eal_init(EAL_WORDS + count, arguments) < 0) {
        fprintf(stderr, "%s: EAL did not start\n", program);
        exit(EXIT_FAILURE);
    }
    atexit(remove_runtime_directory);
}

/* On the first processor alone. */
static inline void start_eal(const char *program, const char *driver, int count) {
    start_eal_on(program, "--lcores=0", driver, count);
}

#endif
