/* SPDX-License-Identifier: BSD-3-Clause */
#include "lwip_options.h"

#include "common/privileges.h"

#define AT(field) offsetof(struct lwip_options, field)

/* clang-format off */
static const struct option_row rows[] = {
    {"address", "IPV4", OPTION_IPV4, "198.18.0.3", 0, 0, AT(address), "IPv4 address of the interface"},
    {"netmask", "IPV4", OPTION_IPV4, "255.255.255.0", 0, 0, AT(netmask), "IPv4 netmask"},
    {"gateway", "IPV4", OPTION_IPV4, "0.0.0.0", 0, 0, AT(gateway), "default router; 0.0.0.0 = none"},
    {"mac", "ADDRESS", OPTION_MAC, NULL, 0, 0, AT(mac), "aa:bb:cc:dd:ee:ff; else the port's own"},
    {"port", "N", OPTION_NUMBER, "80", 1, 65535, AT(port), "TCP port to listen on"},
    {"body-size", "BYTES", OPTION_SIZE, "1", 0, 64 << 20, AT(body_size), "of the response body; 16K, 1M"},
    {"max-connections", "N", OPTION_NUMBER, "10000", 1, 33554432, AT(max_connections), "more are refused; each core has its share"},
    {"backlog", "N", OPTION_NUMBER, "4096", 1, 65535, AT(backlog), "half open or waiting for accept"},
    {"keepalive-idle", "S", OPTION_NUMBER, "60", 1, 32767, AT(keepalive_idle), "seconds without a byte before a probe"},
    {"keepalive-interval", "S", OPTION_NUMBER, "10", 1, 32767, AT(keepalive_interval), "seconds between probes"},
    {"keepalive-count", "N", OPTION_NUMBER, "6", 1, 127, AT(keepalive_count), "silent probes before it is closed"},
    HTTP_LIMIT_ROWS(AT(limits)),
    PRIVILEGES_ROW(AT(user)),
    {"mbufs", "N", OPTION_NUMBER, "16383", 1023, 4194303, AT(mbufs), "packet buffers of a core"},
    {"rx-descriptors", "N", OPTION_NUMBER, "1024", 64, 32768, AT(rx_descriptors), "receive ring"},
    {"tx-descriptors", "N", OPTION_NUMBER, "1024", 64, 32768, AT(tx_descriptors), "transmit ring"},
    {"mtu", "BYTES", OPTION_NUMBER, "1500", 576, 9000, AT(mtu), "largest IPv4 packet"},
    {"cores", "N", OPTION_NUMBER, "1", 1, 64, AT(cores), "one stack each, on the first of the lcores that EAL's -l or --lcores names"},
    {"idle", "poll|intr", OPTION_CHOICE, "poll", 0, 0, AT(idle), "with nothing to do: ask on, or sleep until the port interrupts"},
    {"without", "NAMES", OPTION_TEXT, "", 0, 0, AT(without), "optimisations left out, as lookup,timers; all"},
    {"waive", "NAMES", OPTION_TEXT, "", 0, 0, AT(waive), "obligations not kept, as isn; all: to measure what they cost"},
    {"no-offload", "", OPTION_FLAG, NULL, 0, 0, AT(no_offload), "compute everything in software"},
};
/* clang-format on */

const struct option_table lwip_options = OPTION_TABLE(struct lwip_options, rows);
