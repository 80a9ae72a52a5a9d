/* SPDX-License-Identifier: BSD-3-Clause */
/* The wish to end a load early, which SIGTERM and SIGINT say. Must not know what is to be ended. */
#ifndef STACKDUEL_STOP_H
#define STACKDUEL_STOP_H

#include <signal.h>

/* 1 once a signal has come. */
extern volatile sig_atomic_t stop_requested;

/* Has SIGTERM and SIGINT set it, instead of ending the process. */
void stop_catch_signals(void);

#endif
