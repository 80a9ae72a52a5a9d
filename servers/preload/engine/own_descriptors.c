/* SPDX-License-Identifier: BSD-3-Clause */
#include "own_descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "eal_start.h"
#include "libc.h"
#include "preload/sockets/descriptor.h"

#define THREADS_MAX 256

static enum __attribute__((packed)) { FOREIGN, OPEN_BEFORE, OWN } marks[DESCRIPTOR_LIMIT];
static int first_own = DESCRIPTOR_LIMIT, last_own = -1;
static pid_t threads[THREADS_MAX]; /* those of the program, then the stack's */
static int thread_count, program_threads;

/* Calls `see` with each number that has an entry in `path`, but for the descriptor that this takes. */
static void list(const char *path, void (*see)(int)) {
    DIR *directory = opendir(path);
    const struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory)) {
            see(atoi(entry->d_name));
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}

static void note_thread(int id) {
    for (int i = 0; i < thread_count; i++) {
        if (threads[i] == id) {
            return;
        }
    }
    if (thread_count < THREADS_MAX) {
        threads[thread_count++] = id;
    }
}

static bool beyond_the_programs(int fd) {
    return fd >= eal_lowest_descriptor() && fd < DESCRIPTOR_LIMIT;
}

static void note_before(int fd) {
    if (beyond_the_programs(fd)) {
        marks[fd] = OPEN_BEFORE;
    }
}

static void note_after(int fd) {
    if (beyond_the_programs(fd) && marks[fd] == FOREIGN &&
        libc()->fcntl(fd, F_SETFD, (void *)FD_CLOEXEC) == 0) {
        marks[fd] = OWN;
        first_own = fd < first_own ? fd : first_own;
        last_own = fd > last_own ? fd : last_own;
    }
}

void own_descriptors_begin(void) {
    list("/proc/self/fd", note_before);
    list("/proc/self/task", note_thread);
    program_threads = thread_count;
}

void own_descriptors_end(void) {
    list("/proc/self/fd", note_after);
    list("/proc/self/task", note_thread);
}

bool own_descriptor(int fd) {
    if (fd < first_own || fd > last_own || marks[fd] != OWN) {
        return false;
    }
    for (int i = program_threads; i < thread_count; i++) {
        if (threads[i] == gettid()) {
            return false;
        }
    }
    return true;
}

void own_descriptor_is_programs(int fd) {
    if (fd >= first_own && fd <= last_own) {
        marks[fd] = FOREIGN;
    }
}

void own_descriptors_leave(void) {
    for (int fd = first_own; fd <= last_own; fd++) {
        if (marks[fd] == OWN) {
            (void)libc()->close(fd);
        }
    }
    last_own = -1;
}
