/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP's memory in the tests on a simulated wire: allocations that fail when a test wants them to, and, with
 * the options of the fuzzer (SIM_HEAP), elements of pools that are allocations of their own. Linked with
 * --wrap=memp_malloc,--wrap=mem_malloc. Must not know who asks for memory. */
#ifndef STACKDUEL_TESTS_SIM_MEMORY_H
#define STACKDUEL_TESTS_SIM_MEMORY_H

#include <stdbool.h>

/* Asked before every allocation of lwIP but those of timeouts, without which it stops: is this one to fail?
 * NULL, as at first: none is. */
extern bool (*sim_memory_fails)(void);

#endif
