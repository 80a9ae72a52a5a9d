/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char option_required[] = "required";

/* Reads decimal digits, for SIZE with one suffix K or M. False when it is none or does not fit. */
static bool parse_number(const char *text, bool suffix, uint64_t *value) {
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    *value = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    if (suffix && *end != '\0' && strchr("kKmM", *end) != NULL) {
        unsigned shift = *end == 'k' || *end == 'K' ? 10 : 20;
        if (*value > UINT64_MAX >> shift) {
            return false;
        }
        *value <<= shift;
        end++;
    }
    return *end == '\0';
}

/* Reads decimal digits with up to six after a point, as microseconds. False when it is none
 * or does not fit. */
static bool parse_seconds(const char *text, uint64_t *us) {
    const char *point = strchr(text, '.');
    char whole[16], part[] = "000000";
    size_t digits = point != NULL ? (size_t)(point - text) : strlen(text);
    uint64_t seconds, fraction;
    if (digits >= sizeof(whole) || (point != NULL && (point[1] == '\0' || strlen(point + 1) > 6))) {
        return false;
    }
    snprintf(whole, sizeof(whole), "%.*s", (int)digits, text);
    if (point != NULL) {
        memcpy(part, point + 1, strlen(point + 1));
    }
    if (!parse_number(whole, false, &seconds) || !parse_number(part, false, &fraction) ||
        seconds > UINT32_MAX) {
        return false;
    }
    *us = seconds * 1000000 + fraction;
    return true;
}

/* Finds the place of `text` among the words of "a|b|c". */
static bool parse_choice(const char *words, const char *text, uint64_t *value) {
    *value = 0;
    for (const char *word = words; *word != '\0'; (*value)++) {
        size_t length = strcspn(word, "|");
        if (strlen(text) == length && memcmp(text, word, length) == 0) {
            return true;
        }
        word += length + (word[length] == '|');
    }
    return false;
}

static bool parse_mac(const char *text, uint8_t mac[6]) {
    for (int i = 0; i < 6; i++, text += 3) {
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
            text[2] != (i < 5 ? ':' : '\0')) {
            return false;
        }
        mac[i] = (uint8_t)strtoul(text, NULL, 16);
    }
    return (mac[0] & 1) == 0; /* not a group address */
}

/* Reads "poll" or "sleep:US" as microseconds of sleep. */
static bool parse_idle(const struct option_row *row, const char *text, uint64_t *sleep_us) {
    *sleep_us = 0;
    if (strcmp(text, "poll") == 0) {
        return true;
    }
    return strncmp(text, "sleep:", 6) == 0 && parse_number(text + 6, false, sleep_us) &&
           *sleep_us >= row->min && *sleep_us <= row->max;
}

