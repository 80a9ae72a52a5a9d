/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls by which a program gives up what the stack needs to start (its user, capabilities, system calls, or
 * the place where devices and files are), so that it starts before. */
#include "intercept.h"

#include <grp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <unistd.h>

#define GIVES_UP(also_without_sockets, call, parameters, ...)                                                \
    EXPORT int call parameters {                                                                             \
        engine_rights_go(also_without_sockets);                                                              \
        return libc()->call(__VA_ARGS__);                                                                    \
    }

EXPORT int capset(void *header, const void *data);

GIVES_UP(true, setuid, (uid_t user), user)
GIVES_UP(true, setgid, (gid_t group), group)
GIVES_UP(true, seteuid, (uid_t user), user)
GIVES_UP(true, setegid, (gid_t group), group)
GIVES_UP(true, setreuid, (uid_t real, uid_t effective), real, effective)
GIVES_UP(true, setregid, (gid_t real, gid_t effective), real, effective)
GIVES_UP(true, setresuid, (uid_t real, uid_t effective, uid_t saved), real, effective, saved)
GIVES_UP(true, setresgid, (gid_t real, gid_t effective, gid_t saved), real, effective, saved)
GIVES_UP(true, setgroups, (size_t count, const gid_t *groups), count, groups)
GIVES_UP(true, initgroups, (const char *user, gid_t group), user, group)
GIVES_UP(true, capset, (void *header, const void *data), header, data)
GIVES_UP(true, chroot, (const char *path), path)
/* Who has no socket yet goes to another namespace to find the device there. */
GIVES_UP(false, unshare, (int flags), flags)
GIVES_UP(false, setns, (int fd, int kind), fd, kind)

/* A filter of system calls comes this way, or past us but after PR_SET_NO_NEW_PRIVS. */
EXPORT int prctl(int operation, ...) {
    unsigned long words[4];
    va_list arguments;

    va_start(arguments, operation);
    for (int i = 0; i < 4; i++) {
        words[i] = va_arg(arguments, unsigned long);
    }
    va_end(arguments);
    if (operation == PR_SET_SECCOMP || operation == PR_SET_NO_NEW_PRIVS || operation == PR_CAPBSET_DROP) {
        engine_rights_go(true);
    }
    return libc()->prctl(operation, words[0], words[1], words[2], words[3]);
}
