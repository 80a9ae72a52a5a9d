/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of the load generator: all connections, the clock and the tally. Three files work on it, each of
 * which knows those before it: actions.c sends for a connection, modes.c decides what comes next, loop.c
 * receives and keeps time. */
#ifndef STACKDUEL_GENERATOR_H
#define STACKDUEL_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/histogram.h"
#include "common/initial_sequence.h"
#include "deadlines.h"
#include "http/answer.h"
#include "link.h"
#include "loadgen/tcp/connection.h"
#include "loadgen_options.h"
#include "turns.h"

enum phase {
    PHASE_LEARN, /* one connection asks, so that it is known how an answer begins */
    PHASE_OPEN,  /* the others are opened */
    PHASE_LOAD,
    PHASE_REST, /* no new requests */
};

enum failure { FAILED_CONNECT, FAILED_RESET, FAILED_TIMEOUT, FAILED_CONTENT, FAILED_STATUS, FAILURES };

struct tally {
    uint64_t requests; /* answered whole */
    uint64_t bytes;    /* TCP payload received */
    uint64_t connects;
    uint64_t retransmits;
    uint64_t failures[FAILURES];     /* connections that ended otherwise than they should */
    uint64_t rx_malformed;           /* frames that are no whole packets */
    uint64_t polls_busy, polls_idle; /* turns that received or sent, and the others */
    uint64_t cycles_busy, cycles_idle;
};

struct generator {
    const struct loadgen_options *options;
    enum phase phase;
    uint32_t count;    /* connections */
    uint32_t active;   /* how many of them are asked */
    uint32_t flow_end; /* flows in use, a multiple of count */
    struct sequence_key sequence_key;
    struct connection *connections;

    /* The clock: one reading of the time stamp counter a turn, right behind the burst. */
    uint64_t now;
    uint64_t turn_end; /* of the turn before */
    uint64_t start;
    uint64_t next_ms;
    uint64_t tsc_hz;
    uint32_t now_ms;
    uint32_t heard_ms; /* when anything was received */

    uint32_t opened;  /* connections begun so far, in their order */
    uint32_t pending; /* of them without the server's answer */
    uint32_t standing;
    uint32_t in_flight;  /* requests */
    uint64_t begun;      /* connections, since open_start */
    uint64_t open_start; /* TSC, of --connect-rate */

    struct order order;
    struct order order_ahead;     /* for prefetching */
    struct queue ready;           /* to send as soon as there is room */
    uint32_t ack_first, ack_last; /* queue of delayed acknowledgements, linked by ack_next */

    double interval;         /* open loop: cycles between requests; 0: it has not begun */
    uint64_t schedule_start; /* TSC */
    uint64_t schedule_next;  /* number of the request that is to be sent next */
    uint64_t schedule_sent;
    uint32_t schedule_place; /* its place among the active ones */

    uint32_t srtt8, rttvar4; /* ms, scaled by 8 and by 4 (RFC 6298 with its usual integers); 0: none yet */
    uint32_t rtt_sample;     /* ms */
    bool rtt_sampled;
    uint32_t rto_ms;

    unsigned partial_count; /* connections of this burst whose answer is not whole */
    uint32_t partial[PORT_BURST];

    bool measuring;
    struct histogram latencies; /* cycles */
    struct tally tally;
    char problem[160]; /* why it cannot go on; empty: it can */

    struct deadlines deadlines;
    struct answer answer;
    struct link link;
};

/* Allocates, opens the port and begins to keep time. 0, or a negative errno with one line in error[]. */
int generator_init(struct generator *generator, const struct loadgen_options *options, char *error,
                   size_t size);
void generator_free(struct generator *generator);

/* Ends with the first problem; later ones are consequences. */
void generator_fail(struct generator *generator, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Counts the bytes of state, all connections'. */
uint64_t generator_bytes(const struct generator *generator);

#endif
