/* SPDX-License-Identifier: BSD-3-Clause */
/* The HTTP server on lwIP over DPDK: lwIP's raw callbacks, polled by one thread a core, each with a stack and
 * connections of its own. What happens to packets is stack/'s business, what the bytes mean is http.c's; this
 * file joins the two, connection by connection. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "cores.h"
#include "counters.h"
#include "http.h"
#include "lwip_report.h"
#include "measures.h"
#include "options.h"
#include "stack/eal.h"
#include "stack/stack.h"
#include "stack/tcp_queue.h"

#define POLL_INTERVAL 2 /* of 500 ms: session_polled() runs once a second while a session is watched */
#define DRAIN_SECONDS 2 /* how long a closed connection is read for the client's FIN (RFC 9112 9.6) */

#define CACHE_LINE 64
#define IDLE_TURNS 256 /* turns without a packet before a core that may sleep does so */

/* What a connection costs beside lwIP's part. Only `http.parser` and `input` lead to more, and only while a
 * request is partly read or the client takes no responses. */
struct session {
    _Alignas(CACHE_LINE) struct tcp_pcb *pcb; /* NULL: the slot is free */
    union {
        struct session *next_free;
        struct pbuf *input; /* received, not yet taken by HTTP, as too many responses wait */
    };
    struct http_connection http;
    bool peer_closed;
    bool draining;          /* our FIN is on its way; what still comes is discarded */
    bool watched;           /* session_polled() runs */
    unsigned quiet_seconds; /* with data unacknowledged, or draining */
};

_Static_assert(sizeof(struct session) == CACHE_LINE, "a request touches one line of its session");

/* Of the process: written before the cores start; then each writes its own report. */
static struct {
    struct options options;
    struct http_site site;
    struct port_shared *port;
    struct lwip_report *reports; /* [cores] */
} shared;

/* Of the core that looks at it. */
static __thread struct {
    _Alignas(CACHE_LINE) struct http_server http;
    struct counters counters;
    struct session *sessions;
    size_t max_sessions;
    size_t sessions_used; /* those from the front that were ever in use; the rest was never touched */
    struct session *free_sessions;
    struct tcp_pcb *listener;
    uint32_t syn_dropped;    /* of the listener, once it is closed */
    uint64_t writes_refused; /* lwIP had no segment or no room in its queue; tried again later */
} server;

static err_t session_polled(void *argument, struct tcp_pcb *pcb);

