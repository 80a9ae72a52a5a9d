/* SPDX-License-Identifier: BSD-3-Clause */
/* Making, closing and duplicating descriptors. */
#include "intercept.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "preload/engine/eal_start.h"
#include "preload/engine/own_descriptors.h"

EXPORT int socket(int domain, int type, int protocol) {
    int fd = libc()->socket(domain, type, protocol);
    int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    bool ip = (kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
              (kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP));

    if (fd < 0 || domain != AF_INET || !ip || engine_inside()) {
        return fd;
    }
    engine_lock();
    own_descriptor_is_programs(fd);
    if (engine_settings() != NULL && socket_create(fd, kind, type & SOCK_NONBLOCK) == NULL) {
        libc()->close(fd);
        fd = -1;
        errno = ENFILE;
    }
    engine_unlock();
    return fd;
}

/* Closes what we have under the number, if anything. */
static void forget(int fd) {
    if (descriptor_get(fd) != NULL && !engine_inside()) {
        engine_lock();
        descriptor_drop(fd);
        engine_unlock();
    }
}

EXPORT int close(int fd) {
    struct socket *socket;

    if (!engine_inside() && own_descriptor(fd)) {
        return (int)intercept_result(-EBADF);
    }
    socket = intercept_enter(fd);
    if (socket == NULL) {
        forget(fd);
        return libc()->close(fd);
    }
    if (socket->description.descriptors == 1) {
        call_linger(socket);
    }
    /* While it waited, a handler or another thread may have closed the number, which is another's then. */
    if (descriptor_get(fd) != &socket->description) {
        return (int)intercept_leave(socket, -EBADF);
    }
    descriptor_drop(fd);
    return (int)intercept_leave(socket, libc()->close(fd) == 0 ? 0 : -errno);
}

EXPORT int fclose(FILE *file) {
    forget(fileno(file));
    return libc()->fclose(file);
}

/* In pieces between what the stack has open. */
EXPORT int close_range(unsigned first, unsigned last, int flags) {
    for (unsigned fd = first; !(flags & 4 /* CLOSE_RANGE_CLOEXEC */) && fd <= last && fd < DESCRIPTOR_LIMIT;
         fd++) {
        if (!own_descriptor((int)fd)) {
            forget((int)fd);
            continue;
        }
        if (fd > first && libc()->close_range(first, fd - 1, flags) != 0) {
            return -1;
        }
        if (fd == last) {
            return 0;
        }
        first = fd + 1;
    }
    return libc()->close_range(first, last, flags);
}

EXPORT void closefrom(int first) {
    (void)close_range((unsigned)(first < 0 ? 0 : first), ~0u, 0);
}

/* `copy`, if it is a descriptor, stands for the same as `fd`. */
static int duplicated(int fd, int copy) {
    int saved = errno;

    if (copy >= 0 && copy != fd && !engine_inside() &&
        (descriptor_get(fd) != NULL || descriptor_get(copy) != NULL || copy >= eal_lowest_descriptor())) {
        engine_lock();
        own_descriptor_is_programs(copy);
        if (descriptor_get(fd) == NULL) {
            descriptor_drop(copy);
        } else if (!descriptor_put(copy, descriptor_get(fd))) {
            libc()->close(copy);
            copy = -1;
            saved = EMFILE;
        }
        engine_unlock();
    }
    errno = saved;
    return copy;
}

EXPORT int dup(int fd) {
    return duplicated(fd, libc()->dup(fd));
}

EXPORT int dup2(int fd, int copy) {
    if (!engine_inside() && own_descriptor(copy)) {
        return (int)intercept_result(-EBUSY);
    }
    return duplicated(fd, libc()->dup2(fd, copy));
}

EXPORT int dup3(int fd, int copy, int flags) {
    if (!engine_inside() && own_descriptor(copy)) {
        return (int)intercept_result(-EBUSY);
    }
    return duplicated(fd, libc()->dup3(fd, copy, flags));
}

static void set_nonblocking(int fd, bool nonblocking) {
    struct socket *socket = intercept_enter_state(fd, SOCKET_UNDECIDED);

    if (socket != NULL) {
        socket->nonblocking = nonblocking;
        intercept_leave(socket, 0);
    }
}

static int fcntl_word(int fd, int command, void *word) {
    int code = libc()->fcntl(fd, command, word);

    if (code >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) {
        return duplicated(fd, code);
    }
    if (code == 0 && command == F_SETFL) {
        set_nonblocking(fd, (long)word & O_NONBLOCK);
    }
    return code;
}

EXPORT int fcntl(int fd, int command, ...) {
    va_list arguments;
    void *word;

    va_start(arguments, command);
    word = va_arg(arguments, void *);
    va_end(arguments);
    return fcntl_word(fd, command, word);
}

EXPORT int fcntl64(int fd, int command, ...);
EXPORT int fcntl64(int fd, int command, ...) {
    va_list arguments;
    void *word;

    va_start(arguments, command);
    word = va_arg(arguments, void *);
    va_end(arguments);
    return fcntl_word(fd, command, word);
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    struct socket *socket;
    va_list arguments;
    void *word;
    int code;

    va_start(arguments, request);
    word = va_arg(arguments, void *);
    va_end(arguments);
    if (request != FIONREAD || (socket = intercept_enter(fd)) == NULL) {
        code = libc()->ioctl(fd, request, word);
        if (code == 0 && request == FIONBIO) {
            set_nonblocking(fd, *(int *)word != 0);
        }
        return code;
    }
    code = word == NULL ? -EFAULT : socket->protocol->readable_bytes(socket);
    if (code == 0 && engine_turn()) {
        code = socket->protocol->readable_bytes(socket);
    }
    if (code >= 0) {
        *(int *)word = code;
        code = 0;
    }
    return (int)intercept_leave(socket, code);
}
