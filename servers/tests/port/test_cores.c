/* SPDX-License-Identifier: BSD-3-Clause */
/* Two stacks in two threads on one port with two queues: each has its flows, whichever queue they come by,
 * and sees nothing of the other's. The port's rings end here: the test is all clients at once. */
#include "frames.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include <rte_eth_ring.h>
#include <rte_lcore.h>
#include <rte_ring.h>

/* lwIP's own come after libc's. */
#undef IP_RF
#undef IP_DF
#undef IP_MF
#undef IP_OFFMASK
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "common/features.h"
#include "eal.h"
#include "stack/mbuf_pbuf.h"
#include "stack/port/port.h"
#include "stack/port/port_shared.h"
#include "stack/port/port_sleep.h"
#include "stack/stack.h"

#define CORES 2
#define FLOWS 200
#define FIRST_PORT 2000
#define RING 1024
#define DEADLINE_SECONDS 30 /* of a machine that is busy with other things */

/* What one core saw; only its thread writes it. */
struct seen {
    unsigned accepts;
    unsigned segments[FLOWS]; /* of data, by flow */
    unsigned active;          /* PCBs in lwIP's list at the end */
    struct stack_counters counters;
};

/* What the clients got. */
struct flow {
    unsigned syn_acks, answers;
    unsigned queue; /* the SYN-ACK came by */
    uint32_t server_sequence;
};

static struct rte_mempool *pool;
static struct rte_ring *to_port[CORES], *from_port[CORES];
static struct seen seen[CORES];
static struct flow flows[FLOWS];
static atomic_bool stop;
static atomic_int started; /* the second core: 1, or -1 if it failed; 2 when it has ended */
static struct port_shared *shared;
static unsigned arp_questions[CORES];

static __thread struct seen *mine;
static __thread struct tcp_pcb *listener;

/* --- the servers: an echo ---------------------------------------------------------------------------- */

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)argument;
    (void)error;
    if (data == NULL) {
        return tcp_close(pcb);
    }
    mine->segments[pcb->remote_port - FIRST_PORT]++;
    tcp_recved(pcb, data->tot_len);
    (void)tcp_write(pcb, data->payload, data->len, TCP_WRITE_FLAG_COPY);
    pbuf_free(data);
    return ERR_OK;
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    (void)error;
    mine->accepts++;
    tcp_recv(pcb, on_received);
    return ERR_OK;
}

static bool start_stack(unsigned core) {
    struct stack_config config = {.connections = FLOWS,
                                  .address = FRAME_SERVER,
                                  .netmask = RTE_BE32(0xffffff00),
                                  .mtu = 1500,
                                  .rx_descriptors = 64,
                                  .tx_descriptors = 64,
                                  .mbufs = 2047,
                                  .cores = CORES,
                                  .core = (uint16_t)core,
                                  .shared = shared};
    char error[256] = "";

    mine = &seen[core];
    memcpy(config.mac, &frame_server_mac, sizeof(config.mac));
    if (stack_start(&config, error, sizeof(error)) != 0) {
        fprintf(stderr, "core %u: %s\n", core, error);
        return false;
    }
    listener = tcp_new();
    if (tcp_bind(listener, IP_ANY_TYPE, 80) != ERR_OK || (listener = tcp_listen(listener)) == NULL) {
        return false;
    }
    tcp_accept(listener, on_accept);
    return true;
}

static void stop_stack(void) {
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        mine->active++;
    }
    while (tcp_active_pcbs != NULL) {
        tcp_abort(tcp_active_pcbs);
    }
    (void)tcp_close(listener);
    stack_count(&mine->counters);
    stack_stop();
}

static int second_core(void *argument) {
    (void)argument;
    if (!start_stack(1)) {
        atomic_store(&started, -1);
        return 1;
    }
    atomic_store(&started, 1);
    while (!atomic_load(&stop)) {
        if (!stack_poll()) {
            sched_yield(); /* both may be on one processor */
        }
    }
    stop_stack();
    atomic_store(&started, 2);
    return 0;
}

/* --- the clients ------------------------------------------------------------------------------------- */

static void send_by(unsigned queue, struct rte_mbuf *packet) {
    assert_int_equal(rte_ring_enqueue(to_port[queue], packet), 0);
}

