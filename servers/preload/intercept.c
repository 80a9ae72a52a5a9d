/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls that a program makes, under the C library's names: each finds out whose descriptor it is, and is
 * the kernel's or ours. What they do is POSIX's and Linux's (their manual pages), errno included. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "preload/engine/engine.h"
#include "preload/engine/libc.h"
#include "preload/engine/signals.h"
#include "preload/events/epoll_set.h"
#include "preload/events/poll.h"
#include "preload/sockets/calls.h"
#include "preload/sockets/socket.h"

#define EXPORT __attribute__((visibility("default")))

/* So many pieces are copied without allocating. */
#define FEW_PIECES 16
#define LEAST(a, b) ((a) < (b) ? (a) : (b))

static ssize_t result(ssize_t code) {
    if (code < 0) {
        errno = (int)-code;
        return -1;
    }
    return code;
}

/* --- whose it is ------------------------------------------------------------------------------------ */

/* The socket of `fd`, held, with the lock taken, if it is at least `state`; else NULL and no lock. */
static struct socket *enter_state(int fd, enum socket_state state) {
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
    socket_of(description)->placeholder = fd; /* one that is open */
    return socket_of(description);
}

static struct socket *enter(int fd) {
    return enter_state(fd, SOCKET_OURS);
}

static ssize_t leave(struct socket *socket, ssize_t code) {
    description_unhold(&socket->description);
    engine_unlock();
    return result(code);
}

/* After a call that has the address which decides: the socket if it is ours, with the lock; else NULL,
 * without. An address that the kernel would refuse is left to it. */
static struct socket *enter_decided(int fd, const struct sockaddr *address, socklen_t size, int *code) {
    struct socket *socket = enter_state(fd, SOCKET_UNDECIDED);
    bool valid = address != NULL && size >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET;

    *code = 0;
    if (socket == NULL) {
        return NULL;
    }
    if (socket->state == SOCKET_UNDECIDED && valid) {
        *code = socket_decide(socket, (const struct sockaddr_in *)address);
        if (*code != 0) {
            return socket;
        }
    }
    if (socket->state < SOCKET_OURS) {
        leave(socket, 0);
        return NULL;
    }
    if (!valid) {
        *code = address == NULL ? -EFAULT : size < sizeof(struct sockaddr_in) ? -EINVAL : -EAFNOSUPPORT;
    }
    return socket;
}

/* --- making, closing, duplicating --------------------------------------------------------------------- */

EXPORT int socket(int domain, int type, int protocol) {
    int fd = libc()->socket(domain, type, protocol);
    int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    bool ip = (kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
              (kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP));

    if (fd < 0 || domain != AF_INET || !ip || engine_inside()) {
        return fd;
    }
    engine_lock();
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
    struct socket *socket = enter(fd);

    if (socket != NULL) {
        if (socket->description.descriptors == 1) {
            call_linger(socket);
        }
        descriptor_drop(fd);
        leave(socket, 0);
    } else {
        forget(fd);
    }
    return libc()->close(fd);
}

EXPORT int fclose(FILE *file) {
    forget(fileno(file));
    return libc()->fclose(file);
}

