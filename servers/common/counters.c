/* SPDX-License-Identifier: BSD-3-Clause */
/* The two lines a server prints on stdout: see counters.h. */
#include "counters.h"
#ifdef SLOW_CYCLES
#include "slow.h"
#endif

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name)                                                                                          \
    { #name, offsetof(struct counters, name) }

static const struct counter_field common[] = {
    FIELD(requests_parsed), FIELD(requests_known), FIELD(responses_sent), FIELD(bytes_received),
    FIELD(bytes_sent),      FIELD(accepts),        FIELD(closes),         FIELD(refused),
    FIELD(errors_http),     FIELD(errors_socket),  FIELD(timeouts),       FIELD(retransmits),
};

enum { COMMON = sizeof(common) / sizeof(common[0]) };

size_t counters_append(char *text, size_t size, const struct counter_field *fields, size_t count,
                       const void *base) {
    size_t length = 0;

    for (size_t i = 0; i < count && length < size; i++) {
        uint64_t value;
        memcpy(&value, (const char *)base + fields[i].offset, sizeof(value));
        length += (size_t)snprintf(text + length, size - length, ", \"%s\": %" PRIu64, fields[i].name, value);
    }
    return length < size ? length : size;
}

size_t counters_append_common(char *text, size_t size, const struct counters *counters) {
    return counters_append(text, size, common, COMMON, counters);
}

void counters_add(struct counters *sum, const struct counters *counters) {
    for (size_t i = 0; i < COMMON; i++) {
        *(uint64_t *)((char *)sum + common[i].offset) +=
            *(const uint64_t *)((const char *)counters + common[i].offset);
    }
}

void counters_print(const char *server, const struct counters *counters, const struct counter_field *more,
                    size_t count, const void *base, const char *tail) {
    char text[4096];
    size_t length = counters_append_common(text, sizeof(text), counters);
    length += counters_append(text + length, sizeof(text) - length, more, count, base);
#ifdef SLOW_CYCLES
    slow_append(text + length, sizeof(text) - length);
#endif
    printf("{\"server\": \"%s\"%s%s%s}\n", server, text, tail != NULL ? ", " : "", tail != NULL ? tail : "");
    fflush(stdout);
}

void ready_print(uint32_t address, uint16_t port) {
#ifdef SLOW_CYCLES
    slow_warn();
#endif
    char text[INET_ADDRSTRLEN];
    struct in_addr in = {address};
    printf("READY %s:%u\n", inet_ntop(AF_INET, &in, text, sizeof(text)), (unsigned)port);
    fflush(stdout);
}
