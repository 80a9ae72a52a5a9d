/* SPDX-License-Identifier: BSD-3-Clause */
#include "modes.h"

#include <rte_prefetch.h>

#include "actions.h"

#define SEND_BUDGET PORT_BURST /* a turn: what is answered in a burst comes in with one */
#define PENDING_MAX 1024       /* SYNs without an answer: less than servers have backlog for */
#define PREFETCH 8             /* connections ahead */
#define SEARCH 64              /* for an idle connection */
#define NO_TURN UINT64_MAX

void mode_make_ready(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    if (!(connection->flags & CONNECTION_READY)) {
        connection->flags |= CONNECTION_READY;
        queue_push(&generator->ready, index);
    }
}

static void restart_order(struct generator *generator) {
    order_init(&generator->order, generator->count);
    generator->order_ahead = generator->order;
    for (int i = 0; i < PREFETCH; i++) {
        (void)order_next(&generator->order_ahead);
    }
}

/* Takes the next in the order; the one to come some places later is fetched from memory. */
static uint32_t next_in_order(struct generator *generator) {
    rte_prefetch0(&generator->connections[order_next(&generator->order_ahead)]);
    return order_next(&generator->order);
}

/* --- opening ----------------------------------------------------------------------------------------- */

static bool may_open(const struct generator *generator) {
    uint64_t rate = generator->options->connect_rate;

    return generator->pending < PENDING_MAX && link_has_room(&generator->link) &&
           (rate == 0 || (double)(generator->now - generator->open_start) * (double)rate >=
                             (double)generator->begun * (double)generator->tsc_hz);
}

static void restart_rate(struct generator *generator) {
    generator->begun = 0;
    generator->open_start = generator->now;
}

static void open_up_to(struct generator *generator, uint32_t count) {
    for (int budget = SEND_BUDGET; budget > 0 && generator->opened < count && may_open(generator); budget--) {
        action_open(generator, generator->opened++);
    }
}

void mode_learn(struct generator *generator) {
    for (uint32_t i = 0; i < generator->count; i++) {
        generator->connections[i].flow = i;
        generator->connections[i].turn = NO_TURN;
    }
    restart_order(generator);
    restart_rate(generator);
    generator->phase = generator->active == 0 ? PHASE_OPEN : PHASE_LEARN;
}

void mode_open(struct generator *generator) {
    restart_rate(generator);
    generator->phase = PHASE_OPEN;
}

/* --- what is asked next ------------------------------------------------------------------------------ */

/* Computes when the request of this number is to leave, anew each time, so that no error adds up. */
static uint64_t time_of(const struct generator *generator, uint64_t number) {
    return generator->schedule_start + (uint64_t)((double)number * generator->interval);
}

/* Sends the connection's next request, if it is due. */
static void ask_scheduled(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];
    uint64_t since = time_of(generator, connection->turn);

    if (since > generator->now) {
        return;
    }
    if (action_ask(generator, index, since)) {
        connection->turn += generator->active;
        generator->schedule_sent++;
    } else {
        mode_make_ready(generator, index);
    }
}

/* Sends what the schedule has up to now. A connection that is busy is passed over: it knows the number of its
 * next request, and sends it after its answer. */
static void follow_schedule(struct generator *generator) {
    for (int budget = SEND_BUDGET; budget > 0 && link_has_room(&generator->link) &&
                                   time_of(generator, generator->schedule_next) <= generator->now;
         budget--) {
        uint32_t index = next_in_order(generator);
        const struct connection *connection = &generator->connections[index];

        if (connection->state == CONNECTION_STANDS && connection->turn == generator->schedule_next &&
            !(connection->flags & (CONNECTION_ASKED | CONNECTION_READY))) {
            ask_scheduled(generator, index);
        }
        generator->schedule_next++;
        if (++generator->schedule_place == generator->active) {
            generator->schedule_place = 0;
            restart_order(generator);
        }
    }
}

/* Lets the next idle connection of all send instead of `index`; this one again if none is idle. */
static void pass_turn(struct generator *generator, uint32_t index) {
    for (int i = 0; i < SEARCH; i++) {
        uint32_t next = next_in_order(generator);
        const struct connection *connection = &generator->connections[next];

        if (connection->state == CONNECTION_STANDS &&
            !(connection->flags & (CONNECTION_ASKED | CONNECTION_READY))) {
            mode_make_ready(generator, next);
            return;
        }
    }
    mode_make_ready(generator, index);
}

static void ask_again(struct generator *generator, uint32_t index) {
    if (generator->options->rotate) {
        action_acknowledge_later(generator, index);
        pass_turn(generator, index);
    } else if (queue_count(&generator->ready) > 0 || !link_has_room(&generator->link) ||
               !action_ask(generator, index, generator->now)) {
        mode_make_ready(generator, index);          /* behind those that wait already, */
        action_acknowledge_later(generator, index); /* which may take long */
    }
}

