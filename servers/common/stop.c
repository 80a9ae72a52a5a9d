/* SPDX-License-Identifier: BSD-3-Clause */
#include "stop.h"

#include <stddef.h>

volatile sig_atomic_t stop_requested;

static void on_signal(int number) {
    (void)number;
    stop_requested = 1;
}

void stop_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}
