/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop.h"

#include <rte_cycles.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>

#include "actions.h"
#include "modes.h"

/* Below RFC 6298's second, as Linux has it: a lost request should not cost a whole measurement. */
#define RTO_MIN_MS 200
#define RTO_MAX_MS 60000
#define DEADLINE_BUDGET 64
#define LINK_CHECK_MS 100
#define SILENCE_MS 10000 /* with something unanswered: the server is gone */

/* --- ends of connections ------------------------------------------------------------------------------ */

static void end(struct generator *generator, uint32_t index) {
    action_end(generator, index);
    mode_ended(generator, index);
}

static void abandon(struct generator *generator, uint32_t index, enum failure failure, bool reset) {
    action_abandon(generator, index, failure, reset);
    mode_ended(generator, index);
}

/* --- what is received -------------------------------------------------------------------------------- */

static void answered(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    generator->tally.requests++;
    generator->in_flight--;
    deadlines_drop(connection);
    if (generator->measuring) {
        histogram_add(&generator->latencies, generator->now - connection->since);
    }
    mode_answered(generator, index);
}

static void connected(struct generator *generator, uint32_t index) {
    generator->tally.connects++;
    generator->pending--;
    generator->standing++;
    deadlines_drop(&generator->connections[index]);
    mode_connected(generator, index);
}

static void peer_closed(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    if (connection->state == CONNECTION_CLOSING) {
        action_acknowledge(generator, connection);
    } else if (generator->options->mode == MODE_CONNECT && !(connection->flags & CONNECTION_ASKED)) {
        action_close(generator, index);
    } else {
        abandon(generator, index, FAILED_RESET, true); /* too early */
    }
}

/* Waits where a request is acknowledged, but not answered: it is the peer's turn to send again. */
static void wait_for_peer(struct generator *generator, uint32_t index) {
    const struct connection *connection = &generator->connections[index];

    if (connection->state == CONNECTION_CLOSING || (connection->flags & CONNECTION_ASKED)) {
        action_await_peer(generator, index);
    }
}

/* Answers a segment that belongs to no connection, but to an older one of its flow. */
static void refuse(struct generator *generator, uint32_t flow, const struct segment *segment) {
    if ((segment->flags & (RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG)) == RTE_TCP_ACK_FLAG) {
        (void)link_send(&generator->link, LINK_RESET, flow, segment->ack, segment->seq + segment->length,
                        false);
    }
}

/* Handles all but the ordinary answer in one segment, in the order in which it happens on the connection. */
static void react(struct generator *generator, uint32_t index, const struct segment *segment,
                  unsigned events) {
    struct connection *connection = &generator->connections[index];

    if (events & EVENT_STRAY) {
        refuse(generator, connection->flow, segment);
    }
    if (events & EVENT_RESET) {
        abandon(generator, index, connection->state == CONNECTION_OPENING ? FAILED_CONNECT : FAILED_RESET,
                false);
        return;
    }
    if (events & (EVENT_WRONG_STATUS | EVENT_WRONG_CONTENT)) {
        abandon(generator, index, events & EVENT_WRONG_STATUS ? FAILED_STATUS : FAILED_CONTENT, true);
        return;
    }
    if (events & EVENT_CONNECTED) {
        connected(generator, index);
    } else if (events & EVENT_ACKED) {
        wait_for_peer(generator, index);
    }
    if (events & EVENT_ANSWERED) {
        answered(generator, index);
    } else if (events & EVENT_RECEIVED) {
        generator->partial[generator->partial_count++] = index;
    }
    if (events & EVENT_PEER_CLOSED) {
        peer_closed(generator, index);
    } else if (events & EVENT_ACK_OWED) {
        action_acknowledge(generator, connection);
    }
    if (events & EVENT_CLOSED) {
        end(generator, index);
    }
}

/* Handles a segment. False: its packet has been sent again. */
static bool input(struct generator *generator, uint32_t index, uint32_t flow, const struct segment *segment,
                  struct rte_mbuf *packet) {
    struct connection *connection = &generator->connections[index];
    uint32_t before = connection->rcv_nxt;
    unsigned events;

    if (unlikely(connection->state == CONNECTION_NONE || connection->flow != flow)) {
        refuse(generator, flow, segment);
        return true;
    }
    events = connection_input(connection, segment, &generator->answer);
    if ((events & EVENT_ACKED) && !(connection->flags & CONNECTION_REPEATED)) { /* Karn's rule */
        generator->rtt_sample = generator->now_ms - connection->sent_ms;
        generator->rtt_sampled = true;
    }
    if (events & EVENT_RECEIVED) {
        generator->tally.bytes += connection->rcv_nxt - before - (events & EVENT_PEER_CLOSED ? 1 : 0);
    }
    link_lend(&generator->link, packet);
    if (likely(events == (EVENT_ACKED | EVENT_RECEIVED | EVENT_ANSWERED))) {
        answered(generator, index);
    } else if (events != 0) {
        react(generator, index, segment, events);
    }
    return link_take_back(&generator->link);
}

/* Finds the flow of a packet that is a segment for one of the connections, whose state is then on its way
 * from memory; FLOW_NONE: it is not, and done with. */
