/* SPDX-License-Identifier: BSD-3-Clause */
/* Carries frames between two network interfaces as a bad wire does: faulty_wire [options] A B. Prints READY
 * when it carries, and on SIGTERM or SIGINT one JSON object of what it did to each direction; exit code 0. 2:
 * wrong usage, 1: the interfaces cannot be used. Must not know what the frames hold. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire_faults.h"

#define ENDS 2
#define BURST 64
#define SOCKET_BUFFER (8 << 20)

static struct {
    struct wire_rates rates;
    uint64_t seed;
    int sockets[ENDS];
    struct wire wires[ENDS]; /* by the end that sends */
    uint64_t refused;        /* by the kernel: its queue was full */
} carrier;

static volatile sig_atomic_t stop_requested;

static void on_signal(int number) {
    (void)number;
    stop_requested = 1;
}

static uint64_t now_us(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A socket for every frame that arrives at the interface, and for sending; ends the program when there is
 * none. */
static int open_or_exit(const char *interface) {
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL)};
    int descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    int one = 1, size = SOCKET_BUFFER;

    address.sll_ifindex = (int)if_nametoindex(interface);
    if (descriptor < 0 || address.sll_ifindex == 0 ||
        setsockopt(descriptor, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) != 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0 ||
        bind(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0) {
        fprintf(stderr, "faulty_wire: %s: %s\n", interface, strerror(errno));
        exit(1);
    }
    return descriptor;
}

static void take_in(int end) {
    static uint8_t frame[1 << 16];
    ssize_t size;

    for (int i = 0; i < BURST && (size = recv(carrier.sockets[end], frame, sizeof(frame), 0)) > 0; i++) {
        wire_put(&carrier.wires[end], frame, (size_t)size, now_us());
    }
}

static void give_out(int end) {
    struct wire_frame *frame;

    while ((frame = wire_take(&carrier.wires[end], now_us())) != NULL) {
        if (send(carrier.sockets[1 - end], frame->bytes, frame->size, 0) < 0) {
            carrier.refused++;
        }
        free(frame);
    }
}

/* Until a frame arrives or one is due. */
static void wait_for_frame(void) {
    struct pollfd ends[ENDS] = {{carrier.sockets[0], POLLIN, 0}, {carrier.sockets[1], POLLIN, 0}};
    uint64_t now = now_us(), due = UINT64_MAX, left;
    struct timespec timeout;

    for (int end = 0; end < ENDS; end++) {
        due = wire_due_us(&carrier.wires[end]) < due ? wire_due_us(&carrier.wires[end]) : due;
    }
    left = due <= now ? 0 : due - now < 100000 ? due - now : 100000;
    timeout = (struct timespec){.tv_sec = 0, .tv_nsec = (long)left * 1000};
    (void)ppoll(ends, ENDS, &timeout, NULL); /* a signal ends it too */
}

static void carry(void) {
    while (!stop_requested) {
        wait_for_frame();
        for (int end = 0; end < ENDS; end++) {
            take_in(end);
            give_out(end);
        }
    }
}

static void print_counts(void) {
    printf("{");
    for (int end = 0; end < ENDS; end++) {
        const struct wire_counts *counts = &carrier.wires[end].counts;

        printf("\"%s\": {\"taken\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"duplicated\": %" PRIu64
               ", \"reordered\": %" PRIu64 ", \"damaged\": %" PRIu64 ", \"delivered\": %" PRIu64 "}, ",
               end == 0 ? "a_to_b" : "b_to_a", counts->taken, counts->lost, counts->duplicated,
               counts->reordered, counts->damaged, counts->delivered);
    }
    printf("\"refused\": %" PRIu64 "}\n", carrier.refused);
}

static void usage_and_exit(void) {
    fprintf(stderr,
            "usage: faulty_wire [--seed N] [--loss N] [--duplicate N] [--reorder N] [--damage N] (each of"
            " 10000 frames) [--delay-us N] [--jitter-us N] A B\n");
    exit(2);
}

static uint64_t number_or_exit(const char *text) {
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0') {
        usage_and_exit();
    }
    return value;
}

/* The two interfaces' names. */
static char **parse_or_exit(int argc, char *argv[]) {
    enum { SEED, LOSS, DUPLICATE, REORDER, DAMAGE, DELAY, JITTER, OPTIONS };
    static const struct option options[] = {
        {"seed", required_argument, NULL, SEED},           {"loss", required_argument, NULL, LOSS},
        {"duplicate", required_argument, NULL, DUPLICATE}, {"reorder", required_argument, NULL, REORDER},
        {"damage", required_argument, NULL, DAMAGE},       {"delay-us", required_argument, NULL, DELAY},
        {"jitter-us", required_argument, NULL, JITTER},    {0}};
    uint64_t given[OPTIONS] = {[JITTER] = 1000};

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option >= OPTIONS) {
            usage_and_exit();
        }
        given[option] = number_or_exit(optarg);
    }
    if (argc - optind != ENDS || given[JITTER] == 0) {
        usage_and_exit();
    }
    carrier.seed = given[SEED];
    carrier.rates = (struct wire_rates){.loss = (unsigned)given[LOSS],
                                        .duplicate = (unsigned)given[DUPLICATE],
                                        .reorder = (unsigned)given[REORDER],
                                        .damage = (unsigned)given[DAMAGE],
                                        .delay_us = (uint32_t)given[DELAY],
                                        .jitter_us = (uint32_t)given[JITTER]};
    return argv + optind;
}

int main(int argc, char *argv[]) {
    struct sigaction action = {.sa_handler = on_signal};
    char **interfaces = parse_or_exit(argc, argv);

    for (int end = 0; end < ENDS; end++) {
        carrier.sockets[end] = open_or_exit(interfaces[end]);
        wire_init(&carrier.wires[end], &carrier.rates, carrier.seed + (uint64_t)end);
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    printf("READY %s %s\n", interfaces[0], interfaces[1]);
    fflush(stdout);
    carry();
    print_counts();
    for (int end = 0; end < ENDS; end++) {
        wire_clear(&carrier.wires[end]);
        close(carrier.sockets[end]);
    }
    return 0;
}
