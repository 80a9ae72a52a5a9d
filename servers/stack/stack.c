/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a stack's turn (receive, timers, send) and is lwIP's network interface on the port. */
#include "stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_memzone.h>

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include "common/counters.h"
#include "common/features.h"
#include "header_prediction.h"
#include "lwip_hooks.h"
#include "mbuf_pbuf.h"
#include "memory.h"
#include "prefetch.h"
#include "stack/port/port.h"
#include "stack/port/port_report.h"
#include "stack/port/port_shared.h"
#include "stack/port/port_sleep.h"
#include "tcp_packet.h"

/* Asking a driver for its link can be a system call, so it is not done in every turn. */
#define LINK_CHECK_MS 200
#define REGION_NAME "stackduel_bodies"
#define CONNECTIONS 65536u /* there is room for at the least */

static LWIP_TLS struct {
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
    bool timers_due;             /* now_ms was counted up, and lwIP's timers have not been looked at */
    uint32_t random[64]; /* drawn anew by stack_start(): a forked process must not repeat its parent's */
    unsigned random_left;
} stack;

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
        size_t got = 0;

        while (got < sizeof(stack.random)) {
            ssize_t now = getrandom((uint8_t *)stack.random + got, sizeof(stack.random) - got, 0);

            got += now > 0 ? (size_t)now : 0;
        }
        stack.random_left = sizeof(stack.random) / sizeof(stack.random[0]);
    }
    return stack.random[--stack.random_left];
}

/* As many empty buffers at hand as packets have come, as each may be answered. Their lines were last in the
 * cache of whoever took the packets that left in them: fetched now, they are here when they are written. */
static void prepare_answers(unsigned count) {
    unsigned missing = count - RTE_MIN(count, stack.tx_ready_count);

    if (missing > 0 &&
        rte_pktmbuf_alloc_bulk(stack.port.tx_pool, stack.tx_ready + stack.tx_ready_count, missing) == 0) {
        stack.tx_ready_count += missing;
    }
    for (unsigned i = 0; i < stack.tx_ready_count; i++) {
        tcp_packet_prefetch(stack.tx_ready[i]);
    }
}

static struct rte_mbuf *empty_buffer(void) {
    struct rte_mbuf *packet = stack.tx_ready_count > 0 ? stack.tx_ready[--stack.tx_ready_count]
                                                       : rte_pktmbuf_alloc(stack.port.tx_pool);

    if (unlikely(packet == NULL)) {
        stack.tx_no_mbuf++;
    }
    return packet;
}

/* TCP keeps what finds no room, whoever sends a datagram is told. */
static bool has_room(void) {
    if (likely(port_has_room(&stack.port))) {
        return true;
    }
    stack.refused = true;
    return false;
}

err_t stack_output_segment(struct netif *netif, struct tcp_pcb *pcb, struct tcp_seg *segment) {
    const struct eth_addr *to;
    struct rte_mbuf *packet;

    if (unlikely(netif != &stack.netif || ip_addr_cmp(&pcb->remote_ip, &netif->ip_addr))) {
        return ERR_VAL; /* stays inside */
    }
    to = etharp_find_hinted(netif, ip_2_ip4(&pcb->remote_ip), pcb->netif_hints.addr_hint);
    if (unlikely(to == NULL)) {
        return ERR_VAL;
    }
    if (unlikely(!has_room() || (packet = empty_buffer()) == NULL)) {
        return ERR_MEM;
    }
    if (unlikely(!tcp_packet_make(packet, &stack.packets, to, pcb, segment))) {
        rte_pktmbuf_free(packet);
        return ERR_VAL;
    }
    port_send_prepared(&stack.port, packet);
    return ERR_OK;
}

uint16_t stack_largest_segment(const struct tcp_pcb *pcb, const uint8_t *data, uint16_t size) {
    if (stack.largest_segment == 0 || ip_addr_cmp(&pcb->remote_ip, &stack.netif.ip_addr)) {
        return 0; /* what stays inside is cut up by nobody */
    }
    return RTE_MIN(stack.largest_segment, (uint16_t)tcp_packet_attachable(&stack.packets, data, size));
}

static err_t interface_output(struct netif *netif, struct pbuf *pbuf) {
    struct rte_mbuf *packet;

    if (unlikely(pbuf->tot_len > netif->mtu + SIZEOF_ETH_HDR)) {
        return ERR_BUF; /* nothing here cuts datagrams to pieces */
    }
    if (unlikely(!has_room())) {
        return ERR_MEM;
    }
    packet = mbuf_from_pbuf(stack.port.tx_pool, pbuf);
    if (packet == NULL) {
        stack.tx_no_mbuf++;
        return ERR_MEM;
    }
    port_send(&stack.port, packet);
    return ERR_OK;
}

