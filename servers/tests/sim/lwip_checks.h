/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold of lwIP's lists and memory whenever it is not running. Needs the options of sim/lwipopts.h.
 * Must not know a test framework: what is wrong comes back as one line, NULL if nothing is. */
#ifndef STACKDUEL_TESTS_LWIP_CHECKS_H
#define STACKDUEL_TESTS_LWIP_CHECKS_H

#include <stddef.h>

#include "lwip/memp.h"

struct lwip_memory {
    size_t heap;           /* bytes */
    size_t pool[MEMP_MAX]; /* elements */
};

/* Every PCB is in the list where its state belongs, once, and is found by its addresses; what it has queued
 * lies in the order of its sequence numbers; what it holds out of order lies beyond what it expects. */
const char *lwip_lists_broken(void);

/* PCBs in all lists but that of listeners. */
size_t lwip_connections(void);

/* What is in use. */
struct lwip_memory lwip_memory_used(void);

/* Names a pool of which more or less is in use than was then. lwIP's timeouts do not count: TCP's own comes
 * and goes. */
const char *lwip_memory_differs(const struct lwip_memory *then);

/* Aborts every PCB that is no listener. */
void lwip_abort_all(void);

#endif
