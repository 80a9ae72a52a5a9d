/* SPDX-License-Identifier: BSD-3-Clause */
/* The open-loop client as a program: threads with connections of their own, one schedule among them, and the
 * account of what came of it. Its exit code: 0 the account was given, errors stand in it; 1 there is none:
 * the server was not there or went away, or it was stopped; 2 a wrong option; 3 the machine cannot. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "client.h"
#include "common/stop.h"
#include "openload_options.h"
#include "report.h"

#define THREADS_MAX 64
#define LEAD_NS 2000000 /* from the last thread's arrival to the first request */
#define STAT_SIZE 65536
#define SPARE_FILES 64

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_MACHINE = 3 };

static struct openload_options options;

/* Of all threads: how many have opened their connections, and whether one could not. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t ready, failed;
    bool released;
    struct client_interval interval;
    struct client *clients[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
} all = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* --- options ------------------------------------------------------------------------------------------ */

static const char *contradiction(void) {
    if (options.connections < options.threads) {
        return "--threads: more than --connections: each thread needs one";
    }
    if (options.duration_us == 0) {
        return "--duration: must be more than 0";
    }
    if (options.path[0] != '/' || strlen(options.path) > CLIENT_PATH_MAX) {
        return "--path: must begin with '/' and have at most 4096 bytes";
    }
    for (const char *at = options.path; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return "--path: must be printable and have no space";
        }
    }
    return NULL;
}

static void allow_files(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < options.connections + SPARE_FILES) {
        limit.rlim_cur = options.connections + SPARE_FILES;
        if (limit.rlim_max < limit.rlim_cur) {
            limit.rlim_max = limit.rlim_cur;
        }
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            fprintf(stderr, "openload: so many connections need `ulimit -n %llu`\n",
                    (unsigned long long)limit.rlim_cur);
            exit(EXIT_MACHINE);
        }
    }
}

/* --- threads ------------------------------------------------------------------------------------------ */

/* Pins the thread of that number to the CPU of that number among those that the process may use, if there are
 * enough: two that spin on one CPU would be each other's delay. */
static void pin(uint32_t number) {
    cpu_set_t may, one;
    uint32_t seen = 0;

    if (sched_getaffinity(0, sizeof(may), &may) != 0 || (uint32_t)CPU_COUNT(&may) < options.threads) {
        return;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &may) && seen++ == number) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)sched_setaffinity(0, sizeof(one), &one);
            return;
        }
    }
}

static void *run_thread(void *argument) {
    struct client *client = argument;
    bool opened;

    if (options.threads > 1) {
        pin(client->order.share);
    }
    prctl(PR_SET_TIMERSLACK, 1UL); /* else a sleep ends up to 50 us late */
    opened = client_open(client);
    pthread_mutex_lock(&all.mutex);
    all.ready += opened;
    all.failed += !opened;
    pthread_cond_broadcast(&all.changed);
    while (!all.released) {
        pthread_cond_wait(&all.changed, &all.mutex);
    }
    opened = all.failed == 0;
    pthread_mutex_unlock(&all.mutex);
    if (opened) {
        (void)client_run(client, &all.interval);
    }
    return NULL;
}

static bool make_clients(void) {
    struct client_order order = {
        .server = {.sin_family = AF_INET,
                   .sin_port = htons((uint16_t)options.port),
                   .sin_addr = {.s_addr = options.address}},
        .path = options.path,
        .body_size = (uint32_t)options.body_size,
        .rate = options.rate,
        .poisson = options.arrivals == ARRIVALS_POISSON,
        .seed = options.seed,
        .shares = (uint32_t)options.threads,
        .spin_ns = options.spin_us * 1000,
        .stop = &stop_requested,
    };

    for (order.share = 0; order.share < order.shares; order.share++) {
        struct client *client = calloc(1, sizeof(*client));

        order.connections = (uint32_t)(options.connections / order.shares +
                                       (order.share < options.connections % order.shares));
        all.clients[order.share] = client;
        if (client == NULL || !client_init(client, &order)) {
            fprintf(stderr, "openload: %s\n", client == NULL ? "no memory for a thread" : client->problem);
            return false;
        }
    }
    return true;
}

