/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel_ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    HUGE_PAGE = 2 << 20,
    MEMORY_SIZE = (KERNEL_RING_BUFFERS * KERNEL_RING_BUFFER_SIZE + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE,
};

static int io_uring_disabled(void) {
    int value = -1;
    FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "r");
    if (file != NULL) {
        if (fscanf(file, "%d", &value) != 1) {
            value = -1;
        }
        fclose(file);
    }
    return value;
}

void kernel_ring_reason(int error, int disabled, char *text, size_t size) {
    if (error == ENOSYS) {
        snprintf(text, size, "this kernel has no io_uring, or a seccomp filter hides it");
    } else if (error == EPERM && disabled > 0) {
        snprintf(text, size, "kernel.io_uring_disabled is %d: 'sysctl kernel.io_uring_disabled=0' allows it",
                 disabled);
    } else if (error == EPERM || error == EACCES) {
        snprintf(text, size, "io_uring is forbidden here, as by a container's seccomp filter: %s",
                 strerror(error));
    } else if (error == EINVAL) {
        snprintf(text, size,
                 "this kernel is too old: io_uring's SINGLE_ISSUER and DEFER_TASKRUN came with Linux 6.1");
    } else if (error == ENOMEM) {
        snprintf(text, size, "no memory for a ring of io_uring; RLIMIT_MEMLOCK ('ulimit -l') may be too low");
    } else {
        snprintf(text, size, "the kernel refuses a ring of io_uring: %s", strerror(error));
    }
}

static int make_ring(struct kernel_ring *ring, char *error, size_t size) {
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = KERNEL_RING_COMPLETIONS};
    int result = io_uring_queue_init_params(KERNEL_RING_SUBMISSIONS, &ring->ring, &params);
    if (result != 0) {
        kernel_ring_reason(-result, io_uring_disabled(), error, size);
        return result;
    }
    if ((result = io_uring_register_ring_fd(&ring->ring)) < 0) { /* saves looking it up at every call */
        snprintf(error, size, "the kernel refuses to register a ring of io_uring (Linux 5.18): %s",
                 strerror(-result));
        io_uring_queue_exit(&ring->ring);
        return result;
    }
    return 0;
}

static int make_buffers(struct kernel_ring *ring, char *error, size_t size) {
    struct io_uring_buf_reg registration = {.ring_entries = KERNEL_RING_BUFFERS,
                                            .bgid = KERNEL_RING_BUFFER_GROUP};
    int result;
    registration.ring_addr = (uintptr_t)ring->buffers;
    if ((result = io_uring_register_buf_ring(&ring->ring, &registration, 0)) != 0) {
        snprintf(error, size, "the kernel refuses io_uring's ring of provided buffers (Linux 5.19): %s",
                 strerror(-result));
        return result;
    }
    io_uring_buf_ring_init(ring->buffers);
    for (unsigned id = 0; id < KERNEL_RING_BUFFERS; id++) {
        kernel_ring_give_back(ring, id);
    }
    return 0;
}

static void free_memory(struct kernel_ring *ring) {
    free(ring->buffers);
    free(ring->memory);
    free(ring->messages);
}

int kernel_ring_init(struct kernel_ring *ring, char *error, size_t size) {
    int result;
    ring->buffers =
        aligned_alloc((size_t)sysconf(_SC_PAGESIZE), KERNEL_RING_BUFFERS * sizeof(struct io_uring_buf));
    ring->memory = aligned_alloc(HUGE_PAGE, MEMORY_SIZE);
    ring->messages = malloc(KERNEL_RING_SUBMISSIONS * sizeof(*ring->messages));
    if (ring->buffers == NULL || ring->memory == NULL || ring->messages == NULL) {
        snprintf(error, size, "no memory for a ring of io_uring and its buffers");
        free_memory(ring);
        return -ENOMEM;
    }
    (void)madvise(ring->memory, MEMORY_SIZE, MADV_HUGEPAGE); /* only a wish: small pages do as well */
    if ((result = make_ring(ring, error, size)) == 0) {
        if ((result = make_buffers(ring, error, size)) == 0) {
            return 0;
        }
        io_uring_queue_exit(&ring->ring);
    }
    free_memory(ring);
    return result;
}

/* Frees the ring. What is under way holds its sockets, and a ring that is closed lets go of them only after a
 * while, when the process may be gone and its port asked for again. */
void kernel_ring_free(struct kernel_ring *ring) {
    struct io_uring_sync_cancel_reg all = {.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
                                           .timeout = {.tv_sec = -1, .tv_nsec = -1}};
    (void)io_uring_register_sync_cancel(&ring->ring, &all); /* fails if there is nothing */
    io_uring_get_events(&ring->ring);
    io_uring_queue_exit(&ring->ring);
    free_memory(ring);
}
