/* SPDX-License-Identifier: BSD-3-Clause */
/* EAL in a process that is not its own: the program keeps its descriptors' numbers, its limits and its CPUs.
 */
#ifndef STACKDUEL_EAL_START_H
#define STACKDUEL_EAL_START_H

#include <stdbool.h>

#include "preload/settings.h"

/* One line on stderr. */
void eal_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether this is the DPDK that the library was built for, and the words for EAL make sense; else says what
 * is wrong. */
bool eal_can_start(const struct settings *settings);

/* The descriptors from this one on are for EAL and what belongs to it: programs size tables by how many they
 * expect to have (wrk: three a connection, and ten). A quarter of what the process may have, 256 at the most.
 */
int eal_lowest_descriptor(void);

/* Starts EAL, then what needs it, whose 0 is success and which says itself what failed; the settings are
 * kept. 0, or -ENETDOWN with the reason on stderr, and nothing left behind but descriptors. */
int eal_start(const struct settings *settings, int (*then)(const struct settings *));

/* Ends EAL. */
void eal_end(void);

/* Removes what only the end of EAL would remove; async-signal-safe. */
void eal_remove_traces(void);

#endif
