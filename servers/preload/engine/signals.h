/* SPDX-License-Identifier: BSD-3-Clause */
/* The program's signal handlers, run through ours, so that a thread that waits in user space knows that one
 * ran. */
#ifndef STACKDUEL_SIGNALS_H
#define STACKDUEL_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* How many handlers have run on this thread; `restart`: only those without SA_RESTART. A signal that comes
 * while the thread is in the stack (engine_inside()) is kept, and the thread's others stay blocked. */
unsigned signals_seen(bool restart);

/* The count that a wait begins with: as it was at signals_begin_mask(), if that was called, or as it is. */
unsigned signals_at_start(bool restart);

/* The mask of a wait (NULL: none), in place before it begins and gone when it has ended. A handler that runs
 * through that change ends the wait. */
void signals_begin_mask(const sigset_t *mask, sigset_t *old);
void signals_end_mask(const sigset_t *mask, const sigset_t *old);

/* Between these two no handler runs on this thread: a signal that comes is kept, with the others blocked, and
 * its handler runs as they are over. */
void signals_hold(void);
void signals_release(void);
bool signals_held(void);

/* Whether one is kept. */
bool signals_kept(void);

/* sigaction(2), as the program sees it. 0, or -1 with errno. */
int signals_action(int number, const struct sigaction *wanted, struct sigaction *old);

/* From now on `cleanup`, which must be async-signal-safe, runs before a signal ends the process. */
void signals_guard(void (*cleanup)(void));

#endif
