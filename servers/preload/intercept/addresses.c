/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and connections; options, which the placeholder has, but for what lwIP alone knows. */
#include "intercept.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t size) {
    int code;
    struct socket *socket = intercept_enter_decided(fd, address, size, &code);

    if (socket == NULL) {
        return libc()->bind(fd, address, size);
    }
    if (code == 0) {
        code = socket->protocol->bind(socket, (const struct sockaddr_in *)address);
    }
    return (int)intercept_leave(socket, code);
}

EXPORT int listen(int fd, int backlog) {
    static const struct sockaddr_in any = {.sin_family = AF_INET};
    int code;
    struct socket *socket = intercept_enter_decided(fd, (const struct sockaddr *)&any, sizeof(any), &code);

    if (socket == NULL) {
        return libc()->listen(fd, backlog);
    }
    if (code == 0) {
        code = socket->protocol->listen(socket, backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog);
    }
    return (int)intercept_leave(socket, code);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t size) {
    bool undoes = address != NULL && size >= sizeof(address->sa_family) && address->sa_family == AF_UNSPEC;
    int code;
    struct socket *socket = intercept_enter_decided(fd, address, size, &code);

    if (socket == NULL) {
        return libc()->connect(fd, address, size);
    }
    if (undoes) {
        code = socket->protocol->disconnect(socket);
    } else if (code == 0) {
        code = call_connect(socket, (const struct sockaddr_in *)address);
    }
    return (int)intercept_leave(socket, code);
}

EXPORT int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
    struct socket *socket = intercept_enter(fd);
    struct sockaddr_in peer;
    int code;

    if (socket == NULL) {
        return libc()->accept4(fd, address, size, flags);
    }
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
        return (int)intercept_leave(socket, -EINVAL);
    }
    if (address != NULL && size == NULL) {
        return (int)intercept_leave(socket, -EFAULT);
    }
    code = call_accept(socket, flags, &peer);
    if (code >= 0 && address != NULL) {
        (void)intercept_give_name(&peer, address, size);
    }
    return (int)intercept_leave(socket, code);
}

EXPORT int accept(int fd, struct sockaddr *address, socklen_t *size) {
    return accept4(fd, address, size, 0);
}

static int name(int fd, bool peer, struct sockaddr *address, socklen_t *size) {
    struct socket *socket = intercept_enter(fd);
    struct sockaddr_in own;
    int code;

    if (socket == NULL) {
        return peer ? libc()->getpeername(fd, address, size) : libc()->getsockname(fd, address, size);
    }
    code = socket->protocol->name(socket, peer, &own);
    if (code == 0) {
        code = intercept_give_name(&own, address, size);
    }
    return (int)intercept_leave(socket, code);
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *size) {
    return name(fd, false, address, size);
}

EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *size) {
    return name(fd, true, address, size);
}

EXPORT int shutdown(int fd, int how) {
    struct socket *socket = intercept_enter(fd);
    int code = -EINVAL;

    if (socket == NULL) {
        return libc()->shutdown(fd, how);
    }
    if (how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR) {
        code = socket->protocol->shutdown(socket, how);
    }
    return (int)intercept_leave(socket, code);
}

/* --- options: the placeholder has them, but for what lwIP alone knows ------------------------------------
 */

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t size) {
    int code = libc()->setsockopt(fd, level, option, value, size);
    struct socket *socket;

    if (code == 0 && (socket = intercept_enter(fd)) != NULL) {
        socket_follow_option(socket, level, option);
        intercept_leave(socket, 0);
    }
    return code;
}

static int give_number(int number, void *value, socklen_t *size) {
    if (value == NULL || size == NULL) {
        return -EFAULT;
    }
    if ((int)*size < 0) {
        return -EINVAL;
    }
    *size = *size < sizeof(number) ? *size : sizeof(number);
    memcpy(value, &number, *size);
    return 0;
}

EXPORT int getsockopt(int fd, int level, int option, void *value, socklen_t *size) {
    bool known = level == SOL_SOCKET && (option == SO_ERROR || option == SO_ACCEPTCONN);
    bool info = level == IPPROTO_TCP && option == TCP_INFO;
    struct socket *socket = known || info ? intercept_enter(fd) : NULL;
    int number;

    if (socket == NULL) {
        return libc()->getsockopt(fd, level, option, value, size);
    }
    if (info) {
        number = libc()->getsockopt(fd, level, option, value, size);
        if (number == 0 && *size > 0 && socket->protocol->info_state != NULL) {
            ((struct tcp_info *)value)->tcpi_state = (uint8_t)socket->protocol->info_state(socket);
        }
        return (int)intercept_leave(socket, number == 0 ? 0 : -errno);
    }
    if (option == SO_ERROR) {
        number = socket_take_error(socket);
    } else {
        number = socket->type == SOCK_STREAM && socket->tcp.phase == TCP_LISTENING;
    }
    return (int)intercept_leave(socket, give_number(number, value, size));
}
