/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a stack: start, turn (receive, timers, send), sleep, end. */
#include "stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_memzone.h>

#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/tcp_timer.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include "common/features.h"
#include "common/random.h"
#include "header_prediction.h"
#include "lwip_hooks.h"
#include "prefetch.h"
#include "stack/memory/memory.h"
#include "stack/port/port_shared.h"
#include "stack/port/port_sleep.h"
#include "stack_state.h"

/* Asking a driver for its link can be a system call, so it is not done in every turn. */
#define LINK_CHECK_MS 200
#define REGION_NAME "stackduel_bodies"
#define CONNECTIONS 65536u /* there is room for at the least */

LWIP_TLS struct stack_state stack;

/* Of the bodies; written before the cores start, copied by each. */
static struct tcp_packet_region region;

/* lwIP's source of time. */
u32_t sys_now(void) {
    return stack.now_ms;
}

uint32_t stack_now_ms(void) {
    return stack.now_ms;
}

uint32_t stack_random(void) {
    if (stack.random_left == 0) {
        random_draw(stack.random, sizeof(stack.random));
        stack.random_left = sizeof(stack.random) / sizeof(stack.random[0]);
    }
    return stack.random[--stack.random_left];
}

/* What has waited for a whole period without anything leaving has no peer that takes it. (A turn after a
 * sleep may look when its first packets have just been queued: those have not waited.) */
static void drop_what_is_stuck(void) {
    if (stack.tx_waited && stack.tx_packets_checked == stack.port.counters.tx_packets) {
        port_drop_queue(&stack.port);
    }
    stack.tx_waited = stack.port.tx_count > 0;
    stack.tx_packets_checked = stack.port.counters.tx_packets;
}

static bool all_zero(const uint8_t mac[6]) {
    static const uint8_t zero[6];

    return memcmp(mac, zero, sizeof(zero)) == 0;
}

static void follow_link(void) {
    bool up = port_link_up(&stack.port);

    stack.link_check_ms = stack.now_ms;
    stack.device_gone = port_gone(&stack.port);
    if (up && !netif_is_link_up(&stack.netif)) {
        netif_set_link_up(&stack.netif);
    } else if (!up && netif_is_link_up(&stack.netif)) {
        netif_set_link_down(&stack.netif);
        port_drop_queue(&stack.port); /* not meant for whoever comes next */
    }
}

/* Once for all calls. 0, or -ENOMEM. */
static int init_for(uint32_t connections) {
    static LWIP_TLS bool done;

    if (!done) {
        int code = memory_reserve(RTE_MAX(connections, CONNECTIONS));

        if (code != 0) {
            return code;
        }
        lwip_init();
        done = true;
    }
    return 0;
}

int stack_init(void) {
    return init_for(0);
}

static void nobody_frees(void *memory, void *argument) {
    (void)memory;
    (void)argument;
}

void *stack_reserve(size_t size) {
    const struct rte_memzone *zone = rte_memzone_reserve(REGION_NAME, size, SOCKET_ID_ANY, 0);
    size_t pages;

    if (zone == NULL) {
        return NULL;
    }
    region = (struct tcp_packet_region){.base = RTE_PTR_ALIGN_FLOOR(zone->addr, zone->hugepage_sz),
                                        .page = zone->hugepage_sz};
    region.size = (size_t)((uint8_t *)zone->addr + size - region.base);
    pages = (region.size + region.page - 1) / region.page;
    region.iovas = malloc(pages * sizeof(*region.iovas));
    if (region.iovas == NULL) {
        rte_memzone_free(zone);
        return NULL;
    }
    for (size_t i = 0; i < pages; i++) {
        region.iovas[i] = rte_mem_virt2iova(region.base + i * region.page);
    }
    region.shared.free_cb = nobody_frees;
    rte_mbuf_ext_refcnt_set(&region.shared, 1); /* ours: packets never have the last one */
    return zone->addr;
}

/* The port with what this core needs of it. */
static int get_port(const struct stack_config *config, const struct port_config *port, char *error,
                    size_t size) {
    int code = 0;

    if (config->core == 0) {
        code = port_open(&stack.port, port, error, size);
    } else {
        port_join(&stack.port, config->shared, config->core);
    }
    if (code == 0 && config->interrupts && (code = port_sleep_prepare(&stack.port, error, size)) != 0) {
        port_close(&stack.port);
    }
    return code;
}

