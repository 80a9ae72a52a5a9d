/* SPDX-License-Identifier: BSD-3-Clause */
#include "epoll_set.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "preload/engine/engine.h"
#include "preload/engine/libc.h"
#include "preload/engine/signals.h"

#define SPARE_WATCHES 1024
#define FLAGS (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

/* A socket in a set, under one descriptor number: epoll(7) Q1. */
struct watch {
    LIST_ENTRY(watch) of_socket;
    TAILQ_ENTRY(watch) of_set;
    struct socket *socket;
    struct epoll_set *set;
    int fd;
    uint32_t events; /* with EPOLLERR and EPOLLHUP; 0: a spent EPOLLONESHOT */
    uint32_t flags;
    epoll_data_t data;
    bool queued;
    bool kernels; /* the socket is undecided, so the kernel watches its placeholder */
};

struct epoll_set {
    struct description description;       /* first */
    int fd;                               /* one that is open: the last that was named */
    TAILQ_HEAD(watch_queue, watch) ready; /* something happened to them */
    TAILQ_HEAD(, watch) quiet;
    atomic_uint members;        /* sockets of ours */
    atomic_uint kernel_members; /* perhaps more than there are: a closed descriptor leaves without a word */
    atomic_uint kernel_waiters; /* threads that sleep in the kernel, as the set had no socket of ours */
    bool has_wake;
    bool kernel_turn;
    struct epoll_set *next_spare;
    uint64_t kernel_checked; /* when, by the time stamp counter */
};

/* Removed watches, for the next ones: some programs remove and add one with every request. */
static LIST_HEAD(, watch) spare_watches = LIST_HEAD_INITIALIZER(spare_watches);
static unsigned spare_count;

static int wake_fd = -1; /* always readable */
static char wake_tag;    /* what it is known by among events */

struct epoll_set *epoll_set_get(int fd) {
    struct description *description = descriptor_get(fd);

    return description != NULL && description->kind == DESCRIPTION_EPOLL ? (struct epoll_set *)description
                                                                         : NULL;
}

/* --- members --------------------------------------------------------------------------------------- */

static void queue(struct watch *watch) {
    if (!watch->queued) {
        TAILQ_REMOVE(&watch->set->quiet, watch, of_set);
        TAILQ_INSERT_TAIL(&watch->set->ready, watch, of_set);
        watch->queued = true;
    }
}

static void quieten(struct watch *watch) {
    TAILQ_REMOVE(&watch->set->ready, watch, of_set);
    TAILQ_INSERT_TAIL(&watch->set->quiet, watch, of_set);
    watch->queued = false;
}

static void queue_if_ready(struct watch *watch) {
    if (socket_ready(watch->socket) & watch->events) {
        queue(watch);
    }
}

static void remove_watch(struct watch *watch) {
    LIST_REMOVE(watch, of_socket);
    if (watch->queued) {
        TAILQ_REMOVE(&watch->set->ready, watch, of_set);
    } else {
        TAILQ_REMOVE(&watch->set->quiet, watch, of_set);
    }
    if (!watch->kernels) {
        watch->set->members--;
    }
    if (spare_count < SPARE_WATCHES) {
        LIST_INSERT_HEAD(&spare_watches, watch, of_socket);
        spare_count++;
    } else {
        free(watch);
    }
}

static struct watch *new_watch(void) {
    struct watch *watch = LIST_FIRST(&spare_watches);

    if (watch == NULL) {
        return calloc(1, sizeof(*watch));
    }
    LIST_REMOVE(watch, of_socket);
    spare_count--;
    memset(watch, 0, sizeof(*watch));
    return watch;
}

void epoll_set_signal(struct socket *socket, uint32_t events) {
    struct watch *watch;

    LIST_FOREACH(watch, &socket->watches, of_socket) {
        if (watch->events & events) {
            queue(watch);
        }
    }
}

void epoll_set_forget(struct socket *socket) {
    while (!LIST_EMPTY(&socket->watches)) {
        remove_watch(LIST_FIRST(&socket->watches));
    }
}

