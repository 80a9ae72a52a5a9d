/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel_threads.h"

#include "common/privileges.h"
#include "kernel_listen.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { CACHE_LINE = 64 };

struct thread {
    pthread_t id;
    int fd;                          /* thread 0: of the signals; else of what thread 0 asks */
    struct kernel_counters counters; /* as it wrote them down last */
} __attribute__((aligned(CACHE_LINE)));

/* Set before the threads start, but for what they are asked and what they answer. */
static struct {
    const struct kernel_options *options;
    const struct kernel_cpus *cpus;
    const struct kernel_service *service;
    atomic_bool stop_asked;
    sem_t answered; /* by a thread that has started, or reported */
    struct thread thread[KERNEL_THREADS_MAX];
} threads;

void kernel_cpus_or_exit(struct kernel_cpus *cpus, const struct kernel_options *options) {
    cpu_set_t allowed;
    char error[256];
    sched_getaffinity(0, sizeof(allowed), &allowed);
    if (kernel_cpus_parse(cpus, options->cpus, (unsigned)options->threads, &allowed, error, sizeof(error))) {
        return;
    }
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, error);
    exit(2);
}

static void die(const char *what, unsigned thread, int error) {
    fprintf(stderr, "%s: %s thread %u: %s\n", program_invocation_short_name, what, thread, strerror(error));
    exit(1);
}

static void pin(unsigned thread) {
    cpu_set_t set;
    int error;
    if (threads.cpus->count == 0) {
        return;
    }
    CPU_ZERO(&set);
    CPU_SET(threads.cpus->cpu[thread], &set);
    if ((error = pthread_setaffinity_np(pthread_self(), sizeof(set), &set)) != 0) {
        die("cannot pin", thread, error);
    }
}

static void write_down(unsigned thread) {
    struct kernel_counters *counters = &threads.thread[thread].counters;
    memset(counters, 0, sizeof(*counters));
    threads.service->count(counters);
}

static void *run(void *argument) {
    unsigned thread = (unsigned)(uintptr_t)argument;
    /* A table of descriptors of its own: in one that is shared, every system call takes and gives back a
     * reference to its file, and every connection takes the table's lock. */
    if (unshare(CLONE_FILES) != 0) {
        die("cannot start", thread, errno);
    }
    pin(thread);
    threads.service->start(thread);
    sem_post(&threads.answered);
    threads.service->serve(thread);
    threads.service->stop(thread);
    write_down(thread);
    return NULL;
}

static void wait_for_answer(void) {
    while (sem_wait(&threads.answered) != 0) {
        continue; /* EINTR */
    }
}

static void print(void) {
    struct kernel_counters sum = {0};
    char *tail = NULL;
    size_t size;
    FILE *out = open_memstream(&tail, &size);
    unsigned count = (unsigned)threads.options->threads;
    fprintf(out, "\"user\": \"%s\", \"threads\": %u", privileges_user(), count);
    for (unsigned i = 0; i < count; i++) {
        const struct kernel_counters *one = &threads.thread[i].counters;
        counters_add(&sum.common, &one->common);
        sum.napi_connections += one->napi_connections;
        if (count > 1) {
            fprintf(out, "%s%" PRIu64, i == 0 ? ", \"accepts_by_thread\": [" : ", ", one->common.accepts);
        }
    }
    if (count > 1) {
        fprintf(out, "]");
    }
    if (threads.options->busy_poll > 0) {
        fprintf(out, ", \"napi_connections\": %" PRIu64, sum.napi_connections);
    }
    if (threads.service->describe != NULL) {
        threads.service->describe(out);
    }
    fclose(out);
    counters_print(threads.service->name, &sum.common, NULL, 0, NULL, tail);
    free(tail);
}

/* Wakes the others; what they are to do stands in stop_asked. */
static void ask_others(void) {
    for (unsigned i = 1; i < threads.options->threads; i++) {
        eventfd_write(threads.thread[i].fd, 1);
    }
}

static void report(void) {
    ask_others();
    for (unsigned i = 1; i < threads.options->threads; i++) {
        wait_for_answer();
    }
    write_down(0);
    print();
}

static bool signalled(int fd) {
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo != SIGUSR1) {
            atomic_store(&threads.stop_asked, true);
            ask_others();
            return false;
        }
        report();
    }
    return true;
}

bool thread_on_control(unsigned thread) {
    eventfd_t count;
    if (thread == 0) {
        return signalled(threads.thread[0].fd);
    }
    if (eventfd_read(threads.thread[thread].fd, &count) != 0) {
        return true;
    }
    if (atomic_load(&threads.stop_asked)) {
        return false;
    }
    write_down(thread);
    sem_post(&threads.answered);
    return true;
}

int kernel_thread_fd(unsigned thread) {
    return threads.thread[thread].fd;
}

static void make_descriptors(unsigned count) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL); /* inherited by the threads */
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < count; i++) {
        int fd =
            i == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd < 0) {
            die("no descriptor for", i, errno);
        }
        threads.thread[i].fd = fd;
    }
}

void kernel_threads_run(const struct kernel_options *options, const struct kernel_cpus *cpus,
                        const struct kernel_service *service) {
    unsigned count = (unsigned)options->threads;
    int error;
    threads.options = options;
    threads.cpus = cpus;
    threads.service = service;
    sem_init(&threads.answered, 0, 0);
    make_descriptors(count);
    pin(0);
    service->start(0);
    for (unsigned i = 1; i < count; i++) {
        if ((error = pthread_create(&threads.thread[i].id, NULL, run, (void *)(uintptr_t)i)) != 0) {
            die("cannot start", i, error);
        }
        wait_for_answer();
    }
    privileges_drop(options->user, false);
    ready_print(options->address, (uint16_t)options->port);
    service->serve(0);
    service->stop(0);
    write_down(0);
    for (unsigned i = 1; i < count; i++) {
        pthread_join(threads.thread[i].id, NULL);
    }
    print();
    for (unsigned i = 0; i < count; i++) {
        close(threads.thread[i].fd);
    }
    sem_destroy(&threads.answered);
}
