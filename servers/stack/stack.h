/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP on one DPDK port, driven by polling. After stack_start() lwIP's raw API may be used by whoever polls,
 * between and inside calls of stack_poll(). Packets to the interface's own address and to 127.0.0.0/8 stay
 * inside.
 *
 * A stack is its thread's: all functions here are about the stack of the thread that calls them, and several
 * may share a port, one a core, each with its own connections and ARP table. Compiled with STACK_PROCESS_WIDE
 * there is one in the process, driven by one thread at a time. */
#ifndef STACKDUEL_STACK_H
#define STACKDUEL_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/counters.h"
#include "stack/port/port_report.h"

struct port_shared;
struct waker;

struct stack_config {
    uint32_t connections; /* at once, and as many again half open or in TIME-WAIT; there is room for 65,536
                           * at the least, and for no more if stack_init() was called before */
    uint32_t address;     /* IPv4, network byte order, as are the next two */
    uint32_t netmask;
    uint32_t gateway; /* 0: none */
    uint8_t mac[6];   /* all zero: the port's own */
    uint16_t mtu;     /* bytes */
    uint16_t rx_descriptors;
    uint16_t tx_descriptors;
    unsigned mbufs; /* receive buffers of a core: what the ring leaves of them, lwIP may hold at a time */
    bool offload;
    bool interrupts;            /* stack_sleep() is wanted */
    uint16_t cores;             /* that share the port; 0: one */
    uint16_t core;              /* of them, from 0 */
    struct port_shared *shared; /* of core 0, for the others: stack_shared(), called there */
};

/* Counted since stack_start(). Cycles are of the time stamp counter, at tsc_hz; a poll is busy when it
 * received a packet or sent one. Busy, idle, asleep and away add up to the time since stack_start(). */
struct stack_counters {
    uint64_t rx_packets;
    uint64_t tx_packets;
    uint64_t rx_dropped;           /* wrong checksum, ring full, or no memory for lwIP */
    uint64_t tx_dropped;           /* ring full, or no buffer */
    uint64_t segments_held;        /* writes that found the connection's share of the segments used up */
    uint64_t input_dropped;        /* segments for connections that had not read their share of input */
    uint64_t out_of_order_dropped; /* segments beyond what may wait for one before them */
    uint64_t rx_copied;            /* packets that lwIP got as a copy, as it held its share of the buffers */
    uint64_t no_mbuf;              /* receive buffers that the driver missed */
    uint64_t retransmits;
    uint64_t polls_busy;
    uint64_t polls_idle;
    uint64_t cycles_busy;
    uint64_t cycles_idle;
    uint64_t cycles_away; /* outside, as told by stack_resume() */
    uint64_t cycles_asleep;
    uint64_t sleeps;
    uint64_t wakeups;              /* sleeps that a packet ended, another core or a signal, not a timer */
    uint64_t handed_over;          /* packets received here that belong to other cores */
    uint64_t taken_over;           /* received by other cores, which belong here */
    uint64_t orphans_given_up;     /* closed connections that had not ended, as there were too many */
    uint64_t syn_cookies_sent;     /* answers to SYNs of which nothing was kept, as the backlog was full */
    uint64_t syn_cookies_accepted; /* connections of them */
    uint64_t syn_cookies_refused;  /* segments of no connection while there were such answers */
    uint64_t tsc_hz;
};

/* The neighbour (network byte order, as `address`) that packets to that address go to, which may be itself;
 * 0: there is no way there. */
uint32_t stack_next_hop(uint32_t address);

/* From now on stack_poll() calls `hook` for a neighbour that has not answered: what was to go there was
 * dropped. */
void stack_on_silent_neighbour(void (*hook)(uint32_t neighbour));

/* lwIP's state and nothing else, once for all calls, for 65,536 connections. PCBs may be made, bound and
 * listened on from now on; what they send before stack_start() finds no route. 0, or -ENOMEM. */
int stack_init(void);

/* Opens port 0 of EAL, brings the interface up and announces it; cores other than 0 join that port. EAL must
 * be initialised, and with several cores each be one of its lcores. 0, or a negative errno with one line in
 * error[]. */
int stack_start(const struct stack_config *config, char *error, size_t size);

/* Memory for what is sent again and again (bodies): packets may point into it instead of copying it. Once,
 * before stack_start(); it stays until stack_stop(). EAL must be initialised. NULL if there is none of that
 * size. */
void *stack_reserve(size_t size);

/* What the other cores need to start theirs. Core 0's stack owns it, and stops last. */
struct port_shared *stack_shared(void);

/* The name of the port's device when that is to be given back, as for being unplugged; NULL while it is not.
 * Looked at as often as the link. The program should end. */
const char *stack_device_gone(void);

/* One turn: receive a burst, let lwIP take it, run what timers are due, send what has gathered. True if a
 * packet was received or sent, also one that stayed inside. */
bool stack_poll(void);

/* Sends what has gathered, and nothing else. */
void stack_flush(void);

/* Looks for packets once more and, if there are none, sleeps until one comes, a timer of lwIP's is due, or
 * stack_waker() is used. Only with `interrupts`. */
void stack_sleep(void);

/* For waker_wake(), from any thread or a signal's handler: ends this stack's sleep, or the next. NULL without
 * `interrupts`. */
const struct waker *stack_waker(void);

/* The time since the last turn was spent elsewhere: it counts as away, and the clock is read afresh. */
void stack_resume(void);

/* Milliseconds since stack_start(), as of the current turn. */
uint32_t stack_now_ms(void);

void stack_count(struct stack_counters *counters);

/* Adds one core's counters to a sum; tsc_hz is the same on all. */
void stack_counters_add(struct stack_counters *sum, const struct stack_counters *counters);

/* The counters by their names, for counters_print(); retransmits is left out, which is among the common ones.
 */
extern const struct counter_field stack_counter_fields[];
extern const size_t stack_counter_field_count;

/* The port's facts as a JSON object in text[]. */
void stack_describe_port(char *text, size_t size);

/* What its device has counted, as a JSON object; null if it does not tell. By core 0. */
void stack_print_port_xstats(FILE *out);

/* Takes the interface down and closes the port; on core 0 after all others. All PCBs must be closed or
 * aborted.
 */
void stack_stop(void);

#endif
