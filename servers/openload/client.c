/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 64
#define INPUT_SIZE (64 * 1024)
#define SECOND UINT64_C(1000000000)
#define CONNECT_MS 10000
#define DRAIN_NS (5 * SECOND) /* how long an answer may take after the interval */
#define NO_ANSWER_NS (10 * SECOND)
#define LONGEST_SLEEP_NS (SECOND / 10) /* so that a signal is seen */

uint64_t clock_ns(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void fail(struct client *client, const char *what) {
    if (client->problem[0] == '\0') {
        snprintf(client->problem, sizeof(client->problem), "%s", what);
    }
}

bool client_init(struct client *client, const struct client_order *order) {
    char address[INET_ADDRSTRLEN];

    memset(client, 0, sizeof(*client));
    client->order = *order;
    client->epoll = -1;
    answer_init(&client->answer, order->body_size);
    client->links = calloc(order->connections, sizeof(*client->links));
    client->free = calloc(order->connections, sizeof(*client->free));
    if (client->links == NULL || client->free == NULL) {
        fail(client, "no memory for its connections");
        return false;
    }
    for (uint32_t i = 0; i < order->connections; i++) {
        client->links[i].fd = -1;
    }
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (client->epoll < 0) {
        fail(client, "the kernel gives no epoll descriptor");
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
}

/* --- connections ------------------------------------------------------------------------------------- */

static void link_is_free(struct client *client, uint32_t index, uint64_t now) {
    uint32_t last = client->free_first + client->free_count++;

    client->free[last < client->order.connections ? last : last - client->order.connections] = index;
    if (client->free_count == 1) {
        client->free_since = now;
    }
}

static uint32_t take_free_link(struct client *client) {
    uint32_t index = client->free[client->free_first];

    client->free_first = client->free_first + 1 == client->order.connections ? 0 : client->free_first + 1;
    client->free_count--;
    return index;
}

/* A link that failed is not used again. One that is free fails only with an event of its own, and is then
 * taken out of the ring. */
static void link_failed(struct client *client, uint32_t index, enum failure failure) {
    struct link *link = &client->links[index];

    client->tally.failures[failure]++;
    close(link->fd);
    link->fd = -1;
    client->standing--;
    if (link->asked) {
        link->asked = false;
        client->in_flight--;
        return;
    }
    for (uint32_t left = client->free_count; left > 0; left--) {
        uint32_t each = take_free_link(client);

        if (each != index) {
            link_is_free(client, each, client->free_since);
        }
    }
}

/* Waits for an answer to the SYN. False with errno set. */
static bool connected(int fd) {
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    int error = ETIMEDOUT;
    socklen_t size = sizeof(error);

    if (poll(&ready, 1, CONNECT_MS) == 1) {
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    errno = error;
    return error == 0;
}

static bool open_link(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];
    const struct sockaddr_in *server = &client->order.server;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = index};
    int one = 1;

    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        return false;
    }
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(link->fd, (const struct sockaddr *)server, sizeof(*server)) != 0 &&
        (errno != EINPROGRESS || !connected(link->fd))) {
        return false;
    }
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, link->fd, &event) != 0) {
        return false;
    }
    client->standing++;
    client->tally.total_connects++;
    return true;
}

/* --- requests and answers ---------------------------------------------------------------------------- */

static void send_rest(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];

    while (link->sent < client->request_size) {
        ssize_t sent =
            send(link->fd, client->request + link->sent, client->request_size - link->sent, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return; /* EPOLLOUT comes */
        }
        if (sent < 0) {
            link_failed(client, index, FAILED_RESET);
            return;
        }
        link->sent += (uint32_t)sent;
    }
}

static void ask(struct client *client, uint32_t index, uint64_t intended) {
    struct link *link = &client->links[index];

    link->asked = true;
    link->sent = link->received = 0;
    link->intended = intended;
    client->in_flight++;
    client->worked = true;
    send_rest(client, index);
}

static bool is_inside(const struct client *client, uint64_t time) {
    return time >= client->interval.begin && time < client->interval.end;
}

static void answered(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];
    uint64_t now = clock_ns();

    link->asked = false;
    client->in_flight--;
    client->tally.total_requests++;
    client->tally.requests += is_inside(client, now);
    if (is_inside(client, link->intended)) {
        histogram_add(&client->latencies, now - link->intended);
    }
    link_is_free(client, index, now);
}

