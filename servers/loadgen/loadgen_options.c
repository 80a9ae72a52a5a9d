/* SPDX-License-Identifier: BSD-3-Clause */
#include "loadgen_options.h"

#define AT(field) offsetof(struct loadgen_options, field)

/* clang-format off */
static const struct option_row rows[] = {
    {"mac", "ADDRESS", OPTION_MAC, NULL, 0, 0, AT(mac), "aa:bb:cc:dd:ee:ff; else the port's own"},
    {"body-size", "BYTES", OPTION_SIZE, "1", 0, 64 << 20, AT(body_size), "of the response body; 16K, 1M"},
    {"mbufs", "N", OPTION_NUMBER, "16383", 1023, 4194303, AT(mbufs), "packet buffers of a core"},
    {"rx-descriptors", "N", OPTION_NUMBER, "1024", 64, 32768, AT(rx_descriptors), "receive ring"},
    {"tx-descriptors", "N", OPTION_NUMBER, "1024", 64, 32768, AT(tx_descriptors), "transmit ring"},
    {"mtu", "BYTES", OPTION_NUMBER, "1500", 576, 9000, AT(mtu), "largest IPv4 packet"},
    {"no-offload", "", OPTION_FLAG, NULL, 0, 0, AT(no_offload), "compute everything in software"},
    {"address", "IPV4", OPTION_IPV4, "198.18.0.1", 0, 0, AT(address), "the first to connect from"},
    {"addresses", "N", OPTION_NUMBER, "1", 1, 65536, AT(addresses), "to connect from, one after the other, 64512 ports each"},
    {"netmask", "IPV4", OPTION_IPV4, "255.254.0.0", 0, 0, AT(netmask), "within which the server is asked for by ARP"},
    {"gateway-address", "IPV4", OPTION_IPV4, "0.0.0.0", 0, 0, AT(gateway_address), "one more that ARP is answered for: the server's route to addresses that are too many for its ARP table; 0.0.0.0 = none"},
    {"server", "IPV4", OPTION_IPV4, OPTION_REQUIRED, 0, 0, AT(server), "address of the server"},
    {"server-mac", "ADDRESS", OPTION_MAC, NULL, 0, 0, AT(server_mac), "aa:bb:cc:dd:ee:ff; else asked by ARP"},
    {"port", "N", OPTION_NUMBER, "80", 1, 65535, AT(port), "TCP port of the server"},
    {"mode", "closed|open|connect|hold", OPTION_CHOICE, "closed", 0, 0, AT(mode), "next request when the answer is there; requests at --rate; connections one after the other; as closed, of many few active"},
    {"connections", "N", OPTION_NUMBER, "1", 1, 33554432, AT(connections), "that stand; connect: at most so many at a time"},
    {"active", "N", OPTION_NUMBER, "33554432", 0, 33554432, AT(active), "how many of them are asked, all if there are fewer"},
    {"rotate", "", OPTION_FLAG, NULL, 0, 0, AT(rotate), "the active ones move on through all connections"},
    {"rate", "N", OPTION_NUMBER, NULL, 1, 1000000000, AT(rate), "open: requests a second over all active connections"},
    {"connect-rate", "N", OPTION_NUMBER, NULL, 1, 1000000000, AT(connect_rate), "connections opened a second; else as fast as they are accepted"},
    {"close", "client|server", OPTION_CHOICE, "client", 0, 0, AT(closer), "connect: who closes first"},
    {"duration", "S", OPTION_SECONDS, "3", 0, 86400, AT(duration_us), "measured seconds, as in 2.5"},
    {"warmup", "S", OPTION_SECONDS, "1", 0, 86400, AT(warmup_us), "seconds of load before"},
    {"stay", "", OPTION_FLAG, NULL, 0, 0, AT(stay), "keep the connections after the result, until a signal"},
    {"path", "TARGET", OPTION_TEXT, "/", 0, 0, AT(path), "what is asked for"},
    {"window", "BYTES", OPTION_SIZE, "256K", 2048, 1 << 30, AT(window), "receive window announced"},
};
/* clang-format on */

const struct option_table loadgen_options = OPTION_TABLE(struct loadgen_options, rows);
