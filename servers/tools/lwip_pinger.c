/* SPDX-License-Identifier: BSD-3-Clause */
/* The least a client on this stack can cost: lwIP's raw API, CONNECTIONS connections, one request in flight
 * on each, for SECONDS. Yardstick for clients that come through the socket calls.
 *
 * lwip_pinger [EAL's words] -- ADDRESS[/PREFIX] SERVER PORT CONNECTIONS SECONDS
 *
 * One JSON object on stdout; counters are those of the measured time, which begins when every connection
 * stands. Exit code 1 with a line on stderr when a connection fails or a response has another length than the
 * first. */
/* strcasestr */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_log.h>

#include "lwip/etharp.h"
#include "lwip/tcp.h"

#include "stack/port/eal.h"
#include "stack/stack.h"

#define START_SECONDS 10 /* until the server's address is known, and then until every connection stands */
#define QUIET_MS 3000    /* without any response: the server is gone */

static const char request[] = "GET / HTTP/1.1\r\nHost: server\r\n\r\n";

struct connection {
    struct tcp_pcb *pcb;
    size_t received; /* bytes of the response under way */
};

static struct {
    struct stack_config config;
    ip_addr_t server;
    uint16_t port;
    unsigned connections;
    unsigned seconds;
    unsigned connected;
    size_t response; /* bytes of every response; 0: none has come yet */
    uint64_t requests;
    char failure[128];
} pinger;

static void fail(const char *what) {
    if (pinger.failure[0] == '\0') {
        snprintf(pinger.failure, sizeof(pinger.failure), "%s", what);
    }
}

/* Returns the bytes of the whole response whose beginning is in `data`; 0 if it is not one. */
static size_t response_size(const struct pbuf *data) {
    char text[2048];
    uint16_t length = pbuf_copy_partial(data, text, sizeof(text) - 1, 0);
    const char *end, *field;

    text[length] = '\0';
    if (strncmp(text, "HTTP/1.1 200", 12) != 0 || (end = strstr(text, "\r\n\r\n")) == NULL ||
        (field = strcasestr(text, "\r\nContent-Length:")) == NULL || field > end) {
        return 0;
    }
    return (size_t)(end + 4 - text) + strtoul(field + 17, NULL, 10);
}

static void ask(struct tcp_pcb *pcb) {
    if (tcp_write(pcb, request, sizeof(request) - 1, 0) != ERR_OK) {
        fail("lwIP refused a request");
    }
}

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct connection *connection = argument;

    (void)error;
    if (data == NULL) {
        fail("the server closed a connection");
        return ERR_OK;
    }
    if (pinger.response == 0 && (pinger.response = response_size(data)) == 0) {
        fail("the server did not answer with 200 and a length");
    }
    connection->received += data->tot_len;
    tcp_recved(pcb, data->tot_len);
    pbuf_free(data);
    if (connection->received > pinger.response) {
        fail("a response is longer than the first");
    } else if (connection->received == pinger.response) {
        connection->received = 0;
        pinger.requests++;
        ask(pcb);
    }
    return ERR_OK;
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    (void)error;
    pinger.connected++;
    ask(pcb);
    return ERR_OK;
}

static void on_error(void *argument, err_t error) {
    ((struct connection *)argument)->pcb = NULL;
    fail(error == ERR_RST ? "the server reset a connection" : "a connection got no answer");
}

static void connect_one(struct connection *connection) {
    struct tcp_pcb *pcb = connection->pcb = tcp_new();

    if (pcb == NULL) {
        fail("lwIP has no more connections");
        return;
    }
    tcp_arg(pcb, connection);
    tcp_recv(pcb, on_received);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
    if (tcp_connect(pcb, &pinger.server, pinger.port, on_connected) != ERR_OK) {
        fail("lwIP did not begin a connection");
    }
}

static bool address_known(void) {
    struct eth_addr *ethernet;
    const ip4_addr_t *address;

    return etharp_find_addr(netif_default, ip_2_ip4(&pinger.server), &ethernet, &address) >= 0;
}

/* Finds the server's MAC address. lwIP holds a few packets until it knows the neighbour, so SYNs before would
 * wait for their retransmission. */
static void find_server(void) {
    uint32_t asked = 0;

    while (!address_known() && pinger.failure[0] == '\0') {
        if (stack_now_ms() >= asked) {
            etharp_query(netif_default, ip_2_ip4(&pinger.server), NULL);
            asked = stack_now_ms() + 100;
        }
        stack_poll();
        if (stack_now_ms() > START_SECONDS * 1000) {
            fail("the server's address was not found");
        }
    }
}

static void connect_all(struct connection *connections) {
    uint32_t limit = stack_now_ms() + START_SECONDS * 1000;

    for (unsigned i = 0; i < pinger.connections; i++) {
        connect_one(&connections[i]);
        stack_poll();
    }
    while (pinger.connected < pinger.connections && pinger.failure[0] == '\0') {
        stack_poll();
        if (stack_now_ms() > limit) {
            fail("not every connection came to stand");
        }
    }
}

