/* SPDX-License-Identifier: BSD-3-Clause */
#include "actions.h"

#define SYN_MS 1000 /* RFC 6298 2.1 */
#define SYN_TRIES 6
#define TRIES 8          /* of requests and FINs */
#define BACKOFF_MS 60000 /* RFC 6298 2.4: at least 60 s */
#define DELAYED_ACK_MS 40
#define PATIENCE_MS 1000 /* how often it is looked whether a peer that acknowledges does more */
#define PATIENCE 30

static bool scaled(const struct connection *connection) {
    return !(connection->flags & CONNECTION_UNSCALED);
}

void action_open(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];
    uint32_t sequence = initial_sequence(&generator->sequence_key, &connection->flow,
                                         sizeof(connection->flow), generator->now, generator->tsc_hz);

    connection->una = sequence;
    connection->nxt = sequence + 1;
    connection->rcv_nxt = connection->rcv_told = 0;
    connection->received = 0;
    connection->since = generator->now;
    connection->sent_ms = generator->now_ms;
    connection->state = CONNECTION_OPENING;
    connection->tries = 0;
    connection->flags &= CONNECTION_TIMED | CONNECTION_ACK_WAITS; /* places in queues stay */
    generator->pending++;
    generator->begun++;
    link_announce(&generator->link, connection->flow);
    (void)link_send(&generator->link, LINK_SYN, connection->flow, sequence, 0, false);
    deadlines_set(&generator->deadlines, index, generator->now_ms + SYN_MS);
}

bool action_ask(struct generator *generator, uint32_t index, uint64_t since) {
    struct connection *connection = &generator->connections[index];

    if (unlikely(!link_send(&generator->link, LINK_REQUEST, connection->flow, connection->nxt,
                            connection->rcv_nxt, scaled(connection)))) {
        return false;
    }
    connection->una = connection->nxt;
    connection->nxt += link_request_size(&generator->link);
    connection->rcv_told = connection->rcv_nxt;
    connection->since = since;
    connection->sent_ms = generator->now_ms;
    connection->tries = 0;
    connection->flags = (uint8_t)((connection->flags & ~CONNECTION_REPEATED) | CONNECTION_ASKED);
    generator->in_flight++;
    deadlines_set(&generator->deadlines, index, generator->now_ms + generator->rto_ms);
    return true;
}

void action_acknowledge(struct generator *generator, struct connection *connection) {
    if (link_send(&generator->link, LINK_ACK, connection->flow, connection->nxt, connection->rcv_nxt,
                  scaled(connection))) {
        connection->rcv_told = connection->rcv_nxt;
    }
}

void action_acknowledge_later(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    if (connection->flags & CONNECTION_ACK_WAITS) {
        return;
    }
    connection->flags |= CONNECTION_ACK_WAITS;
    connection->ack_ms = generator->now_ms + DELAYED_ACK_MS;
    connection->ack_next = QUEUE_EMPTY;
    if (generator->ack_first == QUEUE_EMPTY) {
        generator->ack_first = index;
    } else {
        generator->connections[generator->ack_last].ack_next = index;
    }
    generator->ack_last = index;
}

/* Sends those that are due. The delay is the same for all, so the first in the queue is due first. */
void action_delayed_acknowledgements(struct generator *generator) {
    for (int budget = PORT_BURST;
         budget > 0 && generator->ack_first != QUEUE_EMPTY && link_has_room(&generator->link); budget--) {
        struct connection *connection = &generator->connections[generator->ack_first];

        if ((int32_t)(connection->ack_ms - generator->now_ms) > 0) {
            return;
        }
        generator->ack_first = connection->ack_next;
        connection->flags &= (uint8_t)~CONNECTION_ACK_WAITS;
        if (connection->state == CONNECTION_STANDS && connection->rcv_told != connection->rcv_nxt) {
            action_acknowledge(generator, connection);
        }
    }
}