/* A thread may sleep in the kernel for this set, from before it had a socket of ours. */
static void wake_sleepers(struct epoll_set *set) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data = {.ptr = &wake_tag}};

    if (wake_fd < 0) {
        wake_fd = eventfd(1, EFD_CLOEXEC);
    }
    if (libc()->epoll_ctl(set->fd, set->has_wake ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, wake_fd, &event) != 0 &&
        (errno == EBADF || errno == ENOENT)) {
        /* The program has closed all that it did not know. */
        wake_fd = eventfd(1, EFD_CLOEXEC);
        (void)libc()->epoll_ctl(set->fd, EPOLL_CTL_ADD, wake_fd, &event);
    }
    set->has_wake = true;
}

static void count_member(struct epoll_set *set) {
    if (set->members++ == 0 && set->kernel_waiters > 0) {
        wake_sleepers(set);
    }
}

void epoll_set_decided(struct socket *socket) {
    struct watch *watch, *next;

    for (watch = LIST_FIRST(&socket->watches); watch != NULL; watch = next) {
        next = LIST_NEXT(watch, of_socket);
        if (socket->state == SOCKET_KERNELS) {
            remove_watch(watch);
            continue;
        }
        (void)libc()->epoll_ctl(watch->set->fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->kernels = false;
        watch->set->kernel_members--;
        count_member(watch->set);
        queue_if_ready(watch);
    }
}

/* --- sets ------------------------------------------------------------------------------------------ */

static void set_closed(struct description *description) {
    struct epoll_set *set = (struct epoll_set *)description;

    while (!TAILQ_EMPTY(&set->ready)) {
        remove_watch(TAILQ_FIRST(&set->ready));
    }
    while (!TAILQ_EMPTY(&set->quiet)) {
        remove_watch(TAILQ_FIRST(&set->quiet));
    }
}

/* Closed sets, for the next ones. They are never freed, as a thread may wait in one that another thread
 * closes. */
static struct epoll_set *spare_sets;

static void set_release(struct description *description) {
    struct epoll_set *set = (struct epoll_set *)description;

    set->next_spare = spare_sets;
    spare_sets = set;
}

bool epoll_set_create(int fd) {
    struct epoll_set *set = NULL;

    if (spare_sets != NULL) {
        engine_lock();
        if ((set = spare_sets) != NULL) {
            spare_sets = set->next_spare;
        }
        engine_unlock();
    }
    if (set == NULL && (set = malloc(sizeof(*set))) == NULL) {
        return false;
    }
    memset(set, 0, sizeof(*set));
    set->description =
        (struct description){.kind = DESCRIPTION_EPOLL, .closed = set_closed, .release = set_release};
    set->fd = fd;
    TAILQ_INIT(&set->ready);
    TAILQ_INIT(&set->quiet);
    if (!descriptor_put(fd, &set->description)) {
        free(set);
        return false;
    }
    return true;
}

static struct watch *find(const struct epoll_set *set, const struct socket *socket, int fd) {
    struct watch *watch;

    LIST_FOREACH(watch, &socket->watches, of_socket) {
        if (watch->set == set && watch->fd == fd) {
            return watch;
        }
    }
    return NULL;
}

static void set_interest(struct watch *watch, const struct epoll_event *event) {
    watch->events = (event->events & ~FLAGS) | EPOLLERR | EPOLLHUP;
    watch->flags = event->events & FLAGS;
    watch->data = event->data;
    if (!watch->kernels) {
        queue_if_ready(watch);
    }
}

static int add(struct epoll_set *set, int fd, struct socket *socket, const struct epoll_event *event) {
    struct watch *watch = new_watch();

    if (watch == NULL) {
        return -ENOMEM;
    }
    watch->socket = socket;
    watch->set = set;
    watch->fd = fd;
    watch->kernels = socket->state == SOCKET_UNDECIDED;
    LIST_INSERT_HEAD(&socket->watches, watch, of_socket);
    TAILQ_INSERT_TAIL(&set->quiet, watch, of_set);
    if (!watch->kernels) {
        count_member(set);
    }
    set_interest(watch, event);
    return 0;
}

/* EPOLLEXCLUSIVE: epoll_ctl(2), EINVAL. */
static bool is_wrong(int operation, const struct watch *watch, const struct epoll_event *event) {
    const uint32_t allowed =
        EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

    if (operation == EPOLL_CTL_MOD) {
        return (event->events & EPOLLEXCLUSIVE) || (watch != NULL && (watch->flags & EPOLLEXCLUSIVE));
    }
    return operation == EPOLL_CTL_ADD && (event->events & EPOLLEXCLUSIVE) && (event->events & ~allowed);
}

int epoll_set_control(struct epoll_set *set, int epfd, int operation, int fd, struct socket *socket,
                      struct epoll_event *event) {
    struct watch *watch = find(set, socket, fd);

    if (epoll_set_get(epfd) != set) {
        return -EBADF;
    }
    set->fd = epfd;
    if (operation != EPOLL_CTL_DEL && event == NULL) {
        return -EFAULT;
    }
    if (is_wrong(operation, watch, event)) {
        return -EINVAL;
    }
    if (socket->state == SOCKET_UNDECIDED && epoll_set_control_kernel(set, epfd, operation, fd, event) != 0) {
        return -errno;
    }
    switch (operation) {
    case EPOLL_CTL_ADD:
        return watch != NULL ? -EEXIST : add(set, fd, socket, event);
    case EPOLL_CTL_MOD:
        if (watch == NULL) {
            return -ENOENT;
        }
        set_interest(watch, event);
        return 0;
    case EPOLL_CTL_DEL:
        if (watch == NULL) {
            return -ENOENT;
        }
        remove_watch(watch);
        return 0;
    default:
        return -EINVAL;
    }
}

int epoll_set_control_kernel(struct epoll_set *set, int epfd, int operation, int fd,
                             struct epoll_event *event) {
    int code = libc()->epoll_ctl(epfd, operation, fd, event);

    if (code == 0 && operation == EPOLL_CTL_ADD) {
        set->kernel_members++;
    } else if (code == 0 && operation == EPOLL_CTL_DEL && set->kernel_members > 0) {
        set->kernel_members--;
    }
    return code;
}

/* --- waiting ---------------------------------------------------------------------------------------- */

/* Takes what is ready of ours; level-triggered ones stay in the queue, at its end. */
static int harvest(struct epoll_set *set, struct epoll_event *events, int limit) {
    struct watch_queue again = TAILQ_HEAD_INITIALIZER(again);
    int count = 0;

    while (count < limit && !TAILQ_EMPTY(&set->ready)) {
        struct watch *watch = TAILQ_FIRST(&set->ready);
        uint32_t ready = socket_ready(watch->socket) & watch->events;

        if (ready == 0) {
            quieten(watch);
            continue;
        }
        events[count].events = ready;
        events[count++].data = watch->data;
        if (watch->flags & EPOLLONESHOT) {
            watch->events = 0;
            quieten(watch);
        } else if (watch->flags & EPOLLET) {
            quieten(watch);
        } else {
            TAILQ_REMOVE(&set->ready, watch, of_set);
            TAILQ_INSERT_TAIL(&again, watch, of_set);
        }
    }
    TAILQ_CONCAT(&set->ready, &again, of_set);
    return count;
}

/* Events of the kernel's members, without our own wake-up among them; -1 with errno. */
static int wait_in_kernel(struct epoll_set *set, struct epoll_event *events, int limit, int timeout_ms,
                          const sigset_t *mask) {
    int count = libc()->epoll_pwait(set->fd, events, limit, timeout_ms, mask);
    int kept = 0;

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != &wake_tag) {
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
        wake_sleepers(set); /* the next one: each wake-up wakes one */
        engine_unlock();
        errno = saved;
    }
    return count < 0 ? -errno : count == 0 && set->members > 0 ? -EAGAIN : count;
}

static int wait_for_ours(struct epoll_set *set, struct epoll_event *events, int limit, int64_t timeout_ns) {
    struct waiting waiting = {.set = set, .events = events, .limit = limit, .always = timeout_ns == 0};
    struct pollfd kernel = {.fd = set->fd, .events = POLLIN};
    struct engine_wait wait = {.ready = has_events,
                               .argument = &waiting,
                               .deadline = engine_deadline(timeout_ns),
                               .kernel = &kernel,
                               .kernel_count = set->kernel_members > 0};
    int code = engine_wait(&wait);

    if (code <= 0) {
        return code;
    }
    engine_batch((unsigned)waiting.ours);
    return waiting.count;
}

int epoll_set_wait(struct epoll_set *set, int epfd, struct epoll_event *events, int limit, int64_t timeout_ns,
                   const sigset_t *mask) {
    sigset_t old;
    int count;

    set->fd = epfd;
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
    } else if ((count = engine_start()) == 0) {
        description_hold(&set->description);
        count = wait_for_ours(set, events, limit, timeout_ns);
        description_unhold(&set->description);
    }
    engine_unlock();
    signals_end_mask(mask, &old);
    return count;
}
