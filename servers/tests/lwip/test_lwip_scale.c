/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP with many connections, seen from outside: that each segment finds its connection and no other, what
 * gives way when there is no room, and that nothing ends early. Every test runs with all optimisations and
 * with none. */
#include "lwip_client.h"

#include "common/features.h"
#include "lwip/memp.h"

#define PCBS (1u << 18)

static unsigned refusals;

static err_t count_refusals(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    accepted = pcb;
    refusals += error != ERR_OK;
    return error;
}

static err_t delay_accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    assert_int_equal(error, ERR_OK);
    tcp_backlog_delayed(pcb);
    accepted = pcb;
    return ERR_OK;
}

/* The client's half of a handshake on sequence number `sequence`; the server's next one. */
static uint32_t establish(uint32_t address, uint16_t source, uint32_t sequence) {
    uint32_t next;

    inject_from(address, source, SERVER_PORT, sequence, 0, TCP_SYN);
    next = last_sequence + 1;
    inject_from(address, source, SERVER_PORT, sequence + 1, next, TCP_ACK);
    return next;
}

/* The server closes first, so TIME-WAIT is its. */
static struct tcp_pcb *leave_in_time_wait(uint16_t source) {
    uint32_t next = establish(CLIENT_ADDRESS, source, 1);
    struct tcp_pcb *pcb = accepted;

    assert_int_equal(tcp_close(pcb), ERR_OK);
    inject(source, 2, next + 1, TCP_ACK | TCP_FIN);
    assert_int_equal(pcb->state, TIME_WAIT);
    return pcb;
}

static struct tcp_pcb *find(uint32_t address, uint16_t source) {
    ip_addr_t local = {lwip_htonl(SERVER_ADDRESS)}, remote = {lwip_htonl(address)};

    return tcp_pcb_find(&local, SERVER_PORT, &remote, source, &netif);
}

/* --- many connections -------------------------------------------------------------------------------- */

#define MANY 200000u
#define PORTS 50000u

static uint32_t server_next[MANY];
static size_t ended; /* the connection whose client's FIN came last */

static err_t on_end(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)pcb;
    assert_null(data);
    assert_int_equal(error, ERR_OK);
    ended = (size_t)argument;
    return ERR_OK;
}

static void test_each_of_many_segments_finds_its_connection(void **state) {
    size_t many = feature_on(FEATURE_LOOKUP) ? MANY : 2000; /* a walk for each */
    struct tcp_pcb **pcbs = calloc(many, sizeof(struct tcp_pcb *));

    (void)state;
    listen_with(10);
    for (size_t i = 0; i < many; i++) {
        server_next[i] =
            establish(CLIENT_ADDRESS + 256 * (uint32_t)(i / PORTS), (uint16_t)(10000 + i % PORTS), 1);
        pcbs[i] = accepted;
        tcp_arg(accepted, (void *)i);
        tcp_recv(accepted, on_end);
    }
    for (size_t i = 1; i < many; i += 2) {
        tcp_abort(pcbs[i]);
    }
    resets = 0;
    for (size_t i = 0; i < many; i++) {
        if (i % TCP_STRANGERS_RESET == 0) {
            tcp_slowtmr(); /* as many may be reset again */
        }
        ended = many;
        inject_from(CLIENT_ADDRESS + 256 * (uint32_t)(i / PORTS), (uint16_t)(10000 + i % PORTS), SERVER_PORT,
                    2, server_next[i], TCP_ACK | TCP_FIN);
        assert_int_equal(ended, i % 2 == 0 ? i : many);
        assert_int_equal(resets, (i + 1) / 2);
    }
    free(pcbs);
}

static void test_few_connections_share_a_place(void **state) {
    size_t many = feature_on(FEATURE_LOOKUP) ? MANY : 0;
    ip_addr_t local = {PP_HTONL(SERVER_ADDRESS)};

    (void)state;
    listen_with(10);
    for (size_t i = 0; i < many; i++) {
        establish(CLIENT_ADDRESS + 256 * (uint32_t)(i / PORTS), (uint16_t)(10000 + i % PORTS), 1);
    }
    for (const struct tcp_pcb *one = tcp_active_pcbs; one != NULL; one = one->next) {
        unsigned there = 0;

        for (const struct tcp_pcb *pcb =
                 *tcp_pcb_prefetch_place(&local, SERVER_PORT, &one->remote_ip, one->remote_port);
             pcb != NULL; pcb = pcb->table_next) {
            there++;
        }
        /* At random, with 0.76 to a place, more than that are not seen in the life of the universe. */
        assert_in_range(there, 1, 24);
    }
}