int stack_start(const struct stack_config *config, char *error, size_t size) {
    ip4_addr_t address = {config->address}, netmask = {config->netmask}, gateway = {config->gateway};
    bool own_mac = all_zero(config->mac);
    struct port_config port = {.rx_descriptors = config->rx_descriptors,
                               .tx_descriptors = config->tx_descriptors,
                               .mtu = config->mtu,
                               .mbufs = config->mbufs,
                               .mbuf_private = mbuf_pbuf_private_size(),
                               .offload = config->offload,
                               .promiscuous = !own_mac,
                               .cores = config->cores,
                               .interrupts = config->interrupts};
    int code;

    memset(&stack, 0, sizeof(stack));
    if (init_for(config->connections) != 0) {
        snprintf(error, size, "no addresses are left for the memory of %u connections",
                 (unsigned)config->connections);
        return -ENOMEM;
    }
    code = get_port(config, &port, error, size);
    if (code != 0) {
        return code;
    }
    stack.zero_copy.limit = feature_on(FEATURE_RX_ZERO_COPY) ? stack.port.spare_mbufs : 0;
    stack.alone = config->cores <= 1;
    stack.sequence_key = sequence_key_draw();
    stack.tsc_hz = rte_get_tsc_hz();
    stack.start_tsc = stack.turn_tsc = rte_rdtsc();
    sys_restart_timeouts(); /* the clock begins at 0 */
    if (netif_add(&stack.netif, &address, &netmask, &gateway, NULL, stack_interface_init, ethernet_input) ==
        NULL) {
        port_close(&stack.port);
        snprintf(error, size, "lwIP refused the interface");
        return -EINVAL;
    }
    memcpy(stack.netif.hwaddr, own_mac ? stack.port.mac : config->mac, ETH_HWADDR_LEN);
    stack.region = region;
    stack.packets = (struct tcp_packet_config){
        .source = stack.netif.hwaddr,
        .checksums = port_checksums(&stack.port),
        .cuts_up = feature_on(FEATURE_TSO) && port_segments(&stack.port),
        .attachments = feature_on(FEATURE_TX_ATTACH) && region.base != NULL ? stack.port.attach_pool : NULL,
        .region = &stack.region,
        .sums = feature_on(FEATURE_SUM_IN_COPY) ? stack.sums : NULL,
    };
    stack.largest_segment = stack.packets.cuts_up ? UINT16_MAX - SIZEOF_ETH_HDR - IP_HLEN - TCP_HLEN : 0;
    netif_set_default(&stack.netif);
    netif_set_up(&stack.netif);
    follow_link();
    port_flush(&stack.port);
    return 0;
}

/* The clock as the plain design has it: asked, and the timers looked at, in every turn. */
static void ask_clock(void) {
    struct timespec now;
    uint64_t ms;

    clock_gettime(CLOCK_MONOTONIC, &now);
    ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    stack.start_ms = stack.start_ms != 0 ? stack.start_ms : ms;
    stack.now_ms = (uint32_t)(ms - stack.start_ms);
    stack.timers_due = true;
}

/* The clock: one reading of the time stamp counter a turn, one division a millisecond. */
static void advance_clock(uint64_t tsc) {
    if (unlikely(!feature_on(FEATURE_CLOCK))) {
        ask_clock();
        return;
    }
    if (tsc >= stack.next_ms_tsc) {
        stack.now_ms = (uint32_t)((tsc - stack.start_tsc) / (stack.tsc_hz / 1000));
        stack.next_ms_tsc = stack.start_tsc + ((uint64_t)stack.now_ms + 1) * (stack.tsc_hz / 1000);
        stack.timers_due = true;
    }
}

static void take(struct rte_mbuf *packet) {
    struct pbuf *pbuf;

    if (feature_on(FEATURE_PREDICTION) && rx_fast_path(&stack.netif, &stack.zero_copy, packet)) {
        return;
    }
    pbuf = pbuf_from_mbuf(&stack.zero_copy, packet);
    if (pbuf == NULL) {
        stack.rx_no_memory++;
    } else if (stack.netif.input(pbuf, &stack.netif) != ERR_OK) {
        pbuf_free(pbuf);
    }
}

static unsigned receive(void) {
    struct rte_mbuf *packets[PORT_BURST];
    unsigned count = port_receive(&stack.port, packets);

    if (count > 0 && feature_on(FEATURE_PREFETCH)) {
        stack_prepare_answers(count);
        prefetch_connections(packets, count);
    }
    /* Whoever asked waits for the first answer: those to one burst leave in four parts. */
    port_set_burst(&stack.port, RTE_MAX(count / 4, 1u));
    for (unsigned i = 0; i < count; i++) {
        take(packets[i]);
    }
    port_set_burst(&stack.port, PORT_BURST);
    return count;
}

