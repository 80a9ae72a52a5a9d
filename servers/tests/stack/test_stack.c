/* SPDX-License-Identifier: BSD-3-Clause */
/* stack/stack.c on a port that is a ring: the order of starting, what stays inside, the clock and its
 * accounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

#include "stack/lwip_hooks.h"
#include "stack/stack.h"
#include "tests/port/eal.h"

#define PORT 80
#define TURNS 10000

static const ip_addr_t own = {PP_HTONL(0xc6120003)};
static struct tcp_pcb *listener, *accepted;
static bool connected;
static char received[64];
static size_t received_size;

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)argument;
    assert_int_equal(error, ERR_OK);
    if (data != NULL) {
        assert_true(received_size + data->tot_len <= sizeof(received));
        received_size += pbuf_copy_partial(data, received + received_size, data->tot_len, 0);
        tcp_recved(pcb, data->tot_len);
        pbuf_free(data);
    }
    return ERR_OK;
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    assert_int_equal(error, ERR_OK);
    accepted = pcb;
    tcp_recv(pcb, on_received);
    return ERR_OK;
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    (void)error;
    connected = true;
    tcp_recv(pcb, on_received);
    return ERR_OK;
}

/* Turns until nothing has happened for some. */
static void settle(void) {
    int quiet = 0;

    for (int turn = 0; turn < TURNS && quiet < 3; turn++) {
        quiet = stack_poll() ? 0 : quiet + 1;
    }
    assert_int_equal(quiet, 3);
}

static struct tcp_pcb *connect_to(const ip_addr_t *address) {
    struct tcp_pcb *pcb = tcp_new();

    accepted = NULL;
    connected = false;
    received_size = 0;
    assert_int_equal(tcp_connect(pcb, address, PORT, on_connected), ERR_OK);
    settle();
    assert_true(connected);
    assert_non_null(accepted);
    return pcb;
}

static void send_both_ways(struct tcp_pcb *pcb) {
    assert_int_equal(tcp_write(pcb, "question", 8, 0), ERR_OK);
    assert_int_equal(tcp_output(pcb), ERR_OK);
    settle();
    assert_int_equal(tcp_write(accepted, "answer", 6, 0), ERR_OK);
    assert_int_equal(tcp_output(accepted), ERR_OK);
    settle();
    assert_int_equal(received_size, 14);
    assert_memory_equal(received, "questionanswer", 14);
    tcp_abort(pcb);
    settle();
}

static void test_a_listener_made_before_the_start_serves_the_own_address(void **state) {
    (void)state;
    send_both_ways(connect_to(&own));
}

static void test_the_loopback_address_is_inside_too(void **state) {
    const ip_addr_t loopback = IPADDR4_INIT_BYTES(127, 0, 0, 1);

    (void)state;
    send_both_ways(connect_to(&loopback));
}

static void test_checksums_left_to_the_port_are_not_missed_inside(void **state) {
    uint16_t flags = netif_default->chksum_flags;

    (void)state;
    NETIF_SET_CHECKSUM_CTRL(netif_default, flags & ~(NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_IP));
    send_both_ways(connect_to(&own));
    NETIF_SET_CHECKSUM_CTRL(netif_default, flags);
}

static void on_datagram(void *argument, struct udp_pcb *pcb, struct pbuf *data, const ip_addr_t *from,
                        uint16_t port) {
    (void)argument;
    (void)pcb;
    (void)port;
    assert_true(ip_addr_eq(from, &own));
    received_size = pbuf_copy_partial(data, received, sizeof(received), 0);
    pbuf_free(data);
}

static void test_a_datagram_to_oneself_arrives(void **state) {
    struct udp_pcb *to = udp_new(), *from = udp_new();
    struct pbuf *data = pbuf_alloc(PBUF_TRANSPORT, 8, PBUF_RAM);

    (void)state;
    received_size = 0;
    memcpy(data->payload, "datagram", 8);
    assert_int_equal(udp_bind(to, IP_ANY_TYPE, PORT), ERR_OK);
    udp_recv(to, on_datagram, NULL);
    assert_int_equal(udp_sendto(from, data, &own, PORT), ERR_OK);
    pbuf_free(data);
    settle();
    assert_int_equal(received_size, 8);
    assert_memory_equal(received, "datagram", 8);
    udp_remove(to);
    udp_remove(from);
}