static void release(struct session *session) {
    if (session->input != NULL) {
        pbuf_free(session->input);
    }
    http_close(&server.http, &session->http);
    server.counters.closes++;
    session->pcb = NULL;
    session->next_free = server.free_sessions;
    server.free_sessions = session;
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
    server.counters.errors_socket++;
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

/* Feeds held input to HTTP until it is used up or too many responses wait. */
static void consume(struct session *session) {
    while (session->input != NULL && http_has_room(&session->http)) {
        struct pbuf *head = session->input;
        uint16_t taken = (uint16_t)http_input(&server.http, &session->http, head->payload, head->len);

        tcp_recved(session->pcb, taken);
        if (taken < head->len) {
            session->input = pbuf_free_header(head, taken);
        } else {
            if ((session->input = head->next) != NULL) {
                pbuf_ref(session->input); /* else it would go with its head */
            }
            pbuf_free(head);
        }
    }
    if (session->peer_closed && session->input == NULL) {
        http_input_end(&server.http, &session->http);
    }
}

/* Queues responses until none waits or the send buffer is full. True if any byte was taken. */
static bool respond(struct session *session) {
    struct iovec pieces[16];
    bool progress = false;
    int count;

    while ((count = http_pending(&server.http, &session->http, pieces, 16)) > 0) {
        size_t taken = 0, offered = 0;

        for (int i = 0; i < count && taken == offered; i++) {
            offered += pieces[i].iov_len;
            taken += tcp_queue_bytes(session->pcb, pieces[i].iov_base, pieces[i].iov_len, i + 1 < count,
                                     &server.writes_refused);
        }
        http_sent(&server.http, &session->http, taken);
        server.counters.bytes_sent += taken;
        progress |= taken > 0;
        if (taken < offered) {
            break;
        }
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
    } while (respond(session) && session->input != NULL);

    if (!http_finished(&session->http)) {
        watch(session);
        return ERR_OK;
    }
    if (session->peer_closed && !tcp_queue_has_data(session->pcb)) {
        return close_session(session);
    }
    if (session->input != NULL) {
        discard(session, session->input);
        session->input = NULL;
    }
    /* The session stays until the client has it all, so that it counts against the limit and is timed out.
     * Closing at once would also answer late input with RST, which would destroy what the client has not
     * read. */
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

    (void)error;
    if (data == NULL) {
        session->peer_closed = true;
        if (session->draining) {
            return tcp_queue_has_data(pcb) ? ERR_OK : close_session(session);
        }
        return advance(session);
    }
    server.counters.bytes_received += data->tot_len;
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

static err_t session_sent(void *argument, struct tcp_pcb *pcb, uint16_t length) {
    struct session *session = argument;

    (void)length;
    session->quiet_seconds = 0;
    if (session->draining) {
        return session->peer_closed && !tcp_queue_has_data(pcb) ? close_session(session) : ERR_OK;
    }
    return advance(session);
}

static err_t session_polled(void *argument, struct tcp_pcb *pcb) {
    struct session *session = argument;
    const struct options *options = &shared.options;

    if (!waits_for_client(session)) {
        session->quiet_seconds = 0;
        session->watched = false;
        tcp_poll(pcb, NULL, 0);
        return ERR_OK;
    }
    if (session->draining && !tcp_queue_has_data(pcb)) {
        return ++session->quiet_seconds > DRAIN_SECONDS ? close_session(session) : ERR_OK;
    }
    /* A client that takes nothing is given up after the time that keep-alive gives one that says nothing: its
     * answers to window probes would keep the connection for ever. */
    session->quiet_seconds = tcp_queue_has_data(pcb) ? session->quiet_seconds + 1 : 0;
    if (session->quiet_seconds >
        options->keepalive_idle + options->keepalive_interval * options->keepalive_count) {
        return abort_session(session);
    }
    return session->draining ? ERR_OK : advance(session);
}

/* lwIP has freed the PCB: reset by the peer, or too many retransmissions or probes without an answer. */
static void session_failed(void *argument, err_t error) {
    struct session *session = argument;

    if (error != ERR_CLSD) {
        server.counters.errors_socket++;
    }
    release(session);
}

/* NULL: all are in use. */
static struct session *take_session(void) {
    struct session *session = server.free_sessions;

    if (session != NULL) {
        server.free_sessions = session->next_free;
    } else if (server.sessions_used < server.max_sessions) {
        session = &server.sessions[server.sessions_used++];
    }
    return session;
}

static err_t session_accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct session *session = error == ERR_OK && pcb != NULL ? take_session() : NULL;
    const struct options *options = &shared.options;

    (void)argument;
    if (session == NULL) {
        server.counters.refused++;
        return ERR_MEM; /* lwIP resets the connection */
    }
    server.counters.accepts++;
    *session = (struct session){.pcb = pcb};
    http_init(&server.http, &session->http);
    tcp_arg(pcb, session);
    tcp_recv(pcb, session_received);
    tcp_sent(pcb, session_sent);
    tcp_err(pcb, session_failed);
    tcp_nagle_disable(pcb);
    ip_set_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = (uint32_t)options->keepalive_idle * 1000;
    pcb->keep_intvl = (uint32_t)options->keepalive_interval * 1000;
    pcb->keep_cnt = (uint32_t)options->keepalive_count;
    return ERR_OK;
}

static const char *listen_on(const struct options *options) {
    struct tcp_pcb *pcb = tcp_new();
    err_t error = pcb == NULL ? ERR_MEM : tcp_bind(pcb, IP_ANY_TYPE, (uint16_t)options->port);

    if (error == ERR_OK) {
        server.listener = tcp_listen_with_backlog_and_err(pcb, (uint16_t)options->backlog, &error);
    }
    if (error != ERR_OK) {
        return lwip_strerr(error);
    }
    tcp_accept(server.listener, session_accepted);
    return NULL;
}

/* What all cores answer with. */
static int create_shared(const struct options *options) {
    size_t reports = options->cores * sizeof(*shared.reports);
    void *bodies = stack_reserve(http_site_size(options->body_size));

    shared.reports = aligned_alloc(CACHE_LINE, reports);
    if (bodies == NULL || shared.reports == NULL) {
        return -ENOMEM;
    }
    memset(shared.reports, 0, reports);
    http_site_init(&shared.site, options->body_size, bodies);
    return 0;
}

static size_t share_of_connections(const struct options *options) {
    return (options->max_connections + options->cores - 1) / options->cores;
}

/* The sessions are not written to: memory is given as connections come, to the core that has them. */
static int create_http(const struct options *options) {
    server.max_sessions = share_of_connections(options);
    server.sessions = aligned_alloc(CACHE_LINE, server.max_sessions * sizeof(*server.sessions));
    return server.sessions == NULL
               ? -ENOMEM
               : http_server_init(&server.http, &shared.site, &server.counters, server.max_sessions);
}

static uint32_t syn_dropped(void) {
    return server.listener != NULL ? ((struct tcp_pcb_listen *)server.listener)->syn_dropped
                                   : server.syn_dropped;
}

static void report(unsigned core) {
    struct lwip_report *mine = &shared.reports[core];

    *mine = (struct lwip_report){.lcore = rte_lcore_id(),
                                 .counters = server.counters,
                                 .writes_refused = server.writes_refused,
                                 .syn_dropped = syn_dropped()};
    stack_count(&mine->stack);
    memory_count(&mine->memory);
    mine->counters.retransmits = mine->stack.retransmits;
}

static int out_of_memory(const struct options *options) {
    fprintf(stderr, "lwip_server: out of memory for %zu connections and a body of %zu bytes\n",
            (size_t)options->max_connections, (size_t)options->body_size);
    return 1;
}

/* On the core's own thread, core 0 first. 0, or the exit code. */
static int start(const struct options *options, unsigned core) {
    struct stack_config config = {.connections = (uint32_t)share_of_connections(options),
                                  .address = options->address,
                                  .netmask = options->netmask,
                                  .gateway = options->gateway,
                                  .mtu = (uint16_t)options->mtu,
                                  .rx_descriptors = (uint16_t)options->rx_descriptors,
                                  .tx_descriptors = (uint16_t)options->tx_descriptors,
                                  .mbufs = (unsigned)options->mbufs,
                                  .offload = !options->no_offload && measure(MEASURE_OFFLOAD),
                                  .interrupts = options->idle == IDLE_INTR,
                                  .cores = (uint16_t)options->cores,
                                  .core = (uint16_t)core,
                                  .shared = shared.port};
    const char *refusal;
    char error[256];

    memcpy(config.mac, options->mac, sizeof(config.mac));
    if (create_http(options) != 0) {
        return out_of_memory(options);
    }
    if (stack_start(&config, error, sizeof(error)) != 0) {
        fprintf(stderr, "lwip_server: %s\n", error);
        return 1;
    }
    if (core == 0) {
        shared.port = stack_shared();
    }
    if ((refusal = listen_on(options)) != NULL) {
        fprintf(stderr, "lwip_server: port %u: %s\n", (unsigned)options->port, refusal);
        return 1;
    }
    cores_serving(core, stack_waker());
    return 0;
}

static void serve(unsigned core) {
    unsigned idle_turns = 0;

    while (!cores_stopping()) {
        idle_turns = stack_poll() ? 0 : idle_turns + 1;
        if (shared.options.idle == IDLE_INTR && idle_turns > IDLE_TURNS) {
            stack_sleep();
        }
        if (cores_report_due(core)) {
            report(core);
            cores_reported(core);
        }
        if (core == 0 && cores_report_complete()) {
            lwip_report_print(shared.reports, (unsigned)shared.options.cores, sizeof(struct session));
        }
    }
}

/* First the door, so that what is counted is all there was. */
static void end_sessions(unsigned core) {
    server.syn_dropped = syn_dropped();
    (void)tcp_close(server.listener); /* cannot fail: it listens */
    server.listener = NULL;
    for (size_t i = 0; i < server.sessions_used; i++) {
        if (server.sessions[i].pcb != NULL) {
            tcp_abort(detach(&server.sessions[i]));
        }
    }
    report(core);
}

static void stop(void) {
    stack_stop();
    http_server_free(&server.http);
    free(server.sessions);
}

/* What every core but the first does from its beginning to its end. */
static int run_core(unsigned core) {
    int code = start(&shared.options, core);

    if (code == 0) {
        serve(core);
        end_sessions(core);
        stop();
    }
    return code;
}

/* Core 0, and through it the others. 0, or the exit code. */
static int run(const struct options *options) {
    int code;

    if (create_shared(options) != 0) {
        return out_of_memory(options);
    }
    if ((code = start(options, 0)) != 0) {
        return code;
    }
    if ((code = cores_start((unsigned)options->cores, run_core)) == 0) {
        cores_catch_signals();
        ready_print(options->address, (uint16_t)options->port);
        serve(0);
    }
    end_sessions(0);
    cores_join();
    if (code == 0) {
        lwip_report_print(shared.reports, (unsigned)options->cores, sizeof(struct session));
    }
    stop();
    free(shared.reports);
    return code;
}

static void print_own_options(const char *program) {
    printf("\nAfter EAL's options and '--':\n");
    options_help(stdout, SERVER_LWIP, program);
    printf("\nMeasures, for --without:\n");
    for (size_t i = 0; i < measure_row_count; i++) {
        printf("  %-12s %s\n", measure_rows[i].name, measure_rows[i].what);
    }
}

/* Ends the program with exit code 2 when EAL has too few lcores. */
static void have_lcores_or_exit(unsigned cores) {
    unsigned lcores = rte_lcore_count();

    if (cores > lcores) {
        fprintf(stderr, "lwip_server: --cores %u, but EAL has %u lcore%s: give it more with -l or --lcores\n",
                cores, lcores, lcores == 1 ? "" : "s");
        exit(2);
    }
}

/* Ends the program with exit code 2 on a name that is none. */
static void leave_measures_out_or_exit(const char *list) {
    char error[256];

    if (!measures_leave_out(list, error, sizeof(error))) {
        fprintf(stderr, "lwip_server: %s\n", error);
        exit(2);
    }
}

int main(int argc, char *argv[]) {
    int eal_words, code;

    rte_openlog_stream(stderr);
    rte_set_application_usage_hook(print_own_options);
    /* Own options first: a mistake in them is told at once, not after EAL has taken hugepages. */
    eal_words = options_parse_after_eal_or_exit(&shared.options, SERVER_LWIP, argc, argv);
    leave_measures_out_or_exit(shared.options.without);
    if ((code = eal_start("lwip_server", eal_words, argv)) != 0) {
        return code;
    }
    have_lcores_or_exit((unsigned)shared.options.cores);
    return run(&shared.options); /* without rte_eal_cleanup(): see eal.h */
}