/* Takes what was looped. Such packets carry no checksum where the port was to fill it in, and need none. */
static bool receive_looped(void) {
    const uint16_t checks = NETIF_CHECKSUM_CHECK_IP | NETIF_CHECKSUM_CHECK_UDP | NETIF_CHECKSUM_CHECK_TCP |
                            NETIF_CHECKSUM_CHECK_ICMP;
    bool any = false;
    struct netif *netif;

    NETIF_FOREACH(netif) {
        if (netif->loop_first != NULL) {
            uint16_t flags = netif->chksum_flags;

            NETIF_SET_CHECKSUM_CTRL(netif, flags & ~checks);
            netif_poll(netif);
            NETIF_SET_CHECKSUM_CTRL(netif, flags);
            any = true;
        }
    }
    return any;
}

static void run_timers(void) {
    stack.timers_due = false;
    sys_check_timeouts();
    if (stack.now_ms - stack.link_check_ms >= LINK_CHECK_MS) {
        follow_link();
        drop_what_is_stuck();
    }
}

/* What has passed since the last turn is added to `cycles`. */
static void end_turn(uint64_t *cycles) {
    uint64_t now = rte_rdtsc();

    *cycles += now - stack.turn_tsc;
    stack.turn_tsc = now;
}

/* A turn takes some microseconds. In one that took this long the process did not run: it was stopped, or
 * another had its core; what it did is nobody's to tell, and is not counted. */
#define LONGEST_TURN_MS 10

static void end_poll(uint64_t *cycles) {
    uint64_t before = *cycles;

    end_turn(cycles);
    if (unlikely(*cycles - before >= stack.tsc_hz / 1000 * LONGEST_TURN_MS)) {
        *cycles = before;
    }
}

bool stack_poll(void) {
    uint64_t sent_before = stack.port.counters.tx_packets;
    bool busy = receive() > 0;

    busy |= receive_looped();
    advance_clock(stack.turn_tsc);
    if (stack.timers_due) {
        run_timers();
    }
    stack_flush();
    if (unlikely(stack.refused) && stack.port.tx_count < PORT_BURST) {
        stack.refused = false;
        tcp_txnow();
    }
    busy |= stack.port.counters.tx_packets != sent_before;
    if (busy) {
        stack.polls_busy++;
        end_poll(&stack.cycles_busy);
    } else {
        stack.polls_idle++;
        end_poll(&stack.cycles_idle);
    }
    return busy;
}

void stack_flush(void) {
    if (stack.port.tx_count > 0) {
        port_flush(&stack.port);
    }
}

/* Until lwIP's next timer; while the link is down until it is to be looked at again. */
static int sleep_limit_ms(void) {
    uint32_t ms = sys_timeouts_sleeptime();

    if (!netif_is_link_up(&stack.netif)) {
        ms = LWIP_MIN(ms, LINK_CHECK_MS);
    }
    return (int)LWIP_MIN(ms, INT32_MAX);
}

void stack_sleep(void) {
    port_sleep_arm(&stack.port);
    if (!stack_poll() && stack.port.tx_count == 0 && !stack.refused) {
        stack.sleeps++;
        tcp_timer_doze();
        stack.wakeups += port_sleep(&stack.port, sleep_limit_ms());
        end_turn(&stack.cycles_asleep);
        advance_clock(stack.turn_tsc);
        tcp_timer_rouse();
    }
    port_sleep_disarm(&stack.port);
}

const struct waker *stack_waker(void) {
    return port_waker(&stack.port);
}

const char *stack_device_gone(void) {
    return stack.device_gone ? stack.port.device : NULL;
}

struct port_shared *stack_shared(void) {
    return stack.port.shared;
}

void stack_resume(void) {
    end_turn(&stack.cycles_away);
    advance_clock(stack.turn_tsc);
}

void stack_stop(void) {
    netif_remove(&stack.netif);
    rte_pktmbuf_free_bulk(stack.tx_ready, stack.tx_ready_count);
    /* What lwIP still had to say (RST, FIN) leaves as the port closes. */
    port_close(&stack.port);
    (void)rte_memzone_free(rte_memzone_lookup(REGION_NAME)); /* there may be none */
    free(region.iovas);
    region = (struct tcp_packet_region){0};
}
