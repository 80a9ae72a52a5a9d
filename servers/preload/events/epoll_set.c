/* SPDX-License-Identifier: BSD-3-Clause */
#include "epoll_set.h"
#include "epoll_member.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "preload/engine/engine.h"
#include "preload/engine/libc.h"
#include "preload/engine/signals.h"

#define SPARE_MEMBERS 1024
#define FLAGS (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

/* Removed members, for the next ones: some programs remove and add one with every request. */
static struct watches spare_members = LIST_HEAD_INITIALIZER(spare_members);
static unsigned spare_count;

static int wake_fd = -1; /* always readable */
char epoll_wake_tag;

struct epoll_set *epoll_set_get(int fd) {
    struct description *description = descriptor_get(fd);

    return description != NULL && description->kind == DESCRIPTION_EPOLL ? (struct epoll_set *)description
                                                                         : NULL;
}

/* --- members --------------------------------------------------------------------------------------- */

static struct member *member_of(struct watch *watch) {
    return (struct member *)watch;
}

static void queue(struct member *member) {
    if (!member->queued) {
        TAILQ_REMOVE(&member->set->quiet, member, of_set);
        TAILQ_INSERT_TAIL(&member->set->ready, member, of_set);
        member->queued = true;
    }
}

void epoll_quieten(struct member *member) {
    TAILQ_REMOVE(&member->set->ready, member, of_set);
    TAILQ_INSERT_TAIL(&member->set->quiet, member, of_set);
    member->queued = false;
}

static void queue_if_ready(struct member *member) {
    if (socket_ready(member->socket) & member->watch.events) {
        queue(member);
    }
}

static void remove_member(struct member *member) {
    LIST_REMOVE(&member->watch, of_socket);
    if (member->queued) {
        TAILQ_REMOVE(&member->set->ready, member, of_set);
    } else {
        TAILQ_REMOVE(&member->set->quiet, member, of_set);
    }
    if (!member->kernels) {
        member->set->members--;
    }
    if (spare_count < SPARE_MEMBERS) {
        LIST_INSERT_HEAD(&spare_members, &member->watch, of_socket);
        spare_count++;
    } else {
        free(member);
    }
}

static struct member *new_member(void) {
    struct watch *spare = LIST_FIRST(&spare_members);
    struct member *member;

    if (spare == NULL) {
        return calloc(1, sizeof(*member));
    }
    LIST_REMOVE(spare, of_socket);
    spare_count--;
    member = member_of(spare);
    memset(member, 0, sizeof(*member));
    return member;
}

void epoll_wake_sleepers(struct epoll_set *set) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data = {.ptr = &epoll_wake_tag}};

    if (wake_fd < 0) {
        wake_fd = eventfd(1, EFD_CLOEXEC);
    }
    if (libc()->epoll_ctl(set->description.number, set->has_wake ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, wake_fd,
                          &event) != 0 &&
        (errno == EBADF || errno == ENOENT)) {
        /* The program has closed all that it did not know. */
        wake_fd = eventfd(1, EFD_CLOEXEC);
        (void)libc()->epoll_ctl(set->description.number, EPOLL_CTL_ADD, wake_fd, &event);
    }
    set->has_wake = true;
}

static void count_member(struct epoll_set *set) {
    if (set->members++ == 0 && set->kernel_waiters > 0) {
        epoll_wake_sleepers(set);
    }
}

/* It was decided whose the member's socket is. */
static void decided(struct member *member) {
    if (member->socket->state == SOCKET_KERNELS) {
        remove_member(member);
        return;
    }
    (void)libc()->epoll_ctl(member->set->description.number, EPOLL_CTL_DEL, member->fd, NULL);
    member->kernels = false;
    member->set->kernel_members--;
    count_member(member->set);
    queue_if_ready(member);
}

static void notice(struct watch *watch, enum watch_event event) {
    struct member *member = member_of(watch);

    switch (event) {
    case WATCH_READY:
        queue(member);
        break;
    case WATCH_DECIDED:
        decided(member);
        break;
    case WATCH_CLOSED:
        remove_member(member);
        break;
    }
}

/* --- sets ------------------------------------------------------------------------------------------ */

