/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests whose time has come and that no connection was free for: first come, first served. They are a
 * stretch of the schedule, between the next to be sent and the next to be due, so however many wait they take
 * no memory and none is dropped. Must not know clocks or connections: times are those of the schedule. */
#ifndef STACKDUEL_BACKLOG_H
#define STACKDUEL_BACKLOG_H

#include "schedule.h"

struct backlog {
    struct schedule first; /* the next to be sent */
    struct schedule next;  /* the next to be due */
    uint64_t begin, end;   /* of the measured interval, ns */
    uint64_t waiting;      /* due and not sent */
    uint64_t longest;      /* the most that waited at a time, of those due in the interval or later */
    uint64_t due_inside;   /* whose time lies in the interval, so far */
    uint64_t sent_inside;  /* of them */
};

/* Begins a backlog, with `schedule` at its first request; the interval is [begin, end). */
void backlog_init(struct backlog *backlog, const struct schedule *schedule, uint64_t begin, uint64_t end);

/* Has what is due at `now` wait; returns how many do. `now` never goes back. */
uint64_t backlog_update(struct backlog *backlog, uint64_t now);

/* Returns when the first of those that wait was meant to leave; without one, when the next will be due. */
static inline uint64_t backlog_time(const struct backlog *backlog) {
    return backlog->first.time_ns;
}

/* Takes the first of those that wait, which is being sent; there must be one. Returns when it was meant to
 * leave. */
uint64_t backlog_take(struct backlog *backlog);

/* Counts those of the interval that were due and never sent. */
static inline uint64_t backlog_unsent(const struct backlog *backlog) {
    return backlog->due_inside - backlog->sent_inside;
}

#endif
