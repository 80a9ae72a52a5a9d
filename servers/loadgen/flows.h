/* SPDX-License-Identifier: BSD-3-Clause */
/* Which source address and port a flow has, and back: arithmetic, no table. Flow f is port f % 64512 of
 * address f / 64512. Addresses and ports in host byte order. */
#ifndef STACKDUEL_FLOWS_H
#define STACKDUEL_FLOWS_H

#include <stdint.h>

#define FLOW_PORT_FIRST 1024u /* those below are for servers */
#define FLOW_PORTS (65536u - FLOW_PORT_FIRST)
#define FLOW_NONE UINT32_MAX

struct flows {
    uint32_t address; /* the first */
    uint32_t addresses;
};

static inline uint32_t flow_address(const struct flows *flows, uint32_t flow) {
    return flows->address + flow / FLOW_PORTS;
}

static inline uint16_t flow_port(uint32_t flow) {
    return (uint16_t)(FLOW_PORT_FIRST + flow % FLOW_PORTS);
}

/* Finds the flow of a segment. FLOW_NONE: not one of ours. */
static inline uint32_t flow_find(const struct flows *flows, uint32_t address, uint16_t port) {
    uint32_t offset = address - flows->address;

    if (offset >= flows->addresses || port < FLOW_PORT_FIRST) {
        return FLOW_NONE;
    }
    return offset * FLOW_PORTS + port - FLOW_PORT_FIRST;
}

#endif