EXPORT int close_range(unsigned first, unsigned last, int flags) {
    for (unsigned fd = first; !(flags & 4 /* CLOSE_RANGE_CLOEXEC */) && fd <= last && fd < DESCRIPTOR_LIMIT;
         fd++) {
        forget((int)fd);
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
        (descriptor_get(fd) != NULL || descriptor_get(copy) != NULL)) {
        engine_lock();
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
    return duplicated(fd, libc()->dup2(fd, copy));
}

EXPORT int dup3(int fd, int copy, int flags) {
    return duplicated(fd, libc()->dup3(fd, copy, flags));
}

static void set_nonblocking(int fd, bool nonblocking) {
    struct socket *socket = enter_state(fd, SOCKET_UNDECIDED);

    if (socket != NULL) {
        socket->nonblocking = nonblocking;
        leave(socket, 0);
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
    if (request != FIONREAD || (socket = enter(fd)) == NULL) {
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
    return (int)leave(socket, code);
}

/* --- addresses --------------------------------------------------------------------------------------- */

static int give_name(const struct sockaddr_in *name, struct sockaddr *address, socklen_t *size) {
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

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t size) {
    int code;
    struct socket *socket = enter_decided(fd, address, size, &code);

    if (socket == NULL) {
        return libc()->bind(fd, address, size);
    }
    if (code == 0) {
        code = socket->protocol->bind(socket, (const struct sockaddr_in *)address);
    }
    return (int)leave(socket, code);
}

EXPORT int listen(int fd, int backlog) {
    static const struct sockaddr_in any = {.sin_family = AF_INET};
    int code;
    struct socket *socket = enter_decided(fd, (const struct sockaddr *)&any, sizeof(any), &code);

    if (socket == NULL) {
        return libc()->listen(fd, backlog);
    }
    if (code == 0) {
        code = socket->protocol->listen(socket, backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog);
    }
    return (int)leave(socket, code);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t size) {
    bool undoes = address != NULL && size >= sizeof(address->sa_family) && address->sa_family == AF_UNSPEC;
    int code;
    struct socket *socket = enter_decided(fd, address, size, &code);

    if (socket == NULL) {
        return libc()->connect(fd, address, size);
    }
    if (undoes) {
        code = socket->protocol->disconnect(socket);
    } else if (code == 0) {
        code = call_connect(socket, (const struct sockaddr_in *)address);
    }
    return (int)leave(socket, code);
}

EXPORT int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
    struct socket *socket = enter(fd);
    struct sockaddr_in peer;
    int code;

    if (socket == NULL) {
        return libc()->accept4(fd, address, size, flags);
    }
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
        return (int)leave(socket, -EINVAL);
    }
    if (address != NULL && size == NULL) {
        return (int)leave(socket, -EFAULT);
    }
    code = call_accept(socket, flags, &peer);
    if (code >= 0 && address != NULL) {
        (void)give_name(&peer, address, size);
    }
    return (int)leave(socket, code);
}

EXPORT int accept(int fd, struct sockaddr *address, socklen_t *size) {
    return accept4(fd, address, size, 0);
}

static int name(int fd, bool peer, struct sockaddr *address, socklen_t *size) {
    struct socket *socket = enter(fd);
    struct sockaddr_in own;
    int code;

    if (socket == NULL) {
        return peer ? libc()->getpeername(fd, address, size) : libc()->getsockname(fd, address, size);
    }
    code = socket->protocol->name(socket, peer, &own);
    if (code == 0) {
        code = give_name(&own, address, size);
    }
    return (int)leave(socket, code);
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *size) {
    return name(fd, false, address, size);
}

EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *size) {
    return name(fd, true, address, size);
}

EXPORT int shutdown(int fd, int how) {
    struct socket *socket = enter(fd);
    int code = -EINVAL;

    if (socket == NULL) {
        return libc()->shutdown(fd, how);
    }
    if (how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR) {
        code = socket->protocol->shutdown(socket, how);
    }
    return (int)leave(socket, code);
}

