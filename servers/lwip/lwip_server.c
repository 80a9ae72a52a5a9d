/* SPDX-License-Identifier: BSD-3-Clause */
/* The HTTP server on lwIP over DPDK: one thread a core polls a stack with connections of its own. What
 * happens to packets is stack/'s business, what the connections say lwip_http.c's; this file brings them up
 * and down. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "common/counters.h"
#include "common/features.h"
#include "common/privileges.h"
#include "cores.h"
#include "lwip_http.h"
#include "lwip_options.h"
#include "lwip_report.h"
#include "stack/port/eal.h"
#include "stack/stack.h"

#define CACHE_LINE 64
#define IDLE_TURNS 256 /* turns without a packet before a core that may sleep does so */

/* Of the process: written before the cores start; then each writes its own report. */
static struct {
    struct lwip_options options;
    struct http_site site;
    struct port_shared *port;
    struct lwip_report *reports; /* [cores] */
} shared;

/* Of the core that looks at it. */
static __thread _Alignas(CACHE_LINE) struct lwip_http server;

/* What all cores answer with. */
static int create_shared(const struct lwip_options *options) {
    size_t reports = options->cores * sizeof(*shared.reports);
    void *bodies = stack_reserve(http_site_size(options->body_size));

    shared.reports = aligned_alloc(CACHE_LINE, reports);
    if (bodies == NULL || shared.reports == NULL) {
        return -ENOMEM;
    }
    memset(shared.reports, 0, reports);
    http_site_init(&shared.site, options->body_size, bodies);
    return 0;
}

static size_t share_of_connections(const struct lwip_options *options) {
    return (options->max_connections + options->cores - 1) / options->cores;
}

static int create_http(const struct lwip_options *options) {
    const struct lwip_http_config config = {.site = &shared.site,
                                            .max_sessions = share_of_connections(options),
                                            .port = (uint16_t)options->port,
                                            .backlog = (uint16_t)options->backlog,
                                            .keepalive_idle = (uint32_t)options->keepalive_idle,
                                            .keepalive_interval = (uint32_t)options->keepalive_interval,
                                            .keepalive_count = (uint32_t)options->keepalive_count,
                                            .limits = options->limits};

    return lwip_http_create(&server, &config);
}

static void report(unsigned core) {
    struct lwip_report *mine = &shared.reports[core];

    *mine = (struct lwip_report){.lcore = rte_lcore_id(),
                                 .counters = server.counters,
                                 .writes_refused = server.writes_refused,
                                 .syn_dropped = lwip_http_syn_dropped(&server)};
    stack_count(&mine->stack);
    memory_count(&mine->memory);
    mine->counters.retransmits = mine->stack.retransmits;
}

static int out_of_memory(const struct lwip_options *options) {
    fprintf(stderr, "lwip_server: out of memory for %zu connections and a body of %zu bytes\n",
            (size_t)options->max_connections, (size_t)options->body_size);
    return 1;
}

/* On the core's own thread, core 0 first. 0, or the exit code. */
static int start(const struct lwip_options *options, unsigned core) {
    struct stack_config config = {.connections = (uint32_t)share_of_connections(options),
                                  .address = options->address,
                                  .netmask = options->netmask,
                                  .gateway = options->gateway,
                                  .mtu = (uint16_t)options->mtu,
                                  .rx_descriptors = (uint16_t)options->rx_descriptors,
                                  .tx_descriptors = (uint16_t)options->tx_descriptors,
                                  .mbufs = (unsigned)options->mbufs,
                                  .offload = !options->no_offload && feature_on(FEATURE_OFFLOAD),
                                  .interrupts = options->idle == IDLE_INTR,
                                  .cores = (uint16_t)options->cores,
                                  .core = (uint16_t)core,
                                  .shared = shared.port};
    const char *refusal;
    char error[256];

    memcpy(config.mac, options->mac, sizeof(config.mac));
    if (create_http(options) != 0) {
        return out_of_memory(options);
    }
    if (stack_start(&config, error, sizeof(error)) != 0) {
        fprintf(stderr, "lwip_server: %s\n", error);
        return 3;
    }
    if (core == 0) {
        shared.port = stack_shared();
    }
    if ((refusal = lwip_http_listen(&server, NULL)) != NULL) {
        fprintf(stderr, "lwip_server: port %u: %s\n", (unsigned)options->port, refusal);
        return 1;
    }
    cores_serving(core, stack_waker());
    return 0;
}