static void ping(void) {
    uint64_t end = rte_rdtsc() + pinger.seconds * rte_get_tsc_hz();
    uint64_t requests = pinger.requests;
    uint32_t last = stack_now_ms();

    while (rte_rdtsc() < end && pinger.failure[0] == '\0') {
        stack_poll();
        if (!netif_is_link_up(netif_default)) {
            fail("the link went down");
        }
        if (pinger.requests != requests) {
            requests = pinger.requests;
            last = stack_now_ms();
        } else if (stack_now_ms() - last > QUIET_MS) {
            fail("no response for 3 seconds");
        }
    }
}

static void print(const struct stack_counters *before, const struct stack_counters *after, uint64_t requests,
                  uint64_t cycles) {
    double seconds = (double)cycles / (double)after->tsc_hz;
    char port[PORT_DESCRIPTION_SIZE];

    stack_describe_port(port, sizeof(port));
    printf("{\"program\": \"pinger\", \"connections\": %u, \"seconds\": %.6f, \"requests\": %" PRIu64
           ", \"requests_per_second\": %.1f, \"response_bytes\": %zu",
           pinger.connections, seconds, requests, (double)requests / seconds, pinger.response);
#define PRINT(name) printf(", \"" #name "\": %" PRIu64, after->name - before->name)
    PRINT(rx_packets);
    PRINT(tx_packets);
    PRINT(rx_dropped);
    PRINT(tx_dropped);
    PRINT(rx_copied);
    PRINT(no_mbuf);
    PRINT(retransmits);
    PRINT(polls_busy);
    PRINT(polls_idle);
    PRINT(cycles_busy);
    PRINT(cycles_idle);
    printf(", \"tsc_hz\": %" PRIu64 ", \"port\": %s}\n", after->tsc_hz, port);
}

static void run(struct connection *connections) {
    struct stack_counters before, after;
    uint64_t requests, begin;

    find_server();
    connect_all(connections);
    stack_count(&before);
    requests = pinger.requests;
    begin = rte_rdtsc();
    ping();
    begin = rte_rdtsc() - begin;
    stack_count(&after);
    if (pinger.failure[0] == '\0') {
        print(&before, &after, pinger.requests - requests, begin);
    }
    for (unsigned i = 0; i < pinger.connections; i++) {
        if (connections[i].pcb != NULL) {
            tcp_err(connections[i].pcb, NULL);
            tcp_abort(connections[i].pcb);
        }
    }
}

static uint32_t netmask_of(unsigned prefix) {
    return prefix == 0 ? 0 : htonl(UINT32_MAX << (32 - prefix));
}

/* Reads the options. argv[0]: "--". */
static bool parse(int argc, char *argv[]) {
    unsigned prefix = 24;
    struct in_addr own, server;
    char *slash;

    if (argc != 6) {
        return false;
    }
    if ((slash = strchr(argv[1], '/')) != NULL) {
        *slash = '\0';
        prefix = (unsigned)atoi(slash + 1);
    }
    pinger.port = (uint16_t)atoi(argv[3]);
    pinger.connections = (unsigned)atoi(argv[4]);
    pinger.seconds = (unsigned)atoi(argv[5]);
    if (inet_pton(AF_INET, argv[1], &own) != 1 || inet_pton(AF_INET, argv[2], &server) != 1 || prefix > 32 ||
        pinger.port == 0 || pinger.connections == 0 || pinger.connections > 60000 || pinger.seconds == 0) {
        return false;
    }
    pinger.server.addr = server.s_addr;
    pinger.config = (struct stack_config){.address = own.s_addr,
                                          .netmask = netmask_of(prefix),
                                          .mtu = 1500,
                                          .rx_descriptors = 1024,
                                          .tx_descriptors = 1024,
                                          .mbufs = 16383,
                                          .offload = true};
    return true;
}

int main(int argc, char *argv[]) {
    struct connection *connections;
    char error[256];
    int words = 1, code;

    while (words < argc && strcmp(argv[words], "--") != 0) {
        words++;
    }
    if (!parse(argc - words, argv + words)) {
        fprintf(stderr,
                "usage: lwip_pinger [EAL's words] -- ADDRESS[/PREFIX] SERVER PORT CONNECTIONS SECONDS\n");
        return 2;
    }
    rte_openlog_stream(stderr);
    if ((code = eal_start("lwip_pinger", words, argv)) != 0) {
        return code;
    }
    connections = calloc(pinger.connections, sizeof(*connections));
    if (connections == NULL) {
        fprintf(stderr, "lwip_pinger: out of memory\n");
        return 1;
    }
    if (stack_start(&pinger.config, error, sizeof(error)) != 0) {
        fprintf(stderr, "lwip_pinger: %s\n", error);
        rte_eal_cleanup();
        return 1;
    }
    run(connections);
    stack_stop();
    rte_eal_cleanup();
    free(connections);
    if (pinger.failure[0] != '\0') {
        fprintf(stderr, "lwip_pinger: %s\n", pinger.failure);
        return 1;
    }
    return 0;
}
