/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ethdev.h>

#include "port_shared.h"

/* Of a name of at most RTE_ETH_XSTATS_NAME_SIZE bytes, every one of which may become \u00xx. */
#define ESCAPED_SIZE (6 * RTE_ETH_XSTATS_NAME_SIZE + 1)

struct hash_function {
    uint64_t bit;
    const char *name;
};

/* Those that concern TCP over IPv4 and what a driver may add to them; others are told by their bits. */
static const struct hash_function hash_functions[] = {
    {RTE_ETH_RSS_IPV4, "ipv4"},
    {RTE_ETH_RSS_FRAG_IPV4, "ipv4-frag"},
    {RTE_ETH_RSS_NONFRAG_IPV4_TCP, "ipv4-tcp"},
    {RTE_ETH_RSS_NONFRAG_IPV4_UDP, "ipv4-udp"},
    {RTE_ETH_RSS_NONFRAG_IPV4_OTHER, "ipv4-other"},
    {RTE_ETH_RSS_IPV6, "ipv6"},
    {RTE_ETH_RSS_NONFRAG_IPV6_TCP, "ipv6-tcp"},
    {RTE_ETH_RSS_NONFRAG_IPV6_UDP, "ipv6-udp"},
};

enum { HASH_FUNCTIONS = sizeof(hash_functions) / sizeof(hash_functions[0]) };

/* Some drivers make rings of another size than the one they have accepted; not all tell. */
static void ask_for_rings(struct port *port) {
    struct rte_eth_rxq_info rx = {0};
    struct rte_eth_txq_info tx = {0};

    if (rte_eth_rx_queue_info_get(port->id, 0, &rx) == 0 && rx.nb_desc > 0) {
        port->rx_descriptors = rx.nb_desc;
    }
    if (rte_eth_tx_queue_info_get(port->id, 0, &tx) == 0 && tx.nb_desc > 0) {
        port->tx_descriptors = tx.nb_desc;
    }
}

void port_ask_device(struct port *port) {
    struct port_shared *shared = port->shared;
    struct rte_eth_rss_conf rss = {.rss_key = shared->hash_key, .rss_key_len = sizeof(shared->hash_key)};

    ask_for_rings(port);
    if (rte_eth_dev_fw_version_get(port->id, shared->firmware, sizeof(shared->firmware)) != 0) {
        shared->firmware[0] = '\0';
    }
    if (shared->by_port && rte_eth_dev_rss_hash_conf_get(port->id, &rss) == 0) {
        shared->hash_functions = rss.rss_hf;
        shared->hash_key_size = rss.rss_key_len <= sizeof(shared->hash_key) ? rss.rss_key_len : 0;
    }
}

/* Adds to text[size], of which `length` bytes are taken; returns the new length, above `size` when it is
 * full. */
static __rte_format_printf(4, 5) size_t
    append(char *text, size_t size, size_t length, const char *format, ...) {
    va_list arguments;

    if (length >= size) {
        return length;
    }
    va_start(arguments, format);
    length += (size_t)vsnprintf(text + length, size - length, format, arguments);
    va_end(arguments);
    return length;
}

/* The name as the inside of a JSON string; what does not fit is left out. */
static const char *escape(const char *name, char escaped[ESCAPED_SIZE]) {
    size_t length = 0;

    for (; *name != '\0' && length + 7 < ESCAPED_SIZE; name++) {
        unsigned char c = (unsigned char)*name;

        if (c == '"' || c == '\\') {
            escaped[length++] = '\\';
            escaped[length++] = (char)c;
        } else if (c < 0x20 || c >= 0x7f) {
            length += (size_t)snprintf(escaped + length, ESCAPED_SIZE - length, "\\u%04x", c);
        } else {
            escaped[length++] = (char)c;
        }
    }
    escaped[length] = '\0';
    return escaped;
}

/* `"key": "value", `, or null for an empty value. */
static size_t append_text(char *text, size_t size, size_t length, const char *key, const char *value) {
    char escaped[ESCAPED_SIZE];

    if (value == NULL || value[0] == '\0') {
        return append(text, size, length, "\"%s\": null, ", key);
    }
    return append(text, size, length, "\"%s\": \"%s\", ", key, escape(value, escaped));
}

/* The names of the offloads of one direction that are set in `bits`. */
static size_t append_names(char *text, size_t size, size_t length, uint64_t bits, const char *direction,
                           const char *(*name)(uint64_t)) {
    for (uint64_t bit = 1; bit != 0; bit <<= 1) {
        if ((bits & bit) && length < size) {
            length = append(text, size, length, "%s\"%s %s\"", text[length - 1] == '[' ? "" : ", ", direction,
                            name(bit));
        }
    }
    return length;
}

static size_t append_offloads(char *text, size_t size, size_t length, const char *key, uint64_t rx,
                              uint64_t tx) {
    length = append(text, size, length, "\"%s\": [", key);
    length = append_names(text, size, length, rx, "rx", rte_eth_dev_rx_offload_name);
    length = append_names(text, size, length, tx, "tx", rte_eth_dev_tx_offload_name);
    return append(text, size, length, "], ");
}

