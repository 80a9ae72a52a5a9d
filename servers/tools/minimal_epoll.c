/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Yardstick of the kernel's contenders on wire veth: the smallest honest epoll loop. A request ends where
 * what was read ends with an empty line; nothing is parsed, split, pipelined, half-closed or counted. It
 * sends the very bytes that epoll_server sends for --body-size 1. Usage: minimal_epoll ADDRESS PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0";

static int start_listening(const char *address, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        listen(fd, 4096) != 0) {
        perror("minimal_epoll: cannot listen");
        exit(1);
    }
    return fd;
}

static void accept_one(int epoll_fd, int listen_fd) {
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    int fd = accept4(listen_fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void serve(int fd) {
    static char input[16 * 1024];
    ssize_t size = read(fd, input, sizeof(input));
    if (size <= 0) {
        close(fd);
    } else if (size >= 4 && memcmp(input + size - 4, "\r\n\r\n", 4) == 0 &&
               write(fd, response, sizeof(response) - 1) != (ssize_t)sizeof(response) - 1) {
        close(fd);
    }
}

int main(int argc, char *argv[]) {
    if (argc != 3) {
        fprintf(stderr, "usage: minimal_epoll ADDRESS PORT\n");
        return 2;
    }
    int listen_fd = start_listening(argv[1], argv[2]);
    int epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listen_fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event);
    printf("READY %s:%s\n", argv[1], argv[2]);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listen_fd) {
                accept_one(epoll_fd, listen_fd);
            } else {
                serve(events[i].data.fd);
            }
        }
    }
}
