/* SPDX-License-Identifier: BSD-3-Clause */
#include "backlog.h"

void backlog_init(struct backlog *backlog, const struct schedule *schedule, uint64_t begin, uint64_t end) {
    *backlog = (struct backlog){.first = *schedule, .next = *schedule, .begin = begin, .end = end};
}

static bool inside(const struct backlog *backlog, uint64_t time) {
    return time >= backlog->begin && time < backlog->end;
}

uint64_t backlog_update(struct backlog *backlog, uint64_t now) {
    while (backlog->next.time_ns <= now) {
        backlog->due_inside += inside(backlog, backlog->next.time_ns);
        backlog->waiting++;
        schedule_advance(&backlog->next);
    }
    if (now >= backlog->begin && backlog->waiting > backlog->longest) {
        backlog->longest = backlog->waiting;
    }
    return backlog->waiting;
}

uint64_t backlog_take(struct backlog *backlog) {
    uint64_t time = backlog->first.time_ns;

    backlog->sent_inside += inside(backlog, time);
    backlog->waiting--;
    schedule_advance(&backlog->first);
    return time;
}
