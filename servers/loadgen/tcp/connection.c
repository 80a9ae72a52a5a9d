/* SPDX-License-Identifier: BSD-3-Clause */
#include "connection.h"

#include <rte_branch_prediction.h>
#include <rte_tcp.h>

#include "answer_packet.h"

static unsigned opening(struct connection *connection, const struct segment *segment) {
    bool acknowledges = (segment->flags & RTE_TCP_ACK_FLAG) != 0 && segment->ack == connection->nxt;

    if (segment->flags & RTE_TCP_RST_FLAG) {
        return acknowledges ? EVENT_RESET : 0;
    }
    if (segment->flags & RTE_TCP_ACK_FLAG && !acknowledges) {
        return EVENT_STRAY;
    }
    if (!acknowledges || !(segment->flags & RTE_TCP_SYN_FLAG)) {
        return 0;
    }
    connection->state = CONNECTION_STANDS;
    connection->una = segment->ack;
    connection->rcv_nxt = segment->seq + 1;
    connection->rcv_told = segment->seq; /* the handshake's last step is owed */
    if (!segment_offers_scaling(segment)) {
        connection->flags |= CONNECTION_UNSCALED;
    }
    return EVENT_CONNECTED | EVENT_ACKED;
}

/* Judges segments with RST or SYN, or without ACK. A reset counts only with the very number that is expected
 * (RFC 9293 3.10.7.4); a SYN-ACK that comes again lacks our acknowledgement. */
static unsigned irregular(const struct connection *connection, const struct segment *segment) {
    if (segment->flags & RTE_TCP_RST_FLAG) {
        uint32_t ahead = segment->seq - connection->rcv_nxt;

        return ahead == 0 ? EVENT_RESET : ahead < UINT16_MAX ? EVENT_ACK_OWED : 0;
    }
    return segment->flags & RTE_TCP_SYN_FLAG ? EVENT_ACK_OWED : 0;
}

static unsigned take_payload(struct connection *connection, const struct segment *segment, uint32_t skip,
                             struct answer *answer) {
    uint32_t length = segment->length - skip;

    if (unlikely(!(connection->flags & CONNECTION_ASKED))) {
        return EVENT_WRONG_CONTENT; /* nobody asked */
    }
    switch (
        answer_check_packet(answer, connection->received, segment->packet, segment->payload + skip, length)) {
    case ANSWER_RIGHT:
        break;
    case ANSWER_WRONG_STATUS:
        return EVENT_WRONG_STATUS;
    default:
        return EVENT_WRONG_CONTENT;
    }
    connection->rcv_nxt += length;
    connection->received += length;
    connection->tries = 0;
    if (connection->received != answer->size) {
        return EVENT_RECEIVED;
    }
    connection->received = 0;
    connection->flags &= (uint8_t)~CONNECTION_ASKED;
    return EVENT_RECEIVED | EVENT_ANSWERED;
}

unsigned connection_input(struct connection *connection, const struct segment *segment,
                          struct answer *answer) {
    uint32_t skip = connection->rcv_nxt - segment->seq;
    uint32_t fin = segment->flags & RTE_TCP_FIN_FLAG ? 1 : 0;
    unsigned events = 0;

    if (unlikely(connection->state == CONNECTION_OPENING)) {
        return opening(connection, segment);
    }
    if (unlikely((segment->flags & (RTE_TCP_ACK_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG)) !=
                 RTE_TCP_ACK_FLAG)) {
        return irregular(connection, segment);
    }
    /* Behind a gap, or nothing new: a duplicate acknowledgement says what is wanted. Keep-alive probes are
     * answered here, too. */
    if (unlikely(skip != 0 && skip >= segment->length + fin)) {
        return EVENT_ACK_OWED;
    }
    if (unlikely(segment->ack - connection->una > connection->nxt - connection->una)) {
        if ((int32_t)(segment->ack - connection->nxt) > 0) {
            return EVENT_ACK_OWED; /* of what was never sent */
        }
    } else if (segment->ack != connection->una) {
        connection->una = segment->ack;
        events = connection->una == connection->nxt ? EVENT_ACKED : 0;
    }
    if (segment->length > skip) {
        events |= take_payload(connection, segment, skip, answer);
        if (unlikely(events & (EVENT_WRONG_STATUS | EVENT_WRONG_CONTENT))) {
            return events;
        }
    }
    if (unlikely(fin)) {
        connection->rcv_nxt++;
        connection->flags |= CONNECTION_PEER_CLOSED;
        events |= EVENT_PEER_CLOSED;
    }
    if (unlikely(connection->state == CONNECTION_CLOSING) && connection->una == connection->nxt &&
        (connection->flags & CONNECTION_PEER_CLOSED)) {
        events |= EVENT_CLOSED;
    }
    return events;
}
