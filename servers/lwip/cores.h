/* SPDX-License-Identifier: BSD-3-Clause */
/* The cores of a server: one body run on several lcores of EAL, which signals ask to stop and to report. No
 * lock: a core looks at words that hardly ever change, and writes only to a cache line of its own. Must not
 * know what the cores do. */
#ifndef STACKDUEL_CORES_H
#define STACKDUEL_CORES_H

#include <stdbool.h>

#define CORES_MAX 64

struct waker;

/* SIGTERM and SIGINT ask to stop, SIGUSR1 asks for a report. By core 0, after its cores_serving(). */
void cores_catch_signals(void);

/* Runs `body` for cores 1 to count - 1 on EAL's worker lcores, of which there must be as many, and waits
 * until each has called cores_serving() or returned. 0, or what a body returned that was not 0. */
int cores_start(unsigned count, int (*body)(unsigned core));

/* This core is ready. `waker` ends its sleep, and must last until cores_join(); NULL: it never sleeps. */
void cores_serving(unsigned core, const struct waker *waker);

/* Whether to end. Core 0 then calls cores_join(). */
bool cores_stopping(void);

/* Whether this core is to write down what it has counted; then it calls cores_reported(). */
bool cores_report_due(unsigned core);
void cores_reported(unsigned core);

/* For core 0: true once all have reported what they were asked for, and may be read. */
bool cores_report_complete(void);

/* Stops the other cores and waits for them; their wakers, and core 0's, are not used any more. */
void cores_join(void);

#endif