static void set_closed(struct description *description) {
    struct epoll_set *set = (struct epoll_set *)description;

    while (!TAILQ_EMPTY(&set->ready)) {
        remove_member(TAILQ_FIRST(&set->ready));
    }
    while (!TAILQ_EMPTY(&set->quiet)) {
        remove_member(TAILQ_FIRST(&set->quiet));
    }
}

/* Closed sets, for the next ones. They are never freed, as a thread may sleep in one that another thread
 * closes; then it is not used again before that thread has left it. */
static struct epoll_set *spare_sets;

static struct epoll_set *take_spare(void) {
    struct epoll_set **at = &spare_sets, *set;

    while ((set = *at) != NULL && set->kernel_waiters > 0) {
        at = &set->next_spare;
    }
    if (set != NULL) {
        *at = set->next_spare;
    }
    return set;
}

static void set_release(struct description *description) {
    struct epoll_set *set = (struct epoll_set *)description;

    set->next_spare = spare_sets;
    spare_sets = set;
}

bool epoll_set_create(int fd) {
    struct epoll_set *set = NULL;

    if (spare_sets != NULL) {
        engine_lock();
        set = take_spare();
        engine_unlock();
    }
    if (set == NULL && (set = malloc(sizeof(*set))) == NULL) {
        return false;
    }
    memset(set, 0, sizeof(*set));
    set->description =
        (struct description){.kind = DESCRIPTION_EPOLL, .closed = set_closed, .release = set_release};
    TAILQ_INIT(&set->ready);
    TAILQ_INIT(&set->quiet);
    if (!descriptor_put(fd, &set->description)) {
        free(set);
        return false;
    }
    return true;
}

static struct member *find(const struct epoll_set *set, const struct socket *socket, int fd) {
    struct watch *watch;

    LIST_FOREACH(watch, &socket->watches, of_socket) {
        if (member_of(watch)->set == set && member_of(watch)->fd == fd) {
            return member_of(watch);
        }
    }
    return NULL;
}

static void set_interest(struct member *member, const struct epoll_event *event) {
    member->watch.events = (event->events & ~FLAGS) | EPOLLERR | EPOLLHUP;
    member->flags = event->events & FLAGS;
    member->data = event->data;
    if (!member->kernels) {
        queue_if_ready(member);
    }
}

static int add(struct epoll_set *set, int fd, struct socket *socket, const struct epoll_event *event) {
    struct member *member = new_member();

    if (member == NULL) {
        return -ENOMEM;
    }
    member->socket = socket;
    member->set = set;
    member->fd = fd;
    member->kernels = socket->state == SOCKET_UNDECIDED;
    member->watch.notify = notice;
    LIST_INSERT_HEAD(&socket->watches, &member->watch, of_socket);
    TAILQ_INSERT_TAIL(&set->quiet, member, of_set);
    if (!member->kernels) {
        count_member(set);
    }
    set_interest(member, event);
    return 0;
}

/* EPOLLEXCLUSIVE: epoll_ctl(2), EINVAL. */
static bool is_wrong(int operation, const struct member *member, const struct epoll_event *event) {
    const uint32_t allowed =
        EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

    if (operation == EPOLL_CTL_MOD) {
        return (event->events & EPOLLEXCLUSIVE) || (member != NULL && (member->flags & EPOLLEXCLUSIVE));
    }
    return operation == EPOLL_CTL_ADD && (event->events & EPOLLEXCLUSIVE) && (event->events & ~allowed);
}

int epoll_set_control(struct epoll_set *set, int epfd, int operation, int fd, struct socket *socket,
                      struct epoll_event *event) {
    struct member *member = find(set, socket, fd);

    if (epoll_set_get(epfd) != set) {
        return -EBADF;
    }
    if (operation != EPOLL_CTL_DEL && event == NULL) {
        return -EFAULT;
    }
    if (is_wrong(operation, member, event)) {
        return -EINVAL;
    }
    if (socket->state == SOCKET_UNDECIDED && epoll_set_control_kernel(set, epfd, operation, fd, event) != 0) {
        return -errno;
    }
    switch (operation) {
    case EPOLL_CTL_ADD:
        return member != NULL ? -EEXIST : add(set, fd, socket, event);
    case EPOLL_CTL_MOD:
        if (member == NULL) {
            return -ENOENT;
        }
        set_interest(member, event);
        return 0;
    case EPOLL_CTL_DEL:
        if (member == NULL) {
            return -ENOENT;
        }
        remove_member(member);
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
