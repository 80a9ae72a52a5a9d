/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of all options of all servers, and what is made of it: see options.h. */
#include "options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { NUMBER, SIZE, IPV4, MAC, FLAG };

struct row {
    const char *name;
    const char *metavar;
    enum kind kind;
    const char *fallback; /* the default, as it would be typed; NULL = none */
    uint64_t min;
    uint64_t max;
    unsigned servers;
    size_t offset;
    const char *help;
};

enum { BOTH = SERVER_EPOLL | SERVER_LWIP };

#define AT(field) offsetof(struct options, field)

/* clang-format off */
static const struct row rows[] = {
    {"address", "IPV4", IPV4, "0.0.0.0", 0, 0, SERVER_EPOLL, AT(address), "IPv4 address to listen on"},
    {"address", "IPV4", IPV4, "198.18.0.3", 0, 0, SERVER_LWIP, AT(address), "IPv4 address of the interface"},
    {"netmask", "IPV4", IPV4, "255.255.255.0", 0, 0, SERVER_LWIP, AT(netmask), "IPv4 netmask"},
    {"gateway", "IPV4", IPV4, "0.0.0.0", 0, 0, SERVER_LWIP, AT(gateway), "default router; 0.0.0.0 = none"},
    {"mac", "ADDRESS", MAC, NULL, 0, 0, SERVER_LWIP, AT(mac), "aa:bb:cc:dd:ee:ff; else the port's own"},
    {"port", "N", NUMBER, "80", 1, 65535, BOTH, AT(port), "TCP port to listen on"},
    {"body-size", "BYTES", SIZE, "1", 0, 64 << 20, BOTH, AT(body_size), "of the response body; 16K, 1M"},
    {"max-connections", "N", NUMBER, "10000", 1, 65535, BOTH, AT(max_connections), "more are refused"},
    {"backlog", "N", NUMBER, "4096", 1, 65535, BOTH, AT(backlog), "half open or waiting for accept"},
    {"keepalive-idle", "S", NUMBER, "60", 1, 32767, BOTH, AT(keepalive_idle), "seconds without a byte before a probe"},
    {"keepalive-interval", "S", NUMBER, "10", 1, 32767, BOTH, AT(keepalive_interval), "seconds between probes"},
    {"keepalive-count", "N", NUMBER, "6", 1, 127, BOTH, AT(keepalive_count), "silent probes before it is closed"},
    {"mbufs", "N", NUMBER, "16383", 1023, 4194303, SERVER_LWIP, AT(mbufs), "packet buffers in the pool"},
    {"rx-descriptors", "N", NUMBER, "1024", 64, 32768, SERVER_LWIP, AT(rx_descriptors), "receive ring"},
    {"tx-descriptors", "N", NUMBER, "1024", 64, 32768, SERVER_LWIP, AT(tx_descriptors), "transmit ring"},
    {"mtu", "BYTES", NUMBER, "1500", 576, 9000, SERVER_LWIP, AT(mtu), "largest IPv4 packet"},
    {"no-offload", "", FLAG, NULL, 0, 0, SERVER_LWIP, AT(no_offload), "compute everything in software"},
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* Decimal digits, for SIZE with one suffix K or M. False when it is none or does not fit. */
static bool parse_number(const char *text, bool suffix, uint64_t *value) {
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    if (suffix && *end != '\0' && strchr("kKmM", *end) != NULL) {
        unsigned shift = *end == 'k' || *end == 'K' ? 10 : 20;
        if (*value > UINT64_MAX >> shift)
            return false;
        *value <<= shift;
        end++;
    }
    return *end == '\0';
}

static bool parse_mac(const char *text, uint8_t mac[6]) {
    for (int i = 0; i < 6; i++, text += 3) {
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
            text[2] != (i < 5 ? ':' : '\0'))
            return false;
        mac[i] = (uint8_t)strtoul(text, NULL, 16);
    }
    return (mac[0] & 1) == 0; /* not a group address */
}

