/* SPDX-License-Identifier: BSD-3-Clause */
/* Input that ends exactly at a PROT_NONE page: a parser that reads one byte too many dies at once. For tests.
 */
#ifndef STACKDUEL_GUARD_H
#define STACKDUEL_GUARD_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
    char *memory;
    size_t size; /* usable bytes, just before the guard page */
};

static inline struct guard guard_new(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (size + page - 1) / page * page;
    char *memory = mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + usable, page, PROT_NONE) != 0) {
        abort();
    }
    return (struct guard){memory, usable};
}

/* A copy of the bytes that ends at the guard page; valid until the next call or guard_free. */
static inline char *guard_put(const struct guard *guard, const char *data, size_t len) {
    if (len > guard->size) {
        abort();
    }
    return memcpy(guard->memory + guard->size - len, data, len);
}

static inline void guard_free(struct guard *guard) {
    munmap(guard->memory, guard->size + (size_t)sysconf(_SC_PAGESIZE));
}

#endif