/* --- the lists and the table against a plain model ----------------------------------------------------- */

#define KEYS 300

struct model {
    enum tcp_state state; /* CLOSED: no connection */
    uint32_t sequence;    /* the client's of its SYN */
    uint32_t next;        /* the server's */
    struct tcp_pcb *pcb;  /* once established */
} model[KEYS];

static uint32_t key_address(size_t key) {
    return CLIENT_ADDRESS + 256 * ((uint32_t)key % 3);
}

static uint16_t key_port(size_t key) {
    return (uint16_t)(20000 + key / 3);
}

static void inject_for(size_t key, uint32_t sequence, uint32_t acknowledged, uint8_t flags) {
    inject_from(key_address(key), key_port(key), SERVER_PORT, sequence, acknowledged, flags);
}

/* One random event of one random connection. */
static void step(size_t key, int event) {
    struct model *one = &model[key];

    if (one->state == CLOSED || (one->state == TIME_WAIT && event < 2)) {
        one->sequence += 10; /* beyond the old connection's, so that TIME-WAIT ends */
        inject_for(key, one->sequence, 0, TCP_SYN);
        *one = (struct model){.state = SYN_RCVD, .sequence = one->sequence, .next = last_sequence + 1};
    } else if (one->state == SYN_RCVD) {
        inject_for(key, one->sequence + 1, one->next, TCP_ACK);
        one->state = ESTABLISHED;
        one->pcb = accepted;
        tcp_recv(accepted, on_end);
    } else if (one->state == ESTABLISHED && event == 0) {
        assert_int_equal(tcp_close(one->pcb), ERR_OK);
        inject_for(key, one->sequence + 1, one->next + 1, TCP_ACK | TCP_FIN);
        one->state = TIME_WAIT;
    } else if (one->state == ESTABLISHED && event == 1) {
        inject_for(key, one->sequence + 1, one->next, TCP_ACK | TCP_FIN);
        assert_int_equal(one->pcb->state, CLOSE_WAIT);
        assert_int_equal(tcp_close(one->pcb), ERR_OK);
        inject_for(key, one->sequence + 2, one->next + 1, TCP_ACK);
        one->state = CLOSED;
    } else {
        tcp_abort(one->state == ESTABLISHED ? one->pcb : find(key_address(key), key_port(key)));
        one->state = CLOSED;
    }
}

/* Elements of a list whose links agree in both directions. */
static size_t sound_length(const struct tcp_pcb *first) {
    const struct tcp_pcb *last = first;
    size_t length = 0;

    for (const struct tcp_pcb *pcb = first; pcb != NULL; pcb = pcb->next) {
        assert_true(pcb->next == NULL || pcb->next->prev == pcb);
        last = pcb;
        length++;
    }
    assert_true(first == NULL || first->prev == last);
    return length;
}

static void check_against_model(void) {
    size_t active = 0, waiting = 0;

    for (size_t key = 0; key < KEYS; key++) {
        const struct tcp_pcb *pcb = find(key_address(key), key_port(key));

        active += model[key].state != CLOSED && model[key].state != TIME_WAIT;
        waiting += model[key].state == TIME_WAIT;
        if (model[key].state == CLOSED) {
            assert_null(pcb);
            continue;
        }
        assert_non_null(pcb);
        assert_int_equal(pcb->state, model[key].state);
        assert_int_equal(pcb->remote_port, key_port(key));
        assert_int_equal(pcb->remote_ip.addr, lwip_htonl(key_address(key)));
    }
    assert_int_equal(sound_length(tcp_active_pcbs), active);
    assert_int_equal(sound_length(tcp_tw_pcbs), waiting);
}

static void test_lists_and_table_hold_what_a_plain_model_holds(void **state) {
    (void)state;
    memset(model, 0, sizeof(model));
    srand(1);
    listen_with(KEYS);
    for (int i = 0; i < 30000; i++) {
        step((size_t)rand() % KEYS, rand() % 4);
        if (i % 100 == 0) {
            check_against_model();
        }
    }
    check_against_model();
}

/* --- listeners ----------------------------------------------------------------------------------------- */

static struct tcp_pcb *listen_at(uint32_t address, uint16_t port) {
    ip_addr_t local = {lwip_htonl(address)};
    struct tcp_pcb *pcb = tcp_new();

    ip_set_option(pcb, SOF_REUSEADDR);
    assert_int_equal(tcp_bind(pcb, &local, port), ERR_OK);
    pcb = tcp_listen(pcb);
    assert_non_null(pcb);
    return pcb;
}

