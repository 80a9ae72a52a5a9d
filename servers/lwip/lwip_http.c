/* SPDX-License-Identifier: BSD-3-Clause */
#include "lwip_http.h"

#include <errno.h>
#include <stdbool.h>

#include "lwip/input_queue.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

#include "stack/memory/pool.h"
#include "tcp_queue.h"

#define POLL_INTERVAL 2   /* of 500 ms: session_polled() runs once a second while a session is watched */
#define DRAIN_SECONDS 2   /* after our FIN, until the client's (RFC 9112 9.6); as the kernel's servers */
#define DRAINING_LOOKS 64 /* at sessions, for one that drains, when all are in use */

/* What a connection costs beside lwIP's part. Only `http.parser` and `input` lead to more, and only while a
 * request is partly read or the client takes no responses. */
struct session {
    _Alignas(LWIP_HTTP_SESSION_BYTES) struct tcp_pcb *pcb; /* NULL: the slot is free */
    union {
        struct session *next_free;
        struct input_queue input; /* received, not yet taken by HTTP, as too many responses wait */
    };
    struct lwip_http *server;
    struct http_connection http;
    bool peer_closed;
    bool draining;          /* our FIN is on its way; what still comes is discarded */
    bool watched;           /* session_polled() runs */
    unsigned quiet_seconds; /* with data unacknowledged; draining: since our FIN */
};

_Static_assert(sizeof(struct session) == LWIP_HTTP_SESSION_BYTES, "a request touches one line of it");

static err_t session_polled(void *argument, struct tcp_pcb *pcb);

static void release(struct session *session) {
    (void)input_queue_clear(&session->input);
    http_close(&session->server->http, &session->http);
    session->server->counters.closes++;
    session->pcb = NULL;
    session->next_free = session->server->free_sessions;
    session->server->free_sessions = session;
}

/* lwIP keeps the PCB until the peer agrees; the session ends now. */
static struct tcp_pcb *detach(struct session *session) {
    struct tcp_pcb *pcb = session->pcb;

    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    release(session);
    return pcb;
}

static err_t abort_session(struct session *session) {
    session->server->counters.errors_socket++;
    tcp_abort(detach(session));
    return ERR_ABRT;
}