/* Makes the first ones in the order active; in open loop they take their turns in it. */
static void make_active(struct generator *generator) {
    for (uint32_t place = 0; place < generator->active; place++) {
        uint32_t index = next_in_order(generator);

        if (generator->options->mode == MODE_OPEN) {
            generator->connections[index].turn = place;
        } else if (generator->connections[index].state == CONNECTION_STANDS) {
            mode_make_ready(generator, index);
        }
    }
}

void mode_load(struct generator *generator) {
    generator->phase = PHASE_LOAD;
    restart_rate(generator);
    if (generator->options->mode == MODE_CONNECT) {
        return;
    }
    restart_order(generator);
    make_active(generator);
    if (generator->options->mode == MODE_OPEN) {
        restart_order(generator);
        generator->interval = (double)generator->tsc_hz / (double)generator->options->rate;
        generator->schedule_start = generator->now;
    }
}

/* --- events ------------------------------------------------------------------------------------------ */

/* Tells whether a connection that has come to stand asks at once. */
static bool asks_at_once(const struct generator *generator) {
    return generator->phase == PHASE_LEARN ||
           (generator->phase == PHASE_LOAD && generator->options->mode == MODE_CONNECT);
}

void mode_connected(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    if (!asks_at_once(generator)) {
        action_acknowledge(generator, connection);
    } else if (!action_ask(generator, index, connection->since)) {
        mode_make_ready(generator, index);
    }
}

void mode_answered(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    if (generator->options->mode == MODE_CONNECT) {
        if (generator->options->closer == CLOSED_BY_CLIENT) {
            action_close(generator, index);
        } else {
            action_acknowledge_later(generator, index);
            action_await_peer(generator, index);
        }
    } else if (generator->phase != PHASE_LOAD) {
        action_acknowledge_later(generator, index);
    } else if (generator->options->mode == MODE_OPEN) {
        ask_scheduled(generator, index);
        if (!(connection->flags & CONNECTION_ASKED)) {
            action_acknowledge_later(generator, index);
        }
    } else {
        ask_again(generator, index);
    }
}

void mode_ended(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    if (generator->options->mode == MODE_CONNECT) {
        connection->flow += generator->count;
        if (connection->flow >= generator->flow_end) {
            connection->flow = index;
        }
        mode_make_ready(generator, index);
    } else if (generator->phase == PHASE_LOAD && generator->options->rotate) {
        pass_turn(generator, index);
    }
}

static void send_ready_one(struct generator *generator, uint32_t index) {
    struct connection *connection = &generator->connections[index];

    connection->flags &= (uint8_t)~CONNECTION_READY;
    if (connection->state == CONNECTION_NONE && generator->options->mode == MODE_CONNECT) {
        action_open(generator, index);
    } else if (connection->state != CONNECTION_STANDS || (connection->flags & CONNECTION_ASKED)) {
        return; /* it has ended meanwhile */
    } else if (generator->options->mode == MODE_OPEN && generator->phase == PHASE_LOAD) {
        ask_scheduled(generator, index);
    } else if (!action_ask(generator, index,
                           generator->options->mode == MODE_CONNECT ? connection->since : generator->now)) {
        mode_make_ready(generator, index);
    }
}

static void send_ready(struct generator *generator) {
    bool opens = generator->options->mode == MODE_CONNECT;

    for (int budget = SEND_BUDGET; budget > 0 && queue_count(&generator->ready) > 0; budget--) {
        uint32_t ahead = queue_peek(&generator->ready, PREFETCH);

        if (opens ? !may_open(generator) : !link_has_room(&generator->link)) {
            return;
        }
        if (ahead != QUEUE_EMPTY) {
            rte_prefetch0(&generator->connections[ahead]);
        }
        send_ready_one(generator, queue_pop(&generator->ready));
    }
}

void mode_send(struct generator *generator) {
    switch (generator->phase) {
    case PHASE_LEARN:
        open_up_to(generator, 1);
        break;
    case PHASE_OPEN:
        open_up_to(generator, generator->count);
        break;
    case PHASE_LOAD:
        if (generator->options->mode == MODE_CONNECT) {
            open_up_to(generator, generator->count);
        } else if (generator->options->mode == MODE_OPEN) {
            follow_schedule(generator);
        }
        send_ready(generator);
        break;
    case PHASE_REST:
        break;
    }
}

uint64_t mode_unsent(const struct generator *generator) {
    if (generator->interval == 0) {
        return 0; /* no schedule, or not begun */
    }
    return (uint64_t)((double)(generator->now - generator->schedule_start) / generator->interval) + 1 -
           generator->schedule_sent;
}

void mode_check(struct generator *generator) {
    if (generator->phase != PHASE_LOAD || generator->options->mode == MODE_CONNECT ||
        generator->active == 0) {
        return;
    }
    if (generator->standing == 0) {
        generator_fail(generator, "no connection is left");
    } else if (generator->options->mode != MODE_OPEN && generator->in_flight == 0 &&
               queue_count(&generator->ready) == 0) {
        generator_fail(generator, "none of the active connections is left");
    }
}