/* Waits for all threads. False, with a line on stderr, where one could not open its connections. */
static bool wait_until_open(void) {
    pthread_mutex_lock(&all.mutex);
    while (all.ready + all.failed < options.threads) {
        pthread_cond_wait(&all.changed, &all.mutex);
    }
    all.interval.start = clock_ns() + LEAD_NS;
    all.interval.begin = all.interval.start + options.warmup_us * 1000;
    all.interval.end = all.interval.begin + options.duration_us * 1000;
    all.released = true;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.mutex);
    return all.failed == 0;
}

/* --- the account -------------------------------------------------------------------------------------- */

static void sleep_until(uint64_t time) {
    while (!stop_requested) {
        uint64_t now = clock_ns();
        struct timespec rest = {.tv_nsec = 100000000}; /* a signal may have another thread */

        if (now >= time) {
            return;
        }
        if (time - now < 100000000) {
            rest.tv_nsec = (long)(time - now);
        }
        nanosleep(&rest, NULL);
    }
}

/* Reads the lines of CPU times; "" where there are none. Owned by the caller. */
static char *read_stat(void) {
    char *text = calloc(1, STAT_SIZE), *rest;
    FILE *file = fopen("/proc/stat", "re");

    if (text != NULL && file != NULL) {
        (void)!fread(text, 1, STAT_SIZE - 1, file);
        if ((rest = strstr(text, "intr ")) != NULL) {
            *rest = '\0';
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

static int give_account(const struct report_stat *stat) {
    FILE *out = options.output != NULL ? fopen(options.output, "we") : stdout;

    if (out == NULL) {
        fprintf(stderr, "openload: --output %s: cannot be written\n", options.output);
        return EXIT_MACHINE;
    }
    report_print(out, &options, all.clients, (uint32_t)options.threads, stat);
    return (out == stdout ? fflush(out) : fclose(out)) == 0 ? 0 : EXIT_MACHINE;
}

static bool say_problem(void) {
    for (uint32_t i = 0; i < options.threads; i++) {
        if (all.clients[i]->problem[0] != '\0') {
            fprintf(stderr, "openload: %s\n", all.clients[i]->problem);
            return true;
        }
    }
    return false;
}

static void say(const char *word) {
    if (options.output == NULL) {
        puts(word);
        fflush(stdout);
    }
}

static int run(void) {
    struct report_stat stat = {NULL, NULL};
    int code = EXIT_FAILED;
    bool open;

    for (uint32_t i = 0; i < options.threads; i++) {
        if (pthread_create(&all.threads[i], NULL, run_thread, all.clients[i]) != 0) {
            fprintf(stderr, "openload: the machine gives no thread\n");
            exit(EXIT_MACHINE); /* those that there are wait for it */
        }
    }
    open = wait_until_open();
    if (open) {
        sleep_until(all.interval.begin);
        stat.before = read_stat();
        say("MEASURING");
        sleep_until(all.interval.end);
        stat.after = read_stat();
    }
    for (uint32_t i = 0; i < options.threads; i++) {
        pthread_join(all.threads[i], NULL);
    }
    if (!say_problem() && open && stat.before != NULL && stat.after != NULL) {
        code = give_account(&stat);
    }
    free(stat.before);
    free(stat.after);
    return code;
}

int main(int argc, char *argv[]) {
    const char *wrong;
    int code = EXIT_MACHINE;

    options_parse_or_exit(&options, &openload_options, argc, argv);
    if ((wrong = contradiction()) != NULL) {
        fprintf(stderr, "openload: %s\n", wrong);
        return EXIT_USAGE;
    }
    allow_files();
    stop_catch_signals();
    if (make_clients()) {
        code = run();
    }
    for (uint32_t i = 0; i < options.threads; i++) {
        if (all.clients[i] != NULL) {
            client_free(all.clients[i]);
            free(all.clients[i]);
        }
    }
    return code;
}
