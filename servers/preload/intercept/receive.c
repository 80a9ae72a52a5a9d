/* SPDX-License-Identifier: BSD-3-Clause */
/* Receiving. */
#include "intercept.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So many pieces are copied without allocating. */
#define FEW_PIECES 16

EXPORT ssize_t read(int fd, void *buffer, size_t size) {
    struct socket *socket = intercept_enter(fd);
    struct iovec piece = {buffer, size};
    struct message message = {.pieces = &piece, .count = 1};

    if (socket == NULL) {
        return libc()->read(fd, buffer, size);
    }
    return size == 0 ? intercept_leave(socket, 0)
                     : intercept_leave(socket, call_receive(socket, &message, 0));
}

EXPORT ssize_t recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
                        socklen_t *length) {
    struct socket *socket = intercept_enter(fd);
    struct iovec piece = {buffer, size};
    struct message message = {.pieces = &piece, .count = 1};
    ssize_t code;

    if (socket == NULL) {
        return libc()->recvfrom(fd, buffer, size, flags, address, length);
    }
    code = call_receive(socket, &message, flags);
    if (code >= 0 && address != NULL && length != NULL) {
        if (message.has_name) {
            (void)intercept_give_name(&message.name, address, length);
        } else {
            *length = 0;
        }
    }
    return intercept_leave(socket, code);
}

EXPORT ssize_t recv(int fd, void *buffer, size_t size, int flags) {
    return recvfrom(fd, buffer, size, flags, NULL, NULL);
}

/* The pieces as a copy that may be changed; NULL: too many, or no memory. */
static struct iovec *copy_pieces(struct iovec few[FEW_PIECES], const struct iovec *pieces, size_t count) {
    struct iovec *copy = few;

    if (count > IOV_MAX) {
        errno = EINVAL;
        return NULL;
    }
    if (count > FEW_PIECES && (copy = malloc(count * sizeof(*copy))) == NULL) {
        return NULL;
    }
    if (count > 0) {
        memcpy(copy, pieces, count * sizeof(*copy));
    }
    return copy;
}

/* recvmsg(2) for a socket of ours: bytes or a negative errno. */
static ssize_t receive_message(struct socket *socket, struct msghdr *header, int flags) {
    struct iovec few[FEW_PIECES];
    struct message message = {0};
    struct iovec *pieces;
    ssize_t code;

    message.count = header->msg_iovlen;
    if (header->msg_iov == NULL && header->msg_iovlen > 0) {
        return -EFAULT;
    }
    if ((pieces = copy_pieces(few, header->msg_iov, header->msg_iovlen)) == NULL) {
        return errno == EINVAL ? -EMSGSIZE : -ENOMEM;
    }
    message.pieces = pieces;
    code = call_receive(socket, &message, flags);
    if (pieces != few) {
        free(pieces);
    }
    if (code >= 0) {
        if (!message.has_name) {
            header->msg_namelen = 0;
        } else if (header->msg_name != NULL) {
            (void)intercept_give_name(&message.name, header->msg_name, &header->msg_namelen);
        }
        header->msg_controllen = 0;
        header->msg_flags = message.truncated ? MSG_TRUNC : 0;
    }
    return code;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *header, int flags) {
    struct socket *socket = header == NULL ? NULL : intercept_enter(fd);

    return socket == NULL ? libc()->recvmsg(fd, header, flags)
                          : intercept_leave(socket, receive_message(socket, header, flags));
}

EXPORT ssize_t readv(int fd, const struct iovec *pieces, int count) {
    struct socket *socket = intercept_enter(fd);
    struct message message = {.pieces = (struct iovec *)pieces, .count = (size_t)count};

    if (socket == NULL) {
        return libc()->readv(fd, pieces, count);
    }
    if (count < 0 || count > IOV_MAX) {
        return intercept_leave(socket, -EINVAL);
    }
    if (count > 0 && pieces == NULL) {
        return intercept_leave(socket, -EFAULT);
    }
    return message_size(&message) == 0 ? intercept_leave(socket, 0)
                                       : intercept_leave(socket, call_receive(socket, &message, 0));
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
    struct socket *socket = intercept_enter(fd);
    unsigned done = 0;
    ssize_t code = 0;

    if (socket == NULL) {
        return libc()->recvmmsg(fd, messages, count, flags, timeout);
    }
    for (; done < count; done++) {
        bool waits = done == 0 || !(flags & MSG_WAITFORONE);

        code = receive_message(socket, &messages[done].msg_hdr,
                               (flags & ~MSG_WAITFORONE) | (waits ? 0 : MSG_DONTWAIT));
        if (code < 0) {
            break;
        }
        messages[done].msg_len = (unsigned)code;
    }
    return (int)intercept_leave(socket, done > 0 ? (ssize_t)done : code);
}
