/* SPDX-License-Identifier: BSD-3-Clause */
/* The load generator as a program: one thread that polls. Its phases, one after the other, and its exit code:
 * 0; 1 an answer was wrong, a connection failed, or the server went away; 2 a wrong option; 3 no port or no
 * memory. */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_log.h>

#include "actions.h"
#include "common/stop.h"
#include "loop.h"
#include "modes.h"
#include "report.h"
#include "stack/port/eal.h"

#define LINK_SECONDS 30 /* until the other end is there */
#define ARP_MS 100
#define ARP_SECONDS 10
#define STUCK_SECONDS 1    /* without anything leaving: the other end is gone */
#define PATH_MAX_BYTES 400 /* so that a request fits in TEMPLATE_PAYLOAD_MAX */

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_MACHINE = 3 };

static struct loadgen_options options;
static struct generator generator;

static void print_own_options(const char *program) {
    printf("\nAfter EAL's options and '--':\n");
    options_help(stdout, &loadgen_options, program);
}

/* --- options that must fit together ------------------------------------------------------------------- */

static bool is_source(uint32_t address) {
    return ntohl(address) - ntohl(options.address) < options.addresses;
}

/* Finds options that do not fit together. NULL, or what is wrong. */
static const char *contradiction(void) {
    bool known = memcmp(options.server_mac, (uint8_t[6]){0}, 6) != 0;

    if (ntohl(options.address) > UINT32_MAX - (uint32_t)options.addresses) {
        return "--addresses: there are not as many behind --address";
    }
    if (is_source(options.server)) {
        return "--server: is one of the addresses to connect from";
    }
    if (!known && ((options.server ^ options.address) & options.netmask) != 0) {
        return "--server: is not within --netmask of --address; give --server-mac";
    }
    if (options.mode == MODE_OPEN && options.rate == 0) {
        return "--rate is required for --mode open";
    }
    if (options.mode != MODE_OPEN && options.rate != 0) {
        return "--rate: only with --mode open";
    }
    if (options.rotate && options.mode != MODE_CLOSED && options.mode != MODE_HOLD) {
        return "--rotate: only with --mode closed or hold";
    }
    if (options.active == 0 && options.mode != MODE_HOLD) {
        return "--active: 0 only with --mode hold";
    }
    if (options.duration_us == 0) {
        return "--duration: must be more than 0";
    }
    return NULL;
}

static bool printable(const char *path) {
    for (const char *at = path; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return false;
        }
    }
    return true;
}

static void check_options_or_exit(void) {
    const char *wrong = contradiction();
    uint64_t flows = options.addresses * FLOW_PORTS;

    if (wrong != NULL) {
        fprintf(stderr, "loadgen: %s\n", wrong);
    } else if (options.connections > flows) {
        fprintf(stderr, "loadgen: --connections: %" PRIu64 " need --addresses %" PRIu64 "\n",
                options.connections, (options.connections + FLOW_PORTS - 1) / FLOW_PORTS);
    } else if (options.path[0] != '/' || strlen(options.path) > PATH_MAX_BYTES || !printable(options.path)) {
        fprintf(stderr,
                "loadgen: --path: must begin with '/' and have at most %d bytes, printable and no space\n",
                PATH_MAX_BYTES);
    } else {
        return;
    }
    exit(EXIT_USAGE);
}

/* --- phases ------------------------------------------------------------------------------------------- */

static bool going(void) {
    return !stop_requested && generator.problem[0] == '\0';
}

/* Turns until the time has passed or it cannot go on. */
static void run_for(uint64_t us) {
    uint64_t end = generator.turn_end + (uint64_t)((double)us / 1e6 * (double)generator.tsc_hz);

    while (going() && generator.turn_end < end) {
        loop_turn(&generator);
    }
}

static void find_server(void) {
    uint32_t limit = generator.now_ms + LINK_SECONDS * 1000;

    while (going() && !port_link_up(&generator.link.port)) {
        run_for(ARP_MS * 1000);
        if (generator.now_ms > limit) {
            generator_fail(&generator, "the link is down: nobody is at its other end");
        }
    }
    limit = generator.now_ms + ARP_SECONDS * 1000;
    while (going() && !generator.link.server_known) {
        link_ask_for_server(&generator.link);
        run_for(ARP_MS * 1000);
        if (generator.now_ms > limit) {
            generator_fail(&generator, "the server does not answer ARP");
        }
    }
}