static bool judge(struct client *client, uint32_t index, const uint8_t *input, uint32_t size) {
    struct link *link = &client->links[index];
    enum answer_verdict verdict = link->asked ? answer_check(&client->answer, link->received, input, size)
                                              : ANSWER_WRONG_CONTENT; /* nobody asked */

    if (verdict == ANSWER_RIGHT && client->answer.size != 0 && !client->answer.keep_alive) {
        fail(client, "the server closes after each answer: it needs connections that stay");
    }
    if (verdict != ANSWER_RIGHT) {
        link_failed(client, index, verdict == ANSWER_WRONG_STATUS ? FAILED_STATUS : FAILED_CONTENT);
        return false;
    }
    link->received += size;
    if (client->answer.size != 0 && link->received == client->answer.size) {
        answered(client, index);
    }
    return true;
}

static void receive(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];
    uint8_t input[INPUT_SIZE];

    for (;;) {
        ssize_t size = recv(link->fd, input, sizeof(input), 0);

        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (size <= 0) {
            link_failed(client, index, FAILED_RESET);
            return;
        }
        client->worked = true;
        /* less than was asked for: the socket is empty, as epoll(7) has it */
        if (!judge(client, index, input, (uint32_t)size) || (size_t)size < sizeof(input)) {
            return;
        }
    }
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

        if (is_inside(client, intended) && client->free_since > intended) {
            client->tally.waited++;
        } else if (is_inside(client, intended)) {
            histogram_add(&client->lag, leaves - intended);
        }
        ask(client, take_free_link(client), intended);
    }
}

static void send_what_is_due(struct client *client, uint64_t now) {
    if (client->order.rate > 0) {
        send_scheduled(client, now);
        return;
    }
    while (client->free_count > 0) {
        ask(client, take_free_link(client), clock_ns());
    }
}

/* Waits up to `ns` and handles what has come. Returns when the wait was over. */
static uint64_t wait_for_events(struct client *client, uint64_t ns) {
    struct epoll_event events[EVENTS];
    struct timespec timeout = {.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)};
    int count = epoll_pwait2(client->epoll, events, EVENTS, &timeout, NULL);
    uint64_t over = clock_ns();

    if (count < 0 && errno != EINTR) {
        fail(client, "epoll_pwait2 failed: it needs Linux 5.11");
    }
    for (int i = 0; i < count; i++) {
        uint32_t index = events[i].data.u32;

        if (client->links[index].fd < 0) {
            continue;
        }
        if (client->links[index].asked && client->links[index].sent < client->request_size) {
            send_rest(client, index);
        }
        if (client->links[index].fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT)) {
            receive(client, index);
        }
        if (client->interval.end != 0 && client->free_count > 0) {
            uint64_t later = clock_ns();

            if (later < client->interval.end) {
                send_what_is_due(client, later); /* not behind all other answers of this turn */
            }
        }
    }
    return over;
}

/* How long it may sleep: until shortly before the next request that a connection is free for. */
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
    if (client->standing == 0) {
        fail(client, "no connection is left");
    }
}

/* Asks on each link of [first, last) and waits for all answers. */
static bool ask_each(struct client *client, uint32_t first, uint32_t last) {
    uint64_t limit = clock_ns() + NO_ANSWER_NS;

    for (uint32_t i = first; i < last; i++) {
        ask(client, i, 0);
    }
    while (going(client) && client->in_flight > 0 && clock_ns() < limit) {
        (void)wait_for_events(client, SECOND / 100);
    }
    if (client->answer.problem[0] != '\0') {
        fail(client, client->answer.problem);
    } else if (client->in_flight > 0) {
        fail(client, *client->order.stop ? "stopped" : "the server does not answer");
    } else if (client->standing < last) {
        fail(client, "the server broke off its first answers, or they were wrong");
    }
    return client->problem[0] == '\0';
}

bool client_open(struct client *client) {
    for (uint32_t i = 0; i < client->order.connections; i++) {
        if (*client->order.stop || !open_link(client, i)) {
            snprintf(client->problem, sizeof(client->problem), "connection %u of %u cannot be opened: %s",
                     i + 1, client->order.connections, *client->order.stop ? "stopped" : strerror(errno));
            return false;
        }
        if (i == 0 && !ask_each(client, 0, 1)) {
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
    uint64_t limit = clock_ns() + DRAIN_NS;

    while (going(client) && client->in_flight > 0 && clock_ns() < limit) {
        (void)wait_for_events(client, SECOND / 100);
    }
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
    if (client->worked && is_inside(client, now)) {
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
        fail(client, "stopped before the end of its interval");
        return false;
    }
    close_schedule(client);
    drain(client);
    return true;
}
