/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small cases of socket behaviour, each of which prints what it saw. The trace holds no descriptor numbers,
 * no ports, no times and no sizes that depend on buffers, so that two stacks that behave alike print alike.
 */
#ifndef STACKDUEL_CONFORMANCE_H
#define STACKDUEL_CONFORMANCE_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define WAIT_MS patience_ms /* for what must come */
#define QUIET_MS 60         /* for what must not come */
#define NO_SUCH_FD 900      /* a number no descriptor has */

struct conformance_case {
    const char *name;
    void (*run)(void);
    const char *differs; /* why the library cannot do as the kernel does; NULL: it must */
    bool fresh;          /* in a process that has used no socket */
    struct conformance_case *next;
};

void conformance_add(struct conformance_case *added);

/* CASE(name) { ... } */
#define CASE_OF(case_name, case_differs, case_fresh)                                                         \
    static void run_##case_name(void);                                                                       \
    __attribute__((constructor)) static void add_##case_name(void) {                                         \
        static struct conformance_case added = {                                                             \
            .name = #case_name, .run = run_##case_name, .differs = case_differs, .fresh = case_fresh};       \
        conformance_add(&added);                                                                             \
    }                                                                                                        \
    static void run_##case_name(void)
#define CASE(case_name) CASE_OF(case_name, NULL, false)

/* Trace. All keep errno. */

/* "what -> result", with errno's name when the result is -1; returns the result. */
long trace(long result, const char *what, ...) __attribute__((format(printf, 2, 3)));
/* The same for a call that returns a descriptor, which is shown as "descriptor". */
int trace_descriptor(int fd, const char *what, ...) __attribute__((format(printf, 2, 3)));
void note(const char *what, ...) __attribute__((format(printf, 1, 2)));
/* Ends this process and so the case: what the case stands on failed. */
void give_up(const char *what, ...) __attribute__((format(printf, 1, 2), noreturn));
/* "IN|OUT|…" of poll's or epoll's bits; four results live at a time in each thread. */
const char *events_text(uint32_t events);
const char *error_text(int error);
const char *address_text(const struct sockaddr_in *address);

/* Sockets. What fails here gives up. */

struct pair {
    int client;
    int server;
};

/* The address under test with `port` in host order. */
struct sockaddr_in test_address(uint16_t port);
int open_socket(int type);
/* Bound to the address under test and a port that the stack chose. */
int open_bound(int type);
int open_listener(int backlog);
struct sockaddr_in local_address(int fd);
int connect_to(int listener);
int accept_from(int listener);
struct pair open_pair(void);
void close_pair(struct pair pair);
void set_nonblocking(int fd);
void set_linger(int fd, int on, int seconds);
/* SO_ERROR, which it clears. */
int pending_error(int fd);

/* 20 s; less in a case that the library is known to fail. */
extern int patience_ms;

/* What poll reports once one of `events` (or an error, a hang-up) is there; gives up after WAIT_MS. */
uint32_t await(int fd, uint32_t events);
/* Waits until `count` bytes can be read. */
void await_bytes(int fd, int count);
/* What poll, a new epoll set and select say now about `fd`: one line. */
void show_readiness(int fd, const char *what);
void send_all(int fd, const void *data, size_t size);
/* "bytes" until `size` or the end of the stream; returns what came. */
size_t receive_all(int fd, void *data, size_t size);
/* Writes until nothing more fits, also after a while; returns the bytes. */
size_t fill(int fd);
/* Reads `size` bytes that fill() wrote and compares them. */
void drain(int fd, size_t size);

/* A reproducible stream of bytes and its hash. */
void pattern(uint8_t *data, size_t size, uint64_t offset);
uint64_t fnv1a(uint64_t hash, const void *data, size_t size);
#define FNV1A_START 0xcbf29ce484222325u

/* Threads and signals. */

pthread_t start_thread(void *(*body)(void *), void *argument);
void *join(pthread_t thread);
/* Installs a handler for `signal` that counts; `flags` as SA_RESTART. */
void count_signal(int signal, int flags);
int signals_counted(void);
/* Sends `signal` to the calling thread again and again, from another one, until stop_signals(). */
void start_signals(int signal);
void stop_signals(void);
uint64_t milliseconds(void);
/* Descriptors of this process that are open. */
int open_descriptors(void);

#endif