/* How the port spreads flows over its queues; nothing where it does not. */
static size_t append_rss(char *text, size_t size, size_t length, const struct port_shared *shared) {
    uint64_t others = shared->hash_functions;
    const char *comma = "";

    if (!shared->by_port) {
        return length;
    }
    length = append(text, size, length, "\"rss\": {\"functions\": [");
    for (unsigned i = 0; i < HASH_FUNCTIONS; i++) {
        if (shared->hash_functions & hash_functions[i].bit) {
            length = append(text, size, length, "%s\"%s\"", comma, hash_functions[i].name);
            others &= ~hash_functions[i].bit;
            comma = ", ";
        }
    }
    if (others != 0) {
        length = append(text, size, length, "%s\"0x%" PRIx64 "\"", comma, others);
    }
    length = append(text, size, length, "], \"key\": %s", shared->hash_key_size > 0 ? "\"" : "null");
    for (unsigned i = 0; i < shared->hash_key_size; i++) {
        length = append(text, size, length, "%02x", shared->hash_key[i]);
    }
    return append(text, size, length, "%s}, ", shared->hash_key_size > 0 ? "\"" : "");
}

/* As port_link_up() has found it last. A link without a speed is one of software. */
static size_t append_link(char *text, size_t size, size_t length, const struct port *port) {
    if (!port->link_known || !port->link_up) {
        return append(text, size, length, "\"link\": null, ");
    }
    length = append(text, size, length, "\"link\": {\"mbps\": ");
    length = port->link_mbps == RTE_ETH_SPEED_NUM_NONE || port->link_mbps == RTE_ETH_SPEED_NUM_UNKNOWN
                 ? append(text, size, length, "null")
                 : append(text, size, length, "%u", port->link_mbps);
    return append(text, size, length, ", \"duplex\": \"%s\"}, ", port->full_duplex ? "full" : "half");
}

static const char *steering(const struct port *port) {
    if (!port->sorts) {
        return "none";
    }
    return port->shared->by_port ? "port" : "software";
}

void port_describe(const struct port *port, char *text, size_t size) {
    const struct port_shared *shared = port->shared;
    const uint8_t *mac = port->mac;
    size_t length = append_text(text, size, append(text, size, 0, "{"), "driver", port->driver);

    length = append_text(text, size, length, "device", port->device);
    length = append_text(text, size, length, "firmware", shared->firmware);
    length = append(text, size, length, "\"mac\": \"%02x:%02x:%02x:%02x:%02x:%02x\", ", mac[0], mac[1],
                    mac[2], mac[3], mac[4], mac[5]);
    length = append_link(text, size, length, port);
    length = append_offloads(text, size, length, "offloads_asked", port->rx_offloads_asked,
                             port->tx_offloads_asked);
    length = append_offloads(text, size, length, "offloads_granted", port->rx_offloads, port->tx_offloads);
    length = append_rss(text, size, length, shared);
    append(text, size, length,
           "\"rx_queues\": %u, \"tx_queues\": %u, \"steering\": \"%s\", "
           "\"rx_descriptors_asked\": %u, \"tx_descriptors_asked\": %u, "
           "\"rx_descriptors\": %u, \"tx_descriptors\": %u, \"mtu\": %u, \"promiscuous\": %s, "
           "\"hugepages\": %s}",
           shared->rx_queues, shared->cores, steering(port), port->rx_descriptors_asked,
           port->tx_descriptors_asked, port->rx_descriptors, port->tx_descriptors, port->mtu,
           port->promiscuous ? "true" : "false", rte_eal_has_hugepages() ? "true" : "false");
}

static void print_counts(FILE *out, const struct rte_eth_xstat *counts,
                         const struct rte_eth_xstat_name *names, int count) {
    char escaped[ESCAPED_SIZE];
    const char *comma = "";

    fputc('{', out);
    for (int i = 0; i < count; i++) {
        if (counts[i].value != 0 && counts[i].id < (uint64_t)count) {
            fprintf(out, "%s\"%s\": %" PRIu64, comma, escape(names[counts[i].id].name, escaped),
                    counts[i].value);
            comma = ", ";
        }
    }
    fputc('}', out);
}

void port_print_xstats(const struct port *port, FILE *out) {
    int count = rte_eth_xstats_get_names(port->id, NULL, 0);
    size_t room = count > 0 ? (size_t)count : 0;
    struct rte_eth_xstat_name *names = calloc(room, sizeof(*names));
    struct rte_eth_xstat *counts = calloc(room, sizeof(*counts));

    if (room > 0 && names != NULL && counts != NULL &&
        rte_eth_xstats_get_names(port->id, names, (unsigned)count) == count &&
        rte_eth_xstats_get(port->id, counts, (unsigned)count) == count) {
        print_counts(out, counts, names, count);
    } else {
        fputs("null", out);
    }
    free(names);
    free(counts);
}
