/* SPDX-License-Identifier: BSD-3-Clause */
#include "floor_options.h"

#define AT(field) offsetof(struct floor_options, field)

/* clang-format off */
static const struct option_row rows[] = {
    {"address", "IPV4", OPTION_IPV4, "198.18.0.3", 0, 0, AT(address), "IPv4 address of the interface"},
    {"mac", "ADDRESS", OPTION_MAC, NULL, 0, 0, AT(mac), "aa:bb:cc:dd:ee:ff; else the port's own"},
    {"port", "N", OPTION_NUMBER, "80", 1, 65535, AT(port), "TCP port that is answered"},
    {"body-size", "BYTES", OPTION_SIZE, "1", 0, FLOOR_BODY_MAX, AT(body_size), "of the answer's body; 1K"},
    {"mbufs", "N", OPTION_NUMBER, "16383", 1023, 4194303, AT(mbufs), "packet buffers"},
    {"rx-descriptors", "N", OPTION_NUMBER, "1024", 64, 32768, AT(rx_descriptors), "receive ring"},
    {"tx-descriptors", "N", OPTION_NUMBER, "1024", 64, 32768, AT(tx_descriptors), "transmit ring"},
};
/* clang-format on */

const struct option_table floor_options = OPTION_TABLE(struct floor_options, rows);
