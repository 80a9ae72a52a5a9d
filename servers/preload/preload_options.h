/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of on-lwip, and so of the preload library. */
#ifndef STACKDUEL_PRELOAD_OPTIONS_H
#define STACKDUEL_PRELOAD_OPTIONS_H

#include "common/options.h"

/* Every field is set, from its row's default when the option was not given. */
struct preload_options {
    uint32_t address;
    uint32_t netmask;
    uint32_t gateway;        /* 0 = none */
    uint8_t mac[6];          /* all zero = the port's own */
    uint64_t mbufs;          /* packet buffers of a core */
    uint64_t rx_descriptors; /* slots of the receive ring asked for */
    uint64_t tx_descriptors; /* slots of the transmit ring asked for */
    uint64_t mtu;            /* bytes of an IPv4 packet */
    bool no_offload;         /* no offload of the port, everything in software */
    struct option_texts eal; /* words for EAL, several in a text */
    const char *sockets;     /* rules for which sockets are lwIP's */
    uint64_t idle_sleep_us;  /* of a thread that waits in vain; 0 = it polls */
    uint64_t linger_ms;      /* at exit, for what is unsent */
    const char *counters;    /* file; NULL = none */
};

extern const struct option_table preload_options;

#endif
