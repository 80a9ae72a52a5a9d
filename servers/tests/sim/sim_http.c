/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_http.h"

#include <stdio.h>
#include <stdlib.h>

#define CACHE_LINE 64
#define SESSIONS 10000

static void die_unless(bool so) {
    if (!so) {
        fprintf(stderr, "sim_http: out of memory\n");
        exit(EXIT_FAILURE);
    }
}

void sim_http_start(struct sim_http *http, struct tcp_pcb *pcb, size_t body_size, uint32_t patience) {
    const struct lwip_http_config config = {.site = &http->site,
                                            .max_sessions = SESSIONS,
                                            .backlog = SESSIONS,
                                            .keepalive_idle = patience / 2,
                                            .keepalive_interval = patience / 6,
                                            .keepalive_count = 3,
                                            .limits = http->limits};

    http->site_memory = aligned_alloc(CACHE_LINE, http_site_size(body_size));
    die_unless(http->site_memory != NULL);
    http_site_init(&http->site, body_size, http->site_memory);
    die_unless(lwip_http_create(&http->server, &config) == 0);
    die_unless(lwip_http_listen(&http->server, pcb) == NULL);
}

size_t sim_http_sessions(const struct sim_http *http) {
    return http->server.counters.accepts - http->server.counters.closes;
}

void sim_http_stop(struct sim_http *http) {
    lwip_http_close(&http->server);
    lwip_http_free(&http->server);
    free(http->site_memory);
}
