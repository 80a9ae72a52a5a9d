/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's own calls, beneath ours of the same names. Must not know what they are used for. */
#ifndef STACKDUEL_LIBC_H
#define STACKDUEL_LIBC_H

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* clang-format off */
#define LIBC_CALLS(CALL)                                                                                     \
    CALL(int, socket, (int, int, int))                                                                       \
    CALL(int, bind, (int, const struct sockaddr *, socklen_t))                                               \
    CALL(int, listen, (int, int))                                                                            \
    CALL(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                           \
    CALL(int, connect, (int, const struct sockaddr *, socklen_t))                                            \
    CALL(int, shutdown, (int, int))                                                                          \
    CALL(int, close, (int))                                                                                  \
    CALL(int, close_range, (unsigned, unsigned, int))                                                        \
    CALL(int, fclose, (FILE *))                                                                              \
    CALL(ssize_t, read, (int, void *, size_t))                                                               \
    CALL(ssize_t, readv, (int, const struct iovec *, int))                                                   \
    CALL(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))                      \
    CALL(ssize_t, recvmsg, (int, struct msghdr *, int))                                                      \
    CALL(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                           \
    CALL(ssize_t, write, (int, const void *, size_t))                                                        \
    CALL(ssize_t, writev, (int, const struct iovec *, int))                                                  \
    CALL(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))              \
    CALL(ssize_t, sendmsg, (int, const struct msghdr *, int))                                                \
    CALL(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                              \
    CALL(ssize_t, sendfile, (int, int, off_t *, size_t))                                                     \
    CALL(int, getsockopt, (int, int, int, void *, socklen_t *))                                              \
    CALL(int, setsockopt, (int, int, int, const void *, socklen_t))                                          \
    CALL(int, getsockname, (int, struct sockaddr *, socklen_t *))                                            \
    CALL(int, getpeername, (int, struct sockaddr *, socklen_t *))                                            \
    CALL(int, ioctl, (int, unsigned long, ...))                                                              \
    CALL(int, fcntl, (int, int, ...))                                                                        \
    CALL(int, dup, (int))                                                                                    \
    CALL(int, dup2, (int, int))                                                                              \
    CALL(int, dup3, (int, int, int))                                                                         \
    CALL(int, epoll_create1, (int))                                                                          \
    CALL(int, epoll_ctl, (int, int, int, struct epoll_event *))                                              \
    CALL(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))                          \
    CALL(int, epoll_pwait2, (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))     \
    CALL(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))                   \
    CALL(int, pselect, (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))       \
    CALL(int, sigaction, (int, const struct sigaction *, struct sigaction *))                                \
    CALL(int, setuid, (uid_t))                                                                               \
    CALL(int, setgid, (gid_t))                                                                               \
    CALL(int, seteuid, (uid_t))                                                                              \
    CALL(int, setegid, (gid_t))                                                                              \
    CALL(int, setreuid, (uid_t, uid_t))                                                                      \
    CALL(int, setregid, (gid_t, gid_t))                                                                      \
    CALL(int, setresuid, (uid_t, uid_t, uid_t))                                                              \
    CALL(int, setresgid, (gid_t, gid_t, gid_t))                                                              \
    CALL(int, setgroups, (size_t, const gid_t *))                                                            \
    CALL(int, initgroups, (const char *, gid_t))                                                             \
    CALL(int, capset, (void *, const void *))                                                                \
    CALL(int, prctl, (int, ...))                                                                             \
    CALL(int, chroot, (const char *))                                                                        \
    CALL(int, unshare, (int))                                                                                \
    CALL(int, setns, (int, int))                                                                             \
    CALL(void, _exit, (int) __attribute__((noreturn)))
/* clang-format on */

struct libc_calls {
#define CALL(result, name, parameters) result(*name) parameters;
    LIBC_CALLS(CALL)
#undef CALL
};

extern struct libc_calls libc_calls;
extern int libc_resolved;

/* Looks the calls up; a constructor of another library may need them before ours has run. */
void libc_resolve(void);

static inline const struct libc_calls *libc(void) {
    if (__builtin_expect(!libc_resolved, 0)) {
        libc_resolve();
    }
    return &libc_calls;
}

#endif
