/* SPDX-License-Identifier: BSD-3-Clause */
#include "settings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload_options.h"

static const char blanks[] = " \t\n";

static struct stack_config stack_of(const struct preload_options *options) {
    struct stack_config config = {.address = options->address,
                                  .netmask = options->netmask,
                                  .gateway = options->gateway,
                                  .mtu = (uint16_t)options->mtu,
                                  .rx_descriptors = (uint16_t)options->rx_descriptors,
                                  .tx_descriptors = (uint16_t)options->tx_descriptors,
                                  .mbufs = (unsigned)options->mbufs,
                                  .offload = !options->no_offload};

    memcpy(config.mac, options->mac, sizeof(config.mac));
    return config;
}

/* Cuts words[] out of `text` and returns how many there are; words NULL: only counts. -1: out of memory. */
static int split(const char *text, char **words) {
    int count = 0;

    for (text += strspn(text, blanks); *text != '\0'; text += strspn(text, blanks)) {
        size_t length = strcspn(text, blanks);

        if (words != NULL && (words[count] = strndup(text, length)) == NULL) {
            return -1;
        }
        count++;
        text += length;
    }
    return count;
}

static bool set_eal_words(struct settings *settings, const struct option_texts *texts) {
    int count = 0;

    for (unsigned i = 0; i < texts->count; i++) {
        count += split(texts->text[i], NULL);
    }
    settings->eal_words = calloc((size_t)count + 1, sizeof(char *));
    if (settings->eal_words == NULL) {
        return false;
    }
    for (unsigned i = 0; i < texts->count; i++) {
        int more = split(texts->text[i], settings->eal_words + settings->eal_count);

        if (more < 0) {
            return false;
        }
        settings->eal_count += more;
    }
    return true;
}

/* The program may change its directory before the file is made. */
static char *absolute(const char *path) {
    char *directory;
    char *whole;

    if (path[0] == '/') {
        return strdup(path);
    }
    directory = getcwd(NULL, 0);
    if (directory == NULL || asprintf(&whole, "%s/%s", directory, path) < 0) {
        whole = NULL;
    }
    free(directory);
    return whole;
}

/* Whatever needs memory; 0 or a negative errno. */
static int keep_texts(struct settings *settings, const struct preload_options *options) {
    errno = ENOMEM;
    if (!set_eal_words(settings, &options->eal)) {
        return -errno;
    }
    if (options->counters != NULL && (settings->counters_path = absolute(options->counters)) == NULL) {
        return -errno;
    }
    return 0;
}

int settings_parse(struct settings *settings, int argc, char *const argv[], char *error, size_t size) {
    struct preload_options options;
    char wrong[192];
    int code;

    memset(settings, 0, sizeof(*settings));
    switch (options_parse(&options, &preload_options, argc, argv, error, size)) {
    case OPTIONS_OK:
        break;
    case OPTIONS_HELP:
        return SETTINGS_HELP;
    default:
        return -EINVAL;
    }
    if (options.counters != NULL && options.counters[0] == '\0') {
        snprintf(error, size, "--counters: '' is not a file");
        return -EINVAL;
    }
    code = rules_parse(&settings->rules, options.sockets, wrong, sizeof(wrong));
    if (code != 0) {
        snprintf(error, size, "--sockets: %s", wrong);
        return code;
    }
    settings->stack = stack_of(&options);
    settings->idle_sleep_us = (uint32_t)options.idle_sleep_us;
    settings->linger_ms = (uint32_t)options.linger_ms;
    code = keep_texts(settings, &options);
    if (code != 0) {
        snprintf(error, size, "options: %s", strerror(-code));
        settings_free(settings);
    }
    return code;
}

/* `text` cut in place at each separator into argv[1..]; returns argc. */
static int cut(char *text, char **argv) {
    int argc = 1;

    argv[0] = "on-lwip";
    while (text != NULL) {
        argv[argc++] = text;
        text = strchr(text, SETTINGS_SEPARATOR);
        if (text != NULL) {
            *text++ = '\0';
        }
    }
    argv[argc] = NULL;
    return argc;
}

int settings_from_environment(struct settings *settings, char *error, size_t size) {
    const char *value = getenv(SETTINGS_VARIABLE);
    char *text;
    char **argv;
    size_t words = 1;
    int code = -ENOMEM;

    if (value == NULL) {
        snprintf(error, size, "%s is not set: start the program with on-lwip", SETTINGS_VARIABLE);
        return -ENOENT;
    }
    for (const char *at = value; (at = strchr(at, SETTINGS_SEPARATOR)) != NULL; at++) {
        words++;
    }
    text = strdup(value);
    argv = calloc(words + 2, sizeof(char *));
    if (text != NULL && argv != NULL) {
        int argc = cut(value[0] != '\0' ? text : NULL, argv);

        code = settings_parse(settings, argc, argv, error, size);
    } else {
        snprintf(error, size, "options: %s", strerror(ENOMEM));
    }
    free(argv);
    free(text);
    if (code == SETTINGS_HELP) {
        snprintf(error, size, "%s: --help is for on-lwip's command line", SETTINGS_VARIABLE);
        return -EINVAL;
    }
    return code;
}

char *settings_join(int argc, char *const argv[]) {
    size_t length = 1;
    char *value;
    char *end;

    for (int i = 1; i < argc; i++) {
        if (strchr(argv[i], SETTINGS_SEPARATOR) != NULL) {
            errno = EINVAL;
            return NULL;
        }
        length += strlen(argv[i]) + 1;
    }
    value = malloc(length);
    if (value == NULL) {
        return NULL;
    }
    end = value;
    for (int i = 1; i < argc; i++) {
        if (i > 1) {
            *end++ = SETTINGS_SEPARATOR;
        }
        end = stpcpy(end, argv[i]);
    }
    *end = '\0';
    return value;
}

void settings_free(struct settings *settings) {
    for (int i = 0; settings->eal_words != NULL && settings->eal_words[i] != NULL; i++) {
        free(settings->eal_words[i]);
    }
    free(settings->eal_words);
    free((char *)settings->counters_path);
    settings->eal_words = NULL;
    settings->eal_count = 0;
    settings->counters_path = NULL;
}
