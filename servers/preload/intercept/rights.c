/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls by which a program gives up what the stack needs to start (its user, capabilities, system calls, or
 * the place where devices and files are), so that it starts before. */
#include "intercept.h"

#include <grp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <unistd.h>

EXPORT int setuid(uid_t user) {
    engine_rights_go(true);
    return libc()->setuid(user);
}

EXPORT int setgid(gid_t group) {
    engine_rights_go(true);
    return libc()->setgid(group);
}

EXPORT int seteuid(uid_t user) {
    engine_rights_go(true);
    return libc()->seteuid(user);
}

EXPORT int setegid(gid_t group) {
    engine_rights_go(true);
    return libc()->setegid(group);
}

EXPORT int setreuid(uid_t real, uid_t effective) {
    engine_rights_go(true);
    return libc()->setreuid(real, effective);
}

EXPORT int setregid(gid_t real, gid_t effective) {
    engine_rights_go(true);
    return libc()->setregid(real, effective);
}

EXPORT int setresuid(uid_t real, uid_t effective, uid_t saved) {
    engine_rights_go(true);
    return libc()->setresuid(real, effective, saved);
}

EXPORT int setresgid(gid_t real, gid_t effective, gid_t saved) {
    engine_rights_go(true);
    return libc()->setresgid(real, effective, saved);
}

EXPORT int setgroups(size_t count, const gid_t *groups) {
    engine_rights_go(true);
    return libc()->setgroups(count, groups);
}

EXPORT int initgroups(const char *user, gid_t group) {
    engine_rights_go(true);
    return libc()->initgroups(user, group);
}

EXPORT int capset(void *header, const void *data);
EXPORT int capset(void *header, const void *data) {
    engine_rights_go(true);
    return libc()->capset(header, data);
}

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

EXPORT int chroot(const char *path) {
    engine_rights_go(true);
    return libc()->chroot(path);
}

/* Who has no socket yet goes to another namespace to find the device there. */
EXPORT int unshare(int flags) {
    engine_rights_go(false);
    return libc()->unshare(flags);
}

EXPORT int setns(int fd, int kind) {
    engine_rights_go(false);
    return libc()->setns(fd, kind);
}