/* --- options: the placeholder has them, but for what lwIP alone knows ------------------------------------
 */

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t size) {
    int code = libc()->setsockopt(fd, level, option, value, size);
    struct socket *socket;

    if (code == 0 && (socket = enter(fd)) != NULL) {
        socket_follow_option(socket, level, option);
        leave(socket, 0);
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
    struct socket *socket = known || info ? enter(fd) : NULL;
    int number;

    if (socket == NULL) {
        return libc()->getsockopt(fd, level, option, value, size);
    }
    if (info) {
        number = libc()->getsockopt(fd, level, option, value, size);
        if (number == 0 && *size > 0 && socket->protocol->info_state != NULL) {
            ((struct tcp_info *)value)->tcpi_state = (uint8_t)socket->protocol->info_state(socket);
        }
        return (int)leave(socket, number == 0 ? 0 : -errno);
    }
    if (option == SO_ERROR) {
        number = socket_take_error(socket);
    } else {
        number = socket->type == SOCK_STREAM && socket->tcp.phase == TCP_LISTENING;
    }
    return (int)leave(socket, give_number(number, value, size));
}

/* --- receiving ---------------------------------------------------------------------------------------- */

EXPORT ssize_t read(int fd, void *buffer, size_t size) {
    struct socket *socket = enter(fd);
    struct iovec piece = {buffer, size};
    struct message message = {.pieces = &piece, .count = 1};

    if (socket == NULL) {
        return libc()->read(fd, buffer, size);
    }
    return size == 0 ? leave(socket, 0) : leave(socket, call_receive(socket, &message, 0));
}

EXPORT ssize_t recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
                        socklen_t *length) {
    struct socket *socket = enter(fd);
    struct iovec piece = {buffer, size};
    struct message message = {.pieces = &piece, .count = 1};
    ssize_t code;

    if (socket == NULL) {
        return libc()->recvfrom(fd, buffer, size, flags, address, length);
    }
    code = call_receive(socket, &message, flags);
    if (code >= 0 && address != NULL && length != NULL) {
        if (message.has_name) {
            (void)give_name(&message.name, address, length);
        } else {
            *length = 0;
        }
    }
    return leave(socket, code);
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

EXPORT ssize_t recvmsg(int fd, struct msghdr *header, int flags) {
    struct socket *socket = header == NULL ? NULL : enter(fd);
    struct iovec few[FEW_PIECES];
    struct message message = {0};
    struct iovec *pieces;
    ssize_t code;

    if (socket == NULL) {
        return libc()->recvmsg(fd, header, flags);
    }
    message.count = header->msg_iovlen;
    if (header->msg_iov == NULL && header->msg_iovlen > 0) {
        return leave(socket, -EFAULT);
    }
    if ((pieces = copy_pieces(few, header->msg_iov, header->msg_iovlen)) == NULL) {
        return leave(socket, errno == EINVAL ? -EMSGSIZE : -ENOMEM);
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
            (void)give_name(&message.name, header->msg_name, &header->msg_namelen);
        }
        header->msg_controllen = 0;
        header->msg_flags = message.truncated ? MSG_TRUNC : 0;
    }
    return leave(socket, code);
}

EXPORT ssize_t readv(int fd, const struct iovec *pieces, int count) {
    struct socket *socket = enter(fd);
    struct message message = {.pieces = (struct iovec *)pieces, .count = (size_t)count};

    if (socket == NULL) {
        return libc()->readv(fd, pieces, count);
    }
    if (count < 0 || count > IOV_MAX) {
        return leave(socket, -EINVAL);
    }
    if (count > 0 && pieces == NULL) {
        return leave(socket, -EFAULT);
    }
    return message_size(&message) == 0 ? leave(socket, 0) : leave(socket, call_receive(socket, &message, 0));
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
    struct socket *socket = enter(fd);
    unsigned done = 0;

    if (socket == NULL) {
        return libc()->recvmmsg(fd, messages, count, flags, timeout);
    }
    leave(socket, 0);
    for (; done < count; done++) {
        bool waits = done == 0 || !(flags & MSG_WAITFORONE);
        ssize_t code =
            recvmsg(fd, &messages[done].msg_hdr, (flags & ~MSG_WAITFORONE) | (waits ? 0 : MSG_DONTWAIT));

        if (code < 0) {
            break;
        }
        messages[done].msg_len = (unsigned)code;
    }
    return done == 0 && count > 0 ? -1 : (int)done;
}

/* --- sending ------------------------------------------------------------------------------------------ */

static ssize_t send_message(struct socket *socket, const struct message *message, int flags) {
    bool signals = socket->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL);
    ssize_t code = call_send(socket, message, flags);

    leave(socket, 0);
    if (code == -EPIPE && signals) {
        raise(SIGPIPE);
    }
    return result(code);
}

EXPORT ssize_t write(int fd, const void *buffer, size_t size) {
    struct socket *socket = enter(fd);
    struct iovec piece = {(void *)buffer, size};
    struct message message = {.pieces = &piece, .count = 1};

    return socket == NULL ? libc()->write(fd, buffer, size) : send_message(socket, &message, 0);
}