static void serve(unsigned core) {
    unsigned idle_turns = 0;

    while (!cores_stopping() && (core != 0 || stack_device_gone() == NULL)) {
        idle_turns = stack_poll() ? 0 : idle_turns + 1;
        if (shared.options.idle == IDLE_INTR && idle_turns > IDLE_TURNS) {
            stack_sleep();
        }
        if (cores_report_due(core)) {
            report(core);
            cores_reported(core);
        }
        if (core == 0 && cores_report_complete()) {
            lwip_report_print(shared.reports, (unsigned)shared.options.cores, LWIP_HTTP_SESSION_BYTES);
        }
    }
}

static void end_sessions(unsigned core) {
    lwip_http_close(&server);
    report(core);
}

static void stop(void) {
    privileges_for_device();
    stack_stop();
    lwip_http_free(&server);
}

/* What every core but the first does from its beginning to its end. */
static int run_core(unsigned core) {
    int code = start(&shared.options, core);

    if (code == 0) {
        serve(core);
        end_sessions(core);
        stop();
    }
    return code;
}

/* Core 0, and through it the others. 0, or the exit code. */
static int run(const struct lwip_options *options) {
    const char *unplugged;
    int code;

    if (create_shared(options) != 0) {
        return out_of_memory(options);
    }
    if ((code = start(options, 0)) != 0) {
        return code;
    }
    if ((code = cores_start((unsigned)options->cores, run_core)) == 0) {
        cores_catch_signals();
        privileges_drop(options->user, true);
        ready_print(options->address, (uint16_t)options->port);
        serve(0);
    }
    unplugged = stack_device_gone();
    end_sessions(0);
    cores_join();
    if (code == 0) {
        lwip_report_print(shared.reports, (unsigned)options->cores, LWIP_HTTP_SESSION_BYTES);
    }
    stop();
    free(shared.reports);
    if (unplugged != NULL) { /* after what EAL says of its end */
        fprintf(stderr, "lwip_server: %s was unplugged\n", unplugged);
        code = 1;
    }
    return code;
}

static void print_rows(const struct feature_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        printf("  %-12s %s\n", table->rows[i].name, table->rows[i].what);
    }
}

static void print_own_options(const char *program) {
    printf("\nAfter EAL's options and '--':\n");
    options_help(stdout, &lwip_options, program);
    printf("\nOptimisations, for --without:\n");
    print_rows(&optimisations);
    printf("\nObligations, for --waive:\n");
    print_rows(&obligations);
}

/* Ends the program with exit code 2 when EAL has too few lcores. */
static void have_lcores_or_exit(unsigned cores) {
    unsigned lcores = rte_lcore_count();

    if (cores > lcores) {
        fprintf(stderr, "lwip_server: --cores %u, but EAL has %u lcore%s: give it more with -l or --lcores\n",
                cores, lcores, lcores == 1 ? "" : "s");
        exit(2);
    }
}

/* Ends the program with exit code 2 on a name that is none. */
static void leave_out_or_exit(const struct feature_table *table, const char *list) {
    char error[256];

    if (!features_leave_out(table, list, error, sizeof(error))) {
        fprintf(stderr, "lwip_server: %s\n", error);
        exit(2);
    }
}

int main(int argc, char *argv[]) {
    int eal_words, code;

    rte_openlog_stream(stderr);
    rte_set_application_usage_hook(print_own_options);
    /* Own options first: a mistake in them is told at once, not after EAL has taken hugepages. */
    eal_words = options_parse_after_eal_or_exit(&shared.options, &lwip_options, argc, argv);
    leave_out_or_exit(&optimisations, shared.options.without);
    leave_out_or_exit(&obligations, shared.options.waive);
    privileges_limit();
    if ((code = eal_start("lwip_server", eal_words, argv)) != 0) {
        return code;
    }
    have_lcores_or_exit((unsigned)shared.options.cores);
    return run(&shared.options); /* without rte_eal_cleanup(): see eal.h */
}
