/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waits that never sleep, for a program that is not ours: the C library's own call with timeout 0, again and
 * again, until something is ready, the caller's time has passed, or a signal was handled (EINTR). A wait for
 * no descriptor is a sleep, and stays one. Must not know what the program waits for.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
/* The C library's function of that name. Threads that race here write the same. */
#define REAL(name)                                                                                           \
    static __typeof__(&(name)) real;                                                                         \
    if (real == NULL) {                                                                                      \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                           \
    }
/* Turns of `call`, which is made with timeout 0. */
#define SPIN(call, until, with_mask)                                                                         \
    struct spin spin = {.deadline = (until), .mask = (with_mask)};                                           \
    int ready;                                                                                               \
    do {                                                                                                     \
        ready = (call);                                                                                      \
    } while (ready == 0 && goes_on(&spin));                                                                  \
    return ended(&spin, ready)

#define SET_SIZE(count) (((size_t)(count) + NFDBITS - 1) / NFDBITS * sizeof(fd_mask))

enum { TURNS_PER_LOOK = 16, MOST_FDS = 1 << 20 };

static const int64_t NS_PER_SECOND = 1000000000, NS_PER_MS = 1000000;
static const struct timespec AT_ONCE;

/* While it lasts the thread's signals are blocked, so that none is handled unseen between two turns. */
struct spin {
    int64_t deadline;     /* ns of CLOCK_MONOTONIC; INT64_MAX = never, 0 = has passed */
    const sigset_t *mask; /* the caller's for the wait, or NULL */
    sigset_t before;
    unsigned turns;
    bool interrupted;
};

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

static int64_t after(int64_t ns) {
    return ns <= 0 ? 0 : now() + ns;
}

static int64_t after_time(const struct timespec *time) {
    if (time == NULL || time->tv_sec > INT64_MAX / NS_PER_SECOND / 2) {
        return INT64_MAX;
    }
    return after(time->tv_sec * NS_PER_SECOND + time->tv_nsec);
}

/* What the kernel would not refuse. */
static bool valid(const struct timespec *time) {
    return time == NULL || (time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < NS_PER_SECOND);
}

/* Lets signals in that wait and that the caller does not block. True: one of them has a handler. */
static bool handle_signals(const sigset_t *blocked) {
    sigset_t waiting, here;
    bool handled = false;
    sigpending(&waiting);
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;
        if (sigismember(&waiting, signal) == 1 && sigismember(blocked, signal) == 0) {
            sigaction(signal, NULL, &action);
            handled |= action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
            pthread_sigmask(SIG_SETMASK, blocked, &here);
            pthread_sigmask(SIG_SETMASK, &here, NULL);
        }
    }
    return handled;
}

/* After a turn that found nothing. */
static bool goes_on(struct spin *spin) {
    if (spin->deadline == 0) {
        return false;
    }
    if (spin->turns == 0) {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &spin->before);
    }
    if (spin->turns++ % TURNS_PER_LOOK == 0) {
        spin->interrupted = handle_signals(spin->mask != NULL ? spin->mask : &spin->before);
    }
    return !spin->interrupted && now() < spin->deadline;
}

static int ended(const struct spin *spin, int ready) {
    int error = errno;
    if (spin->turns > 0) {
        pthread_sigmask(SIG_SETMASK, &spin->before, NULL);
    }
    errno = spin->interrupted ? EINTR : error;
    return spin->interrupted ? -1 : ready;
}

EXPORT int epoll_pwait(int set, struct epoll_event *events, int room, int timeout, const sigset_t *mask) {
    REAL(epoll_pwait)
    SPIN(real(set, events, room, 0, mask), timeout < 0 ? INT64_MAX : after(timeout * NS_PER_MS), mask);
}

EXPORT int epoll_wait(int set, struct epoll_event *events, int room, int timeout) {
    return epoll_pwait(set, events, room, timeout, NULL);
}

EXPORT int epoll_pwait2(int set, struct epoll_event *events, int room, const struct timespec *timeout,
                        const sigset_t *mask) {
    REAL(epoll_pwait2)
    SPIN(real(set, events, room, valid(timeout) ? &AT_ONCE : timeout, mask), after_time(timeout), mask);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
    REAL(ppoll)
    if (count == 0 || !valid(timeout)) {
        return real(fds, count, timeout, mask);
    }
    SPIN(real(fds, count, &AT_ONCE, mask), after_time(timeout), mask);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout) {
    struct timespec time = {timeout / 1000, timeout % 1000 * NS_PER_MS};
    return ppoll(fds, count, timeout < 0 ? NULL : &time, NULL);
}

/* What a program calls that was built with -D_FORTIFY_SOURCE; `size`: of the array. */
void __chk_fail(void) __attribute__((noreturn));
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t size);

EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size) {
    return size / sizeof(*fds) < count ? __chk_fail(), -1 : poll(fds, count, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                       size_t size) {
    return size / sizeof(*fds) < count ? __chk_fail(), -1 : ppoll(fds, count, timeout, mask);
}

/* Of `count` descriptors, as a turn that finds nothing empties the sets. A program may have larger ones than
 * fd_set. */
static bool copy(int count, void *const to[3], void *const from[3]) {
    for (int i = 0; i < 3; i++) {
        if (to[i] != NULL && from[i] != NULL) {
            memcpy(to[i], from[i], SET_SIZE(count));
        }
    }
    return true;
}

EXPORT int pselect(int count, fd_set *reads, fd_set *writes, fd_set *errors, const struct timespec *timeout,
                   const sigset_t *mask) {
    REAL(pselect)
    void *const sets[3] = {reads, writes, errors};
    if (count <= 0 || count > MOST_FDS || !valid(timeout) || (!reads && !writes && !errors)) {
        return real(count, reads, writes, errors, timeout, mask);
    }
    unsigned char kept[3][SET_SIZE(count)];
    void *const asked[3] = {kept[0], kept[1], kept[2]};
    copy(count, asked, sets);
    SPIN((copy(count, sets, asked), real(count, reads, writes, errors, &AT_ONCE, mask)), after_time(timeout),
         mask);
}

/* Linux leaves in *timeout what is left of it. */
EXPORT int select(int count, fd_set *reads, fd_set *writes, fd_set *errors, struct timeval *timeout) {
    if (timeout == NULL || timeout->tv_sec < 0 || timeout->tv_usec < 0) {
        struct timespec refused = {-1, 0};
        return pselect(count, reads, writes, errors, timeout == NULL ? NULL : &refused, NULL);
    }
    struct timespec time = {timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000};
    int64_t until = after_time(&time);
    int ready = pselect(count, reads, writes, errors, &time, NULL);
    int error = errno;
    int64_t left = until > now() ? until - now() : 0;
    if (until != INT64_MAX) {
        *timeout = (struct timeval){left / NS_PER_SECOND, left % NS_PER_SECOND / 1000};
    }
    errno = error;
    return ready;
}
