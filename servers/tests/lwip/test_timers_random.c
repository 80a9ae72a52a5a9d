/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP's timers (patch 0015) by deadline against the walk over all connections, which is the model: peers and
 * applications that do anything at any time, losses, closed windows, silences, connections that end and
 * begin. What lwIP sends and tells the application, and the state of each connection, must be the same at the
 * same time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lwip/tcp_timer.h"
#include "peer.h"

enum { PEERS = 60, STEPS = 12000 };

static struct peer peers[PEERS];
static struct trace traces[2][PEERS];
static uint32_t quiet_until[PEERS]; /* the peer says nothing before this step */
static const char bytes[4 * TCP_MSS];

static size_t index_of(const struct peer *peer) {
    return (size_t)(peer - peers);
}

static void write_some(struct peer *peer, struct tcp_pcb *pcb) {
    err_t error = tcp_write(
        pcb, bytes, (uint16_t)(1 + peer_draws(peer, peer_draws(peer, 2) ? 100 : sizeof(bytes) - 1)), 0);

    trace_event(peer, 'w', (unsigned)-error);
    if (peer_draws(peer, 4) != 0) {
        trace_event(peer, 'o', (unsigned)-tcp_output(pcb));
    }
}

/* What is left of it is lwIP's alone. */
static void detach(struct peer *peer, struct tcp_pcb *pcb) {
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    peer->pcb = pcb; /* application_failed() or the check of the lists says when it has gone */
}

static err_t sometimes_acts(struct peer *peer, struct tcp_pcb *pcb, bool may_free) {
    switch (peer_draws(peer, 60)) {
    case 0:
        tcp_abort(pcb);
        return ERR_ABRT;
    case 1:
        if (may_free || pcb->rcv_wnd == TCP_WND_MAX(pcb)) {
            detach(peer, pcb);
            (void)tcp_close(pcb);
        }
        return ERR_OK;
    case 2:
    case 3:
    case 4:
        write_some(peer, pcb);
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static err_t polled(void *argument, struct tcp_pcb *pcb) {
    trace_event(argument, 'O', 0);
    return sometimes_acts(argument, pcb, true);
}

static err_t received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct peer *peer = argument;

    if (data != NULL && peer_draws(peer, 6) == 0) {
        trace_event(peer, 'R', data->tot_len);
        return ERR_MEM;
    }
    if (data == NULL || peer_draws(peer, 20) != 0) {
        application_received(argument, pcb, data, error);
    } else {
        pbuf_free(data); /* the window stays as it is */
    }
    /* tcp_close() frees a PCB that has data which nobody took: lwIP does not bear that when it offers refused
     * data. */
    return sometimes_acts(peer, pcb, false);
}

/* In ms, short ones as often as long ones. */
static uint32_t some_time(struct peer *peer) {
    return 500 * (1 + peer_draws(peer, peer_draws(peer, 2) == 0 ? 6 : 150));
}

static void set_up_application(struct peer *peer, struct tcp_pcb *pcb) {
    application_attach(peer, pcb);
    tcp_recv(pcb, received);
    if (peer_draws(peer, 2) == 0) {
        tcp_poll(pcb, polled, (uint8_t)peer_draws(peer, 7));
    }
    if (peer_draws(peer, 4) == 0) {
        tcp_nagle_disable(pcb);
    }
    if (peer_draws(peer, 2) == 0) {
        ip_set_option(pcb, SOF_KEEPALIVE);
        pcb->keep_idle = some_time(peer);
        pcb->keep_intvl = some_time(peer);
        pcb->keep_cnt = 1 + peer_draws(peer, 8);
    }
}

static err_t accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct peer *peer = &peers[pcb->remote_port - PEER_FIRST_PORT];

    (void)argument;
    assert_int_equal(error, ERR_OK);
    trace_event(peer, 'A', 0);
    set_up_application(peer, pcb);
    return ERR_OK;
}

static err_t connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)pcb;
    trace_event(argument, 'C', (unsigned)-error);
    return ERR_OK;
}

