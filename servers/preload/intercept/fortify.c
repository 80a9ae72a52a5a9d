/* SPDX-License-Identifier: BSD-3-Clause */
/* What _FORTIFY_SOURCE makes of these calls. */
#include "intercept.h"

#include <poll.h>
#include <unistd.h>

extern void __chk_fail(void) __attribute__((noreturn));

static void check(size_t needed, size_t size) {
    if (needed > size) {
        __chk_fail();
    }
}

EXPORT ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
EXPORT ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room) {
    check(size, room);
    return read(fd, buffer, size);
}

EXPORT ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags);
EXPORT ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags) {
    check(size, room);
    return recv(fd, buffer, size, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t room, int flags,
                              struct sockaddr *address, socklen_t *length);
EXPORT ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t room, int flags,
                              struct sockaddr *address, socklen_t *length) {
    check(size, room);
    return recvfrom(fd, buffer, size, flags, address, length);
}

EXPORT int __poll_chk(struct pollfd *descriptors, nfds_t count, int timeout_ms, size_t room);
EXPORT int __poll_chk(struct pollfd *descriptors, nfds_t count, int timeout_ms, size_t room) {
    check(count * sizeof(*descriptors), room);
    return poll(descriptors, count, timeout_ms);
}

EXPORT int __ppoll_chk(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout,
                       const sigset_t *mask, size_t room);
EXPORT int __ppoll_chk(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout,
                       const sigset_t *mask, size_t room) {
    check(count * sizeof(*descriptors), room);
    return ppoll(descriptors, count, timeout, mask);
}
