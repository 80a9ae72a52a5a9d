/* SPDX-License-Identifier: BSD-3-Clause */
/* The other ends of lwIP's connections, for tests that simulate time: segments in, and a trace of what lwIP
 * sends and tells the application, each with its time. Must not know what a test expects. */
#ifndef STACKDUEL_TESTS_PEER_H
#define STACKDUEL_TESTS_PEER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/tcp.h"
#include "lwip/tcp.h"
#include "lwip/tcp_timer.h"

enum {
    SERVER_PORT = 80,
    PEER_FIRST_PORT = 10000, /* peer i has this port plus i, and no other peer has */
    PEER_FIRST_SEQUENCE = 1000,
};

/* What happened, by letter. P: a segment was sent, X: one was refused by the interface; to the application,
 * A: accepted, C: connected, R: data received, F: the peer's FIN received, S: data acknowledged, O: polled,
 * E: an error. Others are the test's own. */
struct record {
    uint32_t step;
    char what;
    uint8_t flags;
    uint16_t length;
    uint32_t sequence, acknowledged, window; /* from the first ones on; not scaled */
};

struct trace {
    struct record *records;
    size_t count, room;
};

struct peer {
    struct tcp_pcb *pcb;             /* lwIP's end; NULL: none yet, or gone */
    struct trace *trace;             /* NULL: nobody looks */
    uint32_t next;                   /* sequence number of what it sends next */
    uint32_t server_first, received; /* lwIP's first sequence number, and the next that is expected */
    uint32_t random; /* not 0: the state of a generator of its own, so that no peer depends on another */
    uint16_t window;
    uint16_t port;
    uint16_t server_port; /* lwIP's */
    uint8_t loss;         /* of a hundred segments that are sent to it, as many are lost */
    bool deaf;            /* all are */
    bool refused;         /* the interface has no room for what is sent to it */
    bool refuses;         /* the application does not take what it sends */
};

static struct {
    struct netif netif;
    struct peer *peers;
    size_t count;
    uint32_t step; /* of 250 ms: the fast timer runs every one, the slow timer every even one */
} wire;

static inline void trace_add(struct peer *peer, struct record record) {
    struct trace *trace = peer->trace;

    if (trace == NULL) {
        return;
    }
    if (trace->count == trace->room) {
        trace->room = trace->room * 2 + 64;
        trace->records = realloc(trace->records, trace->room * sizeof(record));
        if (trace->records == NULL) {
            abort();
        }
    }
    record.step = wire.step;
    trace->records[trace->count++] = record;
}

static inline void trace_event(struct peer *peer, char what, unsigned length) {
    trace_add(peer, (struct record){.what = what, .length = (uint16_t)length});
}

/* Below `below`: xorshift (Marsaglia 2003). */
static inline uint32_t peer_draws(struct peer *peer, uint32_t below) {
    peer->random ^= peer->random << 13;
    peer->random ^= peer->random >> 17;
    peer->random ^= peer->random << 5;
    return peer->random % below;
}

/* The interface: all packets go to the peer that their port says. */
static inline err_t wire_output(struct netif *out, struct pbuf *packet, const ip4_addr_t *address) {
    struct tcp_hdr header;
    struct peer *peer;
    uint32_t sequence, length, end;

    (void)out;
    (void)address;
    if (pbuf_copy_partial(packet, &header, sizeof(header), IP_HLEN) != sizeof(header)) {
        abort();
    }
    sequence = lwip_ntohl(header.seqno);
    length = packet->tot_len - IP_HLEN - (uint32_t)TCPH_HDRLEN_BYTES(&header);
    peer = &wire.peers[lwip_ntohs(header.dest) - PEER_FIRST_PORT];
    if ((TCPH_FLAGS(&header) & TCP_SYN) && peer->server_first == 0) {
        peer->server_first = sequence;
        peer->received = sequence;
        peer->server_port = lwip_ntohs(header.src);
    }
    trace_add(peer, (struct record){.what = peer->refused ? 'X' : 'P',
                                    .flags = (uint8_t)TCPH_FLAGS(&header),
                                    .length = (uint16_t)length,
                                    .sequence = sequence - peer->server_first,
                                    .acknowledged = lwip_ntohl(header.ackno),
                                    .window = lwip_ntohs(header.wnd)});
    if (peer->refused) {
        return ERR_MEM;
    }
    end = sequence + length + ((TCPH_FLAGS(&header) & (TCP_SYN | TCP_FIN)) != 0);
    if (!peer->deaf && (peer->loss == 0 || peer_draws(peer, 100) >= peer->loss) &&
        TCP_SEQ_LEQ(sequence, peer->received) && TCP_SEQ_GT(end, peer->received)) {
        peer->received = end;
    }
    return ERR_OK;
}

/* A segment of `length` bytes, which does not move what the peer sends next. */
static inline void peer_sends(const struct peer *peer, uint32_t sequence, uint8_t flags, uint16_t length) {
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, (uint16_t)(IP_HLEN + TCP_HLEN + length), PBUF_RAM);
    struct ip_hdr *ip = packet->payload;
    struct tcp_hdr *tcp = (struct tcp_hdr *)(ip + 1);

    memset(packet->payload, 0, packet->len);
    IPH_VHL_SET(ip, 4, 5);
    IPH_LEN_SET(ip, lwip_htons(packet->tot_len));
    IPH_TTL_SET(ip, 64);
    IPH_PROTO_SET(ip, IP_PROTO_TCP);
    ip->src.addr = lwip_htonl(0xc6120001);
    ip->dest.addr = lwip_htonl(0xc6120003);
    tcp->src = lwip_htons(peer->port);
    tcp->dest = lwip_htons(peer->server_port);
    tcp->seqno = lwip_htonl(sequence);
    tcp->ackno = lwip_htonl((flags & TCP_ACK) ? peer->received : 0);
    tcp->wnd = lwip_htons(peer->window);
    TCPH_HDRLEN_FLAGS_SET(tcp, 5, flags);
    if (wire.netif.input(packet, &wire.netif) != ERR_OK) {
        abort();
    }
}

