/* SPDX-License-Identifier: BSD-3-Clause */
/* Our options, with what the tests on a simulated wire look at switched on, and pools that they can exhaust.
 */
#include "../../stack/lwipopts.h"

#undef MEM_STATS
#define MEM_STATS 1
#undef MEMP_STATS
#define MEMP_STATS 1

#undef MEMP_NUM_TCP_PCB
#define MEMP_NUM_TCP_PCB 1024
#undef MEMP_NUM_TCP_SEG
#define MEMP_NUM_TCP_SEG 4096
#undef MEMP_NUM_PBUF
#define MEMP_NUM_PBUF 4096
#undef TCP_PCB_TABLE_BITS
#define TCP_PCB_TABLE_BITS 10

/* Every element and every buffer is an allocation of its own, so that a use after its end is seen, and which
 * may fail. */
#ifdef SIM_HEAP
#include <stddef.h>
void *sim_malloc(size_t size);
#define mem_clib_malloc sim_malloc
#define MEMP_MEM_MALLOC 1
/* Makes the size of a timeout one that nothing else has: without a timeout lwIP stops. */
#define LWIP_DEBUG_TIMERNAMES 1
/* A window that a few segments fill. */
#undef TCP_WND
#define TCP_WND (6 * TCP_MSS)
#endif
