/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Command line of a program from a table of its own, one row an option: parsing, limits, defaults and --help.
 * Must not know which options there are or what the values are used for.
 */
#ifndef STACKDUEL_OPTIONS_H
#define STACKDUEL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OPTION_TEXTS_MAX 32
#define OPTION_ROWS_MAX 64

/* What a value is, and the type of its field. */
enum option_kind {
    OPTION_NUMBER,  /* uint64_t */
    OPTION_SIZE,    /* uint64_t, bytes; with one suffix K or M */
    OPTION_SECONDS, /* uint64_t, microseconds; typed as seconds, limits too */
    OPTION_IPV4,    /* uint32_t in network byte order */
    OPTION_MAC,     /* uint8_t[6] */
    OPTION_FLAG,    /* bool; takes no value */
    OPTION_TEXT,    /* const char *, into argv or a constant */
    OPTION_TEXTS,   /* struct option_texts */
    OPTION_IDLE,    /* uint64_t, microseconds of sleep; "poll" = 0, or "sleep:US" */
    OPTION_CHOICE   /* uint64_t, the place among the words of the metavar */
};

/* The values of an option that adds up when it is given again, in their order. */
struct option_texts {
    unsigned count;
    const char *text[OPTION_TEXTS_MAX];
};

struct option_row {
    const char *name;
    const char *metavar; /* of a CHOICE: its words, as in "a|b" */
    enum option_kind kind;
    const char *fallback; /* the default, as it would be typed; NULL = none; or OPTION_REQUIRED */
    uint64_t min;
    uint64_t max;
    size_t offset; /* of its field in the values */
    const char *help;
};

/* The options of one program. */
struct option_table {
    const struct option_row *rows;
    size_t count; /* at most OPTION_ROWS_MAX */
    size_t size;  /* bytes of the structure that has the values */
};

#define OPTION_TABLE(type, rows)                                                                             \
    { rows, sizeof(rows) / sizeof((rows)[0]), sizeof(type) }

/* The fallback of an option that must be given; known by its address. */
extern const char option_required[];
#define OPTION_REQUIRED option_required

enum { OPTIONS_OK = 0, OPTIONS_HELP = 1, OPTIONS_ERROR = -1 };

/*
 * Reads argv[1..argc-1] (`--name value` or `--name=value`; the last of equal names counts, but
 * those of TEXTS add up) into *values, the structure of `table`.
 * Returns OPTIONS_OK with every field set; OPTIONS_HELP when --help was given; OPTIONS_ERROR with
 * one line without newline in error[size] ("--port: '70000' is not in 1..65535"). argv is only read.
 */
int options_parse(void *values, const struct option_table *table, int argc, char *const argv[], char *error,
                  size_t size);

/* Prints the usage, one line an option with its default and limits. */
void options_help(FILE *out, const struct option_table *table, const char *program);

/* Prints those lines alone. */
void options_list(FILE *out, const struct option_table *table);

/* Does what main wants: options_parse, or --help on stdout and exit 0, or `<program>: <error>` on stderr and
 * exit 2. */
void options_parse_or_exit(void *values, const struct option_table *table, int argc, char *const argv[]);

/* Does the same for a program whose argv has EAL's words first: the options are those after '--'. Returns the
 * number of EAL's words with argv[0]. */
int options_parse_after_eal_or_exit(void *values, const struct option_table *table, int argc, char *argv[]);

/* Returns the file name of argv[0], for diagnostics. Points into argv. */
const char *program_name(char *const argv[]);

#endif