static inline void peer_acknowledges(const struct peer *peer) {
    peer_sends(peer, peer->next, TCP_ACK, 0);
}

static inline void peer_sends_data(struct peer *peer, uint16_t length) {
    uint32_t sequence = peer->next;

    peer->next += length;
    peer_sends(peer, sequence, TCP_ACK | TCP_PSH, length);
}

static inline void peer_sends_fin(struct peer *peer) {
    peer_sends(peer, peer->next++, TCP_ACK | TCP_FIN, 0);
}

/* --- the application: takes what comes, and records what it is told ----------------------------------- */

static inline err_t application_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data,
                                         err_t error) {
    struct peer *peer = argument;

    (void)error;
    trace_event(peer, data == NULL ? 'F' : 'R', data == NULL ? 0 : data->tot_len);
    if (data == NULL) {
        return ERR_OK;
    }
    if (peer->refuses) {
        return ERR_MEM;
    }
    tcp_recved(pcb, data->tot_len);
    pbuf_free(data);
    return ERR_OK;
}

static inline err_t application_sent(void *argument, struct tcp_pcb *pcb, uint16_t length) {
    (void)pcb;
    trace_event(argument, 'S', length);
    return ERR_OK;
}

static inline err_t application_polled(void *argument, struct tcp_pcb *pcb) {
    (void)pcb;
    trace_event(argument, 'O', 0);
    return ERR_OK;
}

static inline void application_failed(void *argument, err_t error) {
    struct peer *peer = argument;

    trace_event(peer, 'E', (unsigned)-error);
    peer->pcb = NULL;
}

static inline void application_attach(struct peer *peer, struct tcp_pcb *pcb) {
    peer->pcb = pcb;
    tcp_arg(pcb, peer);
    tcp_recv(pcb, application_received);
    tcp_sent(pcb, application_sent);
    tcp_err(pcb, application_failed);
}

static inline err_t application_accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct peer *peer = &wire.peers[pcb->remote_port - PEER_FIRST_PORT];

    (void)argument;
    (void)error;
    application_attach(peer, pcb);
    trace_event(peer, 'A', 0);
    return ERR_OK;
}

/* --- the whole ------------------------------------------------------------------------------------------ */

static inline err_t wire_init(struct netif *self) {
    self->output = wire_output;
    self->mtu = 1500;
    self->flags = NETIF_FLAG_LINK_UP;
    NETIF_SET_CHECKSUM_CTRL(self, 0);
    return ERR_OK;
}

/* Once a program. */
static inline void wire_create(void) {
    ip4_addr_t address = {PP_HTONL(0xc6120003)}, netmask = {PP_HTONL(0xffffff00)}, gateway = {0};

    lwip_init();
    netif_add(&wire.netif, &address, &netmask, &gateway, NULL, wire_init, ip4_input);
    netif_set_default(&wire.netif);
    netif_set_up(&wire.netif);
    tcp_ticks = 1; /* at 0 lwIP measures no round trip */
}

static inline void peer_reset(struct peer *peer) {
    peer->pcb = NULL;
    peer->next = PEER_FIRST_SEQUENCE;
    peer->server_first = peer->received = 0;
    peer->window = 60000;
    peer->server_port = SERVER_PORT;
    peer->loss = 0;
    peer->deaf = peer->refused = peer->refuses = false;
}

/* Peers, which stay the caller's until wire_stop(), and a listener; no connection yet. */
static inline void wire_start(struct peer *peers, size_t count) {
    struct tcp_pcb *pcb = tcp_new();

    wire.peers = peers;
    wire.count = count;
    wire.step = 0;
    while (tcp_wheel.now % TCP_TIMER_SLOW != 0) {
        tcp_timer_advance(1); /* the steps of the last may have been odd */
    }
    for (size_t i = 0; i < count; i++) {
        peers[i].port = (uint16_t)(PEER_FIRST_PORT + i);
        peer_reset(&peers[i]);
    }
    if (tcp_bind(pcb, IP_ANY_TYPE, SERVER_PORT) != ERR_OK ||
        (pcb = tcp_listen_with_backlog(pcb, 0xffff)) == NULL) {
        abort();
    }
    tcp_accept(pcb, application_accepted);
}

/* All connections end without a word. */
static inline void wire_stop(void) {
    for (size_t i = 0; i < wire.count; i++) {
        wire.peers[i].trace = NULL;
    }
    while (tcp_active_pcbs != NULL) {
        tcp_abandon(tcp_active_pcbs, 0);
    }
    while (tcp_tw_pcbs != NULL) {
        tcp_abort(tcp_tw_pcbs);
    }
    while (tcp_listen_pcbs.pcbs != NULL) {
        tcp_close(tcp_listen_pcbs.pcbs);
    }
}

/* After a test, which may have waived some of it. */
static inline int wire_tear_down(void **state) {
    (void)state;
    wire_stop();
    features = UINT32_MAX;
    return 0;
}

static inline void wire_step(void) {
    wire.step++;
    tcp_fasttmr();
    if (wire.step % 2 == 0) {
        tcp_slowtmr();
    }
}

static inline void wire_steps(unsigned steps) {
    while (steps-- > 0) {
        wire_step();
    }
}

static inline void peer_connects(struct peer *peer) {
    peer_sends(peer, peer->next++, TCP_SYN, 0);
    peer_acknowledges(peer);
}

#endif
