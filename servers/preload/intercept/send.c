/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending. */
#include "intercept.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

static ssize_t leave_sent(struct socket *socket, ssize_t code, int flags) {
    bool signals = socket->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL);

    intercept_leave(socket, 0);
    if (code == -EPIPE && signals) {
        raise(SIGPIPE);
    }
    return intercept_result(code);
}

static ssize_t send_message(struct socket *socket, const struct message *message, int flags) {
    return leave_sent(socket, call_send(socket, message, flags), flags);
}

EXPORT ssize_t write(int fd, const void *buffer, size_t size) {
    struct socket *socket = intercept_enter(fd);
    struct iovec piece = {(void *)buffer, size};
    struct message message = {.pieces = &piece, .count = 1};

    return socket == NULL ? libc()->write(fd, buffer, size) : send_message(socket, &message, 0);
}

/* The target of a sendto() decides for a socket that has no address yet. */
static struct socket *enter_to_send(int fd, const struct sockaddr *address, socklen_t size, int *code) {
    *code = 0;
    return address == NULL ? intercept_enter(fd) : intercept_enter_decided(fd, address, size, code);
}

EXPORT ssize_t sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *address,
                      socklen_t length) {
    int code;
    struct socket *socket = enter_to_send(fd, address, length, &code);
    struct iovec piece = {(void *)buffer, size};
    struct message message = {.pieces = &piece, .count = 1};

    if (socket == NULL) {
        return libc()->sendto(fd, buffer, size, flags, address, length);
    }
    if (code != 0 && socket->type == SOCK_DGRAM) {
        return intercept_leave(socket, code);
    }
    if (address != NULL && socket->type == SOCK_DGRAM) {
        message.name = *(const struct sockaddr_in *)address;
        message.has_name = true;
    }
    return send_message(socket, &message, flags);
}

EXPORT ssize_t send(int fd, const void *buffer, size_t size, int flags) {
    return sendto(fd, buffer, size, flags, NULL, 0);
}

/* sendmsg(2) for a socket of ours: bytes or a negative errno. */
static ssize_t send_header(struct socket *socket, const struct msghdr *header, int flags) {
    struct message message = {.pieces = header->msg_iov, .count = header->msg_iovlen};

    if (header->msg_iovlen > IOV_MAX) {
        return -EMSGSIZE;
    }
    if (header->msg_iov == NULL && header->msg_iovlen > 0) {
        return -EFAULT;
    }
    if (header->msg_name != NULL && socket->type == SOCK_DGRAM) {
        int code = intercept_check_name(header->msg_name, header->msg_namelen);

        if (code != 0) {
            return code;
        }
        message.name = *(const struct sockaddr_in *)header->msg_name;
        message.has_name = true;
    }
    return call_send(socket, &message, flags);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *header, int flags) {
    int code;
    struct socket *socket =
        header == NULL ? NULL : enter_to_send(fd, header->msg_name, header->msg_namelen, &code);

    if (socket == NULL) {
        return libc()->sendmsg(fd, header, flags);
    }
    return leave_sent(socket, send_header(socket, header, flags), flags);
}

EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count) {
    struct socket *socket = intercept_enter(fd);
    struct message message = {.pieces = (struct iovec *)pieces, .count = (size_t)count};

    if (socket == NULL) {
        return libc()->writev(fd, pieces, count);
    }
    if (count < 0 || count > IOV_MAX) {
        return intercept_leave(socket, -EINVAL);
    }
    if (count > 0 && pieces == NULL) {
        return intercept_leave(socket, -EFAULT);
    }
    return send_message(socket, &message, 0);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
    struct socket *socket = intercept_enter(fd);
    unsigned done = 0;
    ssize_t code = 0;

    if (socket == NULL) {
        return libc()->sendmmsg(fd, messages, count, flags);
    }
    for (; done < count; done++) {
        code = send_header(socket, &messages[done].msg_hdr, flags);
        if (code < 0) {
            break;
        }
        messages[done].msg_len = (unsigned)code;
    }
    return (int)leave_sent(socket, done > 0 ? (ssize_t)done : code, flags);
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    struct socket *socket = intercept_enter(out);

    return socket == NULL ? libc()->sendfile(out, in, offset, size)
                          : leave_sent(socket, call_sendfile(socket, in, offset, size), 0);
}

EXPORT ssize_t sendfile64(int out, int in, off_t *offset, size_t size) {
    return sendfile(out, in, offset, size);
}
