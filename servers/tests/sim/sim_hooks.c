/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP's hooks where there is no stack.c and nobody who guesses or listens. */
#include "stack/lwip_hooks.h"

#include "lwip/arch.h"
#include "lwip/sys.h"

/* By the clock alone. */
uint32_t stack_initial_sequence(const struct ip4_addr *local, uint16_t local_port,
                                const struct ip4_addr *remote, uint16_t remote_port) {
    (void)local;
    (void)local_port;
    (void)remote;
    (void)remote_port;
    return sys_now() * 15625;
}

bool stack_reassembles(void) {
    return true;
}

void stack_neighbour_silent(uint32_t neighbour) {
    (void)neighbour;
}
