/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of lwip_server, behind EAL's. */
#ifndef STACKDUEL_LWIP_OPTIONS_H
#define STACKDUEL_LWIP_OPTIONS_H

#include "common/options.h"
#include "http/http.h"

/* In the order of the words of --idle. */
enum option_idle { IDLE_POLL, IDLE_INTR };

/* Every field is set, from its row's default when the option was not given. */
struct lwip_options {
    uint32_t address;
    uint32_t netmask;
    uint32_t gateway; /* 0 = none */
    uint8_t mac[6];   /* all zero = the port's own */
    uint64_t port;
    uint64_t body_size;          /* bytes */
    uint64_t max_connections;    /* those beyond are refused and counted */
    uint64_t backlog;            /* connections half open or waiting for accept */
    uint64_t keepalive_idle;     /* seconds of silence before the first probe */
    uint64_t keepalive_interval; /* seconds between probes */
    uint64_t keepalive_count;    /* unanswered probes after which the connection is reclaimed */
    struct http_limits limits;
    const char *user;        /* NULL = not given */
    uint64_t mbufs;          /* packet buffers of a core */
    uint64_t rx_descriptors; /* slots of the receive ring asked for */
    uint64_t tx_descriptors; /* slots of the transmit ring asked for */
    uint64_t mtu;            /* bytes of an IPv4 packet */
    bool no_offload;         /* no offload of the port, everything in software */
    uint64_t cores;          /* stacks, each on a core of its own */
    uint64_t idle;           /* enum option_idle */
    const char *without;     /* names of optimisations (features.h) to leave out */
    const char *waive;       /* names of obligations (features.h) not to keep */
};

extern const struct option_table lwip_options;

#endif
