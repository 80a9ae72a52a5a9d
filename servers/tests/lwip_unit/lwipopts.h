/* SPDX-License-Identifier: BSD-3-Clause */
/* Our options, with what lwIP's unit tests look at switched on. What else differs stands with its
 * reason. */
#include "stack/lwipopts.h"

/* No port here. */
#undef LWIP_HOOK_FILENAME

/* The tests use htons() and include no header of libc's that has it. */
#undef LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS

#undef MEM_STATS
#define MEM_STATS 1
#undef MEMP_STATS
#define MEMP_STATS 1
#undef ETHARP_STATS
#define ETHARP_STATS 1

/* test_etharp_table fills it from addresses of 8 bits. */
#undef ARP_TABLE_SIZE
#define ARP_TABLE_SIZE 127

/* The TCP tests compute windows in 16 bits and want the send buffer larger than the window. */
#undef TCP_RCV_SCALE
#define TCP_RCV_SCALE 0
#undef TCP_WND
#define TCP_WND (10 * TCP_MSS)
#undef TCP_SND_BUF
#define TCP_SND_BUF (12 * TCP_MSS)
/* The test of this limit does not compile as shipped. */
#undef TCP_OOSEQ_MAX_PBUFS
#undef TCP_OOSEQ_PBUFS_LIMIT

/* test_tcp_new_max_num fills the pool of PCBs, whose lists are walked for each. */
#undef MEMP_NUM_TCP_PCB
#define MEMP_NUM_TCP_PCB 64

/* The pbuf tests want a pool of small buffers; the servers hardly use it. */
#undef PBUF_POOL_SIZE
#define PBUF_POOL_SIZE 400
#define PBUF_POOL_BUFSIZE 592

/* The UDP tests send from 0.0.0.0, which is refused where nobody speaks DHCP. */
#define LWIP_IP_ACCEPT_UDP_PORT(port) 0

/* The tests of the heap free what is none of its, and look whether that was counted. */
#define LWIP_MEM_ILLEGAL_FREE(message)

#define LWIP_TESTMODE 1
#define ETHARP_SUPPORT_STATIC_ENTRIES 1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1
#undef MEMP_NUM_SYS_TIMEOUT
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 8)
