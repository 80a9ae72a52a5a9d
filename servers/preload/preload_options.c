/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload_options.h"

#define AT(field) offsetof(struct preload_options, field)

/* clang-format off */
static const struct option_row rows[] = {
    {"address", "IPV4", OPTION_IPV4, OPTION_REQUIRED, 0, 0, AT(address), "IPv4 address of lwIP's interface"},
    {"netmask", "IPV4", OPTION_IPV4, "255.255.255.0", 0, 0, AT(netmask), "IPv4 netmask"},
    {"gateway", "IPV4", OPTION_IPV4, "0.0.0.0", 0, 0, AT(gateway), "default router; 0.0.0.0 = none"},
    {"mac", "ADDRESS", OPTION_MAC, NULL, 0, 0, AT(mac), "aa:bb:cc:dd:ee:ff; else the port's own"},
    {"mbufs", "N", OPTION_NUMBER, "16383", 1023, 4194303, AT(mbufs), "packet buffers of a core"},
    {"rx-descriptors", "N", OPTION_NUMBER, "1024", 64, 32768, AT(rx_descriptors), "receive ring"},
    {"tx-descriptors", "N", OPTION_NUMBER, "1024", 64, 32768, AT(tx_descriptors), "transmit ring"},
    {"mtu", "BYTES", OPTION_NUMBER, "1500", 576, 9000, AT(mtu), "largest IPv4 packet"},
    {"no-offload", "", OPTION_FLAG, NULL, 0, 0, AT(no_offload), "compute everything in software"},
    {"eal", "WORDS", OPTION_TEXTS, NULL, 0, 0, AT(eal), "EAL's options, split at spaces; may be repeated"},
    {"sockets", "RULES", OPTION_TEXT, "!127.0.0.0/8,0.0.0.0/0", 0, 0, AT(sockets), "which sockets are lwIP's"},
    {"idle", "poll|sleep:US", OPTION_IDLE, "poll", 1, 1000000, AT(idle_sleep_us), "when a waiting thread has nothing to do"},
    {"linger", "MS", OPTION_NUMBER, "2000", 0, 600000, AT(linger_ms), "at exit, for unsent data to leave"},
    {"counters", "FILE", OPTION_TEXT, NULL, 0, 0, AT(counters), "counters as JSON, kept up to date"},
};
/* clang-format on */

const struct option_table preload_options = OPTION_TABLE(struct preload_options, rows);
