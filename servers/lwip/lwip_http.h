/* SPDX-License-Identifier: BSD-3-Clause */
/* HTTP on lwIP's raw API: callbacks that join http.c and the stack, connection by connection. Must not know
 * what carries the packets, nor that there are other cores: whoever polls lwIP in this thread has one of
 * these. */
#ifndef STACKDUEL_LWIP_HTTP_H
#define STACKDUEL_LWIP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"
#include "http/http.h"

#define LWIP_HTTP_SESSION_BYTES 64 /* what a connection costs here: one cache line */

struct session;
struct tcp_pcb;

struct lwip_http_config {
    const struct http_site *site; /* must last */
    size_t max_sessions;          /* connections beyond are reset, and counted as refused */
    uint16_t port;
    uint16_t backlog;
    uint32_t keepalive_idle, keepalive_interval, keepalive_count; /* seconds, seconds, probes */
    struct http_limits limits;
};

/* The fields are private, but for `counters` and `writes_refused`, which may be read. */
struct lwip_http {
    struct http_server http;
    struct counters counters;
    uint64_t writes_refused; /* lwIP had no segment or no room in its queue; tried again later */
    struct lwip_http_config config;
    struct session *sessions; /* [max_sessions] */
    size_t sessions_used;     /* those from the front that were ever in use; the rest was never touched */
    struct session *free_sessions;
    size_t drain_look; /* counts the sessions that were looked at for one to end */
    struct http_clock clock;
    bool clock_runs; /* as long as there are sessions */
    struct tcp_pcb *listener;
    uint32_t syn_dropped; /* of the listener, once it is closed */
};

/* Takes memory, most of which is not touched before connections come. 0, or -ENOMEM. */
int lwip_http_create(struct lwip_http *server, const struct lwip_http_config *config);

/* Listens, with `pcb`, which is bound, or if it is NULL with one of its own on any address. NULL, or lwIP's
 * word for what is wrong; `pcb` is lwIP's then all the same. */
const char *lwip_http_listen(struct lwip_http *server, struct tcp_pcb *pcb);

/* Half-open connections that were given up, so far. */
uint32_t lwip_http_syn_dropped(const struct lwip_http *server);

/* Closes the listener, and then resets every connection. */
void lwip_http_close(struct lwip_http *server);

/* Gives the memory back. All connections must have ended. */
void lwip_http_free(struct lwip_http *server);

#endif
