/* SPDX-License-Identifier: BSD-3-Clause */
/* The launcher: checks all that can be checked before the program runs, then becomes the program, with the
 * library beneath it. Every refusal is one line. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "library_check.h"
#include "preload/preload_options.h"
#include "preload/settings.h"
#include "program_check.h"
#include "stack/port/devargs.h"

#define LIBRARY "libstackduel_preload.so" /* lies next to the launcher */
#define LINE_SIZE (2 * PATH_MAX)          /* room for a path and what is wrong with it */

enum { EXIT_BAD_OPTION = 2, EXIT_CANNOT = 3 };

static void print_help(const char *program) {
    printf(
        "usage: %s [option…] -- program [argument…]\n\n"
        "Runs the program with its IPv4 TCP and UDP sockets on lwIP over DPDK instead of in the kernel.\n\n",
        program);
    options_list(stdout, &preload_options);
    printf(
        "\n"
        "RULES is a comma list of [!][tcp:|udp:]ADDRESS[/PREFIX][:PORT[-PORT]]. The first that matches a\n"
        "socket decides whose it is: lwIP's, or with ! the kernel's, as is what none matches. A bind is\n"
        "judged by the local address and port, a connect or sendto of an unbound socket by the remote ones.\n"
        "\n"
        "Example, a client on a wire of shared memory:\n"
        "  %s --address 198.18.0.2 \\\n"
        "      --eal '--in-memory --single-file-segments --no-pci' \\\n"
        "      --eal --vdev=net_virtio_user0,path=/run/wire.sock -- wrk -c 64 http://198.18.0.3/\n"
        "\n"
        "Exit: the program's own; before it runs 2 for a wrong option, 3 if this machine or this program\n"
        "cannot do it, 126 if the program is not executable, 127 if it is not found.\n",
        program);
}

/* Index of the first "--", argc if there is none. */
static int find_end_of_options(int argc, char *const argv[]) {
    int end = 1;

    while (end < argc && strcmp(argv[end], "--") != 0) {
        end++;
    }
    return end < argc ? end : argc;
}

static int check_eal_words(const struct settings *settings, char *error, size_t size) {
    int code = devargs_check(settings->eal_count, settings->eal_words, error, size);

    if (code == 0) {
        return 0;
    }
    return code == -EINVAL ? EXIT_BAD_OPTION : EXIT_CANNOT;
}

/* 0 with the library's path in path[], which the loader can load; or the exit code. */
static int find_library(char path[PATH_MAX], char *error, size_t size) {
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof(LIBRARY));

    if (length < 0 || length == (ssize_t)(PATH_MAX - sizeof(LIBRARY))) {
        snprintf(error, size, "/proc/self/exe does not say where %s is", LIBRARY);
        return EXIT_CANNOT;
    }
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, LIBRARY);
    return library_check(path, error, size) == 0 ? 0 : EXIT_CANNOT;
}

/* The words argv[1..argc-1] for the library, with the counters' path as it is from here. 0, or -1 with errno.
 */
static int set_settings(int argc, char *const argv[], const struct settings *settings) {
    char **words = calloc((size_t)argc + 3, sizeof(char *));
    char *value;
    int code = -1;

    if (words == NULL) {
        return -1;
    }
    memcpy(words, argv, (size_t)argc * sizeof(char *));
    if (settings->counters_path != NULL) {
        words[argc++] = "--counters";
        words[argc++] = (char *)settings->counters_path;
    }
    value = settings_join(argc, words);
    if (value != NULL) {
        code = setenv(SETTINGS_VARIABLE, value, 1);
    }
    free(value);
    free(words);
    return code;
}

/* Does not return unless it fails: the exit code. */
static int run(const struct settings *settings, int own_argc, char *argv[], char *error, size_t size) {
    char **program = argv + own_argc + 1;
    char path[PATH_MAX];
    char library[PATH_MAX];
    int code;

    if ((code = program_find(program[0], path, error, size)) != 0 ||
        (code = program_check(program[0], path, error, size)) != 0 ||
        (code = check_eal_words(settings, error, size)) != 0 ||
        (code = find_library(library, error, size)) != 0) {
        return code;
    }
    if (set_settings(own_argc, argv, settings) != 0) {
        snprintf(error, size, "the options cannot be handed on: %s", strerror(errno));
        return errno == EINVAL ? EXIT_BAD_OPTION : EXIT_CANNOT;
    }
    return program_become(path, program, library, error, size);
}

int main(int argc, char *argv[]) {
    const char *name = program_name(argv);
    int own_argc = find_end_of_options(argc, argv);
    struct settings settings;
    char error[LINE_SIZE];
    int code = settings_parse(&settings, own_argc, argv, error, sizeof(error));

    if (code == SETTINGS_HELP) {
        print_help(name);
        return 0;
    }
    if (own_argc + 1 >= argc) {
        snprintf(error, sizeof(error), "the program is missing: %s [option…] -- program [argument…]", name);
        code = EXIT_BAD_OPTION;
    } else if (code == SETTINGS_OK) {
        code = run(&settings, own_argc, argv, error, sizeof(error));
    } else {
        code = code == -EINVAL || code == -E2BIG ? EXIT_BAD_OPTION : EXIT_CANNOT;
    }
    settings_free(&settings);
    fprintf(stderr, "%s: %s\n", name, error);
    return code;
}
