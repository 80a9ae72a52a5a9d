/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP/1.1 over bytes: request bytes in, complete requests counted, response bytes out. The same object links
 * into every server, so that all give the same answer to the same bytes. Must not know sockets, stacks, time
 * or threads; allocates only in http_server_init.
 *
 * What is answered (RFC 9110, RFC 9112):
 *   200  GET and HEAD of any target; a request body is read and discarded first
 *   400  malformed; Host missing, repeated or invalid in HTTP/1.1; ambiguous framing
 *   405  a method that HTTP defines, other than GET and HEAD
 *   413  body > HTTP_BODY_LIMIT
 *   414  target > HTTP_TARGET_LIMIT
 *   417  Expect with a body to follow (answered at once, as 9110 10.1.1 demands)
 *   431  head > HTTP_HEAD_LIMIT
 *   501  a method or transfer coding nobody defined
 *   503  no memory to read the request with
 *   505  HTTP major version not 1
 * Every answer but 200 closes the connection. An error is answered as soon as it is certain.
 *
 * The body of a 200: byte i is byte i % 8 of the 7-digit decimal number i / 8 and a newline, so that any byte
 * lost, repeated or moved shows. In Python: b"".join(b"%07d\n" % k for k in range(size // 8 + 1))[:size].
 * Responses carry no Date: they are built once, and 9110 6.6.1 lets a server without a clock leave it out.
 */
#ifndef STACKDUEL_HTTP_H
#define STACKDUEL_HTTP_H

#include "common/counters.h"
#include "common/options.h"
#include "http_answer.h"
#include "http_known.h"
#include "http_pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    HTTP_BODY_SIZE_MAX = 64 * 1024 * 1024, /* bytes of a response body */
    HTTP_CONTIGUOUS_LIMIT = 16 * 1024,     /* up to this body size a response is one piece of memory */
    HTTP_QUEUE_SIZE = 32,                  /* responses that may wait for output while input is taken */
    HTTP_LEAST_PROGRESS = 64 * 1024,       /* bytes in the time of a limit, of what takes longer */
    HTTP_TICK_MS = 100,                    /* between looks at some of the connections */
    HTTP_TICKS_A_SECOND = 1000 / HTTP_TICK_MS,
    HTTP_LOOKS_A_TICK = 8192, /* at most */
};

/* How long a client may take, in seconds; 0: as long as it likes. */
struct http_limits {
    uint64_t header; /* for a request, from its first byte to its last, or for HTTP_LEAST_PROGRESS of it */
    uint64_t idle;   /* between requests, and before the first one */
    uint64_t send;   /* to take the answers that wait, or HTTP_LEAST_PROGRESS of them */
};

/* Their rows in a server's table of options; `at`: the offset of its http_limits. As nginx has them, but for
 * idle, which a load of very many connections must not meet. */
/* clang-format off */
#define HTTP_LIMIT_ROWS(at) \
    {"header-timeout", "S", OPTION_NUMBER, "60", 0, 32767, (at) + offsetof(struct http_limits, header), "seconds for a request, or for 64 KiB of it; 0: no limit"}, \
    {"idle-timeout", "S", OPTION_NUMBER, "300", 0, 32767, (at) + offsetof(struct http_limits, idle), "seconds without a request; 0: no limit"}, \
    {"send-timeout", "S", OPTION_NUMBER, "60", 0, 32767, (at) + offsetof(struct http_limits, send), "seconds to take what is answered, or 64 KiB of it; 0: no limit"}
/* clang-format on */

/* A server's walk over its connections, round and round, some in each tick. It counts the time in which the
 * server ran: one that was stopped has not seen what its clients did. */
struct http_clock {
    uint32_t ticks;
    size_t at; /* the connection that was looked at last */
};

/* One prebuilt response: part[0], then part[1] (iov_len 0 when part[0] is all of it). */
struct http_response {
    struct iovec part[2];
    size_t size; /* bytes of both parts */
};

/* All responses of one body size. Immutable after http_site_init, so that cores may share it and a stack may
 * reference the bytes without a copy. */
struct http_site {
    struct http_response responses[HTTP_ANSWERS];
};

/* What the connections of one core share; no other core may touch it. The fields are private to http.c. */
struct http_server {
    const struct http_site *site;
    struct counters *counters;
    struct http_pool parsers;
    struct http_known known;
};

/* One connection's requests and responses. All zero but `known` while nothing is under way. The fields are
 * private to http.c. */
struct http_connection {
    struct http_parser *parser; /* of the request that is partly read; NULL between requests */
    uint64_t queue;             /* answers that wait for output, two bits each, the first one lowest */
    uint32_t sent;              /* bytes of the first response that waits, already taken */
    uint8_t queued;             /* answers in `queue` */
    uint8_t last;               /* the answer after those, which closes; 0: none */
    uint8_t known;              /* which known request is looked for first */
    bool closing;   /* nothing is parsed any more; what is queued goes out, then the connection ends */
    bool answered;  /* a request, since http_keeps_up() looked last */
    uint8_t phase;  /* as http_keeps_up() found it last */
    uint16_t since; /* the second when that began, or went well */
    uint32_t moved; /* bytes of a request that is read, or of answers that were acknowledged; since then */
};

_Static_assert(sizeof(struct http_connection) == 32, "what a connection at rest costs");

/* Returns the bytes of memory that responses with bodies of body_size bytes (0..HTTP_BODY_SIZE_MAX) need. */
size_t http_site_size(size_t body_size);

/* Builds all responses for bodies of body_size bytes in memory[http_site_size(body_size)], aligned to a cache
 * line. The memory stays the caller's, who keeps it as long as the site is used. */
void http_site_init(struct http_site *site, size_t body_size, void *memory);

/* Makes a server of at most max_connections at a time. `site` and `counters` must outlive it; counters gets
 * requests_parsed, requests_known, responses_sent and errors_http (the caller counts the rest). Returns 0 or
 * −ENOMEM. */
int http_server_init(struct http_server *server, const struct http_site *site, struct counters *counters,
                     size_t max_connections);
/* Frees it. All of its connections must have been closed. */
void http_server_free(struct http_server *server);

/* Begins a new connection; http_close ends it. */
void http_init(const struct http_server *server, struct http_connection *connection);

/* Takes up to len bytes of input and returns how many: fewer than len only when HTTP_QUEUE_SIZE responses
 * wait (call again with the rest after http_sent). After a request that closes the connection, everything is
 * swallowed. `data` stays the caller's and is not referenced afterwards. */
size_t http_input(struct http_server *server, struct http_connection *connection, const char *data,
                  size_t len);

/* Takes note that the client will send no more (FIN): what is queued still goes out, an incomplete request is
 * dropped. */
void http_input_end(struct http_server *server, struct http_connection *connection);

/* Tells whether http_input would take a byte (false: HTTP_QUEUE_SIZE responses wait). */
static inline bool http_has_room(const struct http_connection *connection) {
    return connection->closing || connection->queued < HTTP_QUEUE_SIZE;
}

/* Fills up to `max` (≥ 2) pieces with bytes to send next, in order, and returns their number: 0 = nothing to
 * send. The bytes belong to the site. */
int http_pending(const struct http_server *server, const struct http_connection *connection,
                 struct iovec *iov, int max);

/* Tells whether http_pending would give a byte. */
static inline bool http_has_pending(const struct http_connection *connection) {
    return connection->queued > 0 || connection->last != 0;
}

/* Drops the first n bytes of what http_pending gave: the TCP stack has them. n may cover several responses,
 * at most all that is queued. */
void http_sent(struct http_server *server, struct http_connection *connection, size_t n);

/* Tells whether the client keeps within `limits`; to be asked about each connection in its turn. False: it is
 * to be ended, with a reset if http_has_pending(), as who does not read would not read a FIN. */
bool http_keeps_up(struct http_connection *connection, const struct http_limits *limits,
                   const struct http_clock *clock);

/* Takes note of bytes of answers that the client has acknowledged. */
static inline void http_taken(struct http_connection *connection, size_t n) {
    connection->moved += (uint32_t)n;
}

/* Begins a tick, one each HTTP_TICK_MS. Returns how many of `count` connections are to be looked at: each
 * once a second; of very many a part, so that no tick takes long. */
static inline size_t http_tick(struct http_clock *clock, size_t count) {
    size_t looks = (count + HTTP_TICKS_A_SECOND - 1) / HTTP_TICKS_A_SECOND;
    clock->ticks++;
    return looks < HTTP_LOOKS_A_TICK ? looks : HTTP_LOOKS_A_TICK;
}

/* Returns the index of the one to look at next. */
static inline size_t http_look(struct http_clock *clock, size_t count) {
    clock->at = clock->at + 1 < count ? clock->at + 1 : 0;
    return clock->at;
}

/* Tells whether there is any limit. */
static inline bool http_is_limited(const struct http_limits *limits) {
    return (limits->header | limits->idle | limits->send) != 0;
}

/* Tells whether the last response has been handed over completely and the connection is to be closed: shut
 * down the sending side, then read and discard until the client closes or a bounded time has passed (RFC 9112
 * 9.6). */
static inline bool http_finished(const struct http_connection *connection) {
    return connection->closing && !http_has_pending(connection);
}

/* Ends a connection, however it came to that; what it held goes back. */
void http_close(struct http_server *server, struct http_connection *connection);

#endif
