/* SPDX-License-Identifier: BSD-3-Clause */
#include "stack/memory/pool.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_ALIGNMENT ((size_t)4096)
#define HUGE_PAGE ((size_t)2 * 1024 * 1024)

static size_t round_up(size_t value, size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

/* 4 KiB, on aarch64 16 or 64 KiB too. */
static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void *map(size_t bytes) {
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

/* `bytes` at a multiple of a huge page: what was mapped in excess before and behind goes back. */
static void *map_aligned(size_t bytes) {
    uint8_t *mapped = map(bytes + HUGE_PAGE);
    uint8_t *aligned;

    if (mapped == NULL) {
        return NULL;
    }
    aligned = mapped + (round_up((uintptr_t)mapped, HUGE_PAGE) - (uintptr_t)mapped);
    if (aligned > mapped) {
        munmap(mapped, (size_t)(aligned - mapped));
    }
    munmap(aligned + bytes, HUGE_PAGE - (size_t)(aligned - mapped));
    return aligned;
}

void *pool_reserve(size_t bytes) {
    void *memory;

    if (bytes == 0 || bytes > SIZE_MAX / 4) {
        return NULL;
    }
    bytes = round_up(bytes, page_size());
    if (bytes < HUGE_PAGE) {
        return map(bytes);
    }
    memory = map_aligned(bytes);
    if (memory != NULL) {
        /* A wish: a kernel without huge pages refuses, and small ones serve as well. */
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
    }
    return memory;
}

void pool_release(void *memory, size_t bytes) {
    munmap(memory, round_up(bytes, page_size()));
}

int pool_open(struct pool *pool, size_t size, size_t alignment, size_t limit) {
    bool aligned =
        alignment >= sizeof(void *) && alignment <= MOST_ALIGNMENT && (alignment & (alignment - 1)) == 0;

    *pool = (struct pool){0};
    if (!aligned || size == 0 || size > SIZE_MAX / 8 || limit == 0 ||
        limit > SIZE_MAX / 4 / (size + alignment)) {
        return -EINVAL;
    }
    size = round_up(size, alignment);
    pool->base = pool_reserve(size * limit);
    if (pool->base == NULL) {
        return -ENOMEM;
    }
    pool->size = size;
    pool->limit = limit;
    return 0;
}

void pool_close(struct pool *pool) {
    if (pool->base != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(pool->base, pool->touched * pool->size);
        pool_release(pool->base, pool->size * pool->limit);
    }
    *pool = (struct pool){0};
}

void pool_describe(const struct pool *pool, struct pool_usage *usage) {
    *usage = (struct pool_usage){
        .used = pool->used,
        .high = pool->touched,
        .bytes = round_up(pool->touched * pool->size, page_size()),
    };
}
