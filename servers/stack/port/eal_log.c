/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal_log.h"

#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_log.h>

static struct {
    FILE *stream;
    size_t length;
    char text[4096];
    char reason[256];
    const char *device; /* as the words name it */
} held;

/* rte_log() writes line by line. What ends the process is not held back. */
static ssize_t take(void *unused, const char *text, size_t size) {
    size_t room = sizeof(held.text) - held.length;
    size_t kept = size < room ? size : room;

    (void)unused;
    if (rte_log_cur_msg_loglevel() != RTE_LOG_ERR) {
        (void)fwrite(text, 1, size, stderr);
        return (ssize_t)size;
    }
    memcpy(held.text + held.length, text, kept);
    held.length += kept;
    return (ssize_t)size;
}

/* The last device that the words name, "" if none. */
static const char *device_of(int argc, char *const argv[]) {
    static const char *const options[] = {"--vdev", "--allow", "-a"};
    const char *device = "";

    for (int i = 0; i < argc; i++) {
        for (size_t option = 0; option < sizeof(options) / sizeof(options[0]); option++) {
            size_t length = strlen(options[option]);

            if (strncmp(argv[i], options[option], length) == 0) {
                device = argv[i][length] != '\0' ? argv[i] + length + (argv[i][length] == '=')
                         : i + 1 < argc          ? argv[i + 1]
                                                 : "";
            }
        }
    }
    return device;
}

void eal_log_hold(int argc, char *const argv[]) {
    const cookie_io_functions_t functions = {.write = take};

    held.device = device_of(argc, argv);
    held.length = 0;
    held.reason[0] = '\0';
    held.stream = fopencookie(NULL, "w", functions);
    if (held.stream != NULL) {
        (void)setvbuf(held.stream, NULL, _IOLBF, 0);
    }
    rte_openlog_stream(held.stream != NULL ? held.stream : stderr);
}

void eal_log_release(bool started) {
    if (held.stream == NULL) {
        return;
    }
    rte_openlog_stream(stderr);
    (void)fclose(held.stream);
    held.stream = NULL;
    if (rte_eth_dev_count_avail() > 0) {
        (void)fwrite(held.text, 1, held.length, stderr);
    } else if (held.length > 0) {
        snprintf(held.reason, sizeof(held.reason), "DPDK says: %.*s", (int)strcspn(held.text, "\n"),
                 held.text);
    } else if (started && held.device[0] != '\0') {
        snprintf(held.reason, sizeof(held.reason), "DPDK has no driver for %s, or finds no such device",
                 held.device);
    }
}

const char *eal_log_reason(const char *otherwise) {
    return held.reason[0] != '\0' ? held.reason : otherwise;
}
