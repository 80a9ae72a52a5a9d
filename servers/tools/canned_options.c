/* SPDX-License-Identifier: BSD-3-Clause */
#include "canned_options.h"

#define AT(field) offsetof(struct canned_options, field)

/* clang-format off */
static const struct option_row rows[] = {
    {"address", "IPV4", OPTION_IPV4, "0.0.0.0", 0, 0, AT(address), "IPv4 address to listen on"},
    {"port", "N", OPTION_NUMBER, "80", 1, 65535, AT(port), "TCP port to listen on"},
    {"body-size", "BYTES", OPTION_SIZE, "1", 0, 64 << 20, AT(body_size), "of the answer's body; 16K, 1M"},
    {"max-connections", "N", OPTION_NUMBER, "10000", 1, 1048576, AT(max_connections), "more are refused"},
    {"backlog", "N", OPTION_NUMBER, "4096", 1, 65535, AT(backlog), "half open or waiting for accept"},
};
/* clang-format on */

const struct option_table canned_options = OPTION_TABLE(struct canned_options, rows);