/* Stores `text` as the value of `row`. OPTIONS_OK, or OPTIONS_ERROR with the line in error[size]. */
static int store(void *values, const struct option_row *row, const char *text, char *error, size_t size) {
    char *field = (char *)values + row->offset;
    struct option_texts *texts;
    uint64_t number;
    uint8_t mac[6];
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return OPTIONS_OK;
    case OPTION_IPV4:
        if (inet_pton(AF_INET, text, field) == 1) {
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is not an IPv4 address", row->name, text);
        return OPTIONS_ERROR;
    case OPTION_MAC:
        if (parse_mac(text, mac)) {
            memcpy(field, mac, sizeof(mac));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is not a MAC address of one station", row->name, text);
        return OPTIONS_ERROR;
    case OPTION_TEXT:
        *(const char **)field = text;
        return OPTIONS_OK;
    case OPTION_TEXTS:
        texts = (struct option_texts *)field;
        if (texts->count < OPTION_TEXTS_MAX) {
            texts->text[texts->count++] = text;
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: given more than %d times", row->name, OPTION_TEXTS_MAX);
        return OPTIONS_ERROR;
    case OPTION_IDLE:
        if (parse_idle(row, text, &number)) {
            memcpy(field, &number, sizeof(number));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is neither poll nor sleep:%llu..%llu", row->name, text,
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return OPTIONS_ERROR;
    case OPTION_CHOICE:
        if (parse_choice(row->metavar, text, &number)) {
            memcpy(field, &number, sizeof(number));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is none of %s", row->name, text, row->metavar);
        return OPTIONS_ERROR;
    case OPTION_SECONDS:
        if (parse_seconds(text, &number) && number >= row->min * 1000000 && number <= row->max * 1000000) {
            memcpy(field, &number, sizeof(number));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is no time in %llu..%llu seconds", row->name, text,
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return OPTIONS_ERROR;
    default:
        if (parse_number(text, row->kind == OPTION_SIZE, &number) && number >= row->min &&
            number <= row->max) {
            memcpy(field, &number, sizeof(number));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is not in %llu..%llu", row->name, text,
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return OPTIONS_ERROR;
    }
}

static const struct option_row *find(const struct option_table *table, const char *name, size_t length) {
    for (size_t i = 0; i < table->count; i++) {
        if (strlen(table->rows[i].name) == length && memcmp(table->rows[i].name, name, length) == 0) {
            return &table->rows[i];
        }
    }
    return NULL;
}

int options_parse(void *values, const struct option_table *table, int argc, char *const argv[], char *error,
                  size_t size) {
    bool given[OPTION_ROWS_MAX] = {false};
    memset(values, 0, table->size);
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i].fallback != NULL && table->rows[i].fallback != OPTION_REQUIRED &&
            store(values, &table->rows[i], table->rows[i].fallback, error, size) != OPTIONS_OK) {
            return OPTIONS_ERROR;
        }
    }
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        size_t length = strcspn(word, "=");
        const char *value = word[length] == '=' ? word + length + 1 : NULL;
        const struct option_row *row = strncmp(word, "--", 2) == 0 ? find(table, word + 2, length - 2) : NULL;
        if (strcmp(word, "--help") == 0) {
            return OPTIONS_HELP;
        }
        if (row == NULL) {
            snprintf(error, size, "%.*s: no such option; see --help", (int)length, word);
            return OPTIONS_ERROR;
        }
        if (row->kind == OPTION_FLAG && value != NULL) {
            snprintf(error, size, "--%s: takes no value", row->name);
            return OPTIONS_ERROR;
        }
        if (row->kind != OPTION_FLAG && value == NULL && (value = ++i < argc ? argv[i] : NULL) == NULL) {
            snprintf(error, size, "--%s: the value is missing", row->name);
            return OPTIONS_ERROR;
        }
        if (store(values, row, value, error, size) != OPTIONS_OK) {
            return OPTIONS_ERROR;
        }
        given[row - table->rows] = true;
    }
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i].fallback == OPTION_REQUIRED && !given[i]) {
            snprintf(error, size, "--%s is required; see --help", table->rows[i].name);
            return OPTIONS_ERROR;
        }
    }
    return OPTIONS_OK;
}

void options_list(FILE *out, const struct option_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option_row *row = &table->rows[i];
        char usage[64];
        snprintf(usage, sizeof(usage), "--%s %s", row->name, row->metavar);
        fprintf(out, "  %-28s %s", usage, row->help);
        if (row->max != 0) {
            fprintf(out, " (%llu..%llu)", (unsigned long long)row->min, (unsigned long long)row->max);
        }
        if (row->fallback != NULL) {
            fprintf(out, " [%s]", row->fallback);
        }
        fprintf(out, "\n");
    }
    fprintf(out, "  %-28s this text\n", "--help");
}

void options_help(FILE *out, const struct option_table *table, const char *program) {
    fprintf(out, "usage: %s [option…]\n", program);
    options_list(out, table);
}

const char *program_name(char *const argv[]) {
    const char *slash = strrchr(argv[0], '/');
    return slash != NULL ? slash + 1 : argv[0];
}

void options_parse_or_exit(void *values, const struct option_table *table, int argc, char *const argv[]) {
    char error[256];
    switch (options_parse(values, table, argc, argv, error, sizeof(error))) {
    case OPTIONS_OK:
        return;
    case OPTIONS_HELP:
        options_help(stdout, table, program_name(argv));
        exit(0);
    default:
        fprintf(stderr, "%s: %s\n", program_name(argv), error);
        exit(2);
    }
}

int options_parse_after_eal_or_exit(void *values, const struct option_table *table, int argc, char *argv[]) {
    int words = 1;
    while (words < argc && strcmp(argv[words], "--") != 0) {
        words++;
    }
    if (words == argc) {
        options_parse_or_exit(values, table, 1, argv);
        return words;
    }
    char *separator = argv[words];
    argv[words] = argv[0];
    options_parse_or_exit(values, table, argc - words, argv + words);
    argv[words] = separator;
    return words;
}
