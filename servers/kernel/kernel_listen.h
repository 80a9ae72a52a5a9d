/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sockets of the kernel's servers, and how many connections there may be: what epoll_server and
 * uring_server have in common below their loops. Must not know how one waits for a socket.
 */
#ifndef STACKDUEL_KERNEL_LISTEN_H
#define STACKDUEL_KERNEL_LISTEN_H

#include "kernel_options.h"
#include "kernel_steer.h"

#include <stdbool.h>
#include <stdint.h>

/* Ends the program with exit code 1 and one line: `what`, the address in `options`, and errno's text. */
void kernel_die(const char *what, const struct kernel_options *options) __attribute__((noreturn));

/* Raises the limit on descriptors to that of --max-connections; where the machine gives fewer, says so on
 * stderr. From then on fd_slots_take() gives as many places. */
void fd_slots_init(const struct kernel_options *options);

/* Returns the places that there are, for all threads together. */
uint64_t fd_slots(void);

/* Counts one connection more, or less, of any thread. False: there is no place. */
bool fd_slots_take(void);
void fd_slots_give(void);

/* Listens once for each thread: listeners[i], non-blocking, is thread i's. Ends the program with one line
 * when it cannot: exit code 1, and 3 where the kernel has no steering or forbids busy polling. */
void kernel_listen(const struct kernel_options *options, const struct kernel_cpus *cpus,
                   int listeners[KERNEL_THREADS_MAX]);

/* Tells whether the packets of a connection come by a queue that can be asked for more (SO_INCOMING_NAPI_ID,
 * socket(7)). */
bool kernel_has_napi_id(int fd);

/* Has an epoll ask the device's queue as --busy-poll says. False: it does not, or only as net.core.busy_poll
 * says, which stderr is told (before Linux 6.9). Ends the program with one line when the kernel forbids it.
 */
bool kernel_epoll_busy_polls(int epoll_fd, const struct kernel_options *options);

/* Counts the TCP segments sent again so far. */
uint64_t kernel_retransmits(int fd);

/* Closes a connection that there is no place for, with a reset. */
void kernel_refuse(int fd);

/* Tells whether a client keeps within `limits` (http_keeps_up()); the kernel is asked what it has
 * acknowledged only when it has taken long. False: close() is all that is to be done, and will reset who
 * takes nothing. acknowledged: bytes when that was asked last, 0 at first */
bool kernel_keeps_up(struct http_connection *connection, int fd, uint64_t *acknowledged,
                     const struct http_limits *limits, const struct http_clock *clock);

/* Reads the milliseconds of a clock that only goes forward. */
int64_t kernel_now_ms(void);

#endif
