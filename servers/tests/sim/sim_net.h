/* SPDX-License-Identifier: BSD-3-Clause */
/* One lwIP whose two interfaces are joined by a wire with faults, in simulated time: everything that happens
 * follows from the seed. A client's PCB is bound to the interface CLIENT, a listener to SERVER. Must not know
 * what the connections are for.
 *
 * lwIP is global, so there is one simulation in a process. */
#ifndef STACKDUEL_TESTS_SIM_NET_H
#define STACKDUEL_TESTS_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/tcp.h"

#include "wire_faults.h"

enum sim_side { SIM_CLIENT, SIM_SERVER };

#define SIM_SECOND 1000000u /* in the clock's units */

/* What both ends' ports do with a segment of lwIP's. */
enum sim_port {
    SIM_PORT_PACKETS, /* they take packets that lwIP has made */
    SIM_PORT_LEAN,    /* they make the packet of a lean segment */
    SIM_PORT_CUTS,    /* they also cut up segments of more than the MSS, as far as they like those */
};

/* How both ends are, in every simulation of this process; at first a port that takes packets. */
struct sim_ends {
    enum sim_port port;
    bool predict; /* frames may go the short way to the connection that expects them */
};
extern struct sim_ends sim_ends;

struct sim_config {
    struct wire_rates rates; /* of both directions */
    unsigned refuse;         /* of WIRE_ALWAYS frames or lean segments: no room now, lwIP is to try again */
    unsigned starve;         /* of WIRE_ALWAYS allocations of lwIP, while frames come and timers run */
    uint16_t mtu;            /* 0: 1500 */
    uint64_t seed;
};

/* Initialises lwIP once, and begins with an empty wire and no neighbours known. Skips the test when an
 * earlier one has failed, as it has left lwIP in its middle. */
void sim_begin(const struct sim_config *config);

/* Aborts every PCB, and asserts that neither pools nor heap hold more than at sim_begin(). */
void sim_end(void);

/* Called when one has ended, with its seed. NULL at first. */
extern void (*sim_has_ended)(uint64_t seed);

/* The seed that began and did not end, if there is one. */
bool sim_left(uint64_t *seed);

uint64_t sim_now_us(void);

/* On to the next event, a frame's arrival or a timer. False if there is none. */
bool sim_step(void);

/* Steps until done() holds; false if it does not after `limit_us` of simulated time. */
bool sim_run_until(bool (*done)(void), uint64_t limit_us);

/* No PCB is left but listeners. */
bool sim_no_connections(void);

/* A PCB that may only send and receive at that side. */
struct tcp_pcb *sim_pcb(enum sim_side side);
const ip_addr_t *sim_address(enum sim_side side);

/* The client's machine with this port has vanished: nothing from or to it passes any more. */
void sim_vanish(uint16_t client_port);
/* A new one has it. */
void sim_appear(uint16_t client_port);

/* Of both directions. */
struct wire_counts sim_counts(void);

/* Of all simulations so far. */
struct sim_met {
    uint64_t digest;   /* follows from all frames that were sent, and when */
    uint64_t cut;      /* segments of more than the MSS that a port cut up */
    uint64_t expected; /* frames that went the short way */
};
struct sim_met sim_met(void);

/* The simulation's own random number below `bound`. */
uint32_t sim_random(uint32_t bound);

/* Aborts the test when a list of PCBs is broken: a state that does not belong there, a ring, data that lies
 * outside of what it may. */
void sim_check_lists(void);

#endif
