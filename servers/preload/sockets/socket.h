/* SPDX-License-Identifier: BSD-3-Clause */
/* A socket of the program: with the kernel until its first address decides, then lwIP's or the kernel's for
 * good. All functions are called under the lock, never wait, and give 0 or a count, or a negative errno,
 * which is the one that the kernel gives (socket(7), tcp(7), udp(7)); -EAGAIN: to be tried again when
 * socket_ready() says so. */
#ifndef STACKDUEL_SOCKET_H
#define STACKDUEL_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "lwip/input_queue.h"

#include "descriptor.h"
#include "watch.h"

enum socket_state {
    SOCKET_UNDECIDED, /* has had no address yet; the kernel's placeholder serves it */
    SOCKET_KERNELS,   /* the rules give it to the kernel */
    SOCKET_OURS,      /* lwIP's */
    SOCKET_LOST       /* was lwIP's in the process that this one was forked from */
};

/* What one call carries, in either direction. */
struct message {
    struct iovec *pieces;
    size_t count;
    struct sockaddr_in name; /* received: of the sender; to send: the target when has_name */
    bool has_name;
    bool truncated; /* a datagram was longer than the room for it */
};

/* The bytes that all pieces hold. */
size_t message_size(const struct message *message);

struct socket;

/* What TCP and UDP do, each its own way. */
struct protocol {
    int (*create)(struct socket *);
    int (*bind)(struct socket *, const struct sockaddr_in *);
    int (*connect)(struct socket *, const struct sockaddr_in *); /* TCP: -EINPROGRESS when begun */
    int (*disconnect)(struct socket *);                          /* connect() to AF_UNSPEC */
    int (*listen)(struct socket *, int backlog);
    int (*accept)(struct socket *, struct socket **accepted);
    ssize_t (*receive)(struct socket *, struct message *, int flags);
    ssize_t (*send)(struct socket *, const struct message *, size_t skip,
                    int flags); /* from byte `skip` on */
    int (*shutdown)(struct socket *, int how);
    int (*name)(const struct socket *, bool peer, struct sockaddr_in *);
    int (*readable_bytes)(const struct socket *);
    void (*option)(struct socket *, int level, int name,
                   int value);                /* one that the placeholder has accepted */
    int (*info_state)(const struct socket *); /* TCP_INFO's state; NULL: none */
    uint32_t (*ready)(struct socket *);       /* EPOLL* that hold now */
    void (*unreachable)(struct socket *,
                        uint32_t neighbour); /* which does not answer; NULL: it is not told */
    bool (*unsent)(const struct socket *);   /* bytes are queued that the peer has not acknowledged */
    void (*close)(struct socket *);
};

extern const struct protocol tcp_protocol;
extern const struct protocol udp_protocol;

struct tcp_part {
    struct tcp_pcb *pcb; /* NULL: never connected, or lwIP has done with it */
    enum { TCP_FRESH, TCP_CONNECTING, TCP_FAILED, TCP_CONNECTED, TCP_LISTENING, TCP_ENDED } phase;
    struct input_queue input; /* received, not yet read */
    size_t received;          /* its bytes */
    bool peer_closed;
    bool receive_shut, send_shut;
    bool connect_reported; /* connect() has told how it ended */
    bool wants_room;       /* a write found no room, or a wait none: say so when there is some */
    bool corked;
    bool bound;       /* to an address of its own: it stays when the connection goes */
    bool unreachable; /* the neighbour on the way does not answer: why the connection ends, if it does */
    struct sockaddr_in local, peer;
    STAILQ_HEAD(, socket) accept_queue; /* listening */
    unsigned accept_count, accept_limit;
    STAILQ_ENTRY(socket) accept_link; /* waiting to be accepted */
};

struct datagram;

struct udp_part {
    struct udp_pcb *pcb;
    STAILQ_HEAD(, datagram) queue;
    size_t queued; /* bytes */
    struct sockaddr_in peer;
    bool connected;
    bool bound;     /* to a port that the program chose */
    bool broadcast; /* SO_BROADCAST */
    bool receive_shut, send_shut;
};

struct socket {
    struct description description; /* first */
    enum socket_state state;
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    const struct protocol *protocol;
    bool nonblocking;
    bool closing;               /* its last descriptor has gone while a call was under way */
    int error;                  /* SO_ERROR: a positive errno */
    int64_t receive_timeout_ns; /* 0: none */
    int64_t send_timeout_ns;
    struct linger linger;
    bool reuse_address, keepalive, no_delay;
    struct watches watches; /* of epoll sets */
    LIST_ENTRY(socket) all;
    union {
        struct tcp_part tcp;
        struct udp_part udp;
    };
};

static inline struct socket *socket_of(struct description *description) {
    return (struct socket *)description;
}

/* An undecided socket for the placeholder `fd`; NULL: no memory, or a number beyond the limit. */
struct socket *socket_create(int fd, int type, bool nonblocking);

/* One made by a peer's SYN, lwIP's from birth, without a descriptor. NULL: no memory. */
struct socket *socket_create_accepted(const struct socket *listener);

/* Gives an accepted socket its descriptor. False: a number beyond the limit. */
bool socket_adopt(struct socket *socket, int fd, bool nonblocking);

/* Decides by the rules whose it is, if that is still open; afterwards its state is KERNELS or OURS (or LOST).
 * 0, or a negative errno when it cannot be lwIP's as it should. */
int socket_decide(struct socket *socket, const struct sockaddr_in *address);

/* Reads an option that matters here again from the placeholder, where every option is kept. */
void socket_follow_option(struct socket *socket, int level, int name);

/* EPOLL* bits that hold now, of one that is ours or lost. */
uint32_t socket_ready(struct socket *socket);

/* The pending error, which is taken (SO_ERROR); 0 or a positive errno. */
int socket_take_error(struct socket *socket);

/* Something happened: notifies the watches that wait for any of `events`. */
void socket_signal(struct socket *socket, uint32_t events);

#endif
