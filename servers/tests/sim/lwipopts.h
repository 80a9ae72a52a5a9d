/* SPDX-License-Identifier: BSD-3-Clause */
/* Our options, with what the tests on a simulated wire look at switched on, and pools that they can exhaust.
 */
#include "stack/lwipopts.h"

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

/* Every element of a pool is an allocation of its own, so that a use after its end is seen whatever came in
 * its place, and a use beyond it. */
#ifdef SIM_HEAP
#include "stack/memory/pool.h"
void *sim_pool_get(struct pool *pool);
void sim_pool_put(struct pool *pool, void *element);
bool sim_pool_owns(const struct pool *pool, const void *element);
#define pool_get sim_pool_get
#define pool_put sim_pool_put
#define pool_owns sim_pool_owns
/* A window that a few segments fill. */
#undef TCP_WND
#define TCP_WND (6 * TCP_MSS)
#endif