static err_t close_session(struct session *session) {
    struct tcp_pcb *pcb = detach(session);

    if (tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    return ERR_OK;
}

static void discard(struct session *session, struct pbuf *data) {
    tcp_recved(session->pcb, data->tot_len);
    pbuf_free(data);
}

static bool has_input(const struct session *session) {
    return input_queue_first(&session->input) != NULL;
}

/* Tells lwIP how much of its input has been taken. */
static void taken(struct session *session, size_t size) {
    while (size > 0) {
        uint16_t now = (uint16_t)LWIP_MIN(size, UINT16_MAX);

        tcp_recved(session->pcb, now);
        size -= now;
    }
}

static uint16_t read_request(struct session *session, const struct pbuf *data) {
    uint16_t size = (uint16_t)http_input(&session->server->http, &session->http, data->payload, data->len);

    tcp_recved(session->pcb, size);
    return size;
}

/* Feeds what has just come to HTTP while few enough responses wait; returns the rest. */
static struct pbuf *feed(struct session *session, struct pbuf *data) {
    while (data != NULL && http_has_room(&session->http)) {
        struct pbuf *next = data->next;
        uint16_t size = read_request(session, data);

        if (size < data->len) {
            return pbuf_free_header(data, size);
        }
        if (next != NULL) {
            pbuf_ref(next); /* else it would go with its head */
        }
        pbuf_free(data);
        data = next;
    }
    return data;
}

/* Feeds held input to HTTP until it is used up or too many responses wait. */
static void consume(struct session *session) {
    while (has_input(session) && http_has_room(&session->http)) {
        uint16_t size = read_request(session, input_queue_first(&session->input));

        input_queue_read(&session->input, size);
    }
    if (session->peer_closed && !has_input(session)) {
        http_input_end(&session->server->http, &session->http);
    }
}

/* Queues responses until none waits or the send buffer is full. True if any byte was taken. */
static bool respond(struct session *session) {
    struct iovec pieces[16];
    size_t queued = 0, offered = 0;
    bool progress = false;
    int count;

    while (queued == offered &&
           (count = http_pending(&session->server->http, &session->http, pieces, 16)) > 0) {
        queued = offered = 0;
        for (int i = 0; i < count && queued == offered; i++) {
            offered += pieces[i].iov_len;
            queued += tcp_queue_bytes(session->pcb, pieces[i].iov_base, pieces[i].iov_len, i + 1 < count,
                                      &session->server->writes_refused);
        }
        http_sent(&session->server->http, &session->http, queued);
        session->server->counters.bytes_sent += queued;
        progress |= queued > 0;
    }
    return progress;
}

/* Whether the client has yet to take something, or to close. An idle client is left to keep-alive. */
static bool waits_for_client(const struct session *session) {
    return session->draining || tcp_queue_has_data(session->pcb) || http_has_pending(&session->http);
}

/* A connection that is asked all the time stays watched: session_polled() ends it, once there is nothing to
 * wait for. */
static void watch(struct session *session) {
    if (!session->watched && waits_for_client(session)) {
        session->watched = true;
        tcp_poll(session->pcb, session_polled, POLL_INTERVAL);
    }
}

/* Goes on as far as input and send buffer allow. To be called from a callback of lwIP, which sends what is
 * queued once it has returned, with this result. */
static err_t advance(struct session *session) {
    do {
        consume(session);
    } while (respond(session) && has_input(session));

    if (!http_finished(&session->http)) {
        watch(session);
        return ERR_OK;
    }
    taken(session, input_queue_clear(&session->input));
    /* What is queued is lwIP's business, which gives up a client that does not take it. */
    if (session->peer_closed) {
        return close_session(session);
    }
    /* Closing at once would answer late input with RST, which would destroy what the client has not read. */
    if (tcp_shutdown(session->pcb, 0, 1) != ERR_OK) {
        return abort_session(session);
    }
    session->draining = true;
    session->quiet_seconds = 0;
    watch(session);
    return ERR_OK;
}

static err_t session_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct session *session = argument;

    (void)pcb;
    (void)error;
    if (data == NULL) {
        session->peer_closed = true;
        return session->draining ? close_session(session) : advance(session);
    }
    session->server->counters.bytes_received += data->tot_len;
    if (session->draining) {
        discard(session, data);
        return ERR_OK;
    }
    while (!has_input(session) && (data = feed(session, data)) != NULL && respond(session)) {
    }
    input_queue_add(&session->input, data);
    return advance(session);
}

static err_t session_sent(void *argument, struct tcp_pcb *pcb, uint16_t length) {
    struct session *session = argument;

    (void)pcb;
    http_taken(&session->http, length);
    if (session->draining) {
        return ERR_OK;
    }
    session->quiet_seconds = 0;
    return advance(session);
}

static err_t session_polled(void *argument, struct tcp_pcb *pcb) {
    struct session *session = argument;
    const struct lwip_http_config *config = &session->server->config;

    if (!waits_for_client(session)) {
        session->quiet_seconds = 0;
        session->watched = false;
        tcp_poll(pcb, NULL, 0);
        return ERR_OK;
    }
    if (session->draining) {
        return ++session->quiet_seconds > DRAIN_SECONDS ? close_session(session) : ERR_OK;
    }
    /* A client that takes nothing is given up after the time that keep-alive gives one that says nothing: its
     * answers to window probes would keep the connection for ever. */
    session->quiet_seconds = tcp_queue_has_data(pcb) ? session->quiet_seconds + 1 : 0;
    if (session->quiet_seconds >
        config->keepalive_idle + config->keepalive_interval * config->keepalive_count) {
        return abort_session(session);
    }
    return advance(session);
}

/* lwIP has freed the PCB: reset by the peer, or too many retransmissions or probes without an answer. */
static void session_failed(void *argument, err_t error) {
    struct session *session = argument;

    if (error != ERR_CLSD) {
        session->server->counters.errors_socket++;
    }
    release(session);
}

static void time_out(struct session *session) {
    session->server->counters.timeouts++;
    if (http_has_pending(&session->http)) {
        tcp_abort(detach(session));
    } else {
        (void)close_session(session);
    }
}

/* Looks at some of the sessions: who takes too long is ended. One that drains has a time of its own. */
static void tick(void *argument) {
    struct lwip_http *server = argument;
    size_t count = server->sessions_used;

    for (size_t left = http_tick(&server->clock, count); left > 0; left--) {
        struct session *session = &server->sessions[http_look(&server->clock, count)];

        if (session->pcb != NULL && !session->draining &&
            !http_keeps_up(&session->http, &server->config.limits, &server->clock)) {
            time_out(session);
        }
    }
    server->clock_runs = server->counters.accepts != server->counters.closes;
    if (server->clock_runs) {
        sys_timeout(HTTP_TICK_MS, tick, server);
    }
}