/* The target of a sendto() decides for a socket that has no address yet. */
static struct socket *enter_to_send(int fd, const struct sockaddr *address, socklen_t size, int *code) {
    *code = 0;
    return address == NULL ? enter(fd) : enter_decided(fd, address, size, code);
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
        return leave(socket, code);
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

EXPORT ssize_t sendmsg(int fd, const struct msghdr *header, int flags) {
    int code;
    struct socket *socket =
        header == NULL ? NULL : enter_to_send(fd, header->msg_name, header->msg_namelen, &code);
    struct message message = {0};

    if (socket == NULL) {
        return libc()->sendmsg(fd, header, flags);
    }
    message.pieces = header->msg_iov;
    message.count = header->msg_iovlen;
    if (header->msg_iovlen > IOV_MAX) {
        return leave(socket, -EMSGSIZE);
    }
    if (header->msg_iov == NULL && header->msg_iovlen > 0) {
        return leave(socket, -EFAULT);
    }
    if (code != 0 && socket->type == SOCK_DGRAM) {
        return leave(socket, code);
    }
    if (header->msg_name != NULL && socket->type == SOCK_DGRAM) {
        message.name = *(const struct sockaddr_in *)header->msg_name;
        message.has_name = true;
    }
    return send_message(socket, &message, flags);
}

EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count) {
    struct socket *socket = enter(fd);
    struct message message = {.pieces = (struct iovec *)pieces, .count = (size_t)count};

    if (socket == NULL) {
        return libc()->writev(fd, pieces, count);
    }
    if (count < 0 || count > IOV_MAX) {
        return leave(socket, -EINVAL);
    }
    if (count > 0 && pieces == NULL) {
        return leave(socket, -EFAULT);
    }
    return send_message(socket, &message, 0);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
    struct socket *socket = enter(fd);
    unsigned done = 0;

    if (socket == NULL) {
        return libc()->sendmmsg(fd, messages, count, flags);
    }
    leave(socket, 0);
    for (; done < count; done++) {
        ssize_t code = sendmsg(fd, &messages[done].msg_hdr, flags);

        if (code < 0) {
            break;
        }
        messages[done].msg_len = (unsigned)code;
    }
    return done == 0 && count > 0 ? -1 : (int)done;
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    struct socket *socket = enter(out);
    ssize_t code;

    if (socket == NULL) {
        return libc()->sendfile(out, in, offset, size);
    }
    code = call_sendfile(socket, in, offset, size);
    leave(socket, 0);
    if (code == -EPIPE) {
        raise(SIGPIPE);
    }
    return result(code);
}

EXPORT ssize_t sendfile64(int out, int in, off_t *offset, size_t size) {
    return sendfile(out, in, offset, size);
}

/* --- waiting ------------------------------------------------------------------------------------------- */

static int64_t nanoseconds(const struct timespec *time) {
    return time == NULL ? -1 : (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static int64_t from_ms(int ms) {
    return ms < 0 ? -1 : (int64_t)ms * 1000000;
}

static bool invalid(const struct timespec *time) {
    return time != NULL && (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= 1000000000);
}

EXPORT int epoll_create1(int flags) {
    int fd = libc()->epoll_create1(flags);

    if (fd >= 0 && !engine_inside() && !epoll_set_create(fd)) {
        libc()->close(fd);
        fd = (int)result(-ENOMEM);
    }
    return fd;
}

EXPORT int epoll_create(int size) {
    return size <= 0 ? (int)result(-EINVAL) : epoll_create1(0);
}

EXPORT int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event) {
    struct epoll_set *set = engine_inside() ? NULL : epoll_set_get(epfd);
    struct socket *socket = enter_state(fd, SOCKET_UNDECIDED);

    if (socket != NULL && set != NULL && epfd != fd) {
        return (int)leave(socket, epoll_set_control(set, epfd, operation, fd, socket, event));
    }
    if (socket != NULL) {
        leave(socket, 0);
    }
    return set == NULL ? libc()->epoll_ctl(epfd, operation, fd, event)
                       : epoll_set_control_kernel(set, epfd, operation, fd, event);
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int limit, int timeout_ms,
                       const sigset_t *mask) {
    struct epoll_set *set = engine_inside() ? NULL : epoll_set_get(epfd);

    if (set == NULL) {
        return libc()->epoll_pwait(epfd, events, limit, timeout_ms, mask);
    }
    return (int)result(epoll_set_wait(set, epfd, events, limit, from_ms(timeout_ms), mask));
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int limit, int timeout_ms) {
    return epoll_pwait(epfd, events, limit, timeout_ms, NULL);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int limit, const struct timespec *timeout,
                        const sigset_t *mask) {
    int64_t ns = nanoseconds(timeout);

    if (invalid(timeout)) {
        return (int)result(-EINVAL);
    }
    return epoll_pwait(epfd, events, limit, ns < 0 ? -1 : (int)LEAST((ns + 999999) / 1000000, INT_MAX), mask);
}

EXPORT int ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask) {
    sigset_t old;
    int code;

    /* The kernel refuses more than a process may have open. */
    if (engine_inside() || count > DESCRIPTOR_LIMIT ||
        (count > 1024 && count > (nfds_t)sysconf(_SC_OPEN_MAX)) || descriptors == NULL ||
        !poll_concerns(descriptors, count)) {
        return libc()->ppoll(descriptors, count, timeout, mask);
    }
    if (invalid(timeout)) {
        return (int)result(-EINVAL);
    }
    signals_begin_mask(mask, &old);
    code = poll_wait(descriptors, count, nanoseconds(timeout));
    signals_end_mask(mask, &old);
    return (int)result(code);
}

