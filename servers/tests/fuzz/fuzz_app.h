/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program may do with lwIP's raw API, in any order: the fuzzer's choice decides inside the callbacks.
 * Must not know the wire. */
#ifndef STACKDUEL_TESTS_FUZZ_APP_H
#define STACKDUEL_TESTS_FUZZ_APP_H

#include <stddef.h>
#include <stdint.h>

#include "lwip/tcp.h"

#define APP_SLOTS 16

/* Listens on `port`, once. */
void app_start(uint16_t port);

/* `choices`[size] is walked round and round by the callbacks; stays the caller's. */
void app_reset(const uint8_t *choices, size_t size);

/* Does something with the connection in that slot, if there is one. */
void app_act(unsigned slot, uint8_t choice);

/* Opens a connection to the peer's port; lwIP's own port, 0 if none was to be had. */
uint16_t app_connect(const ip_addr_t *to, uint16_t port);

/* Connections that it holds. */
size_t app_open(void);

#endif
