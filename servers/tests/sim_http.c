/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_http.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "lwip/priv/tcp_priv.h"

#include "stack/tcp_queue.h"

#define POLL_INTERVAL 2 /* polled() runs once a second */
#define DRAIN_SECONDS 2
#define GIVE_UP_SECONDS 30
#define SESSIONS 10000

struct session {
    struct sim_http *http;
    struct tcp_pcb *pcb;
    struct pbuf *input; /* received, not yet taken by HTTP */
    struct http_connection connection;
    uint64_t refused;
    bool peer_closed;
    bool draining;
    unsigned quiet_seconds;
};

static void *or_die(void *memory) {
    if (memory == NULL) {
        fprintf(stderr, "sim_http: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static void release(struct session *session) {
    if (session->input != NULL) {
        pbuf_free(session->input);
    }
    http_close(&session->http->server, &session->connection);
    session->http->counters.closes++;
    session->http->sessions--;
    free(session);
}

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
    session->http->counters.errors_socket++;
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

static void consume(struct session *session) {
    while (session->input != NULL && http_has_room(&session->connection)) {
        struct pbuf *head = session->input;
        uint16_t taken =
            (uint16_t)http_input(&session->http->server, &session->connection, head->payload, head->len);

        tcp_recved(session->pcb, taken);
        if (taken < head->len) {
            session->input = pbuf_free_header(head, taken);
        } else {
            if ((session->input = head->next) != NULL) {
                pbuf_ref(session->input);
            }
            pbuf_free(head);
        }
    }
    if (session->peer_closed && session->input == NULL) {
        http_input_end(&session->http->server, &session->connection);
    }
}

static bool respond(struct session *session) {
    struct iovec pieces[16];
    bool progress = false;
    int count;

    while ((count = http_pending(&session->http->server, &session->connection, pieces, 16)) > 0) {
        size_t taken = 0, offered = 0;

        for (int i = 0; i < count && taken == offered; i++) {
            offered += pieces[i].iov_len;
            taken += tcp_queue_bytes(session->pcb, pieces[i].iov_base, pieces[i].iov_len, i + 1 < count,
                                     &session->refused);
        }
        http_sent(&session->http->server, &session->connection, taken);
        session->http->counters.bytes_sent += taken;
        progress |= taken > 0;
        if (taken < offered) {
            break;
        }
    }
    return progress;
}

static err_t advance(struct session *session) {
    do {
        consume(session);
    } while (respond(session) && session->input != NULL);

    if (!http_finished(&session->connection)) {
        return ERR_OK;
    }
    if (session->peer_closed && !tcp_queue_has_data(session->pcb)) {
        return close_session(session);
    }
    if (session->input != NULL) {
        discard(session, session->input);
        session->input = NULL;
    }
    if (tcp_shutdown(session->pcb, 0, 1) != ERR_OK) {
        return abort_session(session);
    }
    session->draining = true;
    session->quiet_seconds = 0;
    return ERR_OK;
}

static err_t received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct session *session = argument;

    (void)error;
    if (data == NULL) {
        session->peer_closed = true;
        if (session->draining) {
            return tcp_queue_has_data(pcb) ? ERR_OK : close_session(session);
        }
        return advance(session);
    }
    session->http->counters.bytes_received += data->tot_len;
    if (session->draining) {
        discard(session, data);
        return ERR_OK;
    }
    if (session->input == NULL) {
        session->input = data;
    } else {
        pbuf_cat(session->input, data);
    }
    return advance(session);
}

static err_t sent(void *argument, struct tcp_pcb *pcb, uint16_t length) {
    struct session *session = argument;

    (void)length;
    session->quiet_seconds = 0;
    if (session->draining) {
        return session->peer_closed && !tcp_queue_has_data(pcb) ? close_session(session) : ERR_OK;
    }
    return advance(session);
}

static err_t polled(void *argument, struct tcp_pcb *pcb) {
    struct session *session = argument;

    if (session->draining && !tcp_queue_has_data(pcb)) {
        return ++session->quiet_seconds > DRAIN_SECONDS ? close_session(session) : ERR_OK;
    }
    session->quiet_seconds = tcp_queue_has_data(pcb) ? session->quiet_seconds + 1 : 0;
    if (session->quiet_seconds > session->http->give_up_seconds) {
        return abort_session(session);
    }
    return session->draining ? ERR_OK : advance(session);
}

static void failed(void *argument, err_t error) {
    struct session *session = argument;

    session->http->counters.errors_socket += error != ERR_CLSD;
    release(session);
}

static err_t accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct sim_http *http = argument;
    struct session *session;

    if (error != ERR_OK || pcb == NULL) {
        http->counters.refused++;
        return ERR_MEM;
    }
    session = or_die(calloc(1, sizeof(*session)));
    session->http = http;
    session->pcb = pcb;
    http->sessions++;
    http->counters.accepts++;
    http_init(&http->server, &session->connection);
    tcp_arg(pcb, session);
    tcp_recv(pcb, received);
    tcp_sent(pcb, sent);
    tcp_err(pcb, failed);
    tcp_poll(pcb, polled, POLL_INTERVAL);
    tcp_nagle_disable(pcb);
    ip_set_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = http->give_up_seconds * 1000 / 2;
    pcb->keep_intvl = http->give_up_seconds * 1000 / 6;
    pcb->keep_cnt = 3;
    return ERR_OK;
}

void sim_http_start(struct sim_http *http, struct tcp_pcb *pcb, size_t body_size) {
    *http = (struct sim_http){.give_up_seconds = GIVE_UP_SECONDS};
    http->site_memory = or_die(aligned_alloc(64, http_site_size(body_size)));
    http_site_init(&http->site, body_size, http->site_memory);
    if (http_server_init(&http->server, &http->site, &http->counters, SESSIONS) != 0) {
        or_die(NULL);
    }
    http->listener = or_die(tcp_listen(pcb));
    tcp_arg(http->listener, http);
    tcp_accept(http->listener, accepted);
}

void sim_http_stop(struct sim_http *http) {
    (void)tcp_close(http->listener); /* cannot fail: it listens */
    http_server_free(&http->server);
    free(http->site_memory);
}
