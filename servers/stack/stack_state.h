/* SPDX-License-Identifier: BSD-3-Clause */
/* Holds a stack's state, for the files of this folder that are one stack: stack.c runs it, stack_interface.c
 * sends, stack_counters.c tells what it counted. */
#ifndef STACKDUEL_STACK_STATE_H
#define STACKDUEL_STACK_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/netif.h"

#include "common/initial_sequence.h"
#include "mbuf_pbuf.h"
#include "stack/port/port.h"
#include "tcp_packet.h"

struct stack_state {
    struct port port;
    struct netif netif;
    struct zero_copy zero_copy;
    struct tcp_packet_config packets;
    struct tcp_packet_sum sums[TCP_PACKET_SUMS];
    struct tcp_packet_region region; /* the same for all, but for the count of this core's packets */
    uint16_t largest_segment;        /* of TCP, to be cut up by the port; 0: it cuts up nothing */
    unsigned tx_ready_count;         /* empty buffers at hand, their lines on the way to this core */
    struct rte_mbuf *tx_ready[PORT_BURST];
    uint64_t rx_no_memory;
    uint64_t tx_no_mbuf;
    uint64_t polls_busy, polls_idle;
    uint64_t cycles_busy, cycles_idle, cycles_away, cycles_asleep;
    uint64_t sleeps, wakeups;
    uint64_t tsc_hz;
    uint64_t start_tsc;
    uint64_t turn_tsc;    /* when the last turn ended */
    uint64_t next_ms_tsc; /* when now_ms is to be counted up */
    uint64_t start_ms;    /* of the system's clock, without the optimisation "clock" */
    uint32_t now_ms;
    uint32_t link_check_ms;
    bool device_gone;
    uint64_t tx_packets_checked; /* sent when the link was last looked at */
    bool tx_waited;              /* something was queued then */
    bool refused;                /* the port had no room for a packet of lwIP */
    bool alone;                  /* no other core has the port */
    bool timers_due;             /* now_ms was counted up, and lwIP's timers have not been looked at */
    void (*on_silent)(uint32_t neighbour); /* stack_on_silent_neighbour(); NULL: nobody wants to know */
    uint32_t random[64]; /* drawn anew by stack_start(): a forked process must not repeat its parent's */
    unsigned random_left;
    struct sequence_key sequence_key; /* drawn anew likewise */
};

extern LWIP_TLS struct stack_state stack;

/* Sets up lwIP's interface on the port, which is open. For netif_add(). */
err_t stack_interface_init(struct netif *netif);

/* Gets as many empty buffers at hand as packets have come, as each may be answered. */
void stack_prepare_answers(unsigned count);

#endif
