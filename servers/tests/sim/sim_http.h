/* SPDX-License-Identifier: BSD-3-Clause */
/* lwip_server's serving half on the simulation's lwIP. */
#ifndef STACKDUEL_TESTS_SIM_HTTP_H
#define STACKDUEL_TESTS_SIM_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "http/http.h"
#include "lwip/lwip_http.h"

struct sim_http {
    struct http_limits limits; /* to be set before sim_http_start(); 0: none */
    struct http_site site;
    void *site_memory;
    struct lwip_http server;
};

/* Listens with `pcb`, which is bound; bodies have body_size bytes. A client that is silent, or takes nothing,
 * is given up after `patience` seconds, a multiple of 6. Ends the program when memory is short. */
void sim_http_start(struct sim_http *http, struct tcp_pcb *pcb, size_t body_size, uint32_t patience);

/* Connections that are open now. */
size_t sim_http_sessions(const struct sim_http *http);

/* Closes the listener. Every session must have ended. */
void sim_http_stop(struct sim_http *http);

#endif
