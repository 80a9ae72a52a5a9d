/* SPDX-License-Identifier: BSD-3-Clause */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY "nobody"

typedef struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];

/* What a TAP and a socket of AF_XDP want to be closed well. */
static const int of_device[] = {CAP_NET_ADMIN, CAP_BPF};

static void die(const char *what, const char *user) {
    fprintf(stderr, "%s: %s %s: %s\n", program_invocation_short_name, what, user, strerror(errno));
    exit(1);
}

static bool get_capabilities(capabilities data) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &header, data) == 0;
}

/* Sets the calling thread's permitted and effective capabilities to those of `wanted` that it is permitted.
 */
static bool keep(const uint32_t wanted[_LINUX_CAPABILITY_U32S_3], bool effective) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    capabilities data;
    if (!get_capabilities(data)) {
        return false;
    }
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= wanted[i];
        data[i].effective = effective ? data[i].permitted : 0;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) == 0;
}

static bool keep_for_device(bool effective) {
    uint32_t wanted[_LINUX_CAPABILITY_U32S_3] = {0};
    for (size_t i = 0; i < sizeof(of_device) / sizeof(of_device[0]); i++) {
        wanted[CAP_TO_INDEX(of_device[i])] |= CAP_TO_MASK(of_device[i]);
    }
    return keep(wanted, effective);
}

static bool may_change_user(void) {
    capabilities data;
    return get_capabilities(data) && (data[0].effective & CAP_TO_MASK(CAP_SETUID)) != 0 &&
           (data[0].effective & CAP_TO_MASK(CAP_SETGID)) != 0;
}

void privileges_limit(void) {
    umask(S_IRWXG | S_IRWXO);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void privileges_drop(const char *user, bool device) {
    const struct passwd *entry;
    if (user == NULL && geteuid() != 0) {
        return;
    }
    if (user == NULL && !may_change_user()) {
        fprintf(stderr, "%s: it stays root, which may not change users here (CAP_SETUID, CAP_SETGID)\n",
                program_invocation_short_name);
        return;
    }
    user = user != NULL ? user : NOBODY;
    if ((entry = getpwnam(user)) == NULL) {
        fprintf(stderr, "%s: --user: there is no user %s\n", program_invocation_short_name, user);
        exit(1);
    }
    if (entry->pw_uid == geteuid()) {
        return;
    }
    prctl(PR_SET_KEEPCAPS, device, 0, 0, 0);
    if (setgroups(0, NULL) != 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0) {
        die("cannot become", user);
    }
    if (device && !keep_for_device(false)) {
        die("cannot give up rights as", user);
    }
#ifdef __SANITIZE_ADDRESS__
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the search for leaks traces the process */
#endif
}

void privileges_for_device(void) {
    if (geteuid() != 0) {
        (void)keep_for_device(true); /* else the driver says what it cannot do */
    }
}

const char *privileges_user(void) {
    const struct passwd *entry = getpwuid(geteuid());
    return entry != NULL ? entry->pw_name : "?";
}
