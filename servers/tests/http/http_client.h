/* SPDX-License-Identifier: BSD-3-Clause */
/* The other side of http.h for tests: connections of one server, fed at a guard page, whose output is kept.
 */
#ifndef STACKDUEL_HTTP_CLIENT_H
#define STACKDUEL_HTTP_CLIENT_H

#include "guard.h"
#include "http/http.h"
#include "http/http_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#define CLIENT_OUTPUT_MAX (64 * 1024)
#define CLIENT_CONNECTIONS 8

/* A server with its connections, of which one is in use; and what was answered. */
struct client {
    struct http_site site;
    void *site_memory;
    struct http_server server;
    struct counters counters;
    struct http_connection connections[CLIENT_CONNECTIONS];
    struct http_connection *connection;
    size_t size;
    char output[CLIENT_OUTPUT_MAX + 1];
};

/* To be freed by the caller. */
static inline void *site_new(struct http_site *site, size_t body_size) {
    void *memory = aligned_alloc(64, http_site_size(body_size));
    assert_non_null(memory);
    http_site_init(site, body_size, memory);
    return memory;
}

static inline void client_open(struct client *c, size_t body_size) {
    c->size = 0;
    c->counters = (struct counters){0};
    c->site_memory = site_new(&c->site, body_size);
    assert_int_equal(http_server_init(&c->server, &c->site, &c->counters, CLIENT_CONNECTIONS), 0);
    for (int i = 0; i < CLIENT_CONNECTIONS; i++) {
        http_init(&c->server, &c->connections[i]);
    }
    c->connection = &c->connections[0];
}

/* The connection ends and another begins, on the same server. */
static inline void client_reconnect(struct client *c) {
    http_close(&c->server, c->connection);
    http_init(&c->server, c->connection);
    c->size = 0;
}

static inline void client_close(struct client *c) {
    for (int i = 0; i < CLIENT_CONNECTIONS; i++) {
        http_close(&c->server, &c->connections[i]);
    }
    assert_int_equal(c->server.parsers.taken, 0);
    http_server_free(&c->server);
    free(c->site_memory);
}

/* Takes all output, at most `step` bytes at a time. */
static inline void drain(struct client *c, size_t step) {
    struct iovec iov[3];
    int count;
    while ((count = http_pending(&c->server, c->connection, iov, 3)) > 0) {
        size_t taken = 0;
        for (int i = 0; i < count && taken < step; i++) {
            size_t part = iov[i].iov_len < step - taken ? iov[i].iov_len : step - taken;
            assert_true(part > 0 && c->size + part <= CLIENT_OUTPUT_MAX);
            memcpy(c->output + c->size, iov[i].iov_base, part);
            c->size += part;
            taken += part;
        }
        http_sent(&c->server, c->connection, taken);
    }
}

/* Gives the bytes at the guard page and takes the output whenever the queue is full. */
static inline void feed(struct client *c, struct guard *guard, const char *data, size_t len) {
    const char *input = guard_put(guard, data, len);
    while (len > 0) {
        size_t used = http_input(&c->server, c->connection, input, len);
        assert_true(used <= len);
        input += used;
        len -= used;
        if (len > 0) {
            assert_false(http_has_room(c->connection));
        }
        drain(c, SIZE_MAX);
    }
}

/* "200 400." from the bytes of small responses. */
static inline void summarize(struct client *c, char *text) {
    char *to = text;
    *to = '\0';
    c->output[c->size] = '\0';
    for (const char *at = c->output; (at = strstr(at, "HTTP/1.1 ")) != NULL; at += 9) {
        to += sprintf(to, "%s%.3s", to == text ? "" : " ", at + 9);
    }
    if (http_finished(c->connection)) {
        strcpy(to, ".");
    }
}

#endif
