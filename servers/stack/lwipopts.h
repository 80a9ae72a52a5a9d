/* SPDX-License-Identifier: BSD-3-Clause */
/* Every lwIP option that differs from its default, each with its reason. Must not include DPDK. */
#ifndef STACKDUEL_LWIPOPTS_H
#define STACKDUEL_LWIPOPTS_H

/* One thread runs the stack to completion; no locks, no sequential API. */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TCPIP_CORE_LOCKING 0

/* htons() and the like come from libc, for those who use both. */
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS

#ifdef NDEBUG
#define LWIP_NOASSERT
#endif

/* Packets that the stack makes itself: stack_output_segment(). */
#define LWIP_HOOK_FILENAME "lwip_hooks.h"

/* Memory comes from pools that grow; these are their limits, where stack_init() does not set them by the
 * number of connections. The heap, in place of the pools without FEATURE_POOLS, is as large as it may get. */
#define MEM_SIZE (64 * 1024 * 1024)
#define MEM_ALIGNMENT 8
#define MEMP_NUM_TCP_PCB 131072
#define MEMP_NUM_TCP_PCB_LISTEN 1024
#define MEMP_NUM_TCP_SEG 262144
#define MEMP_NUM_PBUF 262144
#define PBUF_POOL_SIZE 16
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 1) /* the HTTP server's */
#define MEMP_NUM_ARP_QUEUE 4096

/* Link. Neighbours in memory that costs nothing until it is touched; the PCB remembers its ARP entry so that
 * no packet searches the table. Many connections may begin before the first answer: a lost SYN would be sent
 * again after 3 s. */
#define ARP_TABLE_SIZE 8192
#define ARP_QUEUEING 1
/* A neighbour that does not answer is given up after three to four seconds, as Linux does after three. */
#define ARP_MAXPENDING 4
#define ARP_QUEUE_LEN 256
#define LWIP_NETIF_HWADDRHINT 1
#define LWIP_NETIF_LINK_CALLBACK 0

/* A process may connect to itself: packets to 127.0.0.0/8 and to the interface's own address are looped. */
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_LOOPBACK_MAX_PBUFS 8192

/* SO_REUSEADDR, where a PCB asks for it. */
#define SO_REUSE 1

/* A tag for a priority is accepted, one for a network is not (LWIP_HOOK_VLAN_CHECK). */
#define ETHARP_SUPPORT_VLAN 1

/* IP. What others fragment is put together, within limits: no more buffers of the port are held than these,
 * each datagram for as long as Linux does. */
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 128
#define IP_REASS_MAXAGE 30
#define MEMP_NUM_REASSDATA 32
#define IP_FRAG 0
#define LWIP_RAW 0
#define LWIP_UDP 1
#define MEMP_NUM_UDP_PCB 1024
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 0

/* TCP. Full-size segments and 256 KiB windows as the kernel's default socket has, which need scaling. */
#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 3
#define TCP_WND (256 * 1024)
#define TCP_SND_BUF (256 * 1024)
/* Two pbufs a segment: header and a reference to the response. */
#define TCP_SND_QUEUELEN 1024
#define TCP_SNDLOWAT (2 * TCP_MSS)
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 4096
/* Received data lies in the port's buffers, not in lwIP's pool, which the sanity check compares with. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
/* Out-of-order data may not pin the receive buffers of the port, nor those of all connections more than their
 * budget
 * (tcp_budget.h). */
#define TCP_OOSEQ_MAX_PBUFS 64
#define TCP_OOSEQ_PBUFS_LIMIT(pcb) tcp_budget_out_of_order()
/* As many ports to connect from as Linux has, and some. */
#define TCP_LOCAL_PORT_RANGE_START 0x8000
#define TCP_LOCAL_PORT_RANGE_END 0xffff
#define TCP_ENSURE_LOCAL_PORT_RANGE(port) ((u16_t)((port) | TCP_LOCAL_PORT_RANGE_START))
/* A client that vanished is found by keep-alive probes, whose times are options of the server. */
#define LWIP_TCP_KEEPALIVE 1
/* 2 MSL as Linux has it: 60 s in TIME-WAIT, not 120. */
#define TCP_MSL 30000UL
/* Zero-copy receive: pbufs that are DPDK mbufs. */
#define LWIP_SUPPORT_CUSTOM_PBUF 1

/* Checksums: per interface, because each port grants other offloads; in software by our routine. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHKSUM stack_checksum

/* Counters that the server reports. */
#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define MIB2_STATS 1
#define LINK_STATS 0
#define ETHARP_STATS 0
#define IP_STATS 1
#define ICMP_STATS 0
#define TCP_STATS 1
#define MEM_STATS 0
#define MEMP_STATS 0
#define SYS_STATS 0

#endif
