/* SPDX-License-Identifier: BSD-3-Clause */
/* What the launcher was told, on its way to the library: option words in one environment variable, read with
 * the table of options.c at both ends. */
#ifndef STACKDUEL_SETTINGS_H
#define STACKDUEL_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "rules.h"
#include "stack/stack.h"

#define SETTINGS_VARIABLE "STACKDUEL_PRELOAD" /* the option words, SETTINGS_SEPARATOR between them */
#define SETTINGS_SEPARATOR '\x1f'

/* Strings are owned by the settings and live until settings_free(). */
struct settings {
    struct stack_config stack;
    char **eal_words; /* eal_words[0..eal_count-1]: EAL's words without a program name; then a NULL */
    int eal_count;
    struct rules rules;
    uint32_t idle_sleep_us;    /* how long a waiting thread sleeps when nothing comes; 0: it polls */
    uint32_t linger_ms;        /* at exit, how long unsent data may take to leave */
    const char *counters_path; /* absolute; NULL: none */
};

/* 0 and 1 are also what settings_parse() returns; a negative errno is an error. */
enum { SETTINGS_OK = 0, SETTINGS_HELP = 1 };

/* Reads argv[1..argc-1], words of `on-lwip`'s own options. SETTINGS_OK; SETTINGS_HELP when --help was among
 * them; or -EINVAL, -E2BIG (rules), or what kept it from memory or the working directory, with one line
 * without newline in error[size]. Nothing is allocated unless SETTINGS_OK. */
int settings_parse(struct settings *settings, int argc, char *const argv[], char *error, size_t size);

/* The same of the environment variable. -ENOENT when it is not set: the library was preloaded by hand. */
int settings_from_environment(struct settings *settings, char *error, size_t size);

/* The value of the environment variable for the words argv[1..argc-1]: allocated, NULL with errno ENOMEM or
 * EINVAL (a word contains the separator). */
char *settings_join(int argc, char *const argv[]);

void settings_free(struct settings *settings);

#endif
