/* SPDX-License-Identifier: BSD-3-Clause */
/* The wait for a set's events. */
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "epoll_member.h"
#include "epoll_set.h"
#include "preload/engine/engine.h"
#include "preload/engine/libc.h"
#include "preload/engine/signals.h"

/* Takes what is ready of ours; level-triggered ones stay in the queue, at its end. */
static int harvest(struct epoll_set *set, struct epoll_event *events, int limit) {
    struct member_queue again = TAILQ_HEAD_INITIALIZER(again);
    int count = 0;

    while (count < limit && !TAILQ_EMPTY(&set->ready)) {
        struct member *member = TAILQ_FIRST(&set->ready);
        uint32_t ready = socket_ready(member->socket) & member->watch.events;

        if (ready == 0) {
            epoll_quieten(member);
            continue;
        }
        events[count].events = ready;
        events[count++].data = member->data;
        if (member->flags & EPOLLONESHOT) {
            member->watch.events = 0;
            epoll_quieten(member);
        } else if (member->flags & EPOLLET) {
            epoll_quieten(member);
        } else {
            TAILQ_REMOVE(&set->ready, member, of_set);
            TAILQ_INSERT_TAIL(&again, member, of_set);
        }
    }
    TAILQ_CONCAT(&set->ready, &again, of_set);
    return count;
}

/* Events of the kernel's members, without our own wake-up among them; -1 with errno. */
static int wait_in_kernel(struct epoll_set *set, struct epoll_event *events, int limit, int timeout_ms,
                          const sigset_t *mask) {
    int count = libc()->epoll_pwait(set->description.number, events, limit, timeout_ms, mask);
    int kept = 0;

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != &epoll_wake_tag) {
            events[kept++] = events[i];
        }
    }
    return count < 0 ? count : kept;
}

struct waiting {
    struct epoll_set *set;
    struct epoll_event *events;
    int limit;
    int count;
    int ours;    /* of count */
    bool always; /* looks at the kernel's members in every turn */
};

static void look_at_kernel(struct waiting *waiting, bool now) {
    struct epoll_set *set = waiting->set;

    if (set->kernel_members > 0 && waiting->count < waiting->limit &&
        (engine_kernel_due(&set->kernel_checked) || now)) {
        int count =
            wait_in_kernel(set, waiting->events + waiting->count, waiting->limit - waiting->count, 0, NULL);

        waiting->count += count > 0 ? count : 0;
    }
}

/* Ours come first, as they cost nothing; but where they left no room for the kernel's, those have the next
 * turn. */
static bool has_events(void *argument) {
    struct waiting *waiting = argument;
    struct epoll_set *set = waiting->set;
    bool kernel_first = set->kernel_turn;

    waiting->count = 0;
    if (set->description.descriptors == 0) {
        return true; /* closed by another thread */
    }
    if (kernel_first) {
        look_at_kernel(waiting, true);
    }
    waiting->ours = harvest(set, waiting->events + waiting->count, waiting->limit - waiting->count);
    waiting->count += waiting->ours;
    if (!kernel_first) {
        look_at_kernel(waiting, waiting->always);
    }
    set->kernel_turn = !kernel_first && waiting->count == waiting->limit;
    return waiting->count > 0;
}

static int64_t remaining_ms(uint64_t deadline_ns) {
    struct timespec now;
    int64_t left;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left = (int64_t)deadline_ns - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    return left <= 0 ? 0 : (left + 999999) / 1000000;
}

/* The set has no socket of ours now: sleeps in the kernel until it has events or gets one. -EAGAIN: it got
 * one. */
static int sleep_in_kernel(struct epoll_set *set, struct epoll_event *events, int limit, int64_t timeout_ns,
                           const sigset_t *mask) {
    struct timespec now;
    uint64_t deadline_ns;
    int count = 0;

    clock_gettime(CLOCK_MONOTONIC, &now);
    deadline_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + (uint64_t)timeout_ns;
    set->kernel_waiters++;
    while (set->members == 0) {
        int64_t left_ms = timeout_ns < 0 ? -1 : remaining_ms(deadline_ns);

        count = wait_in_kernel(set, events, limit, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms, mask);
        if (count != 0 || left_ms == 0) {
            break;
        }
    }
    set->kernel_waiters--;
    if (set->members > 0 && set->kernel_waiters > 0) {
        int saved = errno;

        engine_lock();
        epoll_wake_sleepers(set); /* the next one: each wake-up wakes one */
        engine_unlock();
        errno = saved;
    }
    return count < 0 ? -errno : count == 0 && set->members > 0 ? -EAGAIN : count;
}

static int wait_for_ours(struct epoll_set *set, struct epoll_event *events, int limit, int64_t timeout_ns) {
    struct waiting waiting = {.set = set, .events = events, .limit = limit, .always = timeout_ns == 0};
    struct pollfd kernel = {.fd = set->description.number, .events = POLLIN};
    struct engine_wait wait = {.ready = has_events,
                               .argument = &waiting,
                               .deadline = engine_deadline(timeout_ns),
                               .kernel = &kernel,
                               .kernel_count = set->kernel_members > 0};
    int code = engine_wait(&wait);

    if (code <= 0) {
        return code;
    }
    if (set->description.descriptors == 0) {
        return -EBADF;
    }
    engine_batch((unsigned)waiting.ours);
    return waiting.count;
}

int epoll_set_wait(struct epoll_set *set, int epfd, struct epoll_event *events, int limit, int64_t timeout_ns,
                   const sigset_t *mask) {
    sigset_t old;
    int count;

    if (set->members == 0) {
        count = sleep_in_kernel(set, events, limit, timeout_ns, mask);
        if (count != -EAGAIN) {
            return count;
        }
    }
    if (limit <= 0) {
        return -EINVAL;
    }
    if (events == NULL) {
        return -EFAULT;
    }
    signals_begin_mask(mask, &old);
    engine_lock();
    if (epoll_set_get(epfd) != set) {
        count = -EBADF; /* closed by another thread */
    } else {
        (void)engine_start(); /* the clock of a deadline */
        description_hold(&set->description);
        count = wait_for_ours(set, events, limit, timeout_ns);
        description_unhold(&set->description);
    }
    engine_unlock();
    signals_end_mask(mask, &old);
    return count;
}
