/* SPDX-License-Identifier: BSD-3-Clause */
#include "counters_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/counters.h"
#include "libc.h"
#include "stack/stack.h"

#define INTERVAL_MS 10

struct socket_counters socket_counters;

static char *page;
static char program[64]; /* its name when it started, fit for JSON */
static uint32_t written_ms;

static void copy_name(const char *name) {
    size_t i;

    for (i = 0; i + 1 < sizeof(program) && name[i] != '\0'; i++) {
        program[i] = name[i] < ' ' || name[i] == '"' || name[i] == '\\' || name[i] == 127 ? '_' : name[i];
    }
    program[i] = '\0';
}

int counters_file_open(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0) {
        return -1;
    }
    copy_name(program_invocation_short_name);
    if (ftruncate(fd, COUNTERS_FILE_SIZE) == 0) {
        page = mmap(NULL, COUNTERS_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED) {
            page = NULL;
        }
    }
    (void)libc()->close(fd);
    return page == NULL ? -1 : 0;
}

void counters_file_keep(uint32_t now_ms) {
    if (page != NULL && now_ms - written_ms >= INTERVAL_MS) {
        written_ms = now_ms;
        counters_file_write();
    }
}

void counters_file_write(void) {
    static const struct counter_field socket_fields[] = {
        {"sockets", offsetof(struct socket_counters, sockets)},
        {"listeners", offsetof(struct socket_counters, listeners)},
        {"connects", offsetof(struct socket_counters, connects)},
        {"accepts", offsetof(struct socket_counters, accepts)},
        {"closes", offsetof(struct socket_counters, closes)},
        {"bytes_received", offsetof(struct socket_counters, bytes_received)},
        {"bytes_sent", offsetof(struct socket_counters, bytes_sent)},
    };
    char text[COUNTERS_FILE_SIZE], port[PORT_DESCRIPTION_SIZE];
    struct stack_counters stack;
    size_t length;

    if (page == NULL) {
        return;
    }
    stack_count(&stack);
    stack_describe_port(port, sizeof(port));
    length = (size_t)snprintf(text, sizeof(text), "{\"pid\": %d, \"program\": \"%s\"", getpid(), program);
    length += counters_append(text + length, sizeof(text) - length, socket_fields,
                              sizeof(socket_fields) / sizeof(socket_fields[0]), &socket_counters);
    length += counters_append(text + length, sizeof(text) - length, stack_counter_fields,
                              stack_counter_field_count, &stack);
    length += (size_t)snprintf(text + length, sizeof(text) - length,
                               ", \"retransmits\": %" PRIu64 ", \"port\": %s}", stack.retransmits, port);
    if (length >= sizeof(text)) {
        return; /* cannot be: names and numbers are shorter */
    }
    memset(text + length, ' ', sizeof(text) - length);
    text[sizeof(text) - 1] = '\n';
    memcpy(page, text, sizeof(text));
}

void counters_file_leave(void) {
    if (page != NULL) {
        munmap(page, COUNTERS_FILE_SIZE);
        page = NULL;
    }
}