/* lwIP's connection with the peer, in whatever list, or NULL. */
static struct tcp_pcb *find(const struct peer *peer) {
    for (int list = 0; list < 2; list++) {
        for (struct tcp_pcb *pcb = list == 0 ? tcp_active_pcbs : tcp_tw_pcbs; pcb != NULL; pcb = pcb->next) {
            if (pcb->remote_port == peer->port) {
                return pcb;
            }
        }
    }
    return NULL;
}

static void begin(struct peer *peer) {
    uint32_t random = peer->random;
    ip_addr_t address = IPADDR4_INIT(PP_HTONL(0xc6120001));
    struct tcp_pcb *pcb;

    peer_reset(peer);
    peer->random = random;
    peer->deaf = peer_draws(peer, 8) == 0;
    peer->loss = peer_draws(peer, 2) == 0 ? (uint8_t)peer_draws(peer, 60) : 0;
    quiet_until[index_of(peer)] = wire.step + (peer_draws(peer, 3) == 0 ? peer_draws(peer, 300) : 0);
    if (peer_draws(peer, 2) == 0) {
        peer_sends(peer, peer->next++, TCP_SYN, 0);
        return;
    }
    pcb = tcp_new();
    set_up_application(peer, pcb);
    trace_event(peer, 'c', (unsigned)-tcp_connect(pcb, &address, peer->port, connected));
}

/* Does one thing, or sends the next segment of the handshake. */
static void peer_acts(struct peer *peer) {
    static const uint16_t windows[] = {0, 0, 1, 40, 600, 3000, 60000, 60000};

    if (peer->pcb != NULL && peer->pcb->state == SYN_SENT) {
        peer_sends(peer, peer->next++, TCP_SYN | TCP_ACK, 0);
        return;
    }
    switch (peer_draws(peer, 24)) {
    case 0:
        peer->window = windows[peer_draws(peer, 8)];
        peer_sends_data(peer, 1);
        peer_acknowledges(peer);
        break;
    case 1:
    case 2:
    case 3:
        peer_sends_data(peer, (uint16_t)(1 + peer_draws(peer, 1000)));
        break;
    case 4:
        peer_sends(peer, peer->next + peer_draws(peer, 2000), TCP_ACK, (uint16_t)(1 + peer_draws(peer, 500)));
        break;
    case 5:
        for (int duplicates = 0; duplicates < 4; duplicates++) {
            peer_acknowledges(peer);
        }
        break;
    case 6:
        if (peer_draws(peer, 8) == 0) {
            peer_sends_fin(peer);
        }
        break;
    case 7:
        if (peer_draws(peer, 16) == 0) {
            peer_sends(peer, peer->next, TCP_RST | TCP_ACK, 0);
        }
        break;
    case 8:
        quiet_until[index_of(peer)] = wire.step + peer_draws(peer, peer_draws(peer, 4) == 0 ? 2000 : 100);
        break;
    case 9:
        peer->deaf = peer_draws(peer, 3) == 0;
        break;
    case 10:
        peer->refused = peer_draws(peer, 3) == 0;
        break;
    default:
        peer_acknowledges(peer);
        break;
    }
}

static void application_acts(struct peer *peer, struct tcp_pcb *pcb) {
    switch (peer_draws(peer, 40)) {
    case 0:
    case 1:
        write_some(peer, pcb);
        break;
    case 2:
        tcp_poll(pcb, peer_draws(peer, 2) ? polled : NULL, (uint8_t)peer_draws(peer, 7));
        break;
    case 3:
        if (peer_draws(peer, 10) == 0) {
            trace_event(peer, 's',
                        (unsigned)-tcp_shutdown(pcb, peer_draws(peer, 2) == 0, peer_draws(peer, 4) != 0));
        }
        break;
    case 4:
        if (peer_draws(peer, 10) == 0) {
            detach(peer, pcb);
            trace_event(peer, 'x', (unsigned)-tcp_close(pcb));
        }
        break;
    case 5:
        if (peer_draws(peer, 10) == 0) {
            tcp_abort(pcb);
        }
        break;
    case 6:
        pcb->keep_idle = some_time(peer);
        pcb->keep_cnt = 1 + peer_draws(peer, 8);
        tcp_timer_update(pcb);
        break;
    default:
        break;
    }
}

