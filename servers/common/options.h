/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Command line of all servers, of on-lwip, loadgen and openload: one table (in options.c), one row an option,
 * from which come parsing, limits, defaults and --help. Must not know what the values are used for.
 */
#ifndef STACKDUEL_OPTIONS_H
#define STACKDUEL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bits: which servers a row of the table applies to. */
enum option_server {
    SERVER_EPOLL = 1,
    SERVER_LWIP = 2,
    SERVER_PRELOAD = 4,
    SERVER_LOADGEN = 8,
    SERVER_URING = 16,
    SERVER_OPENLOAD = 32,
    SERVER_CANNED = 64
};

#define OPTION_TEXTS_MAX 32

/* Of lwip_server's --idle and loadgen's --mode and --close, in the order of their words in the table. */
enum option_idle { IDLE_POLL, IDLE_INTR };
enum option_mode { MODE_CLOSED, MODE_OPEN, MODE_CONNECT, MODE_HOLD };
enum option_arrivals { ARRIVALS_CONSTANT, ARRIVALS_POISSON }; /* of openload */
enum option_closer { CLOSED_BY_CLIENT, CLOSED_BY_SERVER };

/* The values of an option that adds up when it is given again, in their order. */
struct option_texts {
    unsigned count;
    const char *text[OPTION_TEXTS_MAX];
};

/* Every field is set, from its row's default when the option was not given. IPv4 in network byte order;
 * texts point into argv or are constants. */
struct options {
    uint32_t address;            /* to listen on; epoll, uring: 0.0.0.0 = any */
    uint32_t gateway;            /* lwip, preload; 0 = none */
    uint32_t netmask;            /* lwip, preload */
    uint8_t mac[6];              /* lwip, preload; all zero = the port's own */
    uint64_t port;               /* 1..65535 */
    uint64_t body_size;          /* bytes, 0..64 MiB */
    uint64_t max_connections;    /* those beyond are refused and counted */
    uint64_t backlog;            /* connections half open or waiting for accept */
    uint64_t keepalive_idle;     /* seconds of silence before the first probe */
    uint64_t keepalive_interval; /* seconds between probes */
    uint64_t keepalive_count;    /* unanswered probes after which the connection is reclaimed */
    uint64_t threads;            /* epoll, uring: 1..64 */
    const char *cpus;            /* epoll, uring: one a thread; "" = not pinned */
    uint64_t busy_poll;          /* epoll: microseconds; 0 = not given */
    uint64_t mbufs;              /* lwip, preload: packet buffers in the pool */
    uint64_t rx_descriptors;     /* lwip, preload: slots of the receive ring asked for */
    uint64_t tx_descriptors;     /* lwip, preload: slots of the transmit ring asked for */
    uint64_t mtu;                /* lwip, preload: bytes of an IPv4 packet */
    const char *without;         /* lwip: names of measures (measures.h) to leave out */
    uint64_t cores;              /* lwip: stacks, each on a core of its own */
    uint64_t idle;               /* lwip: enum option_idle */
    bool no_offload;             /* lwip, preload: no offload of the port, everything in software */
    struct option_texts eal;     /* preload: words for EAL, several in a text */
    const char *sockets;         /* preload: rules for which sockets are lwIP's */
    uint64_t idle_sleep_us;      /* preload: sleep of a thread that waits in vain; 0 = it polls */
    uint64_t linger_ms;          /* preload: at exit, for what is unsent */
    const char *counters;        /* preload: file; NULL = none */
    /* loadgen alone */
    uint64_t addresses;       /* how many, from `address` on */
    uint32_t gateway_address; /* one more that is answered for; 0 = none */
    uint32_t server;
    uint8_t server_mac[6]; /* all zero = asked by ARP */
    uint64_t mode;         /* enum option_mode */
    uint64_t closer;       /* enum option_closer */
    uint64_t connections;
    uint64_t active; /* may be more than there are connections */
    bool rotate;
    uint64_t rate;         /* requests/s; 0 = not given */
    uint64_t connect_rate; /* connections/s; 0 = as fast as it goes */
    uint64_t duration_us;
    uint64_t warmup_us;
    bool stay; /* after the result */
    const char *path;
    uint64_t window; /* bytes */
    /* openload alone, beside address (the server's), port, connections, rate (0: closed loop), times and path
     */
    uint64_t client_threads;
    uint64_t seed;
    uint64_t arrivals;     /* enum option_arrivals */
    uint64_t spin_us;      /* of every wait, the end that is not slept */
    uint64_t lag_limit_us; /* p99 of its own delay from which on it is the limit */
    const char *output;    /* NULL: stdout */
};

enum { OPTIONS_OK = 0, OPTIONS_HELP = 1, OPTIONS_ERROR = -1 };

/*
 * Reads argv[1..argc-1] (`--name value` or `--name=value`; the last of equal names counts, but
 * those of --eal add up) for `server`.
 * Returns OPTIONS_OK with every field of *options set; OPTIONS_HELP when --help was given; OPTIONS_ERROR with
 * one line without newline in error[size] ("--port: '70000' is not in 1..65535"). argv is only read.
 */
int options_parse(struct options *options, unsigned server, int argc, char *const argv[], char *error,
                  size_t size);

/* Prints the usage of `server`, one line an option with its default and limits. */
void options_help(FILE *out, unsigned server, const char *program);

/* Those lines alone. */
void options_list(FILE *out, unsigned server);

/* What main wants: options_parse, or --help on stdout and exit 0, or `<program>: <error>` on stderr and
 * exit 2. */
void options_parse_or_exit(struct options *options, unsigned server, int argc, char *const argv[]);

/* The same for a program whose argv has EAL's words first: the options are those after '--'. Returns the
 * number of EAL's words with argv[0]. */
int options_parse_after_eal_or_exit(struct options *options, unsigned server, int argc, char *argv[]);

/* The file name of argv[0], for diagnostics. Points into argv. */
const char *program_name(char *const argv[]);

#endif