static void test_a_listener_is_found_by_address_before_any(void **state) {
    enum { LISTENERS = 500 };
    struct tcp_pcb *listeners[LISTENERS], *own;
    ip_addr_t here = {PP_HTONL(SERVER_ADDRESS)}, there = {PP_HTONL(SERVER_ADDRESS + 1)};

    (void)state;
    for (uint16_t i = 0; i < LISTENERS; i++) {
        listeners[i] = listen_at(IPADDR_ANY, (uint16_t)(1000 + i));
    }
    own = listen_at(SERVER_ADDRESS, 1007);
    for (uint16_t i = 0; i < LISTENERS; i++) {
        struct tcp_pcb *expected = i == 7 ? own : listeners[i];

        assert_ptr_equal(tcp_listener_find(&here, (uint16_t)(1000 + i), &netif), expected);
        assert_ptr_equal(tcp_listener_find(&there, (uint16_t)(1000 + i), &netif), listeners[i]);
    }
    assert_null(tcp_listener_find(&here, 999, &netif));
    assert_int_equal(tcp_close(own), ERR_OK);
    assert_ptr_equal(tcp_listener_find(&here, 1007, &netif), listeners[7]);
}

static void test_nobody_is_no_connection_of_a_listener(void **state) {
    (void)state;
    listen_with(10);
    assert_null(find(IPADDR_ANY, 0));
    inject_from(IPADDR_ANY, 0, SERVER_PORT, 1, 0, TCP_SYN);
    assert_int_equal(((struct tcp_pcb_listen *)tcp_listen_pcbs.pcbs)->accepts_pending, syn_acks);
}

static void test_a_listener_that_closes_leaves_its_connections(void **state) {
    struct tcp_pcb *listener = listen_with(10), *delayed, *half_open;

    (void)state;
    tcp_accept(listener, delay_accept);
    establish(CLIENT_ADDRESS, 20000, 1);
    delayed = accepted;
    inject(20001, 1, 0, TCP_SYN);
    half_open = find(CLIENT_ADDRESS, 20001);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->accepts_pending, 2);
    assert_int_equal(tcp_close(listener), ERR_OK);
    assert_null(delayed->listener);
    assert_null(half_open->listener);
    tcp_backlog_accepted(delayed);
    inject(20001, 2, last_sequence + 1, TCP_ACK); /* nobody accepts it any more */
    assert_null(find(CLIENT_ADDRESS, 20001));
    assert_ptr_equal(find(CLIENT_ADDRESS, 20000), delayed);
}

static void test_a_delayed_accept_counts_until_it_is_done(void **state) {
    struct tcp_pcb *listener = listen_with(10);

    (void)state;
    tcp_accept(listener, delay_accept);
    establish(CLIENT_ADDRESS, 20000, 1);
    assert_ptr_equal(accepted->listener, listener);
    tcp_backlog_accepted(accepted);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->accepts_pending, 0);
    assert_null(accepted->listener);
}

/* --- no room ------------------------------------------------------------------------------------------- */

#define BACKLOG 4096

static void test_a_flood_of_syns_is_held_in_the_backlog(void **state) {
    struct tcp_pcb *listener = listen_with(BACKLOG), *old;
    uint32_t next = establish(CLIENT_ADDRESS, 20000, 1), new_next;
    size_t flood = feature_on(FEATURE_LOOKUP) ? 50000 : 6000;

    (void)state;
    old = accepted;
    tcp_recv(old, on_end);
    for (uint32_t i = 0; i < flood; i++) {
        inject_from(CLIENT_ADDRESS + 1 + i / 60000, (uint16_t)(1024 + i % 60000), SERVER_PORT, 1, 0, TCP_SYN);
        assert_true(((struct tcp_pcb_listen *)listener)->accepts_pending <= BACKLOG);
    }
    assert_int_equal(sound_length(tcp_active_pcbs), BACKLOG + 1);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->syn_dropped, 0);
    assert_int_equal(syn_acks, flood + 1);
    /* Whoever answers meanwhile is served, */
    accepted = NULL;
    new_next = establish(CLIENT_ADDRESS, 20001, 1);
    assert_non_null(accepted);
    tcp_recv(accepted, on_end);
    tcp_arg(accepted, (void *)1);
    inject(20001, 2, new_next, TCP_ACK | TCP_FIN);
    assert_int_equal(ended, 1);
    /* and who was there before. */
    tcp_arg(old, (void *)2);
    inject(20000, 2, next, TCP_ACK | TCP_FIN);
    assert_int_equal(ended, 2);
}

