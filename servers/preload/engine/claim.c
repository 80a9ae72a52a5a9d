/* SPDX-License-Identifier: BSD-3-Clause */
#include "claim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "eal_start.h"
#include "libc.h"

static uint64_t hash(uint64_t sum, const char *text) {
    do { /* FNV-1a, with the zero at the end */
        sum = (sum ^ (uint8_t)*text) * 0x100000001b3u;
    } while (*text++ != '\0');
    return sum;
}

/* An abstract name (unix(7)), of the address and the words for EAL, which name the device. */
static socklen_t name_of(const struct settings *settings, struct sockaddr_un *name) {
    uint64_t words = 0xcbf29ce484222325u;
    int length;

    for (int i = 0; i < settings->eal_count; i++) {
        words = hash(words, settings->eal_words[i]);
    }
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    length = snprintf(name->sun_path + 1, sizeof(name->sun_path) - 1, "stackduel/%08x/%016" PRIx64,
                      (unsigned)ntohl(settings->stack.address), words);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static int open_socket(void) {
    return libc()->socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int claim_take(const struct settings *settings) {
    struct sockaddr_un name;
    socklen_t size = name_of(settings, &name);
    int low = open_socket(), fd = -1, code = 0;

    if (low >= 0) {
        fd = libc()->fcntl(low, F_DUPFD_CLOEXEC, (void *)(intptr_t)eal_lowest_descriptor());
    }
    if (fd < 0 || libc()->bind(fd, (struct sockaddr *)&name, size) != 0 || libc()->listen(fd, 1) != 0) {
        code = -errno;
    }
    if (low >= 0) {
        (void)libc()->close(low);
    }
    if (code != 0 && fd >= 0) {
        (void)libc()->close(fd);
    }
    return code;
}

pid_t claim_holder(const struct settings *settings) {
    struct sockaddr_un name;
    socklen_t size = name_of(settings, &name), room;
    struct ucred owner = {0};
    int fd = open_socket();

    if (fd < 0) {
        return 0;
    }
    room = sizeof(owner);
    if (libc()->connect(fd, (struct sockaddr *)&name, size) != 0 ||
        libc()->getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &owner, &room) != 0) {
        owner.pid = errno == EAGAIN ? -1 : 0; /* its queue is full: somebody is there */
    }
    (void)libc()->close(fd);
    return owner.pid;
}
