/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel_options.h"

#include "common/privileges.h"

#define AT(field) offsetof(struct kernel_options, field)

/* clang-format off */
#define ROWS_OF_BOTH \
    {"address", "IPV4", OPTION_IPV4, "0.0.0.0", 0, 0, AT(address), "IPv4 address to listen on"}, \
    {"port", "N", OPTION_NUMBER, "80", 1, 65535, AT(port), "TCP port to listen on"}, \
    {"body-size", "BYTES", OPTION_SIZE, "1", 0, 64 << 20, AT(body_size), "of the response body; 16K, 1M"}, \
    {"max-connections", "N", OPTION_NUMBER, "10000", 1, 1048576, AT(max_connections), "more are refused"}, \
    {"backlog", "N", OPTION_NUMBER, "4096", 1, 65535, AT(backlog), "half open or waiting for accept"}, \
    {"keepalive-idle", "S", OPTION_NUMBER, "60", 1, 32767, AT(keepalive_idle), "seconds without a byte before a probe"}, \
    {"keepalive-interval", "S", OPTION_NUMBER, "10", 1, 32767, AT(keepalive_interval), "seconds between probes"}, \
    {"keepalive-count", "N", OPTION_NUMBER, "6", 1, 127, AT(keepalive_count), "silent probes before it is closed"}, \
    HTTP_LIMIT_ROWS(AT(limits)), \
    PRIVILEGES_ROW(AT(user)), \
    {"threads", "N", OPTION_NUMBER, "1", 1, 64, AT(threads), "each with a listening socket of its own"}, \
    {"cpus", "LIST", OPTION_TEXT, "", 0, 0, AT(cpus), "one CPU a thread, as 2,3: a connection goes to the thread on the CPU that received its SYN; else threads run anywhere"}

static const struct option_row epoll_rows[] = {
    ROWS_OF_BOTH,
    {"spin", "", OPTION_FLAG, NULL, 0, 0, AT(spin), "waits poll and never sleep"},
    {"busy-poll", "USECS", OPTION_NUMBER, NULL, 1, 1000000, AT(busy_poll), "how long a wait asks the device's queue before it sleeps"},
};

static const struct option_row uring_rows[] = {
    ROWS_OF_BOTH,
};
/* clang-format on */

const struct option_table epoll_options = OPTION_TABLE(struct kernel_options, epoll_rows);
const struct option_table uring_options = OPTION_TABLE(struct kernel_options, uring_rows);
