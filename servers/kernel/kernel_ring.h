/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring of io_uring(7) with one thread that submits and reaps, and the buffers that its receives fill. Must
 * not know what is sent or received.
 */
#ifndef STACKDUEL_KERNEL_RING_H
#define STACKDUEL_KERNEL_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum {
    KERNEL_RING_SUBMISSIONS = 256,
    KERNEL_RING_COMPLETIONS = 4096,
    KERNEL_RING_BUFFERS = 512,
    KERNEL_RING_BUFFER_SIZE =
        4096 - 64, /* no power of two, so that their first lines share no set of a cache */
    KERNEL_RING_BUFFER_GROUP = 0,
    KERNEL_RING_PIECES = 64, /* of one message */
};

/* What a sendmsg reads until it has been submitted. */
struct kernel_ring_message {
    struct msghdr header;
    struct iovec pieces[KERNEL_RING_PIECES];
};

struct kernel_ring {
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    char *memory;                         /* of the buffers */
    struct kernel_ring_message *messages; /* one for each place of the submission queue */
};

/* Makes the ring for the calling thread, which alone may use it. 0, or −errno with the reason, one line
 * without newline, in error[size]. */
int kernel_ring_init(struct kernel_ring *ring, char *error, size_t size);
/* Frees the ring; what is under way is given up. */
void kernel_ring_free(struct kernel_ring *ring);

/* Says why io_uring_setup(2) failed with `error`, in text[size]. `disabled`: kernel.io_uring_disabled; −1:
 * there is no such setting. */
void kernel_ring_reason(int error, int disabled, char *text, size_t size);

static inline char *kernel_ring_buffer(const struct kernel_ring *ring, unsigned id) {
    return ring->memory + (size_t)id * KERNEL_RING_BUFFER_SIZE;
}

/* Gives a buffer back, to be filled again. */
static inline void kernel_ring_give_back(struct kernel_ring *ring, unsigned id) {
    io_uring_buf_ring_add(ring->buffers, kernel_ring_buffer(ring, id), KERNEL_RING_BUFFER_SIZE,
                          (unsigned short)id, io_uring_buf_ring_mask(KERNEL_RING_BUFFERS), 0);
    io_uring_buf_ring_advance(ring->buffers, 1);
}

/* Returns the message that belongs to a submission. */
static inline struct kernel_ring_message *kernel_ring_message(const struct kernel_ring *ring,
                                                              const struct io_uring_sqe *submission) {
    return &ring->messages[submission - ring->ring.sq.sqes];
}

#endif
