/* SPDX-License-Identifier: BSD-3-Clause */
/* The port with what lies between it and connections: ARP, and segments made from templates. Must not know
 * what connections do. */
#ifndef STACKDUEL_LINK_H
#define STACKDUEL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flows.h"
#include "loadgen/tcp/template.h"
#include "loadgen_options.h"
#include "stack/port/port.h"

enum link_segment { LINK_SYN, LINK_ACK, LINK_REQUEST, LINK_FIN, LINK_RESET, LINK_SEGMENTS };

struct link {
    struct port port;
    struct flows flows;
    struct template_ends ends;
    uint32_t gateway; /* answered for by ARP, too; 0: none */
    bool server_known;
    uint32_t announced;       /* addresses that have asked for the server, the first ones */
    uint16_t window;          /* as the header has it, scaled */
    uint16_t window_unscaled; /* for a peer that knows no scaling, and in a SYN */
    uint64_t no_mbuf;         /* segments that could not be made */
    bool recycles;            /* received packets may be sent again */
    bool lent_is_gone;
    struct rte_mbuf *lent; /* the one that may be next */
    struct template templates[LINK_SEGMENTS];
};

/* Opens port 0. The request is made from the options. 0, or a negative errno with one line in error[]. */
int link_open(struct link *link, const struct loadgen_options *options, char *error, size_t size);
void link_close(struct link *link);

/* Asks for the server's MAC address, from the gateway if there is one, else from the first address. */
void link_ask_for_server(struct link *link);

/* Makes a flow's address known; to be called before its first segment. It asks, too, as any host would. So
 * the server knows it before many connections begin at once, for which it would have to hold packets. */
void link_announce(struct link *link, uint32_t flow);

/* Handles ARP's packets: answers for all addresses, learns the server's. Any other is ignored. The packet
 * stays the caller's. */
void link_input(struct link *link, const struct rte_mbuf *packet);

/* Tells whether a segment that could as well be sent later may go now. What must be sent at once, as it
 * answers a packet, finds room beyond this. */
static inline bool link_has_room(const struct link *link) {
    return link->port.tx_count < PORT_QUEUE / 2;
}

/* Makes a segment and queues it; `scaled`: the peer knows window scaling. False: no buffer; a segment that
 * finds no room behind that is lost and counted by the port, as on any wire. */
bool link_send(struct link *link, enum link_segment kind, uint32_t flow, uint32_t seq, uint32_t ack,
               bool scaled);

/* Lends a received packet, of which nothing will be read any more, for the next segment that is sent: it is
 * in the cache, and one to be freed and one to be allocated are saved. */
static inline void link_lend(struct link *link, struct rte_mbuf *packet) {
    link->lent = link->recycles && packet->nb_segs == 1 ? packet : NULL;
    link->lent_is_gone = false;
}

/* Ends the loan. False: the packet is on its way, and not the caller's any more. */
static inline bool link_take_back(struct link *link) {
    link->lent = NULL;
    return !link->lent_is_gone;
}

static inline uint32_t link_request_size(const struct link *link) {
    return link->templates[LINK_REQUEST].payload;
}

#endif
