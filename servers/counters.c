/* SPDX-License-Identifier: BSD-3-Clause */
/* The two lines a server prints on stdout: see counters.h. */
#include "counters.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name)                                                                                          \
    { #name, offsetof(struct counters, name) }

static const struct counter_field common[] = {
    FIELD(requests_parsed), FIELD(responses_sent), FIELD(bytes_received), FIELD(bytes_sent),
    FIELD(accepts),         FIELD(closes),         FIELD(refused),        FIELD(errors_http),
    FIELD(errors_socket),   FIELD(retransmits),
};

static void print_fields(const struct counter_field *fields, size_t count, const void *base) {
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)base + fields[i].offset, sizeof(value));
        printf(", \"%s\": %" PRIu64, fields[i].name, value);
    }
}

void counters_print(const char *server, const struct counters *counters, const struct counter_field *more,
                    size_t count, const void *base, const char *tail) {
    printf("{\"server\": \"%s\"", server);
    print_fields(common, sizeof(common) / sizeof(common[0]), counters);
    print_fields(more, count, base);
    printf("%s%s}\n", tail != NULL ? ", " : "", tail != NULL ? tail : "");
    fflush(stdout);
}

void ready_print(uint32_t address, uint16_t port) {
    char text[INET_ADDRSTRLEN];
    struct in_addr in = {address};
    printf("READY %s:%u\n", inet_ntop(AF_INET, &in, text, sizeof(text)), (unsigned)port);
    fflush(stdout);
}