/* Leaves what the port was granted out of lwIP's own work; ICMP is always lwIP's. */
static uint16_t software_checksums(unsigned port) {
    unsigned granted = (port & PORT_RX_IPV4 ? NETIF_CHECKSUM_CHECK_IP : 0) |
                       (port & PORT_RX_TCP ? NETIF_CHECKSUM_CHECK_TCP : 0) |
                       (port & PORT_RX_UDP ? NETIF_CHECKSUM_CHECK_UDP : 0) |
                       (port & PORT_TX_IPV4 ? NETIF_CHECKSUM_GEN_IP : 0) |
                       (port & PORT_TX_TCP ? NETIF_CHECKSUM_GEN_TCP : 0) |
                       (port & PORT_TX_UDP ? NETIF_CHECKSUM_GEN_UDP : 0);

    return (uint16_t)(NETIF_CHECKSUM_ENABLE_ALL & ~granted);
}

static err_t interface_init(struct netif *netif) {
    netif->name[0] = 'd';
    netif->name[1] = 'p';
    netif->mtu = stack.port.mtu;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    netif->output = etharp_output;
    netif->linkoutput = interface_output;
    NETIF_SET_CHECKSUM_CTRL(netif, software_checksums(port_checksums(&stack.port)));
    return ERR_OK;
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
    stack.tsc_hz = rte_get_tsc_hz();
    stack.start_tsc = stack.turn_tsc = rte_rdtsc();
    sys_restart_timeouts(); /* the clock begins at 0 */
    if (netif_add(&stack.netif, &address, &netmask, &gateway, NULL, interface_init, ethernet_input) == NULL) {
        port_close(&stack.port);
        snprintf(error, size, "lwIP refused the interface");
        return -EINVAL;
    }
    memcpy(stack.netif.hwaddr, own_mac ? stack.port.mac : config->mac, ETH_HWADDR_LEN);
    stack.region = region;
    stack.packets = (struct tcp_packet_config){
        .source = stack.netif.hwaddr,
        .checksums = port_checksums(&stack.port),
        .attachments = feature_on(FEATURE_TX_ATTACH) && region.base != NULL ? stack.port.attach_pool : NULL,
        .region = &stack.region,
        .sums = feature_on(FEATURE_SUM_IN_COPY) ? stack.sums : NULL,
    };
    stack.largest_segment = feature_on(FEATURE_TSO) && port_segments(&stack.port)
                                ? UINT16_MAX - SIZEOF_ETH_HDR - IP_HLEN - TCP_HLEN
                                : 0;
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
        prepare_answers(count);
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
        end_turn(&stack.cycles_busy);
    } else {
        stack.polls_idle++;
        end_turn(&stack.cycles_idle);
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
        stack.wakeups += port_sleep(&stack.port, sleep_limit_ms());
        end_turn(&stack.cycles_asleep);
        advance_clock(stack.turn_tsc);
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

void stack_count(struct stack_counters *counters) {
    uint64_t lost, no_mbuf;

    port_receive_losses(&stack.port, &lost, &no_mbuf);
    *counters = (struct stack_counters){
        .rx_packets = stack.port.counters.rx_packets,
        .tx_packets = stack.port.counters.tx_packets,
        .rx_dropped = lost + stack.rx_no_memory,
        .tx_dropped = stack.port.counters.tx_dropped + stack.tx_no_mbuf,
        .rx_copied = stack.zero_copy.copied,
        .no_mbuf = no_mbuf,
        .retransmits = lwip_stats.mib2.tcpretranssegs,
        .polls_busy = stack.polls_busy,
        .polls_idle = stack.polls_idle,
        .cycles_busy = stack.cycles_busy,
        .cycles_idle = stack.cycles_idle,
        .cycles_away = stack.cycles_away,
        .cycles_asleep = stack.cycles_asleep,
        .sleeps = stack.sleeps,
        .wakeups = stack.wakeups,
        .handed_over = stack.port.rss.handed_over,
        .taken_over = stack.port.rss.taken_over,
        .tsc_hz = stack.tsc_hz,
    };
}

#define FIELD(name)                                                                                          \
    { #name, offsetof(struct stack_counters, name) }

const struct counter_field stack_counter_fields[] = {
    FIELD(rx_packets),    FIELD(tx_packets), FIELD(rx_dropped), FIELD(tx_dropped),  FIELD(rx_copied),
    FIELD(no_mbuf),       FIELD(polls_busy), FIELD(polls_idle), FIELD(cycles_busy), FIELD(cycles_idle),
    FIELD(cycles_asleep), FIELD(sleeps),     FIELD(wakeups),    FIELD(cycles_away), FIELD(handed_over),
    FIELD(taken_over),    FIELD(tsc_hz),
};
const size_t stack_counter_field_count = sizeof(stack_counter_fields) / sizeof(stack_counter_fields[0]);

void stack_counters_add(struct stack_counters *sum, const struct stack_counters *counters) {
    for (size_t i = 0; i < stack_counter_field_count; i++) {
        *(uint64_t *)((char *)sum + stack_counter_fields[i].offset) +=
            *(const uint64_t *)((const char *)counters + stack_counter_fields[i].offset);
    }
    sum->retransmits += counters->retransmits;
    sum->tsc_hz = counters->tsc_hz;
}

void stack_describe_port(char *text, size_t size) {
    port_describe(&stack.port, text, size);
}

void stack_print_port_xstats(FILE *out) {
    port_print_xstats(&stack.port, out);
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
