/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals and the end of the process. */
#include "intercept.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "preload/engine/signals.h"

EXPORT int sigaction(int number, const struct sigaction *wanted, struct sigaction *old) {
    return signals_action(number, wanted, old);
}

EXPORT sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction wanted = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;

    sigemptyset(&wanted.sa_mask);
    return signals_action(number, &wanted, &old) == 0 ? old.sa_handler : SIG_ERR;
}

/* BSD's and System V's ways to the same, which the C library would do past us. */
EXPORT int siginterrupt(int number, int interrupts) {
    struct sigaction action;

    if (signals_action(number, NULL, &action) != 0) {
        return -1;
    }
    action.sa_flags = interrupts ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
    return signals_action(number, &action, NULL);
}

EXPORT sighandler_t sysv_signal(int number, sighandler_t handler) {
    struct sigaction wanted = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND | SA_NODEFER}, old;

    sigemptyset(&wanted.sa_mask);
    return signals_action(number, &wanted, &old) == 0 ? old.sa_handler : SIG_ERR;
}

EXPORT sighandler_t __sysv_signal(int number, sighandler_t handler) {
    return sysv_signal(number, handler);
}

/* A child of vfork() would share our tables with its parent, and what it closes would be closed there. */
EXPORT pid_t vfork(void) {
    return fork();
}

EXPORT void _exit(int status) {
    engine_exit();
    libc()->_exit(status);
}

EXPORT void _Exit(int status) {
    _exit(status);
}

__attribute__((destructor)) static void at_exit(void) {
    engine_exit();
}
