/* SPDX-License-Identifier: BSD-3-Clause */
/* The descriptors that the stack has opened in a process that knows nothing of them: a daemon that closes all
 * it did not open leaves them open, and what it becomes or forks does not inherit them. */
#ifndef STACKDUEL_OWN_DESCRIPTORS_H
#define STACKDUEL_OWN_DESCRIPTORS_H

#include <stdbool.h>

/* What is opened between these two, from eal_lowest_descriptor() on, is the stack's own, as is each thread
 * that is begun. */
void own_descriptors_begin(void);
void own_descriptors_end(void);

/* Whether it is to the calling thread as if `fd` were not open: the stack's own threads close what they like.
 */
bool own_descriptor(int fd);

/* The program has got `fd`, perhaps while the stack started, from another thread. Under the lock. */
void own_descriptor_is_programs(int fd);

/* In a child of fork(): closes the copies. */
void own_descriptors_leave(void);

#endif
