/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP's view of the compiler and the platform: 64-bit little- or big-endian Linux, one thread a stack. */
#ifndef STACKDUEL_ARCH_CC_H
#define STACKDUEL_ARCH_CC_H

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* lwIP's patches ask feature_on(FEATURE_…). */
#include "common/features.h"
/* … and take memory from pools. */
#include "stack/memory/pool.h"

/* A stack's state: one in each thread, as every core of a server has a stack; one in the process where the
 * program's threads take turns with it, as they do in the library. */
#ifdef STACK_PROCESS_WIDE
#define LWIP_TLS
#else
/* As in a program: at an address that is known when it is linked. */
#define LWIP_TLS __thread __attribute__((tls_model("local-exec")))
#endif

#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_ERRNO_STDINCLUDE 1

/* One instruction, not a call. */
#define lwip_htons(x) htobe16(x)
#define lwip_htonl(x) htobe32(x)

#define LWIP_PLATFORM_DIAG(arguments)                                                                        \
    do {                                                                                                     \
        fprintf arguments;                                                                                   \
    } while (0)

/* Compiled in only without NDEBUG (lwipopts.h): a broken invariant of lwIP stops a test at once. */
#define LWIP_PLATFORM_ASSERT(message)                                                                        \
    do {                                                                                                     \
        fprintf(stderr, "lwIP: %s (%s:%d)\n", message, __FILE__, __LINE__);                                  \
        abort();                                                                                             \
    } while (0)

/* stack.c: the kernel's generator, as ISNs and ports must not be guessed (RFC 6528, RFC 6056). */
uint32_t stack_random(void);
#define LWIP_RAND() stack_random()

/* checksum.c */
uint16_t stack_checksum(const void *data, int length);

#endif
