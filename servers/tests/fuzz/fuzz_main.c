/* SPDX-License-Identifier: BSD-3-Clause */
/* Drives the fuzzer's target where libFuzzer is not: the given files, and programs of random bytes that are
 * mutated, the same ones every time. They run with header prediction and without, which must send the same,
 * and without any optimisation.
 *
 * fuzz_stack COUNT [--raw FILE…] [FILE…]: files after --raw are frames, made into programs; COUNT inputs of
 * our own. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/features.h"
#include "fuzz_stack.h"
#include "tests/sim/wire_faults.h"

#define SEEDS 64
#define SIZE_MAX_INPUT 2048

struct seed {
    uint8_t data[SIZE_MAX_INPUT];
    size_t size;
};

/* Each has all inputs, in a process of its own. */
static const struct way {
    const char *name;
    uint32_t features;
    bool predict;
} ways[] = {{"with header prediction", UINT32_MAX, true},
            {"without header prediction", UINT32_MAX, false},
            {"without any optimisation", OBLIGATIONS, false},
            {"without any obligation", ~OBLIGATIONS, true}};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* What lwIP has sent after each input, of the way that runs here: digests[done] is the next. */
static uint64_t *digests;
static size_t done;
static struct seed seeds[SEEDS];
static size_t seed_count;
static uint64_t state = 1;

static uint32_t below(uint32_t bound) {
    return (uint32_t)(wire_random(&state) % bound);
}

static bool read_file(const char *path, bool raw, struct seed *seed) {
    FILE *file = fopen(path, "rb");
    size_t room = sizeof(seed->data) - 3;

    if (file == NULL) {
        return false;
    }
    seed->size = 0;
    if (raw) {
        memcpy(seed->data, "\x00\xff\xff", 3);
        seed->size = 3;
    }
    seed->size += fread(seed->data + seed->size, 1, room, file);
    fclose(file);
    return true;
}

static void make_random(struct seed *seed) {
    seed->size = 20 + below(400);
    for (size_t i = 0; i < seed->size; i++) {
        /* small numbers more often: they choose the commands and the connections */
        seed->data[i] = (uint8_t)(below(3) == 0 ? below(16) : below(256));
    }
}

static void mutate_once(struct seed *seed) {
    const struct seed *other = &seeds[below((uint32_t)seed_count)];
    size_t at = below((uint32_t)seed->size), length;

    switch (below(5)) {
    case 0:
        seed->data[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        seed->data[at] = (uint8_t)below(256);
        break;
    case 2: /* the rest of another */
        length = other->size - below((uint32_t)other->size);
        length = length < sizeof(seed->data) - at ? length : sizeof(seed->data) - at;
        memcpy(seed->data + at, other->data + other->size - length, length);
        seed->size = at + length;
        break;
    case 3: /* without a piece */
        length = below((uint32_t)(seed->size - at));
        memmove(seed->data + at, seed->data + at + length, seed->size - at - length);
        seed->size -= length;
        break;
    default: /* a piece twice */
        length = below((uint32_t)(seed->size - at)) + 1;
        length = length < sizeof(seed->data) - seed->size ? length : sizeof(seed->data) - seed->size;
        memmove(seed->data + at + length, seed->data + at, seed->size - at);
        seed->size += length;
        break;
    }
}

static void run(const struct seed *seed) {
    /* memory of the input's own size, so that a read beyond it is seen */
    uint8_t *data = malloc(seed->size);

    if (data == NULL) {
        abort();
    }
    memcpy(data, seed->data, seed->size);
    LLVMFuzzerTestOneInput(data, seed->size);
    digests[done++] = fuzz_stack_digest();
    free(data);
}

static void run_mutations(unsigned long count) {
    for (unsigned long i = 0; i < count; i++) {
        struct seed seed = seeds[below((uint32_t)seed_count)];

        if (below(3) == 0) {
            make_random(&seed);
        }
        for (uint32_t changes = below(6); changes > 0; changes--) {
            mutate_once(&seed);
        }
        run(&seed);
        if (below(8) == 0) {
            seeds[below(SEEDS)] = seed; /* what was mutated is mutated on */
        }
    }
}

/* Ends the process. */
static void run_all(const struct way *way, size_t files, unsigned long count) {
    features = way->features;
    fuzz_stack_predict(way->predict);
    for (size_t i = 0; i < files; i++) {
        run(&seeds[i]);
    }
    while (seed_count < SEEDS) {
        make_random(&seeds[seed_count++]);
    }
    run_mutations(count);
    exit(EXIT_SUCCESS);
}

/* `all` has the digests of `inputs` inputs of each way, 0 where there is none. */
static bool all_end_well(const pid_t children[WAYS], const uint64_t *all, size_t inputs) {
    bool well = true;

    for (size_t i = 0; i < WAYS; i++) {
        size_t ran = 0;
        int status;

        if (children[i] < 0 || waitpid(children[i], &status, 0) != children[i] || status != 0) {
            while (ran < inputs && all[i * inputs + ran] != 0) {
                ran++;
            }
            fprintf(stderr, "fuzz_stack: failed %s, with input %zu\n", ways[i].name, ran);
            well = false;
        }
    }
    return well;
}

/* Of the first two ways. */
static bool same(const uint64_t *all, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (all[i] != all[count + i]) {
            fprintf(stderr, "fuzz_stack: input %zu: lwIP sent something else %s\n", i, ways[1].name);
            return false;
        }
    }
    return true;
}

static bool run_all_ways(size_t files, unsigned long count) {
    size_t inputs = files + count;
    uint64_t *all =
        mmap(NULL, WAYS * inputs * sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[WAYS];

    if (all == MAP_FAILED) {
        perror("fuzz_stack: mmap");
        return false;
    }
    for (size_t i = 0; i < WAYS; i++) {
        digests = all + i * inputs;
        if ((children[i] = fork()) == 0) {
            run_all(&ways[i], files, count);
        }
    }
    return all_end_well(children, all, inputs) && same(all, inputs);
}

int main(int argc, char *argv[]) {
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    bool raw = false;
    size_t files;

    if (count == 0) {
        fprintf(stderr, "usage: fuzz_stack COUNT [FILE...] [--raw FILE...]\n");
        return 2;
    }
    for (int i = 2; i < argc && seed_count < SEEDS; i++) {
        if (strcmp(argv[i], "--raw") == 0) {
            raw = true;
        } else if (!read_file(argv[i], raw, &seeds[seed_count]) || seeds[seed_count].size == 0) {
            fprintf(stderr, "fuzz_stack: %s: cannot be read, or is empty\n", argv[i]);
            return 2;
        } else {
            seed_count++;
        }
    }
    files = seed_count;
    if (!run_all_ways(files, count)) {
        return EXIT_FAILURE;
    }
    printf("fuzz_stack: %zu files and %lu inputs of its own, nothing found\n", files, count);
    return 0;
}