/* What tcp_slowtmr() keeps, counted up to now, though nobody may have looked since long. */
static void record_state(struct peer *peer, const struct tcp_pcb *pcb) {
    struct tcp_pcb now = *pcb;
    uint32_t timers[4];

    if (now.state != TIME_WAIT) {
        tcp_timer_sync(&now);
    }
    timers[0] = (uint32_t)now.rtime << 16 ^ (uint32_t)now.rto;
    timers[1] = (uint32_t)now.persist_cnt << 16 | (uint32_t)now.persist_backoff << 8 | now.persist_probe;
    timers[2] = (uint32_t)now.nrtx << 8 | now.keep_cnt_sent;
    trace_add(peer, (struct record){.what = '=',
                                    .flags = (uint8_t)now.state,
                                    .length = now.state == TIME_WAIT ? 0 : now.polltmr,
                                    .sequence = timers[0],
                                    .acknowledged = timers[1] ^ timers[2] << 16,
                                    .window = now.cwnd ^ (uint32_t)now.flags << 24});
}

static void step(struct peer *peer) {
    struct tcp_pcb *pcb = find(peer);

    peer->pcb = pcb;
    if (pcb == NULL) {
        if (peer_draws(peer, 20) == 0) {
            begin(peer);
        }
        return;
    }
    record_state(peer, pcb);
    if (wire.step >= quiet_until[index_of(peer)]) {
        peer_acts(peer);
    }
    pcb = find(peer);
    if (pcb != NULL && pcb->callback_arg != NULL && pcb->state != TIME_WAIT && pcb->recv == received) {
        application_acts(peer, pcb);
    }
}

static void run(uint32_t seed, struct trace *into) {
    wire_start(peers, PEERS);
    tcp_accept((struct tcp_pcb *)tcp_listen_pcbs.listen_pcbs, accepted);
    for (size_t i = 0; i < PEERS; i++) {
        into[i].count = 0;
        peers[i].trace = &into[i];
        peers[i].random = seed * 7919 + (uint32_t)i + 1;
        quiet_until[i] = 0;
    }
    while (wire.step < STEPS) {
        for (size_t i = 0; i < PEERS; i++) {
            step(&peers[i]);
        }
        wire_step();
    }
    wire_stop();
}

static void print_difference(size_t peer, size_t i) {
    for (int which = 0; which < 2; which++) {
        for (size_t k = i > 12 ? i - 12 : 0; k < i + 3 && k < traces[which][peer].count; k++) {
            const struct record *record = &traces[which][peer].records[k];

            print_message("%s peer %zu step %u: %c flags %02x length %u seq %x ack %x window %x\n",
                          which == 0 ? "wheel" : "walk ", peer, (unsigned)record->step, record->what,
                          record->flags, record->length, (unsigned)record->sequence,
                          (unsigned)record->acknowledged, (unsigned)record->window);
        }
    }
}

static void compare(void) {
    for (size_t peer = 0; peer < PEERS; peer++) {
        const struct trace *wheel = &traces[0][peer], *walk = &traces[1][peer];

        for (size_t i = 0; i < wheel->count && i < walk->count; i++) {
            if (memcmp(&wheel->records[i], &walk->records[i], sizeof(struct record)) != 0) {
                print_difference(peer, i);
                fail();
            }
        }
        assert_int_equal(wheel->count, walk->count);
    }
}

/* How often something happened, in all traces: a test in which nothing happens proves nothing. */
static size_t how_often(char what) {
    size_t count = 0;

    for (size_t peer = 0; peer < PEERS; peer++) {
        for (size_t i = 0; i < traces[0][peer].count; i++) {
            count += traces[0][peer].records[i].what == what;
        }
    }
    return count;
}

static void test_by_deadline_as_by_walking(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 3; seed++) {
        features = UINT32_MAX & ~(uint32_t)OBLIGATION_RTO; /* the walk sees no less than half a second */
        run(seed, traces[0]);
        features &= ~(uint32_t)FEATURE_TIMERS;
        run(seed, traces[1]);
        features = UINT32_MAX;
        compare();
        for (const char *what = "ACREFSOPXwsxc"; *what != '\0'; what++) {
            assert_true(how_often(*what) > 100);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_deadline_as_by_walking),
    };

    wire_create();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
