/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of floor_server, behind EAL's. */
#ifndef STACKDUEL_FLOOR_OPTIONS_H
#define STACKDUEL_FLOOR_OPTIONS_H

#include "common/options.h"

#define FLOOR_MTU 1500
#define FLOOR_BODY_MAX 1400 /* bytes; with its head it fits into one segment */

/* Every field is set, from its row's default when the option was not given. */
struct floor_options {
    uint32_t address;
    uint8_t mac[6]; /* all zero = the port's own */
    uint64_t port;
    uint64_t body_size;      /* bytes */
    uint64_t mbufs;          /* packet buffers */
    uint64_t rx_descriptors; /* slots of the receive ring asked for */
    uint64_t tx_descriptors; /* slots of the transmit ring asked for */
};

extern const struct option_table floor_options;

#endif
