/* SPDX-License-Identifier: BSD-3-Clause */
/* The HTTP server of lwip_server on any lwIP: the same http.c and tcp_queue.c, joined by callbacks that do
 * what lwip_server's do. Must not know what carries the packets. */
#ifndef STACKDUEL_TESTS_SIM_HTTP_H
#define STACKDUEL_TESTS_SIM_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "counters.h"
#include "http.h"
#include "lwip/tcp.h"

struct sim_http {
    struct http_site site;
    void *site_memory;
    struct http_server server;
    struct counters counters;
    struct tcp_pcb *listener;
    unsigned give_up_seconds; /* a client that is silent, or takes nothing, for as long */
    size_t sessions;          /* open now */
};

/* Listens with `pcb`, which is bound; bodies have body_size bytes. Ends the program when memory is short. */
void sim_http_start(struct sim_http *http, struct tcp_pcb *pcb, size_t body_size);

/* Closes the listener. Every session must have ended. */
void sim_http_stop(struct sim_http *http);

#endif
