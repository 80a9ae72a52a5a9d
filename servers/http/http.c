/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections: the queue of prebuilt responses, and who reads a request: the table of known ones if its bytes
 * are there, else a parser (http_parser.h). Both give the same answer to the same bytes. See http.h.
 */
#include "http.h"
#include "common/features.h"
#include "http_parser.h"
#ifdef SLOW_CYCLES
#include "common/slow.h"
#endif

#include <errno.h>
#include <string.h>

enum { ANSWER_BITS = 2, ANSWER_MASK = (1 << ANSWER_BITS) - 1 };

_Static_assert(HTTP_CLOSING <= ANSWER_MASK + 1 && HTTP_QUEUE_SIZE * ANSWER_BITS <= 64,
               "http_connection.queue");
_Static_assert(HTTP_KNOWN_REQUESTS <= UINT8_MAX + 1, "http_connection.known");

/* Counts the responses that wait: those in `queue`, then `last`. */
static int waiting(const struct http_connection *c) {
    return c->queued + (c->last != 0);
}

static const struct http_response *response_at(const struct http_server *server,
                                               const struct http_connection *c, int i) {
    return &server->site->responses[i < c->queued ? (c->queue >> (i * ANSWER_BITS)) & ANSWER_MASK : c->last];
}

int http_pending(const struct http_server *server, const struct http_connection *c, struct iovec *iov,
                 int max) {
    int count = 0;
    size_t skip = c->sent;
    for (int i = 0; i < waiting(c); i++) {
        const struct http_response *response = response_at(server, c, i);
        for (int part = 0; part < 2; part++) {
            const struct iovec *whole = &response->part[part];
            if (skip >= whole->iov_len) {
                skip -= whole->iov_len;
                continue;
            }
            if (count == max) {
                return count;
            }
            iov[count++] = (struct iovec){(char *)whole->iov_base + skip, whole->iov_len - skip};
            skip = 0;
        }
    }
    return count;
}

void http_sent(struct http_server *server, struct http_connection *c, size_t n) {
    size_t sent = c->sent + n;
    while (waiting(c) > 0) {
        size_t size = response_at(server, c, 0)->size;
        if (sent < size) {
            break;
        }
        sent -= size;
        if (c->queued > 0) {
            c->queue >>= ANSWER_BITS;
            c->queued--;
        } else {
            c->last = 0;
        }
        server->counters->responses_sent++;
    }
    c->sent = (uint32_t)sent;
}

/* Answers a request that has been read; every one comes here. */
static void respond(struct http_server *server, struct http_connection *c, enum http_answer answer) {
#ifdef SLOW_CYCLES
    slow_down();
#endif
    c->answered = true;
    if (answer >= HTTP_400) {
        server->counters->errors_http++;
    } else {
        server->counters->requests_parsed++;
    }
    if (answer < HTTP_CLOSING) {
        c->queue |= (uint64_t)answer << (c->queued++ * ANSWER_BITS);
    } else {
        c->last = (uint8_t)answer;
        c->closing = true;
    }
}

static void drop_parser(struct http_server *server, struct http_connection *c) {
    if (c->parser != NULL) {
        http_parser_give(&server->parsers, c->parser);
    }
    c->parser = NULL;
}

int http_server_init(struct http_server *server, const struct http_site *site, struct counters *counters,
                     size_t max_connections) {
    server->site = site;
    server->counters = counters;
    http_known_init(&server->known);
    return http_pool_init(&server->parsers, max_connections);
}

void http_server_free(struct http_server *server) {
    http_pool_free(&server->parsers);
}

void http_init(const struct http_server *server, struct http_connection *c) {
    *c = (struct http_connection){.known = server->known.expected};
}

/* Reads on in a request, or begins one. Returns how many bytes it took. */
static size_t parse(struct http_server *server, struct http_connection *c, const char *data, size_t len) {
    bool begins = c->parser == NULL;
    enum http_answer answer;
    if (begins) {
        c->parser = http_parser_take(&server->parsers);
        if (c->parser == NULL) {
            respond(server, c, HTTP_503);
            return len;
        }
        http_parser_start(c->parser);
    }
    size_t used = http_parser_read(c->parser, data, len, &answer);
    if (answer == HTTP_ANSWERS) {
        if (!http_has_pending(c)) { /* else what counts is that the client takes that */
            c->moved += (uint32_t)used;
        }
        return used;
    }
    drop_parser(server, c);
    /* Whole: these bytes and no others, read in one go, made this answer. */
    if (begins && answer < HTTP_400 && used <= HTTP_KNOWN_LIMIT && feature_on(FEATURE_REQUEST)) {
        c->known = http_known_remember(&server->known, data, used, (uint8_t)answer);
    }
    respond(server, c, answer);
    return used;
}

/* Takes a whole request if its bytes are those that this connection sent last. Returns how many; 0: not
 * known. */
static size_t recognise(struct http_server *server, struct http_connection *c, const char *data, size_t len) {
    uint8_t answer;
    if (c->parser != NULL) { /* data goes on where a request was cut */
        return 0;
    }
    size_t used = http_known_match(&server->known, c->known, data, len, &answer);
    if (used > 0) {
        server->counters->requests_known++;
        respond(server, c, answer);
    }
    return used;
}

size_t http_input(struct http_server *server, struct http_connection *c, const char *data, size_t len) {
    size_t used = 0;
    while (used < len && !c->closing && http_has_room(c)) {
        size_t taken = recognise(server, c, data + used, len - used);
        used += taken > 0 ? taken : parse(server, c, data + used, len - used);
    }
    return c->closing ? len : used;
}

void http_input_end(struct http_server *server, struct http_connection *c) {
    drop_parser(server, c);
    c->closing = true;
}

enum phase { PHASE_NEW, PHASE_IDLE, PHASE_READING, PHASE_SENDING };

static enum phase phase_of(const struct http_connection *c) {
    return http_has_pending(c) ? PHASE_SENDING : c->parser != NULL ? PHASE_READING : PHASE_IDLE;
}

bool http_keeps_up(struct http_connection *c, const struct http_limits *limits,
                   const struct http_clock *clock) {
    uint16_t second = (uint16_t)(clock->ticks / HTTP_TICKS_A_SECOND);
    const uint64_t of_phase[] = {
        [PHASE_IDLE] = limits->idle, [PHASE_READING] = limits->header, [PHASE_SENDING] = limits->send};
    enum phase phase = phase_of(c);
    /* Who asks on and takes nothing is answered, too. */
    bool well = c->moved >= HTTP_LEAST_PROGRESS || (c->answered && phase != PHASE_SENDING);
    if (phase != c->phase || well) {
        c->phase = (uint8_t)phase;
        c->answered = false;
        c->since = second;
        c->moved = 0;
        return true;
    }
    return of_phase[phase] == 0 || (uint16_t)(second - c->since) <= of_phase[phase];
}

void http_close(struct http_server *server, struct http_connection *c) {
    drop_parser(server, c);
}