static void test_a_datagram_larger_than_the_mtu_is_refused(void **state) {
    const ip_addr_t neighbour = {PP_HTONL(0xc61200ff)}; /* broadcast: needs no address of Ethernet */
    struct udp_pcb *from = udp_new();
    struct pbuf *data = pbuf_alloc(PBUF_TRANSPORT, 1472, PBUF_RAM);
    struct pbuf *more = pbuf_alloc(PBUF_TRANSPORT, 1473, PBUF_RAM);

    (void)state;
    ip_set_option(from, SOF_BROADCAST);
    assert_int_equal(udp_sendto(from, data, &neighbour, PORT), ERR_OK);
    assert_int_equal(udp_sendto(from, more, &neighbour, PORT), ERR_BUF);
    pbuf_free(data);
    pbuf_free(more);
    udp_remove(from);
    settle();
}

static void test_a_turn_says_whether_a_packet_moved(void **state) {
    struct stack_counters before, after;
    struct tcp_pcb *pcb = tcp_new();

    (void)state;
    settle();
    stack_count(&before);
    assert_false(stack_poll());
    assert_int_equal(tcp_connect(pcb, &own, PORT, on_connected), ERR_OK);
    assert_true(stack_poll());
    stack_count(&after);
    assert_int_equal(after.polls_idle, before.polls_idle + 1);
    assert_int_equal(after.polls_busy, before.polls_busy + 1);
    settle();
    tcp_abort(pcb);
    settle();
}

static void test_what_has_gathered_leaves_with_a_flush(void **state) {
    const ip_addr_t neighbour = {PP_HTONL(0xc6120009)};
    struct tcp_pcb *pcb = tcp_new();
    struct stack_counters before, after;

    (void)state;
    stack_count(&before);
    assert_int_equal(tcp_connect(pcb, &neighbour, PORT, on_connected), ERR_OK); /* asks for its address */
    stack_count(&after);
    assert_int_equal(after.tx_packets, before.tx_packets);
    stack_flush();
    stack_count(&after);
    assert_int_equal(after.tx_packets, before.tx_packets + 1);
    stack_flush();
    stack_count(&after);
    assert_int_equal(after.tx_packets, before.tx_packets + 1);
    tcp_abort(pcb);
    settle();
}

static void test_a_turn_in_which_the_process_was_stopped_is_not_counted(void **state) {
    struct stack_counters before, after;

    (void)state;
    stack_poll();
    stack_count(&before);
    usleep(20000);
    stack_poll();
    stack_count(&after);
    assert_true(after.polls_busy + after.polls_idle > before.polls_busy + before.polls_idle);
    assert_true(after.cycles_busy + after.cycles_idle - before.cycles_busy - before.cycles_idle <
                after.tsc_hz / 100);
}

static void test_time_away_is_counted_and_the_clock_is_right_after_it(void **state) {
    struct stack_counters before, after;
    uint32_t then;

    (void)state;
    stack_poll();
    stack_count(&before);
    then = sys_now();
    usleep(20000);
    assert_int_equal(sys_now(), then);
    stack_resume();
    assert_true(sys_now() - then >= 19);
    stack_count(&after);
    assert_true(after.cycles_away - before.cycles_away >= after.tsc_hz / 50);
    assert_int_equal(after.cycles_idle, before.cycles_idle);
    assert_int_equal(after.cycles_busy, before.cycles_busy);
}

/* The millisecond that stack_resume() notices must not be lost to the timers. */
static void test_timers_run_though_every_turn_follows_a_resume(void **state) {
    struct tcp_pcb *pcb = connect_to(&own); /* without a connection TCP has no timer */
    uint32_t ticks = tcp_ticks;

    (void)state;
    for (int turn = 0; turn < 2000 && tcp_ticks == ticks; turn++) {
        usleep(1500);
        stack_resume();
        stack_poll();
    }
    assert_int_not_equal(tcp_ticks, ticks);
    tcp_abort(pcb);
    settle();
}

