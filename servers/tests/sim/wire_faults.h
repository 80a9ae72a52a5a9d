/* SPDX-License-Identifier: BSD-3-Clause */
/* One direction of a wire that loses, repeats, delays, reorders and damages frames, as a seed decides. The
 * same seed, frames and times give the same faults. Must not know what a frame holds, nor where time comes
 * from. */
#ifndef STACKDUEL_TESTS_WIRE_FAULTS_H
#define STACKDUEL_TESTS_WIRE_FAULTS_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_ALWAYS 10000

/* How often, of WIRE_ALWAYS frames. */
struct wire_rates {
    unsigned loss;
    unsigned duplicate; /* one more copy, with a delay of its own */
    unsigned reorder;   /* delayed by up to jitter_us more, so that later frames overtake it */
    unsigned damage;    /* one bit is inverted */
    unsigned queue;     /* frames on their way at the most, further ones are lost; 0: no limit */
    uint32_t delay_us;  /* of every frame */
    uint32_t jitter_us; /* at least 1 where reorder is not 0 */
};

struct wire_counts {
    uint64_t taken; /* frames put in; each other counter is of these or of their copies */
    uint64_t lost;
    uint64_t duplicated;
    uint64_t reordered;
    uint64_t damaged;
    uint64_t delivered;
};

struct wire_frame {
    uint64_t due_us;
    uint64_t number; /* in order of arrival, also among frames that are due at once */
    size_t size;
    uint8_t bytes[];
};

/* The fields are private to wire_faults.c, but for counts. */
struct wire {
    struct wire_rates rates;
    struct wire_counts counts;
    uint64_t random;
    uint64_t numbered;
    struct wire_frame **heap; /* the frame that is due first at [0] */
    size_t count;
    size_t room;
};

/* A wire without frames. To be given back with wire_clear(). */
void wire_init(struct wire *wire, const struct wire_rates *rates, uint64_t seed);

/* Takes a copy of the frame. Ends the program when memory is short. */
void wire_put(struct wire *wire, const void *frame, size_t size, uint64_t now_us);

/* When the next frame is due; UINT64_MAX: none is on its way. */
uint64_t wire_due_us(const struct wire *wire);

/* The next frame that is due, the caller's to free(); NULL: none is, yet. */
struct wire_frame *wire_take(struct wire *wire, uint64_t now_us);

/* Loses what is on its way and frees the wire's memory. It may be used on. */
void wire_clear(struct wire *wire);

/* splitmix64 (Steele, Lea, Flood 2014): the next number of the sequence that `state` stands in. */
uint64_t wire_random(uint64_t *state);

#endif
