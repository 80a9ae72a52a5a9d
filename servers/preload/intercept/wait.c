/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting: epoll, poll, select. */
#include "intercept.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "preload/engine/eal_start.h"
#include "preload/engine/own_descriptors.h"
#include "preload/engine/signals.h"
#include "preload/events/epoll_set.h"
#include "preload/events/poll.h"

static int64_t nanoseconds(const struct timespec *time) {
    return time == NULL || time->tv_sec >= ENGINE_FOREVER_SECONDS
               ? -1
               : (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static int64_t from_ms(int ms) {
    return ms < 0 ? -1 : (int64_t)ms * 1000000;
}

static bool invalid(const struct timespec *time) {
    return time != NULL && (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= 1000000000);
}

EXPORT int epoll_create1(int flags) {
    int fd = libc()->epoll_create1(flags);

    if (fd >= eal_lowest_descriptor() && !engine_inside()) {
        engine_lock();
        own_descriptor_is_programs(fd);
        engine_unlock();
    }
    if (fd >= 0 && !engine_inside() && !epoll_set_create(fd)) {
        libc()->close(fd);
        fd = (int)intercept_result(-ENOMEM);
    }
    return fd;
}

EXPORT int epoll_create(int size) {
    return size <= 0 ? (int)intercept_result(-EINVAL) : epoll_create1(0);
}

EXPORT int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event) {
    struct epoll_set *set = engine_inside() ? NULL : epoll_set_get(epfd);
    struct socket *socket = intercept_enter_state(fd, SOCKET_UNDECIDED);

    if (socket != NULL && set != NULL && epfd != fd) {
        return (int)intercept_leave(socket, epoll_set_control(set, epfd, operation, fd, socket, event));
    }
    if (socket != NULL) {
        intercept_leave(socket, 0);
    }
    return set == NULL ? libc()->epoll_ctl(epfd, operation, fd, event)
                       : epoll_set_control_kernel(set, epfd, operation, fd, event);
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int limit, int timeout_ms,
                       const sigset_t *mask) {
    struct epoll_set *set = engine_inside() ? NULL : epoll_set_get(epfd);

    if (set == NULL) {
        return libc()->epoll_pwait(epfd, events, limit, timeout_ms, mask);
    }
    return (int)intercept_result(epoll_set_wait(set, epfd, events, limit, from_ms(timeout_ms), mask));
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int limit, int timeout_ms) {
    return epoll_pwait(epfd, events, limit, timeout_ms, NULL);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int limit, const struct timespec *timeout,
                        const sigset_t *mask) {
    struct epoll_set *set = engine_inside() ? NULL : epoll_set_get(epfd);

    if (set == NULL) {
        return libc()->epoll_pwait2(epfd, events, limit, timeout, mask);
    }
    if (invalid(timeout)) {
        return (int)intercept_result(-EINVAL);
    }
    return (int)intercept_result(epoll_set_wait(set, epfd, events, limit, nanoseconds(timeout), mask));
}

EXPORT int ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask) {
    sigset_t old;
    int code;

    /* The kernel refuses more than a process may have open. */
    if (engine_inside() || count > DESCRIPTOR_LIMIT ||
        (count > 1024 && count > (nfds_t)sysconf(_SC_OPEN_MAX)) || descriptors == NULL ||
        !poll_concerns(descriptors, count)) {
        return libc()->ppoll(descriptors, count, timeout, mask);
    }
    if (invalid(timeout)) {
        return (int)intercept_result(-EINVAL);
    }
    signals_begin_mask(mask, &old);
    code = poll_wait(descriptors, count, nanoseconds(timeout));
    signals_end_mask(mask, &old);
    return (int)intercept_result(code);
}

EXPORT int poll(struct pollfd *descriptors, nfds_t count, int timeout_ms) {
    struct timespec time = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};

    return ppoll(descriptors, count, timeout_ms < 0 ? NULL : &time, NULL);
}

EXPORT int pselect(int limit, fd_set *in, fd_set *out, fd_set *exceptional, const struct timespec *timeout,
                   const sigset_t *mask) {
    sigset_t old;
    int code;

    if (engine_inside() || !select_concerns(limit, in, out, exceptional)) {
        return libc()->pselect(limit, in, out, exceptional, timeout, mask);
    }
    if (invalid(timeout)) {
        return (int)intercept_result(-EINVAL);
    }
    signals_begin_mask(mask, &old);
    code = select_wait(limit, in, out, exceptional, nanoseconds(timeout));
    signals_end_mask(mask, &old);
    return (int)intercept_result(code);
}

/* Linux leaves in *timeout what is left of it. */
EXPORT int select(int limit, fd_set *in, fd_set *out, fd_set *exceptional, struct timeval *timeout) {
    struct timespec time, before, after;
    int code;

    if (timeout == NULL) {
        return pselect(limit, in, out, exceptional, NULL, NULL);
    }
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
        return (int)intercept_result(-EINVAL);
    }
    time = (struct timespec){.tv_nsec = timeout->tv_usec % 1000000 * 1000};
    if (__builtin_add_overflow(timeout->tv_sec, timeout->tv_usec / 1000000, &time.tv_sec)) {
        time.tv_sec = LONG_MAX;
    }
    clock_gettime(CLOCK_MONOTONIC, &before);
    code = pselect(limit, in, out, exceptional, &time, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (code >= 0 || errno == EINTR) {
        int64_t spent = nanoseconds(&after) - nanoseconds(&before);
        int64_t left_ns = time.tv_nsec - spent % 1000000000;

        time.tv_sec -= spent / 1000000000 + (left_ns < 0);
        left_ns += left_ns < 0 ? 1000000000 : 0;
        *timeout = time.tv_sec < 0 ? (struct timeval){0} : (struct timeval){time.tv_sec, left_ns / 1000};
    }
    return code;
}