EXPORT int poll(struct pollfd *descriptors, nfds_t count, int timeout_ms) {
    struct timespec time = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};

    return ppoll(descriptors, count, timeout_ms < 0 ? NULL : &time, NULL);
}

EXPORT int pselect(int limit, fd_set *in, fd_set *out, fd_set *exceptional, const struct timespec *timeout,
                   const sigset_t *mask) {
    sigset_t old;
    int code;

    if (engine_inside() || !select_concerns(limit, in, out, exceptional)) {
        return libc()->pselect(limit, in, out, exceptional, timeout, mask);
    }
    if (invalid(timeout)) {
        return (int)result(-EINVAL);
    }
    signals_begin_mask(mask, &old);
    code = select_wait(limit, in, out, exceptional, nanoseconds(timeout));
    signals_end_mask(mask, &old);
    return (int)result(code);
}

/* Linux leaves in *timeout what is left of it. */
EXPORT int select(int limit, fd_set *in, fd_set *out, fd_set *exceptional, struct timeval *timeout) {
    struct timespec time, before, after;
    int code;

    if (timeout == NULL) {
        return pselect(limit, in, out, exceptional, NULL, NULL);
    }
    time = (struct timespec){timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &before);
    code = pselect(limit, in, out, exceptional, &time, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (code >= 0 || errno == EINTR) {
        int64_t left = nanoseconds(&time) - (nanoseconds(&after) - nanoseconds(&before));

        left = left < 0 ? 0 : left;
        *timeout = (struct timeval){left / 1000000000, left % 1000000000 / 1000};
    }
    return code;
}

/* --- what _FORTIFY_SOURCE makes of these calls ------------------------------------------------------------
 */

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

/* --- signals and the end of the process --------------------------------------------------------------------
 */

EXPORT int sigaction(int number, const struct sigaction *wanted, struct sigaction *old) {
    return signals_action(number, wanted, old);
}

EXPORT sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction wanted = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;

    sigemptyset(&wanted.sa_mask);
    return signals_action(number, &wanted, &old) == 0 ? old.sa_handler : SIG_ERR;
}

/* BSD's and System V's ways to the same, which the C library would do past us. */
EXPORT int siginterrupt(int number, int interrupts) {
    struct sigaction action;

    if (signals_action(number, NULL, &action) != 0) {
        return -1;
    }
    action.sa_flags = interrupts ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
    return signals_action(number, &action, NULL);
}

EXPORT sighandler_t sysv_signal(int number, sighandler_t handler) {
    struct sigaction wanted = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND | SA_NODEFER}, old;

    sigemptyset(&wanted.sa_mask);
    return signals_action(number, &wanted, &old) == 0 ? old.sa_handler : SIG_ERR;
}

EXPORT sighandler_t __sysv_signal(int number, sighandler_t handler) {
    return sysv_signal(number, handler);
}

/* A child of vfork() would share our tables with its parent, and what it closes would be closed there. */
EXPORT pid_t vfork(void) {
    return fork();
}

EXPORT void _exit(int status) {
    engine_exit();
    libc()->_exit(status);
}

EXPORT void _Exit(int status) {
    _exit(status);
}

__attribute__((destructor)) static void at_exit(void) {
    engine_exit();
}