/* Turns until one answer has come whole. */
static void learn(void) {
    mode_learn(&generator);
    while (going() && generator.phase == PHASE_LEARN && generator.tally.requests == 0) {
        loop_turn(&generator);
    }
}

/* Turns until all connections stand. Returns seconds. */
static double connect_all(void) {
    uint64_t start = generator.turn_end;
    double seconds;

    mode_open(&generator);
    while (going() && (generator.opened < generator.count || generator.pending > 0)) {
        loop_turn(&generator);
    }
    seconds = (double)(generator.turn_end - start) / (double)generator.tsc_hz;
    if (going()) {
        printf("CONNECTED %u\n", generator.standing);
        fflush(stdout);
    }
    return seconds;
}

static void measure(struct interval *interval) {
    find_server();
    learn();
    if (options.mode != MODE_CONNECT) {
        interval->connect_seconds = connect_all();
    }
    mode_load(&generator);
    run_for(options.warmup_us);
    if (!going()) {
        return;
    }
    printf("MEASURING\n");
    fflush(stdout);
    interval_begin(interval, &generator);
    run_for(options.duration_us);
    interval_end(interval, &generator);
}

/* Turns while the queue is longer than `limit`. False: nobody takes it. */
static bool drain(unsigned limit) {
    uint64_t sent = generator.link.port.counters.tx_packets;
    uint64_t end = generator.turn_end + STUCK_SECONDS * generator.tsc_hz;

    while (generator.link.port.tx_count > limit) {
        loop_turn(&generator);
        if (generator.link.port.counters.tx_packets != sent) {
            sent = generator.link.port.counters.tx_packets;
            end = generator.turn_end + STUCK_SECONDS * generator.tsc_hz;
        } else if (generator.turn_end > end) {
            return false;
        }
    }
    return true;
}

/* Closes what stands: the server should not keep what nobody will ask for. */
static void say_goodbye(void) {
    for (uint32_t i = 0; i < generator.opened; i++) {
        if (generator.connections[i].state != CONNECTION_NONE) {
            action_reset(&generator, i);
        }
        if (!link_has_room(&generator.link) && !drain(0)) {
            return;
        }
    }
    (void)drain(0);
}

static uint64_t failures(void) {
    uint64_t sum = 0;

    for (int i = 0; i < FAILURES; i++) {
        sum += generator.tally.failures[i];
    }
    return sum;
}

static int run(void) {
    struct interval interval = {0};
    uint64_t failed;

    measure(&interval);
    generator.phase = PHASE_REST;
    report_print(&interval, &generator);
    failed = failures();
    if (generator.problem[0] != '\0') {
        fprintf(stderr, "loadgen: %s\n", generator.problem);
    } else if (failed > 0) {
        fprintf(stderr, "loadgen: %" PRIu64 " connections failed or had a wrong answer; see \"errors\"\n",
                failed);
    }
    if (options.stay && generator.problem[0] == '\0') {
        while (going()) {
            loop_turn(&generator);
        }
    }
    say_goodbye();
    return generator.problem[0] != '\0' || failed > 0 ? EXIT_FAILED : 0;
}

int main(int argc, char *argv[]) {
    char error[256];
    int eal_words, code;

    rte_openlog_stream(stderr);
    rte_set_application_usage_hook(print_own_options);
    eal_words = options_parse_after_eal_or_exit(&options, &loadgen_options, argc, argv);
    check_options_or_exit();
    if ((code = eal_start("loadgen", eal_words, argv)) != 0) {
        return code;
    }
    if (generator_init(&generator, &options, error, sizeof(error)) == 0) {
        stop_catch_signals();
        code = run();
        link_close(&generator.link);
    } else {
        fprintf(stderr, "loadgen: %s\n", error);
        code = EXIT_MACHINE;
    }
    generator_free(&generator);
    return code; /* without rte_eal_cleanup(): see eal.h */
}
