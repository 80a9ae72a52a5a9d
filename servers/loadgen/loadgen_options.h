/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of loadgen, behind EAL's. */
#ifndef STACKDUEL_LOADGEN_OPTIONS_H
#define STACKDUEL_LOADGEN_OPTIONS_H

#include "common/options.h"

/* In the order of the words of --mode and --close. */
enum option_mode { MODE_CLOSED, MODE_OPEN, MODE_CONNECT, MODE_HOLD };
enum option_closer { CLOSED_BY_CLIENT, CLOSED_BY_SERVER };

/* Every field is set, from its row's default when the option was not given. */
struct loadgen_options {
    uint32_t address;   /* the first to connect from */
    uint64_t addresses; /* how many, from `address` on */
    uint32_t netmask;
    uint32_t gateway_address; /* one more that is answered for; 0 = none */
    uint8_t mac[6];           /* all zero = the port's own */
    uint32_t server;
    uint8_t server_mac[6];   /* all zero = asked by ARP */
    uint64_t port;           /* of the server */
    uint64_t body_size;      /* bytes of an answer's body */
    uint64_t mbufs;          /* packet buffers of a core */
    uint64_t rx_descriptors; /* slots of the receive ring asked for */
    uint64_t tx_descriptors; /* slots of the transmit ring asked for */
    uint64_t mtu;            /* bytes of an IPv4 packet */
    bool no_offload;         /* no offload of the port, everything in software */
    uint64_t mode;           /* enum option_mode */
    uint64_t closer;         /* enum option_closer */
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
};

extern const struct option_table loadgen_options;

#endif
