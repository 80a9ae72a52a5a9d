/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal_start.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_version.h>

#include "libc.h"

#include "stack/port/devargs.h"
#include "stack/port/eal_log.h"

#define EAL_WORDS_MAX 64
#define LOW_DESCRIPTORS 256

static struct {
    const struct settings *settings;
    pid_t owner; /* the process that started EAL */
    char runtime_directory[256];
} eal;

void eal_say(const char *format, ...) {
    char line[512] = "stackduel: ";
    size_t length = strlen(line);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
    va_end(arguments);
    strcat(line, "\n");
    (void)!libc()->write(STDERR_FILENO, line, strlen(line));
}

void eal_remove_traces(void) {
    if (getpid() == eal.owner) {
        devargs_remove_sockets(eal.settings->eal_count, eal.settings->eal_words);
        (void)rmdir(eal.runtime_directory);
    }
}

static bool given(const struct settings *settings, const char *option) {
    for (int i = 0; i < settings->eal_count; i++) {
        if (strncmp(settings->eal_words[i], option, strlen(option)) == 0) {
            return true;
        }
    }
    return false;
}

int eal_lowest_descriptor(void) {
    long limit = sysconf(_SC_OPEN_MAX) / 4;

    return limit < 0 || limit > LOW_DESCRIPTORS ? LOW_DESCRIPTORS : (int)limit;
}

/* Takes those that are free, so that EAL does not get them; false if there is no descriptor to be had. */
static bool take_low_descriptors(bool taken[LOW_DESCRIPTORS]) {
    int limit = eal_lowest_descriptor(), fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    memset(taken, 0, LOW_DESCRIPTORS * sizeof(*taken));
    while (fd >= 0 && fd < limit) {
        taken[fd] = true;
        fd = libc()->fcntl(fd, F_DUPFD_CLOEXEC, fd);
    }
    return fd >= 0 && libc()->close(fd) == 0;
}

static void give_low_descriptors(const bool taken[LOW_DESCRIPTORS]) {
    for (int fd = 0; fd < LOW_DESCRIPTORS; fd++) {
        if (taken[fd]) {
            (void)libc()->close(fd);
        }
    }
}

/* EAL would pin the thread that starts it to the first core; where the program runs is its own business. */
static int start(const struct settings *settings) {
    static char program[] = "stackduel", one_lcore[] = "--lcores=0@0", quiet[] = "--log-level=error";
    char *words[EAL_WORDS_MAX];
    struct rlimit files;
    cpu_set_t cpus;
    int count = 0, code;

    if (settings->eal_count > EAL_WORDS_MAX - 4) {
        eal_say("more than %d words for EAL", EAL_WORDS_MAX - 4);
        return -EINVAL;
    }
    words[count++] = program;
    if (!given(settings, "--log-level")) {
        words[count++] = quiet;
    }
    if (!given(settings, "--lcores") && !given(settings, "-l") && !given(settings, "-c")) {
        words[count++] = one_lcore;
    }
    for (int i = 0; i < settings->eal_count; i++) {
        words[count++] = settings->eal_words[i];
    }
    words[count] = NULL;
    pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    eal_log_hold(count, words);
    code = rte_eal_init(count, words);
    eal_log_release(code >= 0);
    (void)setrlimit(RLIMIT_NOFILE, &files); /* EAL raises it, and programs go by it */
    pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    if (code < 0) {
        eal_say("EAL did not start: %s", eal_log_reason(rte_strerror(rte_errno)));
        return -ENETDOWN;
    }
    snprintf(eal.runtime_directory, sizeof(eal.runtime_directory), "%s", rte_eal_get_runtime_dir());
    return 0;
}

static bool same_dpdk(void) {
    char built[32];

    snprintf(built, sizeof(built), RTE_VER_PREFIX " %d.%02d.", RTE_VER_YEAR, RTE_VER_MONTH);
    if (strncmp(rte_version(), built, strlen(built)) == 0) {
        return true;
    }
    eal_say("built for %sx, but this is %s: build again", built, rte_version());
    return false;
}

bool eal_can_start(const struct settings *settings) {
    char error[512];

    if (!same_dpdk()) {
        return false;
    }
    if (devargs_check(settings->eal_count, settings->eal_words, error, sizeof(error)) != 0) {
        eal_say("%s", error);
        return false;
    }
    return true;
}

int eal_start(const struct settings *settings, int (*then)(const struct settings *)) {
    bool low[LOW_DESCRIPTORS];
    int code;

    if (!take_low_descriptors(low)) {
        eal_say("no descriptors left for EAL: %s", strerror(errno));
        give_low_descriptors(low);
        return -ENETDOWN;
    }
    eal.settings = settings;
    eal.owner = getpid();
    code = start(settings);
    if (code == 0 && (code = then(settings)) != 0) {
        rte_eal_cleanup();
        eal_remove_traces();
    }
    give_low_descriptors(low);
    return code == 0 ? 0 : -ENETDOWN;
}

void eal_end(void) {
    rte_eal_cleanup();
    eal_remove_traces();
}
