/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose a descriptor is, and what all calls do before and after. */
#include "intercept.h"

#include <errno.h>
#include <string.h>

ssize_t intercept_result(ssize_t code) {
    if (code < 0) {
        errno = (int)-code;
        return -1;
    }
    return code;
}

struct socket *intercept_enter_state(int fd, enum socket_state state) {
    struct description *description = descriptor_get(fd);

    if (__builtin_expect(description == NULL, 0) || engine_inside()) {
        return NULL;
    }
    engine_lock();
    description = descriptor_get(fd);
    if (description == NULL || description->kind != DESCRIPTION_SOCKET ||
        (socket_of(description)->state < state && socket_of(description)->state != SOCKET_UNDECIDED) ||
        (socket_of(description)->state == SOCKET_UNDECIDED && state != SOCKET_UNDECIDED) ||
        socket_of(description)->state == SOCKET_KERNELS) {
        engine_unlock();
        return NULL;
    }
    description_hold(description);
    return socket_of(description);
}

struct socket *intercept_enter(int fd) {
    return intercept_enter_state(fd, SOCKET_OURS);
}

ssize_t intercept_leave(struct socket *socket, ssize_t code) {
    description_unhold(&socket->description);
    engine_unlock();
    return intercept_result(code);
}

int intercept_check_name(const struct sockaddr *address, socklen_t size) {
    return address == NULL                     ? -EFAULT
           : size < sizeof(struct sockaddr_in) ? -EINVAL
           : address->sa_family != AF_INET     ? -EAFNOSUPPORT
                                               : 0;
}

struct socket *intercept_enter_decided(int fd, const struct sockaddr *address, socklen_t size, int *code) {
    struct socket *socket = intercept_enter_state(fd, SOCKET_UNDECIDED);
    int fault = intercept_check_name(address, size);

    *code = 0;
    if (socket == NULL) {
        return NULL;
    }
    if (socket->state == SOCKET_UNDECIDED && fault == 0) {
        *code = socket_decide(socket, (const struct sockaddr_in *)address);
        if (*code != 0) {
            return socket;
        }
    }
    if (socket->state < SOCKET_OURS) {
        intercept_leave(socket, 0);
        return NULL;
    }
    *code = fault;
    return socket;
}

int intercept_give_name(const struct sockaddr_in *name, struct sockaddr *address, socklen_t *size) {
    if (address == NULL || size == NULL) {
        return -EFAULT;
    }
    if ((int)*size < 0) {
        return -EINVAL;
    }
    memcpy(address, name, *size < sizeof(*name) ? *size : sizeof(*name));
    *size = sizeof(*name);
    return 0;
}
