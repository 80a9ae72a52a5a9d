/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which CPU a thread of a kernel server runs on, and which thread gets a new connection: the one on the CPU
 * that received its SYN, so that a flow which its CPU keeps (RSS, RPS) is handled where it arrives and never
 * wakes another CPU. Pure: makes no system call.
 */
#ifndef STACKDUEL_KERNEL_STEER_H
#define STACKDUEL_KERNEL_STEER_H

#include <linux/filter.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KERNEL_THREADS_MAX = 64,
    KERNEL_STEER_MAX = 2 * KERNEL_THREADS_MAX + 2, /* instructions */
};

#define KERNEL_STEER_NOBODY UINT32_MAX

/* The CPUs of `threads` threads: cpu[i] is thread i's. count 0: they run anywhere. */
struct kernel_cpus {
    unsigned count;
    int cpu[KERNEL_THREADS_MAX];
};

/* Reads "2,3" for `threads` threads; "" gives none. Each must be in `allowed`, none may come twice, and there
 * must be as many as threads. False, with one line without newline in error[size], if not. */
bool kernel_cpus_parse(struct kernel_cpus *cpus, const char *list, unsigned threads, const cpu_set_t *allowed,
                       char *error, size_t size);

/* Writes a classic BPF program for SO_ATTACH_REUSEPORT_CBPF (socket(7)), which returns the place in the group
 * of the socket to use: that of the thread on the current CPU. For a CPU without a thread it returns
 * KERNEL_STEER_NOBODY, and the kernel chooses by a hash of addresses and ports. Returns the number of
 * instructions. */
size_t kernel_steer_program(struct sock_filter program[KERNEL_STEER_MAX], const struct kernel_cpus *cpus);

#endif