static void start_clock(struct lwip_http *server) {
    if (!server->clock_runs && http_is_limited(&server->config.limits)) {
        server->clock_runs = true;
        sys_timeout(HTTP_TICK_MS, tick, server);
    }
}

/* NULL: all are in use. */
static struct session *take_session(struct lwip_http *server) {
    struct session *session = server->free_sessions;

    if (session != NULL) {
        server->free_sessions = session->next_free;
    } else if (server->sessions_used < server->config.max_sessions) {
        session = &server->sessions[server->sessions_used++];
    }
    return session;
}

/* All are in use: one that has nothing more to say gives way, and lwIP alone ends its connection. Looks at a
 * few only, each time at the next ones. */
static void end_a_drain(struct lwip_http *server) {
    for (int left = DRAINING_LOOKS; left > 0 && server->sessions_used > 0; left--) {
        struct session *session = &server->sessions[server->drain_look++ % server->sessions_used];

        if (session->pcb != NULL && session->draining) {
            (void)close_session(session);
            return;
        }
    }
}

static err_t session_accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct lwip_http *server = argument;
    struct session *session = NULL;

    if (error == ERR_OK && pcb != NULL && (session = take_session(server)) == NULL) {
        end_a_drain(server);
        session = take_session(server);
    }
    if (session == NULL) {
        server->counters.refused++;
        return ERR_MEM; /* lwIP resets the connection */
    }
    server->counters.accepts++;
    start_clock(server);
    *session = (struct session){.pcb = pcb, .server = server};
    http_init(&server->http, &session->http);
    tcp_arg(pcb, session);
    tcp_recv(pcb, session_received);
    tcp_sent(pcb, session_sent);
    tcp_err(pcb, session_failed);
    tcp_nagle_disable(pcb);
    ip_set_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = server->config.keepalive_idle * 1000;
    pcb->keep_intvl = server->config.keepalive_interval * 1000;
    pcb->keep_cnt = server->config.keepalive_count;
    return ERR_OK;
}

/* The sessions are not written to: memory is given as connections come. */
int lwip_http_create(struct lwip_http *server, const struct lwip_http_config *config) {
    *server = (struct lwip_http){.config = *config};
    if ((server->sessions = pool_reserve(config->max_sessions * sizeof(*server->sessions))) == NULL) {
        return -ENOMEM;
    }
    if (http_server_init(&server->http, config->site, &server->counters, config->max_sessions) != 0) {
        pool_release(server->sessions, server->config.max_sessions * sizeof(*server->sessions));
        return -ENOMEM;
    }
    return 0;
}

const char *lwip_http_listen(struct lwip_http *server, struct tcp_pcb *pcb) {
    err_t error = ERR_OK;

    if (pcb == NULL) {
        pcb = tcp_new();
        error = pcb == NULL ? ERR_MEM : tcp_bind(pcb, IP_ANY_TYPE, server->config.port);
    }
    if (error == ERR_OK) {
        server->listener = tcp_listen_with_backlog_and_err(pcb, server->config.backlog, &error);
    }
    if (error != ERR_OK) {
        return lwip_strerr(error);
    }
    tcp_arg(server->listener, server);
    tcp_accept(server->listener, session_accepted);
    return NULL;
}

uint32_t lwip_http_syn_dropped(const struct lwip_http *server) {
    return server->listener != NULL ? ((struct tcp_pcb_listen *)server->listener)->syn_dropped
                                    : server->syn_dropped;
}

void lwip_http_close(struct lwip_http *server) {
    /* First the door, so that what is counted is all there was. */
    server->syn_dropped = lwip_http_syn_dropped(server);
    (void)tcp_close(server->listener); /* cannot fail: it listens */
    server->listener = NULL;
    sys_untimeout(tick, server);
    for (size_t i = 0; i < server->sessions_used; i++) {
        if (server->sessions[i].pcb != NULL) {
            tcp_abort(detach(&server->sessions[i]));
        }
    }
}

void lwip_http_free(struct lwip_http *server) {
    http_server_free(&server->http);
    pool_release(server->sessions, server->config.max_sessions * sizeof(*server->sessions));
}