/* Stores `text` as the value of `row`. OPTIONS_OK, or OPTIONS_ERROR with the line in error[size]. */
static int store(struct options *options, const struct row *row, const char *text, char *error, size_t size) {
    char *field = (char *)options + row->offset;
    uint64_t number;
    uint8_t mac[6];
    switch (row->kind) {
    case FLAG:
        *(bool *)field = true;
        return OPTIONS_OK;
    case IPV4:
        if (inet_pton(AF_INET, text, field) == 1)
            return OPTIONS_OK;
        snprintf(error, size, "--%s: '%s' is not an IPv4 address", row->name, text);
        return OPTIONS_ERROR;
    case MAC:
        if (parse_mac(text, mac)) {
            memcpy(field, mac, sizeof(mac));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is not a MAC address of one station", row->name, text);
        return OPTIONS_ERROR;
    default:
        if (parse_number(text, row->kind == SIZE, &number) && number >= row->min && number <= row->max) {
            memcpy(field, &number, sizeof(number));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is not in %llu..%llu", row->name, text,
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return OPTIONS_ERROR;
    }
}

static const struct row *find(unsigned server, const char *name, size_t length) {
    for (int i = 0; i < ROWS; i++)
        if ((rows[i].servers & server) && strlen(rows[i].name) == length &&
            memcmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

int options_parse(struct options *options, unsigned server, int argc, char *const argv[], char *error,
                  size_t size) {
    memset(options, 0, sizeof(*options));
    for (int i = 0; i < ROWS; i++)
        if ((rows[i].servers & server) && rows[i].fallback != NULL &&
            store(options, &rows[i], rows[i].fallback, error, size) != OPTIONS_OK)
            return OPTIONS_ERROR;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        size_t length = strcspn(word, "=");
        const char *value = word[length] == '=' ? word + length + 1 : NULL;
        const struct row *row = strncmp(word, "--", 2) == 0 ? find(server, word + 2, length - 2) : NULL;
        if (strcmp(word, "--help") == 0)
            return OPTIONS_HELP;
        if (row == NULL) {
            snprintf(error, size, "%.*s: no such option; see --help", (int)length, word);
            return OPTIONS_ERROR;
        }
        if (row->kind == FLAG && value != NULL) {
            snprintf(error, size, "--%s: takes no value", row->name);
            return OPTIONS_ERROR;
        }
        if (row->kind != FLAG && value == NULL && (value = argv[++i]) == NULL) {
            snprintf(error, size, "--%s: the value is missing", row->name);
            return OPTIONS_ERROR;
        }
        if (store(options, row, value, error, size) != OPTIONS_OK)
            return OPTIONS_ERROR;
    }
    return OPTIONS_OK;
}

void options_help(FILE *out, unsigned server, const char *program) {
    fprintf(out, "usage: %s [option…]\n", program);
    for (int i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        if (!(row->servers & server))
            continue;
        char usage[64];
        snprintf(usage, sizeof(usage), "--%s %s", row->name, row->metavar);
        fprintf(out, "  %-28s %s", usage, row->help);
        if (row->max != 0)
            fprintf(out, " (%llu..%llu)", (unsigned long long)row->min, (unsigned long long)row->max);
        if (row->fallback != NULL)
            fprintf(out, " [%s]", row->fallback);
        fprintf(out, "\n");
    }
    fprintf(out, "  %-28s this text\n", "--help");
}

const char *program_name(char *const argv[]) {
    const char *slash = strrchr(argv[0], '/');
    return slash != NULL ? slash + 1 : argv[0];
}

void options_parse_or_exit(struct options *options, unsigned server, int argc, char *const argv[]) {
    char error[256];
    switch (options_parse(options, server, argc, argv, error, sizeof(error))) {
    case OPTIONS_OK:
        return;
    case OPTIONS_HELP:
        options_help(stdout, server, program_name(argv));
        exit(0);
    default:
        fprintf(stderr, "%s: %s\n", program_name(argv), error);
        exit(2);
    }
}
