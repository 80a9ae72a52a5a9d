/* SPDX-License-Identifier: BSD-3-Clause */
/* One stack in the process, one lock round it, and threads that drive it while they wait. Must not know what
 * they wait for. */
#ifndef STACKDUEL_ENGINE_H
#define STACKDUEL_ENGINE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "preload/settings.h"

#include "stack/stack.h"

/* Time that never comes, as a deadline. */
#define ENGINE_NEVER UINT64_MAX

/* The lock is not recursive: engine_inside() tells whether this thread has it (a signal's handler, or a
 * library that the stack calls, may come back to us); then the call belongs to the kernel. */
void engine_lock(void);
void engine_unlock(void);
bool engine_inside(void);

/* What the launcher was told; NULL when the program was started without it (said once on stderr). */
const struct settings *engine_settings(void);

/* Starts EAL and the stack at the first call. 0; or -ENETDOWN, said once on stderr, while another process has
 * the stack, or in one that was forked when it ran. What cannot start ends the process with one line, exit 3.
 */
int engine_start(void);
bool engine_started(void);

/* Whether this process has the stack or may have it. Else its sockets are the kernel's, which is said once.
 */
bool engine_available(void);

/* The program is about to give up rights that a start would need later: starts, if a socket needs it or,
 * where that is asked for, if this is no forked process, which may get one. Takes the lock. */
void engine_rights_go(bool also_without_sockets);

/* A forked process wants to serve from sockets that are its parent's: ends it, with one line, as
 * a program that serves would try for ever. */
void engine_refuse_served(void) __attribute__((noreturn));

/* The same, and waits until the port's link is up: it takes some milliseconds after the start. -ENETDOWN. */
int engine_start_linked(void);

/* The interface's own address, network byte order. */
uint32_t engine_address(void);

/* Whether one may bind to it. */
bool engine_is_local(uint32_t address);

/* Bytes that a UDP datagram may have, as none is fragmented. */
size_t engine_largest_datagram(void);

/* Something was queued for sending: it leaves at once, or, within a batch of events that the program has just
 * been given, when the program has answered as many, or waits again. */
void engine_sent(void);
void engine_batch(unsigned events);

/* A time-out of so many seconds and more is none: 31 years, whose nanoseconds and cycles fit into 64 bits. */
#define ENGINE_FOREVER_SECONDS 1000000000

/* The time stamp counter when `ns` nanoseconds from now have passed; ENGINE_NEVER when ns < 0. */
uint64_t engine_deadline(int64_t ns);

/* What a thread waits for. `ready` is asked under the lock, after every turn of the stack. `kernel`:
 * descriptors of the kernel that may make it ready as well; a sleeping thread sleeps on them. */
struct engine_wait {
    bool (*ready)(void *argument);
    void *argument;
    uint64_t deadline;
    struct pollfd *kernel;
    unsigned kernel_count;
    bool restart; /* as SA_RESTART has it: a handler that asked for that does not end the wait */
};

/* Drives the stack, under the lock, until it is ready (1), the deadline has passed (0) or a signal's handler
 * ran (-EINTR). The lock is given up in between. Without a stack (engine_start()) it waits for what can come.
 */
int engine_wait(const struct engine_wait *wait);

/* One turn of the stack, for a program that asks again and again instead of waiting. True if anything came or
 * left. */
bool engine_turn(void);

/* Whether it is time to look at the kernel's descriptors again, *last being when they were looked at. */
bool engine_kernel_due(uint64_t *last);

/* What is to be done, under the lock, in a child of fork() whose parent has a stack; and when the process
 * ends, before what is queued leaves. One function each; the same one may be named again. */
void engine_at_fork(void (*hook)(void));
void engine_at_exit(void (*hook)(void));

/* For a neighbour, network byte order, that does not answer. Under the lock. */
void engine_on_silent_neighbour(void (*hook)(uint32_t neighbour));

/* The process ends: what is queued gets time to leave, counters are written, EAL's traces removed. */
void engine_exit(void);

#endif
