/* SPDX-License-Identifier: BSD-3-Clause */
#include "connections.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 10000

static const char *const losses[FAILURES] = {
    [FAILED_CONNECT] = "the server cannot be connected to again",
    [FAILED_RESET] = "the server closed the last one before its answer was whole",
    [FAILED_CONTENT] = "an answer on the last one differed from the first",
    [FAILED_STATUS] = "an answer on the last one had another status than the first",
};

void connection_describe_loss(const struct client *client, char *text, size_t size) {
    int error = client->loss == FAILED_CONNECT ? client->connect_error : 0;

    snprintf(text, size, "no connection is left: %s%s%s", losses[client->loss], error != 0 ? ": " : "",
             error != 0 ? strerror(error) : "");
}

/* --- free ones --------------------------------------------------------------------------------------- */

void connection_set_free(struct client *client, uint32_t index, uint64_t now) {
    uint32_t last = client->free_first + client->free_count++;

    client->free[last < client->order.connections ? last : last - client->order.connections] = index;
    if (client->free_count == 1) {
        client->free_since = now;
    }
}

uint32_t connection_take_free(struct client *client) {
    uint32_t index = client->free[client->free_first];

    client->free_first = client->free_first + 1 == client->order.connections ? 0 : client->free_first + 1;
    client->free_count--;
    return index;
}

/* Takes one out from among the free, if it is there: only an event of its own ends one that is free. */
static void take_out(struct client *client, uint32_t index) {
    for (uint32_t left = client->free_count; left > 0; left--) {
        uint32_t each = connection_take_free(client);

        if (each != index) {
            connection_set_free(client, each, client->free_since);
        }
    }
}

/* --- opening ----------------------------------------------------------------------------------------- */

/* Has the kernel send a SYN, and events come. False with errno set. */
static bool start(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];
    const struct sockaddr_in *server = &client->order.server;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    int one = 1;

    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        return false;
    }
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(link->fd, (const struct sockaddr *)server, sizeof(*server)) != 0 && errno != EINPROGRESS) {
        return false;
    }
    link->opening = true;
    event.data.u64 = link_key(index, ++link->serial);
    return epoll_ctl(client->epoll, EPOLL_CTL_ADD, link->fd, &event) == 0;
}

/* Tells what became of a SYN: 0, or an errno. */
static int error_of(int fd) {
    int error = 0;
    socklen_t size = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

bool connection_open(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];
    struct pollfd ready = {.events = POLLOUT};

    if (!start(client, index)) {
        return false;
    }
    ready.fd = link->fd;
    errno = poll(&ready, 1, CONNECT_MS) == 1 ? error_of(link->fd) : ETIMEDOUT;
    if (errno != 0) {
        return false;
    }
    link->opening = false;
    client->standing++;
    client->tally.total_connects++;
    return true;
}

bool connection_go_on(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];
    int error = error_of(link->fd);

    if (error != 0) {
        client->connect_error = error;
        connection_fail(client, index, FAILED_CONNECT);
        return false;
    }
    link->opening = false;
    client->tally.total_connects++;
    client->tally.reconnects++;
    return true;
}

/* --- the end ----------------------------------------------------------------------------------------- */

void connection_fail(struct client *client, uint32_t index, enum failure failure) {
    struct link *link = &client->links[index];

    client->tally.failures[failure]++;
    client->loss = failure;
    if (link->fd >= 0) {
        close(link->fd);
        link->fd = -1;
    }
    client->standing--;
    if (link->asked) {
        link->asked = false;
        client->in_flight--;
        return;
    }
    take_out(client, index);
}

void connection_reopen(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];

    close(link->fd);
    link->sent = link->received = 0;
    link->is_last = link->has_answered = false;
    if (!start(client, index)) {
        client->connect_error = errno;
        connection_fail(client, index, FAILED_CONNECT);
    }
}

void connection_end(struct client *client, uint32_t index) {
    struct link *link = &client->links[index];

    if (link->received > 0 || !link->has_answered) {
        connection_fail(client, index, FAILED_RESET);
        return;
    }
    if (!link->asked) {
        take_out(client, index);
    }
    connection_reopen(client, index);
}
