/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "connections.h"
#include "exchange.h"

#define EVENTS 64
#define ENDED (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
/* how long nothing may come after the interval, and before it */
#define DRAIN_NS (5 * SECOND)
#define NO_ANSWER_NS (10 * SECOND)
#define LONGEST_SLEEP_NS (SECOND / 10) /* so that a signal is seen */

bool client_init(struct client *client, const struct client_order *order) {
    char address[INET_ADDRSTRLEN];

    memset(client, 0, sizeof(*client));
    client->order = *order;
    client->epoll = -1;
    answer_init(&client->answer, order->body_size);
    client->links = calloc(order->connections, sizeof(*client->links));
    client->free = calloc(order->connections, sizeof(*client->free));
    if (client->links == NULL || client->free == NULL) {
        client_fail(client, "no memory for its connections");
        return false;
    }
    for (uint32_t i = 0; i < order->connections; i++) {
        client->links[i].fd = -1;
    }
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (client->epoll < 0) {
        client_fail(client, "the kernel gives no epoll descriptor");
        return false;
    }
    inet_ntop(AF_INET, &order->server.sin_addr, address, sizeof(address));
    client->request_size =
        (uint32_t)snprintf(client->request, sizeof(client->request), "GET %s HTTP/1.1\r\nHost: %s:%u\r\n\r\n",
                           order->path, address, ntohs(order->server.sin_port));
    return true;
}

void client_free(struct client *client) {
    for (uint32_t i = 0; client->links != NULL && i < client->order.connections; i++) {
        if (client->links[i].fd >= 0) {
            close(client->links[i].fd);
        }
    }
    if (client->epoll >= 0) {
        close(client->epoll);
    }
    free(client->links);
    free(client->free);
    answer_free(&client->answer);
    answer_free(&client->last_answer);
}

/* --- turns ------------------------------------------------------------------------------------------- */

static uint64_t since_start(const struct client *client, uint64_t now) {
    return now - client->interval.start;
}

static void send_scheduled(struct client *client, uint64_t now) {
    backlog_update(&client->backlog, since_start(client, now));
    while (client->backlog.waiting > 0 && client->free_count > 0) {
        uint64_t intended = client->interval.start + backlog_take(&client->backlog);
        uint64_t leaves = clock_ns();

        if (client_is_inside(client, intended) && client->free_since > intended) {
            client->tally.waited++;
        } else if (client_is_inside(client, intended)) {
            histogram_add(&client->lag, leaves - intended);
        }
        exchange_ask(client, connection_take_free(client), intended);
    }
}

static void send_what_is_due(struct client *client, uint64_t now) {
    if (client->order.rate > 0) {
        send_scheduled(client, now);
        return;
    }
    while (client->free_count > 0) {
        exchange_ask(client, connection_take_free(client), clock_ns());
    }
}

static void handle_event(struct client *client, const struct epoll_event *event, uint64_t now) {
    uint32_t index = (uint32_t)event->data.u64, serial;
    struct link *link = &client->links[index];

    if (link->fd < 0 || event->data.u64 != link_key(index, link->serial)) {
        return; /* of one that has ended in this turn */
    }
    if (link->opening) {
        if (!connection_go_on(client, index)) {
            return;
        }
        if (!link->asked) {
            connection_set_free(client, index, now);
        }
    }
    serial = link->serial;
    if (link->asked && link->sent < client->request_size) {
        exchange_send_rest(client, index);
    }
    if (link->fd >= 0 && link->serial == serial && (event->events & ~(uint32_t)EPOLLOUT)) {
        exchange_receive(client, index, (event->events & ENDED) != 0);
    }
}

/* Waits up to `ns` and handles what has come. Returns when the wait was over. */
static uint64_t wait_for_events(struct client *client, uint64_t ns) {
    struct epoll_event events[EVENTS];
    struct timespec timeout = {.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)};
    int count = epoll_pwait2(client->epoll, events, EVENTS, &timeout, NULL);
    uint64_t over = clock_ns();

    if (count < 0 && errno != EINTR) {
        client_fail(client, "epoll_pwait2 failed: it needs Linux 5.11");
    }
    for (int i = 0; i < count; i++) {
        handle_event(client, &events[i], over);
        if (client->interval.end != 0 && client->free_count > 0) {
            uint64_t later = clock_ns();

            if (later < client->interval.end) {
                send_what_is_due(client, later); /* not behind all other answers of this turn */
            }
        }
    }
    return over;
}

/* Computes how long it may sleep: until shortly before the next request that a connection is free for. */
static uint64_t sleep_ns(const struct client *client, uint64_t now) {
    uint64_t end = client->interval.end, most = end - now, due;

    if (client->order.rate > 0 && client->free_count > 0) {
        due = client->interval.start + backlog_time(&client->backlog);
        most = due < end ? due - now : most;
        most = due <= now || most <= client->order.spin_ns ? 0 : most - client->order.spin_ns;
    }
    return most < LONGEST_SLEEP_NS ? most : LONGEST_SLEEP_NS;
}