void action_close(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    connection->una = connection->nxt;
    connection->nxt++;
    connection->state = CONNECTION_CLOSING;
    connection->tries = 0;
    connection->rcv_told = connection->rcv_nxt;
    (void)link_send(&generator->link, LINK_FIN, connection->flow, connection->una, connection->rcv_nxt,
                    scaled(connection));
    deadlines_set(&generator->deadlines, index, generator->now_ms + generator->rto_ms);
}

void action_await_peer(struct generator *generator, uint32_t index) {
    deadlines_set(&generator->deadlines, index, generator->now_ms + PATIENCE_MS);
}

static void leave(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    if (connection->state == CONNECTION_OPENING) {
        generator->pending--;
    } else {
        generator->standing--;
    }
    if (connection->flags & CONNECTION_ASKED) {
        generator->in_flight--;
    }
    connection->flags &= CONNECTION_TIMED | CONNECTION_ACK_WAITS | CONNECTION_READY;
    connection->state = CONNECTION_NONE;
    deadlines_drop(connection);
}

void action_end(struct generator *generator, uint32_t index) {
    leave(generator, index);
}

void action_reset(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    (void)link_send(&generator->link, LINK_RESET, connection->flow, connection->nxt, connection->rcv_nxt,
                    scaled(connection));
    leave(generator, index);
}

/* There is no load where the first connection has no right answer. */
static const char *const first_failures[FAILURES] = {
    [FAILED_CONNECT] = "the server refuses connections, or does not answer them",
    [FAILED_RESET] = "the server ended the first connection before its answer was whole",
    [FAILED_TIMEOUT] = "the server does not answer",
    [FAILED_CONTENT] = "the first answer has another body than it should have",
    [FAILED_STATUS] = "the first answer is none",
};

void action_abandon(struct generator *generator, uint32_t index, enum failure failure, bool reset) {
    generator->tally.failures[failure]++;
    if (reset) {
        action_reset(generator, index);
    } else {
        leave(generator, index);
    }
    if (generator->phase == PHASE_LEARN) {
        const char *problem = generator->answer.problem;

        generator_fail(generator, "%s", problem[0] != '\0' ? problem : first_failures[failure]);
    }
}

static uint32_t backoff(uint32_t ms, unsigned tries) {
    uint64_t wait = (uint64_t)ms << tries;

    return (uint32_t)(wait < BACKOFF_MS ? wait : BACKOFF_MS);
}

/* Sends what is unacknowledged once more. */
static void repeat(struct generator *generator, uint32_t index, enum link_segment kind, uint32_t ms) {
    struct connection *connection = &generator->connections[index];
    uint32_t size = connection->nxt - connection->una;

    connection->flags |= CONNECTION_REPEATED;
    connection->rcv_told = connection->rcv_nxt;
    generator->tally.retransmits++;
    (void)link_send(&generator->link, kind, connection->flow, connection->nxt - size, connection->rcv_nxt,
                    kind != LINK_SYN && scaled(connection));
    deadlines_set(&generator->deadlines, index, generator->now_ms + backoff(ms, connection->tries));
}

bool action_deadline(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];
    bool acknowledged = connection->una == connection->nxt;

    if (connection->state == CONNECTION_NONE) {
        return false;
    }
    if (!link_has_room(&generator->link)) {
        deadlines_set(&generator->deadlines, index, generator->now_ms + 1);
        return false;
    }
    connection->tries++;
    if (connection->state == CONNECTION_OPENING) {
        if (connection->tries > SYN_TRIES) {
            action_abandon(generator, index, FAILED_CONNECT, false);
            return true;
        }
        repeat(generator, index, LINK_SYN, SYN_MS);
    } else if (connection->tries > (acknowledged ? PATIENCE : TRIES)) {
        action_abandon(generator, index, FAILED_TIMEOUT, true);
        return true;
    } else if (acknowledged) {
        deadlines_set(&generator->deadlines, index, generator->now_ms + PATIENCE_MS);
    } else {
        repeat(generator, index, connection->state == CONNECTION_CLOSING ? LINK_FIN : LINK_REQUEST,
               generator->rto_ms);
    }
    return false;
}
