/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection: its state in one cache line, and what a received segment makes of it (RFC 9293 3.10.7, as a
 * client needs it that has one thing unacknowledged at a time: SYN, request or FIN). What is out of order is
 * dropped; the peer sends it again. Pure: what is to be sent or counted, the caller reads from the events. */
#ifndef STACKDUEL_CONNECTION_H
#define STACKDUEL_CONNECTION_H

#include <stdint.h>

#include "http/answer.h"
#include "segment.h"

enum connection_state {
    CONNECTION_NONE, /* not opened yet, or ended */
    CONNECTION_OPENING,
    CONNECTION_STANDS,
    CONNECTION_CLOSING, /* our FIN is on its way or acknowledged */
};

enum connection_flag {
    CONNECTION_ASKED = 1 << 0,       /* its answer is not there yet */
    CONNECTION_READY = 1 << 1,       /* waits in the queue of those that are to send */
    CONNECTION_TIMED = 1 << 2,       /* has its place in the wheel */
    CONNECTION_ACK_WAITS = 1 << 3,   /* in the queue of delayed acknowledgements */
    CONNECTION_PEER_CLOSED = 1 << 4, /* its FIN has come, and all before it */
    CONNECTION_UNSCALED = 1 << 5,    /* the peer knows no window scaling */
    CONNECTION_REPEATED = 1 << 6,    /* what is unacknowledged was sent more than once */
};

struct connection {
    uint64_t since; /* TSC: what the latency is counted from */
    uint64_t turn;  /* open loop: number of its next request */
    uint32_t flow;
    uint32_t una;      /* sequence number of the first byte that is not acknowledged */
    uint32_t nxt;      /* and behind the last one sent */
    uint32_t rcv_nxt;  /* what is expected */
    uint32_t rcv_told; /* what was acknowledged last */
    uint32_t received; /* bytes of the present answer */
    uint32_t due_ms;   /* deadline, if there is one: deadlines.h */
    uint32_t timed_next;
    uint32_t ack_ms; /* when a delayed acknowledgement is due */
    uint32_t ack_next;
    uint32_t sent_ms; /* when what is unacknowledged was sent first */
    uint8_t state;
    uint8_t tries; /* deadlines that passed without progress */
    uint8_t flags;
    uint8_t timed; /* whether due_ms is a deadline */
};

_Static_assert(sizeof(struct connection) == 64, "one cache line a connection");

enum connection_event {
    EVENT_CONNECTED = 1 << 0,
    EVENT_ACKED = 1 << 1,    /* what was unacknowledged is acknowledged */
    EVENT_RECEIVED = 1 << 2, /* bytes of an answer, in order */
    EVENT_ANSWERED = 1 << 3, /* the last of them */
    EVENT_ACK_OWED = 1 << 4, /* an acknowledgement must leave at once */
    EVENT_CLOSED = 1 << 5,   /* both sides have closed, and know it */
    EVENT_PEER_CLOSED = 1 << 6,
    EVENT_RESET = 1 << 7, /* by the peer */
    EVENT_WRONG_STATUS = 1 << 8,
    EVENT_WRONG_CONTENT = 1 << 9,
    EVENT_STRAY = 1 << 10, /* of an older connection of this flow: to be answered with RST */
};

/* Takes a segment of the connection. Returns a set of enum connection_event. */
unsigned connection_input(struct connection *connection, const struct segment *segment,
                          struct answer *answer);

#endif
