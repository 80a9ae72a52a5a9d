/* SPDX-License-Identifier: BSD-3-Clause */
/* poll(2) over descriptors of both kinds. */
#ifndef STACKDUEL_POLL_H
#define STACKDUEL_POLL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/select.h>

/* Whether any of them is lwIP's. May be called without the lock. */
bool poll_concerns(const struct pollfd *descriptors, nfds_t count);

/* ppoll(2) without its mask, with nanoseconds (negative: for ever). Takes the lock. A count or a negative
 * errno. */
int poll_wait(struct pollfd *descriptors, nfds_t count, int64_t timeout_ns);

/* pselect(2) likewise, by way of poll. */
bool select_concerns(int limit, const fd_set *in, const fd_set *out, const fd_set *exceptional);
int select_wait(int limit, fd_set *in, fd_set *out, fd_set *exceptional, int64_t timeout_ns);

#endif