static void receive_tcp(unsigned queue, const struct rte_mbuf *packet) {
    const struct rte_ipv4_hdr *ip =
        rte_pktmbuf_mtod_offset(packet, const struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
    const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
    struct flow *flow = &flows[rte_be_to_cpu_16(tcp->dst_port) - FIRST_PORT];

    assert_in_range(rte_be_to_cpu_16(tcp->dst_port), FIRST_PORT, FIRST_PORT + FLOWS - 1);
    if (tcp->tcp_flags == (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) {
        flow->syn_acks++;
        flow->queue = queue;
        flow->server_sequence = rte_be_to_cpu_32(tcp->sent_seq);
    } else if (rte_be_to_cpu_16(ip->total_length) > sizeof(*ip) + sizeof(*tcp)) {
        assert_int_equal(flow->queue, queue);
        flow->answers++;
    }
}

/* All questions are answered by queue 0: the answers concern both cores. */
static void receive(unsigned queue, struct rte_mbuf *packet) {
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(ethernet + 1);

    if (ethernet->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
        receive_tcp(queue, packet);
    } else if (arp->arp_data.arp_tip == FRAME_CLIENT) {
        arp_questions[queue]++;
        send_by(0, frame_arp(pool, RTE_ARP_OP_REPLY, FRAME_SERVER));
    }
    rte_pktmbuf_free(packet);
}

static unsigned total(size_t offset) {
    unsigned sum = 0;

    for (unsigned i = 0; i < FLOWS; i++) {
        sum += *(const unsigned *)((const char *)&flows[i] + offset);
    }
    return sum;
}

static time_t seconds(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Drives core 0 and the clients until these have `count` in the field at `offset` of all flows. */
static void run_until(size_t offset, unsigned count) {
    time_t deadline = seconds() + DEADLINE_SECONDS;

    while (total(offset) < count && seconds() < deadline) {
        (void)stack_poll();
        for (unsigned queue = 0; queue < CORES; queue++) {
            struct rte_mbuf *packet;

            while (rte_ring_dequeue(from_port[queue], (void **)&packet) == 0) {
                receive(queue, packet);
            }
        }
        sched_yield();
    }
    assert_int_equal(total(offset), count);
}

static void test_each_core_serves_its_own_connections_whichever_queue_they_come_by(void **state) {
    unsigned of_first = 0;

    (void)state;
    for (unsigned i = 0; i < FLOWS; i++) {
        send_by(i % CORES, frame_tcp(pool, (uint16_t)(FIRST_PORT + i), RTE_TCP_SYN_FLAG, 1000, 0, ""));
    }
    run_until(offsetof(struct flow, syn_acks), FLOWS);
    for (unsigned i = 0; i < FLOWS; i++) {
        assert_int_equal(flows[i].syn_acks, 1);
        of_first += flows[i].queue == 0;
        /* the other queue, as where a flow's packets come by may change */
        send_by((i + 1) % CORES,
                frame_tcp(pool, (uint16_t)(FIRST_PORT + i), RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 1001,
                          flows[i].server_sequence + 1, "question"));
    }
    run_until(offsetof(struct flow, answers), FLOWS);
    assert_in_range(of_first, FLOWS / 4, 3 * FLOWS / 4); /* seven standard deviations */
    /* Each core asked for the client's address itself, and heard the answer. */
    assert_in_range(arp_questions[0], 1, 5);
    assert_in_range(arp_questions[1], 1, 5);
    atomic_store(&stop, true);
    assert_int_equal(rte_eal_wait_lcore(rte_get_next_lcore(-1, 1, 0)), 0);
    assert_int_equal(atomic_load(&started), 2);
    stop_stack();

    assert_int_equal(seen[0].accepts, of_first);
    assert_int_equal(seen[1].accepts, FLOWS - of_first);
    assert_int_equal(seen[0].active, of_first);
    assert_int_equal(seen[1].active, FLOWS - of_first);
    for (unsigned i = 0; i < FLOWS; i++) {
        assert_int_equal(seen[flows[i].queue].segments[i], 1);
        assert_int_equal(seen[!flows[i].queue].segments[i], 0);
    }
    assert_true(seen[0].counters.handed_over > 0 && seen[1].counters.handed_over > 0);
    assert_int_equal(seen[0].counters.handed_over, seen[1].counters.taken_over);
    assert_int_equal(seen[1].counters.handed_over, seen[0].counters.taken_over);
    assert_int_equal(seen[0].counters.rx_dropped + seen[1].counters.rx_dropped, 0);
}

#ifdef __SANITIZE_THREAD__
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *address, size_t size,
                             const char *description);

static void allow_races(struct rte_mempool *of, void *argument, struct rte_mempool_memhdr *memory,
                        unsigned index) {
    (void)of;
    (void)argument;
    (void)index;
    AnnotateBenignRaceSized(__FILE__, __LINE__, memory->addr, memory->len, "packets");
}

static void allow_races_of_pool(struct rte_mempool *one, void *argument) {
    rte_mempool_mem_iter(one, allow_races, argument);
}

/* Packets change hands in DPDK's libraries, where the sanitizer sees nothing; it looks at everything else. */
static void allow_races_of_packets(void) {
    rte_mempool_walk(allow_races_of_pool, NULL);
}
#else
static void allow_races_of_packets(void) {
}
#endif

static uint16_t make_port(const char *name, unsigned rx_queues, unsigned tx_queues) {
    int port = rte_eth_from_rings(name, to_port, rx_queues, from_port, tx_queues, 0);

    assert_true(port >= 0);
    return (uint16_t)port;
}

static int start(void **state) {
    (void)state;
    assert_int_equal(make_port("cores", CORES, CORES), 0);
    assert_true(start_stack(0));
    shared = stack_shared();
    allow_races_of_packets();
    assert_int_equal(rte_eal_remote_launch(second_core, NULL, rte_get_next_lcore(-1, 1, 0)), 0);
    while (atomic_load(&started) == 0) {
        sched_yield();
    }
    assert_int_equal(atomic_load(&started), 1);
    return 0;
}

/* --- a port for which one of the queues is missing --------------------------------------------------- */

static const struct port_config wanted = {.rx_descriptors = 64,
                                          .tx_descriptors = 64,
                                          .mtu = 1500,
                                          .mbufs = 2047,
                                          .cores = CORES,
                                          .interrupts = true};

static void test_a_port_with_too_few_queues_to_send_by_is_refused(void **state) {
    struct port_config config = wanted;
    struct port port;
    char error[256];

    (void)state;
    config.id = make_port("one_to_send", 2, 1);
    assert_int_equal(port_open(&port, &config, error, sizeof(error)), -ENOTSUP);
    assert_string_equal(
        error, "net_ring has 1 transmit queue, and 2 cores need one each: lower --cores, or give the "
               "device more (queues= or qpairs= among its words)");
}

static void test_a_port_without_interrupts_says_so(void **state) {
    struct port_config config = wanted;
    struct port port;
    char error[256];

    (void)state;
    config.id = make_port("no_interrupts", 2, 2);
    assert_int_equal(port_open(&port, &config, error, sizeof(error)), 0);
    assert_int_equal(port_sleep_prepare(&port, error, sizeof(error)), -ENOTSUP);
    assert_string_equal(error, "--idle=intr: net_ring has no receive interrupts; leave it at poll");
    port_close(&port);
}

/* A SYN of a flow of core 1, found by trying. */
static void hand_one_over(struct port *first) {
    struct rte_mbuf *packets[PORT_BURST];

    for (uint16_t port = 1; first->rss.handed_over == 0 && port < 100; port++) {
        send_by(0, frame_tcp(pool, port, RTE_TCP_SYN_FLAG, 1, 0, ""));
        rte_pktmbuf_free_bulk(packets, port_receive(first, packets));
    }
    assert_int_equal(first->rss.handed_over, 1);
}

static void test_a_core_without_a_queue_sleeps_until_it_is_given_a_packet(void **state) {
    struct rte_mbuf *packets[PORT_BURST];
    struct port_config config = wanted;
    struct port first, second;
    char error[256];

    (void)state;
    config.id = make_port("one_to_receive_by", 1, 2);
    assert_int_equal(port_open(&first, &config, error, sizeof(error)), 0);
    port_join(&second, first.shared, 1);
    assert_int_equal(port_sleep_prepare(&second, error, sizeof(error)), 0);
    port_sleep_arm(&second);
    assert_int_equal(port_receive(&second, packets), 0);
    assert_false(port_sleep(&second, 1));
    hand_one_over(&first);
    assert_true(port_sleep(&second, 1000 * DEADLINE_SECONDS));
    port_sleep_disarm(&second);
    assert_int_equal(port_receive(&second, packets), 1);
    rte_pktmbuf_free(packets[0]);
    /* Awake, it is not woken: */
    first.rss.handed_over = 0;
    hand_one_over(&first);
    assert_false(port_sleep(&second, 0));
    /* but by who means it whatever it does. */
    waker_wake(port_waker(&second));
    assert_true(port_sleep(&second, 0));
    assert_false(port_sleep(&second, 0));
    assert_int_equal(port_receive(&second, packets), 1);
    rte_pktmbuf_free(packets[0]);
    port_close(&second);
    port_close(&first);
}

static bool make_rings(void) {
    for (unsigned queue = 0; queue < CORES; queue++) {
        char name[16];

        snprintf(name, sizeof(name), "to%u", queue);
        to_port[queue] = rte_ring_create(name, RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        snprintf(name, sizeof(name), "from%u", queue);
        from_port[queue] = rte_ring_create(name, RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (to_port[queue] == NULL || from_port[queue] == NULL) {
            return false;
        }
    }
    pool = rte_pktmbuf_pool_create("frames", 4095, 0, RTE_ALIGN(mbuf_pbuf_private_size() + 64, 64),
                                   RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    return pool != NULL;
}

static int run(const char *program) {
    const struct CMUnitTest serving[] = {
        cmocka_unit_test(test_each_core_serves_its_own_connections_whichever_queue_they_come_by),
    };
    const struct CMUnitTest queues[] = {
        cmocka_unit_test(test_a_port_with_too_few_queues_to_send_by_is_refused),
        cmocka_unit_test(test_a_port_without_interrupts_says_so),
        cmocka_unit_test(test_a_core_without_a_queue_sleeps_until_it_is_given_a_packet),
    };

    start_eal_on(program, "--lcores=(0,1)@0", "net_ring", 0);
    if (!make_rings()) {
        return EXIT_FAILURE;
    }
    return cmocka_run_group_tests(serving, start, NULL) + cmocka_run_group_tests(queues, NULL, NULL);
}

/* The plain design first, in a process of its own, as a stack's optimisations are set once. */
int main(int argc, char *argv[]) {
    pid_t plain = fork();
    int status;

    (void)argc;
    if (plain == 0) {
        features = 0;
        return run(argv[0]);
    }
    if (plain < 0 || waitpid(plain, &status, 0) != plain || status != 0) {
        return EXIT_FAILURE;
    }
    return run(argv[0]);
}