/* All PCBs that are left, bound to nothing. */
static size_t take_pcbs(struct tcp_pcb **pcbs) {
    size_t count = 0;
    struct tcp_pcb *pcb;

    while ((pcb = memp_malloc(MEMP_TCP_PCB)) != NULL) {
        pcbs[count++] = pcb;
    }
    return count;
}

static void give_pcbs_back(struct tcp_pcb **pcbs, size_t count) {
    while (count > 0) {
        memp_free(MEMP_TCP_PCB, pcbs[--count]);
    }
}

static void test_at_the_limit_only_what_has_ended_gives_way(void **state) {
    struct tcp_pcb **held = calloc(PCBS, sizeof(*held));
    struct tcp_pcb *listener = listen_with(10), *living, *waiting[2], *half_open;
    size_t count;

    (void)state;
    tcp_accept(listener, count_refusals);
    refusals = 0;
    establish(CLIENT_ADDRESS, 20000, 1);
    living = accepted;
    waiting[0] = leave_in_time_wait(20001);
    waiting[1] = leave_in_time_wait(20002);
    /* A FIN sent again starts the time of the older one anew. */
    inject(20001, 2, last_sequence + 2, TCP_ACK | TCP_FIN);
    assert_ptr_equal(tcp_tw_pcbs, waiting[0]);
    count = take_pcbs(held);

    inject(20003, 1, 0, TCP_SYN);
    half_open = find(CLIENT_ADDRESS, 20003);
    assert_ptr_equal(half_open, waiting[1]); /* its memory */
    assert_null(find(CLIENT_ADDRESS, 20002));
    inject(20004, 1, 0, TCP_SYN);
    assert_null(tcp_tw_pcbs);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->syn_dropped, 0);
    /* Now the oldest half-open one, */
    inject(20005, 1, 0, TCP_SYN);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->syn_dropped, 1);
    assert_null(find(CLIENT_ADDRESS, 20003));
    assert_non_null(find(CLIENT_ADDRESS, 20004));
    assert_non_null(find(CLIENT_ADDRESS, 20005));
    inject(20005, 2, last_sequence + 1, TCP_ACK);
    assert_ptr_equal(accepted, find(CLIENT_ADDRESS, 20005));
    tcp_abort(find(CLIENT_ADDRESS, 20004));
    held[count++] = memp_malloc(MEMP_TCP_PCB);
    assert_int_equal(refusals, 0);
    /* and nobody at last: the SYN is dropped and counted. */
    syn_acks = 0;
    inject(20006, 1, 0, TCP_SYN);
    assert_int_equal(syn_acks, 0);
    assert_int_equal(refusals, 1);
    assert_int_equal(((struct tcp_pcb_listen *)listener)->syn_dropped, 2);
    assert_ptr_equal(find(CLIENT_ADDRESS, 20000), living);
    assert_int_equal(living->state, ESTABLISHED);
    assert_null(tcp_new());
    give_pcbs_back(held, count);
    free(held);
}

static void test_at_the_limit_last_ack_gives_way(void **state) {
    struct tcp_pcb **held = calloc(PCBS, sizeof(*held)), *closing[2], *pcb;
    size_t count;

    (void)state;
    listen_with(10);
    for (uint16_t i = 0; i < 2; i++) {
        uint32_t next = establish(CLIENT_ADDRESS, (uint16_t)(20000 + i), 1);

        closing[i] = accepted;
        tcp_recv(accepted, on_end);
        inject((uint16_t)(20000 + i), 2, next, TCP_ACK | TCP_FIN);
        assert_int_equal(tcp_close(closing[i]), ERR_OK);
        assert_int_equal(closing[i]->state, LAST_ACK);
    }
    count = take_pcbs(held);
    pcb = tcp_new();
    assert_ptr_equal(pcb, closing[0]);
    assert_null(find(CLIENT_ADDRESS, 20000));
    assert_ptr_equal(find(CLIENT_ADDRESS, 20001), closing[1]);
    tcp_abort(pcb);
    give_pcbs_back(held, count);
    free(held);
}

/* --- ports --------------------------------------------------------------------------------------------- */

static void test_connect_finds_a_port_that_nobody_has(void **state) {
    static uint8_t taken[65536];
    ip_addr_t client = {PP_HTONL(CLIENT_ADDRESS)};

    (void)state;
    memset(taken, 0, sizeof(taken));
    for (int i = 0; i < 3000; i++) {
        struct tcp_pcb *pcb = tcp_new();

        assert_int_equal(tcp_connect(pcb, &client, 7, NULL), ERR_OK);
        assert_false(taken[pcb->local_port]++);
        if (i % 3 == 0) {
            taken[pcb->local_port] = 0;
            tcp_abort(pcb);
        }
    }
}