static uint32_t classify(struct generator *generator, const struct rte_mbuf *packet,
                         struct segment *segment) {
    enum segment_kind kind = segment_read(segment, packet);
    uint32_t flow;

    if (unlikely(kind != SEGMENT_TCP)) {
        if (kind == SEGMENT_BAD) {
            generator->tally.rx_malformed++;
        } else {
            link_input(&generator->link, packet);
        }
        return FLOW_NONE;
    }
    if (segment->source != generator->link.ends.server ||
        segment->source_port != generator->link.ends.server_port) {
        return FLOW_NONE;
    }
    flow = flow_find(&generator->link.flows, segment->destination, segment->destination_port);
    return flow < generator->flow_end ? flow : FLOW_NONE;
}

static uint32_t index_of(const struct generator *generator, uint32_t flow) {
    return flow < generator->count ? flow : flow % generator->count;
}

/* Sends one acknowledgement for what a burst has brought of an answer, as a host whose card or kernel puts
 * segments together sends it; of whole answers the next request takes it along. */
static void acknowledge_partial(struct generator *generator) {
    for (unsigned i = 0; i < generator->partial_count; i++) {
        struct connection *connection = &generator->connections[generator->partial[i]];

        if ((connection->flags & CONNECTION_ASKED) && connection->rcv_told != connection->rcv_nxt) {
            action_acknowledge(generator, connection);
        }
    }
    generator->partial_count = 0;
}

static void receive(struct generator *generator, struct rte_mbuf **packets, unsigned count) {
    struct segment segments[PORT_BURST];
    uint32_t flows[PORT_BURST];
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++) {
        flows[i] = classify(generator, packets[i], &segments[i]);
        if (flows[i] != FLOW_NONE) {
            rte_prefetch0(&generator->connections[index_of(generator, flows[i])]);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (flows[i] == FLOW_NONE ||
            input(generator, index_of(generator, flows[i]), flows[i], &segments[i], packets[i])) {
            packets[kept++] = packets[i];
        }
    }
    acknowledge_partial(generator);
    rte_pktmbuf_free_bulk(packets, kept);
    generator->heard_ms = generator->now_ms;
}

/* --- time -------------------------------------------------------------------------------------------- */

/* Makes one estimate for all connections: they share the path and the server. Twice the round trip, as a
 * server whose queue grows answers later and later. */
static void estimate(struct generator *generator) {
    uint32_t sample = generator->rtt_sample, rto;
    int32_t error;

    generator->rtt_sampled = false;
    if (generator->srtt8 == 0 && generator->rttvar4 == 0) {
        generator->srtt8 = sample * 8;
        generator->rttvar4 = sample * 2;
    } else {
        error = (int32_t)(sample - generator->srtt8 / 8);
        generator->srtt8 += (uint32_t)error;
        generator->rttvar4 += (uint32_t)(error < 0 ? -error : error) - generator->rttvar4 / 4;
    }
    rto = generator->srtt8 / 4 + generator->rttvar4;
    generator->rto_ms = rto < RTO_MIN_MS ? RTO_MIN_MS : rto > RTO_MAX_MS ? RTO_MAX_MS : rto;
}

static void check_server(struct generator *generator) {
    if (generator->in_flight == 0 && generator->pending == 0) {
        generator->heard_ms = generator->now_ms;
    } else if (generator->now_ms - generator->heard_ms > SILENCE_MS) {
        generator_fail(generator, "nothing has come from the server for %d s", SILENCE_MS / 1000);
    }
    if (generator->now_ms % LINK_CHECK_MS == 0 && generator->opened > 0 &&
        !port_link_up(&generator->link.port)) {
        generator_fail(generator, "the link went down");
    }
}

static void tick(struct generator *generator) {
    generator->now_ms = (uint32_t)((generator->now - generator->start) / (generator->tsc_hz / 1000));
    generator->next_ms = generator->start + ((uint64_t)generator->now_ms + 1) * (generator->tsc_hz / 1000);
    if (generator->rtt_sampled) {
        estimate(generator);
    }
    check_server(generator);
    mode_check(generator);
}

static void run_deadlines(struct generator *generator) {
    unsigned budget = DEADLINE_BUDGET;
    uint32_t index;

    while ((index = deadlines_next(&generator->deadlines, generator->now_ms, &budget)) != DEADLINES_NONE) {
        if (action_deadline(generator, index)) {
            mode_ended(generator, index);
        }
    }
    action_delayed_acknowledgements(generator);
}

void loop_turn(struct generator *generator) {
    uint64_t sent = generator->link.port.counters.tx_packets;
    struct rte_mbuf *packets[PORT_BURST];
    unsigned count = port_receive(&generator->link.port, packets);
    uint64_t end;

    generator->now = rte_rdtsc();
    if (generator->now >= generator->next_ms) {
        tick(generator);
    }
    if (count > 0) {
        receive(generator, packets, count);
    }
    run_deadlines(generator);
    mode_send(generator);
    port_flush(&generator->link.port);
    end = rte_rdtsc();
    if (count > 0 || generator->link.port.counters.tx_packets != sent) {
        generator->tally.polls_busy++;
        generator->tally.cycles_busy += end - generator->turn_end;
    } else {
        generator->tally.polls_idle++;
        generator->tally.cycles_idle += end - generator->turn_end;
    }
    generator->turn_end = end;
}
