/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of all options of all programs, and what is made of it: see options.h. */
#include "options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { NUMBER, SIZE, SECONDS, IPV4, MAC, FLAG, TEXT, TEXTS, IDLE, CHOICE };

struct row {
    const char *name;
    const char *metavar; /* of a CHOICE: its words, as in "a|b" */
    enum kind kind;
    const char *fallback; /* the default, as it would be typed; NULL = none; or REQUIRED */
    uint64_t min;
    uint64_t max;
    unsigned servers;
    size_t offset;
    const char *help;
};

static const char REQUIRED[] = "required"; /* known by its address */

enum {
    KERNEL = SERVER_EPOLL | SERVER_URING,
    BOTH = KERNEL | SERVER_LWIP, /* stacks */
    STACK = SERVER_LWIP | SERVER_PRELOAD,
    PORT = STACK | SERVER_LOADGEN,
    CLIENT = SERVER_LOADGEN | SERVER_OPENLOAD,
    BODY = BOTH | CLIENT
};

#define AT(field) offsetof(struct options, field)

/* clang-format off */
static const struct row rows[] = {
    {"address", "IPV4", IPV4, "0.0.0.0", 0, 0, KERNEL, AT(address), "IPv4 address to listen on"},
    {"address", "IPV4", IPV4, "198.18.0.3", 0, 0, SERVER_LWIP, AT(address), "IPv4 address of the interface"},
    {"address", "IPV4", IPV4, REQUIRED, 0, 0, SERVER_PRELOAD, AT(address), "IPv4 address of lwIP's interface"},
    {"netmask", "IPV4", IPV4, "255.255.255.0", 0, 0, STACK, AT(netmask), "IPv4 netmask"},
    {"gateway", "IPV4", IPV4, "0.0.0.0", 0, 0, STACK, AT(gateway), "default router; 0.0.0.0 = none"},
    {"mac", "ADDRESS", MAC, NULL, 0, 0, PORT, AT(mac), "aa:bb:cc:dd:ee:ff; else the port's own"},
    {"port", "N", NUMBER, "80", 1, 65535, BOTH, AT(port), "TCP port to listen on"},
    {"body-size", "BYTES", SIZE, "1", 0, 64 << 20, BODY, AT(body_size), "of the response body; 16K, 1M"},
    {"max-connections", "N", NUMBER, "10000", 1, 1048576, KERNEL, AT(max_connections), "more are refused"},
    {"max-connections", "N", NUMBER, "10000", 1, 33554432, SERVER_LWIP, AT(max_connections), "more are refused; each core has its share"},
    {"backlog", "N", NUMBER, "4096", 1, 65535, BOTH, AT(backlog), "half open or waiting for accept"},
    {"keepalive-idle", "S", NUMBER, "60", 1, 32767, BOTH, AT(keepalive_idle), "seconds without a byte before a probe"},
    {"keepalive-interval", "S", NUMBER, "10", 1, 32767, BOTH, AT(keepalive_interval), "seconds between probes"},
    {"keepalive-count", "N", NUMBER, "6", 1, 127, BOTH, AT(keepalive_count), "silent probes before it is closed"},
    {"threads", "N", NUMBER, "1", 1, 64, KERNEL, AT(threads), "each with a listening socket of its own"},
    {"cpus", "LIST", TEXT, "", 0, 0, KERNEL, AT(cpus), "one CPU a thread, as 2,3: a connection goes to the thread on the CPU that received its SYN; else threads run anywhere"},
    {"busy-poll", "USECS", NUMBER, NULL, 1, 1000000, SERVER_EPOLL, AT(busy_poll), "how long a wait asks the device's queue before it sleeps"},
    {"mbufs", "N", NUMBER, "16383", 1023, 4194303, PORT, AT(mbufs), "packet buffers of a core"},
    {"rx-descriptors", "N", NUMBER, "1024", 64, 32768, PORT, AT(rx_descriptors), "receive ring"},
    {"tx-descriptors", "N", NUMBER, "1024", 64, 32768, PORT, AT(tx_descriptors), "transmit ring"},
    {"mtu", "BYTES", NUMBER, "1500", 576, 9000, PORT, AT(mtu), "largest IPv4 packet"},
    {"cores", "N", NUMBER, "1", 1, 64, SERVER_LWIP, AT(cores), "one stack each, on the first of the lcores that EAL's -l or --lcores names"},
    {"idle", "poll|intr", CHOICE, "poll", 0, 0, SERVER_LWIP, AT(idle), "with nothing to do: ask on, or sleep until the port interrupts"},
    {"without", "NAMES", TEXT, "", 0, 0, SERVER_LWIP, AT(without), "measures left out, as lookup,timers; all"},
    {"no-offload", "", FLAG, NULL, 0, 0, PORT, AT(no_offload), "compute everything in software"},
    {"eal", "WORDS", TEXTS, NULL, 0, 0, SERVER_PRELOAD, AT(eal), "EAL's options, split at spaces; may be repeated"},
    {"sockets", "RULES", TEXT, "!127.0.0.0/8,0.0.0.0/0", 0, 0, SERVER_PRELOAD, AT(sockets), "which sockets are lwIP's"},
    {"idle", "poll|sleep:US", IDLE, "poll", 1, 1000000, SERVER_PRELOAD, AT(idle_sleep_us), "when a waiting thread has nothing to do"},
    {"linger", "MS", NUMBER, "2000", 0, 600000, SERVER_PRELOAD, AT(linger_ms), "at exit, for unsent data to leave"},
    {"counters", "FILE", TEXT, NULL, 0, 0, SERVER_PRELOAD, AT(counters), "counters as JSON, kept up to date"},
    {"address", "IPV4", IPV4, "198.18.0.1", 0, 0, SERVER_LOADGEN, AT(address), "the first to connect from"},
    {"addresses", "N", NUMBER, "1", 1, 65536, SERVER_LOADGEN, AT(addresses), "to connect from, one after the other, 64512 ports each"},
    {"netmask", "IPV4", IPV4, "255.254.0.0", 0, 0, SERVER_LOADGEN, AT(netmask), "within which the server is asked for by ARP"},
    {"gateway-address", "IPV4", IPV4, "0.0.0.0", 0, 0, SERVER_LOADGEN, AT(gateway_address), "one more that ARP is answered for: the server's route to addresses that are too many for its ARP table; 0.0.0.0 = none"},
    {"server", "IPV4", IPV4, REQUIRED, 0, 0, SERVER_LOADGEN, AT(server), "address of the server"},
    {"server-mac", "ADDRESS", MAC, NULL, 0, 0, SERVER_LOADGEN, AT(server_mac), "aa:bb:cc:dd:ee:ff; else asked by ARP"},
    {"port", "N", NUMBER, "80", 1, 65535, SERVER_LOADGEN, AT(port), "TCP port of the server"},
    {"mode", "closed|open|connect|hold", CHOICE, "closed", 0, 0, SERVER_LOADGEN, AT(mode), "next request when the answer is there; requests at --rate; connections one after the other; as closed, of many few active"},
    {"connections", "N", NUMBER, "1", 1, 33554432, SERVER_LOADGEN, AT(connections), "that stand; connect: at most so many at a time"},
    {"active", "N", NUMBER, "33554432", 0, 33554432, SERVER_LOADGEN, AT(active), "how many of them are asked, all if there are fewer"},
    {"rotate", "", FLAG, NULL, 0, 0, SERVER_LOADGEN, AT(rotate), "the active ones move on through all connections"},
    {"rate", "N", NUMBER, NULL, 1, 1000000000, SERVER_LOADGEN, AT(rate), "open: requests a second over all active connections"},
    {"connect-rate", "N", NUMBER, NULL, 1, 1000000000, SERVER_LOADGEN, AT(connect_rate), "connections opened a second; else as fast as they are accepted"},
    {"close", "client|server", CHOICE, "client", 0, 0, SERVER_LOADGEN, AT(closer), "connect: who closes first"},
    {"duration", "S", SECONDS, "3", 0, 86400, CLIENT, AT(duration_us), "measured seconds, as in 2.5"},
    {"warmup", "S", SECONDS, "1", 0, 86400, CLIENT, AT(warmup_us), "seconds of load before"},
    {"stay", "", FLAG, NULL, 0, 0, SERVER_LOADGEN, AT(stay), "keep the connections after the result, until a signal"},
    {"path", "TARGET", TEXT, "/", 0, 0, CLIENT, AT(path), "what is asked for"},
    {"window", "BYTES", SIZE, "256K", 2048, 1 << 30, SERVER_LOADGEN, AT(window), "receive window announced"},
    {"address", "IPV4", IPV4, REQUIRED, 0, 0, SERVER_OPENLOAD, AT(address), "address of the server"},
    {"port", "N", NUMBER, "80", 1, 65535, SERVER_OPENLOAD, AT(port), "TCP port of the server"},
    {"connections", "N", NUMBER, "1", 1, 1000000, SERVER_OPENLOAD, AT(connections), "over all threads, one request in flight on each"},
    {"rate", "N", NUMBER, "0", 0, 1000000000, SERVER_OPENLOAD, AT(rate), "requests a second over all connections; 0: closed loop, the next when the answer is there"},
    {"arrivals", "constant|poisson", CHOICE, "constant", 0, 0, SERVER_OPENLOAD, AT(arrivals), "requests at equal distances, or as of clients that know nothing of each other"},
    {"seed", "N", NUMBER, "1", 0, UINT32_MAX, SERVER_OPENLOAD, AT(seed), "of Poisson arrivals: equal ones come at equal times"},
    {"threads", "N", NUMBER, "1", 1, 64, SERVER_OPENLOAD, AT(client_threads), "each on a CPU of its own of those that it may use"},
    {"spin", "US", NUMBER, "50", 0, 1000000, SERVER_OPENLOAD, AT(spin_us), "before a request is due it asks without sleeping"},
    {"lag-limit", "US", NUMBER, "100", 1, 1000000, SERVER_OPENLOAD, AT(lag_limit_us), "p99 of its own delay in sending from which on it says client_bound"},
    {"output", "FILE", TEXT, NULL, 0, 0, SERVER_OPENLOAD, AT(output), "for the account, else stdout"},
    {"address", "IPV4", IPV4, "0.0.0.0", 0, 0, SERVER_CANNED, AT(address), "IPv4 address to listen on"},
    {"port", "N", NUMBER, "80", 1, 65535, SERVER_CANNED, AT(port), "TCP port to listen on"},
    {"body-size", "BYTES", SIZE, "1", 0, 64 << 20, SERVER_CANNED, AT(body_size), "of the answer's body; 16K, 1M"},
    {"max-connections", "N", NUMBER, "10000", 1, 1048576, SERVER_CANNED, AT(max_connections), "more are refused"},
    {"backlog", "N", NUMBER, "4096", 1, 65535, SERVER_CANNED, AT(backlog), "half open or waiting for accept"},
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

/* Decimal digits with up to six after a point, as microseconds. False when it is none or does not fit. */
static bool parse_seconds(const char *text, uint64_t *us) {
    const char *point = strchr(text, '.');
    char whole[16], part[] = "000000";
    size_t digits = point != NULL ? (size_t)(point - text) : strlen(text);
    uint64_t seconds, fraction;
    if (digits >= sizeof(whole) || (point != NULL && (point[1] == '\0' || strlen(point + 1) > 6)))
        return false;
    snprintf(whole, sizeof(whole), "%.*s", (int)digits, text);
    if (point != NULL)
        memcpy(part, point + 1, strlen(point + 1));
    if (!parse_number(whole, false, &seconds) || !parse_number(part, false, &fraction) ||
        seconds > UINT32_MAX)
        return false;
    *us = seconds * 1000000 + fraction;
    return true;
}

/* The place of `text` among the words of "a|b|c". */
static bool parse_choice(const char *words, const char *text, uint64_t *value) {
    *value = 0;
    for (const char *word = words; *word != '\0'; (*value)++) {
        size_t length = strcspn(word, "|");
        if (strlen(text) == length && memcmp(text, word, length) == 0)
            return true;
        word += length + (word[length] == '|');
    }
    return false;
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

/* "poll" or "sleep:US" as microseconds of sleep. */
static bool parse_idle(const struct row *row, const char *text, uint64_t *sleep_us) {
    *sleep_us = 0;
    if (strcmp(text, "poll") == 0)
        return true;
    return strncmp(text, "sleep:", 6) == 0 && parse_number(text + 6, false, sleep_us) &&
           *sleep_us >= row->min && *sleep_us <= row->max;
}

/* Stores `text` as the value of `row`. OPTIONS_OK, or OPTIONS_ERROR with the line in error[size]. */
static int store(struct options *options, const struct row *row, const char *text, char *error, size_t size) {
    char *field = (char *)options + row->offset;
    struct option_texts *texts;
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
    case TEXT:
        *(const char **)field = text;
        return OPTIONS_OK;
    case TEXTS:
        texts = (struct option_texts *)field;
        if (texts->count < OPTION_TEXTS_MAX) {
            texts->text[texts->count++] = text;
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: given more than %d times", row->name, OPTION_TEXTS_MAX);
        return OPTIONS_ERROR;
    case IDLE:
        if (parse_idle(row, text, &number)) {
            memcpy(field, &number, sizeof(number));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is neither poll nor sleep:%llu..%llu", row->name, text,
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return OPTIONS_ERROR;
    case CHOICE:
        if (parse_choice(row->metavar, text, &number)) {
            memcpy(field, &number, sizeof(number));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is none of %s", row->name, text, row->metavar);
        return OPTIONS_ERROR;
    case SECONDS:
        if (parse_seconds(text, &number) && number >= row->min * 1000000 && number <= row->max * 1000000) {
            memcpy(field, &number, sizeof(number));
            return OPTIONS_OK;
        }
        snprintf(error, size, "--%s: '%s' is no time in %llu..%llu seconds", row->name, text,
                 (unsigned long long)row->min, (unsigned long long)row->max);
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
    bool given[ROWS] = {false};
    memset(options, 0, sizeof(*options));
    for (int i = 0; i < ROWS; i++)
        if ((rows[i].servers & server) && rows[i].fallback != NULL && rows[i].fallback != REQUIRED &&
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
        if (row->kind != FLAG && value == NULL && (value = ++i < argc ? argv[i] : NULL) == NULL) {
            snprintf(error, size, "--%s: the value is missing", row->name);
            return OPTIONS_ERROR;
        }
        if (store(options, row, value, error, size) != OPTIONS_OK)
            return OPTIONS_ERROR;
        given[row - rows] = true;
    }
    for (int i = 0; i < ROWS; i++)
        if ((rows[i].servers & server) && rows[i].fallback == REQUIRED && !given[i]) {
            snprintf(error, size, "--%s is required; see --help", rows[i].name);
            return OPTIONS_ERROR;
        }
    return OPTIONS_OK;
}

void options_list(FILE *out, unsigned server) {
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

void options_help(FILE *out, unsigned server, const char *program) {
    fprintf(out, "usage: %s [option…]\n", program);
    options_list(out, server);
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

int options_parse_after_eal_or_exit(struct options *options, unsigned server, int argc, char *argv[]) {
    int words = 1;
    while (words < argc && strcmp(argv[words], "--") != 0)
        words++;
    if (words == argc) {
        options_parse_or_exit(options, server, 1, argv);
        return words;
    }
    char *separator = argv[words];
    argv[words] = argv[0];
    options_parse_or_exit(options, server, argc - words, argv + words);
    argv[words] = separator;
    return words;
}