static bool going(const struct client *client) {
    return client->problem[0] == '\0' && !*client->order.stop;
}

static void check_links(struct client *client) {
    char loss[sizeof(client->problem)];

    if (client->standing == 0) {
        connection_describe_loss(client, loss, sizeof(loss));
        client_fail(client, loss);
    }
}

/* Waits for the answers under way until all are there, or nothing has come for so long. */
static void wait_for_answers(struct client *client, uint64_t silence_ns) {
    uint64_t limit = clock_ns() + silence_ns;

    while (going(client) && client->in_flight > 0 && clock_ns() < limit) {
        client->worked = false;
        (void)wait_for_events(client, SECOND / 100);
        if (client->worked) {
            limit = clock_ns() + silence_ns;
        }
    }
}

/* Asks on each link of [first, last) and waits for all answers. */
static bool ask_each(struct client *client, uint32_t first, uint32_t last) {
    for (uint32_t i = first; i < last; i++) {
        exchange_ask(client, i, 0);
    }
    wait_for_answers(client, NO_ANSWER_NS);
    if (client->answer.problem[0] != '\0') {
        client_fail(client, client->answer.problem);
    } else if (client->in_flight > 0) {
        client_fail(client, *client->order.stop ? "stopped" : "the server does not answer");
    } else if (client->standing < last) {
        client_fail(client, "the server broke off its first answers, or they were wrong");
    }
    return client->problem[0] == '\0';
}

/* Asks on the first link: its answer is what all are compared with. */
static bool learn_answer(struct client *client) {
    if (!ask_each(client, 0, 1)) {
        return false;
    }
    if (!answer_init_last(&client->last_answer, &client->answer)) {
        client_fail(client, "no memory for an answer");
    }
    return client->problem[0] == '\0';
}

bool client_open(struct client *client) {
    for (uint32_t i = 0; i < client->order.connections; i++) {
        if (*client->order.stop || !connection_open(client, i)) {
            snprintf(client->problem, sizeof(client->problem), "connection %u of %u cannot be opened: %s",
                     i + 1, client->order.connections, *client->order.stop ? "stopped" : strerror(errno));
            return false;
        }
        if (i == 0 && !learn_answer(client)) {
            return false;
        }
    }
    return client->order.connections == 1 || ask_each(client, 1, client->order.connections);
}

static void look_at_backlog(struct client *client, uint64_t now) {
    const struct client_interval *interval = &client->interval;

    if (!client->middle_seen && now >= interval->begin + (interval->end - interval->begin) / 2) {
        client->middle_seen = true;
        client->tally.backlog_middle = client->backlog.waiting;
    }
}

static void close_schedule(struct client *client) {
    uint64_t last = since_start(client, client->interval.end) - 1;

    if (client->order.rate == 0) {
        return;
    }
    client->tally.backlog_end = backlog_update(&client->backlog, last);
    if (client->tally.backlog_end > 0) {
        client->tally.oldest_unsent_ns = last + 1 - backlog_time(&client->backlog);
    }
}

static void drain(struct client *client) {
    wait_for_answers(client, DRAIN_NS);
    client->tally.failures[FAILED_TIMEOUT] += *client->order.stop ? 0 : client->in_flight;
}

/* Sends, waits and receives. Returns the time. */
static uint64_t turn(struct client *client, uint64_t now) {
    uint64_t before, over, end;

    client->worked = false;
    send_what_is_due(client, now);
    look_at_backlog(client, now);
    before = clock_ns();
    if (before >= client->interval.end) {
        return before;
    }
    over = wait_for_events(client, sleep_ns(client, before));
    check_links(client);
    end = clock_ns();
    if (client->worked && client_is_inside(client, now)) {
        client->tally.busy_ns += (before - now) + (end - over);
    }
    return end;
}

bool client_run(struct client *client, const struct client_interval *interval) {
    struct schedule schedule = {0};
    uint64_t now;

    client->interval = *interval;
    client->free_since = 0;
    if (client->order.rate > 0) {
        schedule_init(&schedule, (double)client->order.rate, client->order.poisson, client->order.seed,
                      client->order.share, client->order.shares);
        backlog_init(&client->backlog, &schedule, interval->begin - interval->start,
                     interval->end - interval->start);
    }
    while ((now = clock_ns()) < interval->start) {
        /* the other threads come, too */
    }
    while (going(client) && now < interval->end) {
        now = turn(client, now);
    }
    if (!going(client)) {
        client_fail(client, "stopped before the end of its interval");
        return false;
    }
    close_schedule(client);
    drain(client);
    return true;
}
