/* SPDX-License-Identifier: BSD-3-Clause */
#include "poll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "preload/engine/engine.h"
#include "preload/engine/libc.h"
#include "preload/sockets/socket.h"

/* So many descriptors are polled without allocating. */
#define FEW 64

#define SELECT_IN (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define SELECT_OUT (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)
#define SELECT_EXCEPTIONAL POLLPRI

static struct socket *ours(int fd) {
    struct description *description = descriptor_get(fd);

    if (description == NULL || description->kind != DESCRIPTION_SOCKET) {
        return NULL;
    }
    return socket_of(description)->state >= SOCKET_OURS ? socket_of(description) : NULL;
}

/* What a number stands for may be looked at under the lock only; most programs never come to that. */
static bool is_ours(int fd) {
    bool is;

    if (descriptor_get(fd) == NULL) {
        return false;
    }
    engine_lock();
    is = ours(fd) != NULL;
    engine_unlock();
    return is;
}

bool poll_concerns(const struct pollfd *descriptors, nfds_t count) {
    for (nfds_t i = 0; i < count; i++) {
        if (is_ours(descriptors[i].fd)) {
            return true;
        }
    }
    return false;
}

struct polling {
    struct pollfd *descriptors;
    nfds_t count;
    struct pollfd *kernel; /* the same, ours masked out by a negative number */
    bool has_kernel;
    bool always; /* looks at the kernel's in every turn */
    uint64_t kernel_checked;
    int ready;
    unsigned ours; /* of ready */
};

static bool look(void *argument) {
    struct polling *polling = argument;
    int kernel = 0;

    polling->ready = 0;
    polling->ours = 0;
    if (polling->has_kernel && (engine_kernel_due(&polling->kernel_checked) || polling->always)) {
        struct timespec now = {0};

        kernel = libc()->ppoll(polling->kernel, polling->count, &now, NULL);
    }
    for (nfds_t i = 0; i < polling->count; i++) {
        struct pollfd *descriptor = &polling->descriptors[i];
        struct socket *socket = ours(descriptor->fd);

        descriptor->revents = 0;
        if (socket != NULL) {
            uint32_t wanted = (uint16_t)descriptor->events | EPOLLERR | EPOLLHUP;

            descriptor->revents = (short)(socket_ready(socket) & wanted);
            polling->ours += descriptor->revents != 0;
        } else if (kernel > 0 && descriptor->fd >= 0) {
            descriptor->revents = polling->kernel[i].revents;
        }
        polling->ready += descriptor->revents != 0;
    }
    return polling->ready > 0;
}

static void mask_ours(struct polling *polling) {
    for (nfds_t i = 0; i < polling->count; i++) {
        polling->kernel[i] = polling->descriptors[i];
        if (ours(polling->kernel[i].fd) != NULL) {
            polling->kernel[i].fd = -1;
        }
        polling->has_kernel |= polling->kernel[i].fd >= 0;
    }
}

int poll_wait(struct pollfd *descriptors, nfds_t count, int64_t timeout_ns) {
    struct pollfd few[FEW];
    struct polling polling = {
        .descriptors = descriptors, .count = count, .kernel = few, .always = timeout_ns == 0};
    struct engine_wait wait = {.ready = look, .argument = &polling};
    int code;

    if (count > FEW && (polling.kernel = calloc(count, sizeof(*polling.kernel))) == NULL) {
        return -ENOMEM;
    }
    wait.kernel = polling.kernel;
    engine_lock();
    (void)engine_start(); /* the clock of a deadline */
    wait.deadline = engine_deadline(timeout_ns);
    mask_ours(&polling);
    wait.kernel_count = polling.has_kernel ? (unsigned)count : 0;
    code = engine_wait(&wait);
    if (code > 0) {
        code = polling.ready;
        engine_batch(polling.ours);
    }
    engine_unlock();
    if (polling.kernel != few) {
        free(polling.kernel);
    }
    return code;
}

bool select_concerns(int limit, const fd_set *in, const fd_set *out, const fd_set *exceptional) {
    for (int fd = 0; fd < limit && fd < FD_SETSIZE; fd++) {
        bool wanted = (in != NULL && FD_ISSET(fd, in)) || (out != NULL && FD_ISSET(fd, out)) ||
                      (exceptional != NULL && FD_ISSET(fd, exceptional));

        if (wanted && is_ours(fd)) {
            return true;
        }
    }
    return false;
}

static bool wants(const fd_set *set, int fd) {
    return set != NULL && FD_ISSET(fd, set);
}

/* Clears the bit unless it holds; 1 if it does. */
static int settle(fd_set *set, int fd, bool holds) {
    if (!wants(set, fd)) {
        return 0;
    }
    if (!holds) {
        FD_CLR(fd, set);
    }
    return holds;
}

int select_wait(int limit, fd_set *in, fd_set *out, fd_set *exceptional, int64_t timeout_ns) {
    struct pollfd descriptors[FD_SETSIZE];
    nfds_t count = 0;
    int bits = 0, code;

    for (int fd = 0; fd < limit && fd < FD_SETSIZE; fd++) {
        short events = (short)((wants(in, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) |
                               (wants(out, fd) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0) |
                               (wants(exceptional, fd) ? POLLPRI : 0));

        if (events != 0) {
            descriptors[count++] = (struct pollfd){.fd = fd, .events = events};
        }
    }
    code = poll_wait(descriptors, count, timeout_ns);
    if (code < 0) {
        return code;
    }
    for (nfds_t i = 0; i < count; i++) {
        int fd = descriptors[i].fd, happened = descriptors[i].revents;

        if (happened & POLLNVAL) {
            return -EBADF;
        }
        bits += settle(in, fd, happened & SELECT_IN);
        bits += settle(out, fd, happened & SELECT_OUT);
        bits += settle(exceptional, fd, happened & SELECT_EXCEPTIONAL);
    }
    return bits;
}