static void test_a_port_that_is_taken_is_refused(void **state) {
    struct tcp_pcb *pcb = tcp_new();

    (void)state;
    listen_with(10);
    assert_int_equal(tcp_bind(pcb, IP_ANY_TYPE, SERVER_PORT), ERR_USE);
    assert_int_equal(tcp_close(tcp_listen_pcbs.pcbs), ERR_OK);
    assert_int_equal(tcp_bind(pcb, IP_ANY_TYPE, SERVER_PORT), ERR_OK);
    tcp_abort(pcb);
}

/* --- what the port refused --------------------------------------------------------------------------------
 */

static unsigned room; /* segments that the interface takes */
static struct tcp_pcb *sent_for[8];
static unsigned sent_count;

static err_t output_while_room(struct netif *out, struct pbuf *packet, const ip4_addr_t *address) {
    struct tcp_hdr header;

    (void)out;
    (void)address;
    if (room == 0) {
        return ERR_MEM;
    }
    room--;
    pbuf_copy_partial(packet, &header, sizeof(header), IP_HLEN);
    sent_for[sent_count++] = find(CLIENT_ADDRESS, lwip_ntohs(header.dest));
    return ERR_OK;
}

static void test_what_was_refused_is_sent_in_its_order(void **state) {
    struct tcp_pcb *pcbs[4];

    (void)state;
    listen_with(10);
    for (uint16_t i = 0; i < 4; i++) {
        establish(CLIENT_ADDRESS, (uint16_t)(20000 + i), 1);
        pcbs[i] = accepted;
    }
    netif.output = output_while_room;
    room = sent_count = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tcp_write(pcbs[i], "x", 1, 0), ERR_OK);
        assert_int_equal(tcp_output(pcbs[i]), ERR_MEM);
    }
    tcp_abort(pcbs[2]);
    room = 2;
    sent_count = 0;
    tcp_txnow();
    assert_int_equal(sent_count, 2);
    assert_ptr_equal(sent_for[0], pcbs[0]);
    assert_ptr_equal(sent_for[1], pcbs[1]);
    room = 4;
    tcp_txnow();
    assert_int_equal(sent_count, 3);
    assert_ptr_equal(sent_for[2], pcbs[3]);
    tcp_txnow();
    assert_int_equal(sent_count, 3);
    netif.output = output;
}

/* --- looking up ahead -------------------------------------------------------------------------------------
 */

static void test_a_lookup_ahead_meets_the_connection(void **state) {
    ip_addr_t local = {PP_HTONL(SERVER_ADDRESS)}, remote = {PP_HTONL(CLIENT_ADDRESS)};
    struct tcp_pcb *const *place;

    (void)state;
    listen_with(10);
    establish(CLIENT_ADDRESS, 20000, 1);
    place = tcp_pcb_prefetch_place(&local, SERVER_PORT, &remote, 20000);
    assert_ptr_equal(tcp_pcb_prefetch(place), feature_on(FEATURE_LOOKUP) ? accepted : NULL);
}

/* ------------------------------------------------------------------------------------------------------------
 */

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static bool reserve(void) {
    return tcp_pcb_table_size(MANY) == ERR_OK && memp_reserve(MEMP_TCP_PCB, PCBS) == ERR_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_each_of_many_segments_finds_its_connection),
        TEST(test_few_connections_share_a_place),
        TEST(test_lists_and_table_hold_what_a_plain_model_holds),
        TEST(test_a_listener_is_found_by_address_before_any),
        TEST(test_nobody_is_no_connection_of_a_listener),
        TEST(test_a_listener_that_closes_leaves_its_connections),
        TEST(test_a_delayed_accept_counts_until_it_is_done),
        TEST(test_a_flood_of_syns_is_held_in_the_backlog),
        TEST(test_at_the_limit_only_what_has_ended_gives_way),
        TEST(test_at_the_limit_last_ack_gives_way),
        TEST(test_connect_finds_a_port_that_nobody_has),
        TEST(test_a_port_that_is_taken_is_refused),
        TEST(test_what_was_refused_is_sent_in_its_order),
        TEST(test_a_lookup_ahead_meets_the_connection),
    };

    return run_with_and_without_features(tests, sizeof(tests) / sizeof(tests[0]), reserve);
}