static struct tcp_pcb *bind_to(uint16_t port, bool reuse) {
    struct tcp_pcb *pcb = tcp_new();

    if (reuse) {
        ip_set_option(pcb, SOF_REUSEADDR);
    }
    if (tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
        tcp_abort(pcb);
        return NULL;
    }
    return pcb;
}

/* Of many ports one after the other, and of the first one again. */
static void test_initial_sequence_numbers_are_not_guessed_but_grow(void **state) {
    enum { PORTS = 100 };
    ip_addr_t remote = {PP_HTONL(0xc6120001)};
    uint32_t first = stack_initial_sequence(&own, PORT, &remote, 1), last = first, step = 0;
    unsigned alike = 0, again = 0;

    (void)state;
    for (uint16_t port = 2; port < PORTS; port++) {
        uint32_t next = stack_initial_sequence(&own, PORT, &remote, port);

        alike += next - last - step < 1 << 20 || step - (next - last) < 1 << 20; /* 1 of 2048 by chance */
        again += (uint32_t)(stack_initial_sequence(&own, PORT, &remote, port) - next) < 1u << 31;
        step = next - last;
        last = next;
    }
    assert_in_range(alike, 0, 3);
    assert_int_equal(again, PORTS - 2);
    usleep(1000);
    last = stack_initial_sequence(&own, PORT, &remote, 1) - first;
    assert_in_range(last, 1000 * 1000 / 64 / 2, 1u << 31); /* ticks of some 64 ns */
}

static void test_an_address_is_shared_only_by_those_who_ask_for_it(void **state) {
    struct tcp_pcb *first = bind_to(81, true), *second = bind_to(81, true);
    err_t error;

    (void)state;
    assert_non_null(first);
    assert_non_null(second);
    assert_null(bind_to(81, false));
    first = tcp_listen(first);
    assert_non_null(first);
    assert_null(tcp_listen_with_backlog_and_err(second, 1, &error));
    assert_int_equal(error, ERR_USE);
    tcp_abort(second);
    assert_int_equal(tcp_close(first), ERR_OK);
}

static int start(void **state) {
    struct stack_config config = {.address = own.addr,
                                  .netmask = PP_HTONL(0xffffff00),
                                  .mtu = 1500,
                                  .rx_descriptors = 64,
                                  .tx_descriptors = 64,
                                  .mbufs = 1024,
                                  .offload = true};
    char error[128] = "";

    (void)state;
    assert_int_equal(stack_init(), 0);
    listener = tcp_new();
    assert_int_equal(tcp_bind(listener, IP_ANY_TYPE, PORT), ERR_OK);
    listener = tcp_listen(listener);
    assert_non_null(listener);
    tcp_accept(listener, on_accept);
    assert_int_equal(stack_init(), 0);
    assert_int_equal(stack_start(&config, error, sizeof(error)), 0);
    settle();
    return 0;
}

static int stop(void **state) {
    (void)state;
    assert_int_equal(tcp_close(listener), ERR_OK);
    stack_stop();
    return 0;
}

int main(int argc, char *argv[]) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_listener_made_before_the_start_serves_the_own_address),
        cmocka_unit_test(test_the_loopback_address_is_inside_too),
        cmocka_unit_test(test_checksums_left_to_the_port_are_not_missed_inside),
        cmocka_unit_test(test_a_datagram_to_oneself_arrives),
        cmocka_unit_test(test_a_datagram_larger_than_the_mtu_is_refused),
        cmocka_unit_test(test_a_turn_says_whether_a_packet_moved),
        cmocka_unit_test(test_what_has_gathered_leaves_with_a_flush),
        cmocka_unit_test(test_a_turn_in_which_the_process_was_stopped_is_not_counted),
        cmocka_unit_test(test_time_away_is_counted_and_the_clock_is_right_after_it),
        cmocka_unit_test(test_timers_run_though_every_turn_follows_a_resume),
        cmocka_unit_test(test_an_address_is_shared_only_by_those_who_ask_for_it),
        cmocka_unit_test(test_initial_sequence_numbers_are_not_guessed_but_grow),
    };

    (void)argc;
    start_eal(argv[0], "net_ring", 1);
    return cmocka_run_group_tests(tests, start, stop);
}
