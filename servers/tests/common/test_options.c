/* SPDX-License-Identifier: BSD-3-Clause */
/* options.c, the tables of the programs and counters.c: every kind of option, limits, errors; the help; the
 * two lines on stdout. */
#include "common/counters.h"
#include "common/options.h"
#include "kernel/kernel_options.h"
#include "loadgen/loadgen_options.h"
#include "lwip/lwip_options.h"
#include "openload/openload_options.h"
#include "preload/preload_options.h"
#include "tools/canned_options.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#define PARSE(values, table, error, ...)                                                                     \
    parse(values, table, error, (char *[]){"/path/to/program", __VA_ARGS__, NULL})

static int parse(void *values, const struct option_table *table, char error[256], char *argv[]) {
    int argc = 0;
    while (argv[argc] != NULL) {
        argc++;
    }
    error[0] = '\0';
    return options_parse(values, table, argc, argv, error, 256);
}

static void test_defaults(void **state) {
    (void)state;
    struct kernel_options kernel;
    struct lwip_options o;
    struct canned_options canned;
    char error[256];
    memset(&kernel, 0xff, sizeof(kernel));
    memset(&o, 0xff, sizeof(o));
    memset(&canned, 0xff, sizeof(canned));
    char *argv[] = {"program", NULL};
    assert_int_equal(parse(&kernel, &epoll_options, error, argv), OPTIONS_OK);
    assert_int_equal(kernel.address, INADDR_ANY);
    assert_int_equal(kernel.port, 80);
    assert_int_equal(kernel.body_size, 1);
    assert_int_equal(kernel.max_connections, 10000);
    assert_int_equal(kernel.backlog, 4096);
    assert_int_equal(kernel.keepalive_idle, 60);
    assert_int_equal(kernel.keepalive_interval, 10);
    assert_int_equal(kernel.keepalive_count, 6);
    assert_int_equal(kernel.limits.header, 60);
    assert_int_equal(kernel.limits.idle, 300);
    assert_int_equal(kernel.limits.send, 60);
    assert_int_equal(kernel.busy_poll, 0);
    assert_int_equal(parse(&o, &lwip_options, error, argv), OPTIONS_OK);
    assert_int_equal(o.address, inet_addr("198.18.0.3"));
    assert_int_equal(o.netmask, inet_addr("255.255.255.0"));
    assert_int_equal(o.gateway, 0);
    assert_int_equal(o.backlog, 4096);
    assert_int_equal(o.mbufs, 16383);
    assert_int_equal(o.rx_descriptors, 1024);
    assert_int_equal(o.tx_descriptors, 1024);
    assert_int_equal(o.mtu, 1500);
    assert_false(o.no_offload);
    assert_memory_equal(o.mac, ((uint8_t[6]){0}), 6);
    assert_int_equal(parse(&canned, &canned_options, error, argv), OPTIONS_OK);
    assert_int_equal(canned.max_connections, 10000);
    assert_int_equal(canned.backlog, 4096);
}

static void test_every_kind(void **state) {
    (void)state;
    struct lwip_options o;
    struct kernel_options kernel;
    char error[256];
    assert_int_equal(PARSE(&o, &lwip_options, error, "--address", "198.18.0.9", "--gateway=198.18.0.1",
                           "--netmask", "255.254.0.0", "--mac", "02:53:44:aB:Cd:0f", "--port=65535",
                           "--body-size", "16K", "--no-offload", "--mtu", "9000", "--mbufs", "1023"),
                     OPTIONS_OK);
    assert_int_equal(o.address, inet_addr("198.18.0.9"));
    assert_int_equal(o.gateway, inet_addr("198.18.0.1"));
    assert_int_equal(o.netmask, inet_addr("255.254.0.0"));
    assert_memory_equal(o.mac, ((uint8_t[6]){0x02, 0x53, 0x44, 0xab, 0xcd, 0x0f}), 6);
    assert_int_equal(o.port, 65535);
    assert_int_equal(o.body_size, 16384);
    assert_true(o.no_offload);
    assert_int_equal(o.mtu, 9000);
    assert_int_equal(o.mbufs, 1023);
    assert_int_equal(PARSE(&kernel, &epoll_options, error, "--body-size", "64M"), OPTIONS_OK);
    assert_int_equal(kernel.body_size, 64 << 20);
    assert_int_equal(PARSE(&kernel, &epoll_options, error, "--port", "1", "--port", "2"), OPTIONS_OK);
    assert_int_equal(kernel.port, 2);
    assert_int_equal(PARSE(&kernel, &epoll_options, error, "--port", "1", "--help"), OPTIONS_HELP);
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *words[2];
        const char *line;
    } rows[] = {
        {{"--port", "70000"}, "--port: '70000' is not in 1..65535"},
        {{"--port", "0"}, "--port: '0' is not in 1..65535"},
        {{"--port=-1"}, "--port: '-1' is not in 1..65535"},
        {{"--port", ""}, "--port: '' is not in 1..65535"},
        {{"--port", "80x"}, "--port: '80x' is not in 1..65535"},
        {{"--port", " 80"}, "--port: ' 80' is not in 1..65535"},
        {{"--port", "1K"}, "--port: '1K' is not in 1..65535"},
        {{"--port", "99999999999999999999"}, "--port: '99999999999999999999' is not in 1..65535"},
        {{"--port"}, "--port: the value is missing"},
        {{"--body-size", "65M"}, "--body-size: '65M' is not in 0..67108864"},
        {{"--body-size", "18014398509481985K"}, "--body-size: '18014398509481985K' is not in 0..67108864"},
        {{"--body-size", "1KK"}, "--body-size: '1KK' is not in 0..67108864"},
        {{"--max-connections", "1000000000"}, "--max-connections: '1000000000' is not in 1..33554432"},
        {{"--backlog", "0"}, "--backlog: '0' is not in 1..65535"},
        {{"--address", "198.18.0"}, "--address: '198.18.0' is not an IPv4 address"},
        {{"--address", "::1"}, "--address: '::1' is not an IPv4 address"},
        {{"--mac", "02:00:00:00:00"}, "--mac: '02:00:00:00:00' is not a MAC address of one station"},
        {{"--mac", "02:00:00:00:00:00:"}, "--mac: '02:00:00:00:00:00:' is not a MAC address of one station"},
        {{"--mac", "03:00:00:00:00:00"}, "--mac: '03:00:00:00:00:00' is not a MAC address of one station"},
        {{"--mac", ""}, "--mac: '' is not a MAC address of one station"},
        {{"--no-offload=1"}, "--no-offload: takes no value"},
        {{"--nonsense", "1"}, "--nonsense: no such option; see --help"},
        {{"--por=1"}, "--por: no such option; see --help"},
        {{"--"}, "--: no such option; see --help"},
        {{"-p"}, "-p: no such option; see --help"},
        {{"8080"}, "8080: no such option; see --help"},
        {{""}, ": no such option; see --help"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lwip_options o;
        char error[256];
        char *argv[] = {"program", (char *)rows[i].words[0], (char *)rows[i].words[1], NULL};
        assert_int_equal(parse(&o, &lwip_options, error, argv), OPTIONS_ERROR);
        assert_string_equal(error, rows[i].line);
    }
    struct kernel_options o;
    char error[256];
    assert_int_equal(PARSE(&o, &epoll_options, error, "--mtu", "1500"),
                     OPTIONS_ERROR); /* of the other server */
    assert_string_equal(error, "--mtu: no such option; see --help");
    char *more[] = {"program", "--port", "80", NULL}; /* what lies behind argc is another's */
    assert_int_equal(options_parse(&o, &epoll_options, 2, more, error, sizeof(error)), OPTIONS_ERROR);
    assert_string_equal(error, "--port: the value is missing");
    char wide[1000];
    memset(wide, 'x', sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = '\0';
    assert_int_equal(PARSE(&o, &epoll_options, error, "--port", wide), OPTIONS_ERROR);
    assert_int_equal(strlen(error), 255);
}

static void test_preload(void **state) {
    (void)state;
    struct preload_options o;
    char error[256];
    assert_int_equal(PARSE(&o, &preload_options, error, "--address", "198.18.0.2"), OPTIONS_OK);
    assert_int_equal(o.address, inet_addr("198.18.0.2"));
    assert_int_equal(o.netmask, inet_addr("255.255.255.0"));
    assert_int_equal(o.mbufs, 16383);
    assert_int_equal(o.eal.count, 0);
    assert_string_equal(o.sockets, "!127.0.0.0/8,0.0.0.0/0");
    assert_int_equal(o.idle_sleep_us, 0);
    assert_int_equal(o.linger_ms, 2000);
    assert_null(o.counters);
    assert_int_equal(PARSE(&o, &preload_options, error, "--eal", "--no-pci -l 1", "--address=198.18.0.2",
                           "--eal=--vdev=net_tap0,iface=t", "--sockets", "udp:0.0.0.0/0", "--sockets",
                           "10.0.0.0/8", "--idle", "sleep:50", "--linger", "0", "--counters", "a=b"),
                     OPTIONS_OK);
    assert_int_equal(o.eal.count, 2);
    assert_string_equal(o.eal.text[0], "--no-pci -l 1");
    assert_string_equal(o.eal.text[1], "--vdev=net_tap0,iface=t");
    assert_string_equal(o.sockets, "10.0.0.0/8");
    assert_int_equal(o.idle_sleep_us, 50);
    assert_int_equal(o.linger_ms, 0);
    assert_string_equal(o.counters, "a=b");
    assert_int_equal(
        PARSE(&o, &preload_options, error, "--address", "198.18.0.2", "--idle=sleep:9", "--idle=poll"),
        OPTIONS_OK);
    assert_int_equal(o.idle_sleep_us, 0);
    assert_int_equal(PARSE(&o, &preload_options, error, "--mtu", "1500"), OPTIONS_ERROR);
    assert_string_equal(error, "--address is required; see --help");
    assert_int_equal(PARSE(&o, &preload_options, error, "--mtu", "1500", "--help"), OPTIONS_HELP);
    assert_int_equal(PARSE(&o, &preload_options, error, "--port", "80"), OPTIONS_ERROR);
    assert_string_equal(error, "--port: no such option; see --help");
}

#define LOADGEN(values, error, ...)                                                                          \
    PARSE(values, &loadgen_options, error, "--server", "198.18.0.3", __VA_ARGS__)

static void test_loadgen(void **state) {
    (void)state;
    struct loadgen_options o;
    char error[256];
    assert_int_equal(LOADGEN(&o, error, NULL), OPTIONS_OK);
    assert_int_equal(o.address, inet_addr("198.18.0.1"));
    assert_int_equal(o.netmask, inet_addr("255.254.0.0"));
    assert_int_equal(o.server, inet_addr("198.18.0.3"));
    assert_int_equal(o.mode, MODE_CLOSED);
    assert_int_equal(o.closer, CLOSED_BY_CLIENT);
    assert_int_equal(o.duration_us, 3000000);
    assert_int_equal(o.warmup_us, 1000000);
    assert_int_equal(o.window, 256 << 10);
    assert_string_equal(o.path, "/");
    assert_false(o.rotate || o.stay);
    assert_int_equal(LOADGEN(&o, error, "--mode", "hold", "--active=0", "--close=server", "--duration=0.25",
                             "--warmup", "2.000001", "--stay", "--rotate"),
                     OPTIONS_OK);
    assert_int_equal(o.mode, MODE_HOLD);
    assert_int_equal(o.active, 0);
    assert_int_equal(o.closer, CLOSED_BY_SERVER);
    assert_int_equal(o.duration_us, 250000);
    assert_int_equal(o.warmup_us, 2000001);
    assert_true(o.rotate && o.stay);
    assert_int_equal(LOADGEN(&o, error, "--backlog", "1"), OPTIONS_ERROR);
    assert_int_equal(PARSE(&o, &loadgen_options, error, "--port", "80"), OPTIONS_ERROR);
    assert_string_equal(error, "--server is required; see --help");
}

static void test_choices_and_times_that_are_none(void **state) {
    (void)state;
    static const char *const modes[] = {"", "close", "closed|open", "Closed", "hold "};
    static const char *const times[] = {"",     "-1",    "1.", ".5",      "1.0000001",
                                        "1e3",  "86401", "1s", "86400.1", "99999999999999999999",
                                        "1.-5", "1.2.3"};
    struct loadgen_options o;
    char error[256];
    char line[256];
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(LOADGEN(&o, error, "--mode", (char *)modes[i]), OPTIONS_ERROR);
        snprintf(line, sizeof(line), "--mode: '%s' is none of closed|open|connect|hold", modes[i]);
        assert_string_equal(error, line);
    }
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_int_equal(LOADGEN(&o, error, "--duration", (char *)times[i]), OPTIONS_ERROR);
        snprintf(line, sizeof(line), "--duration: '%s' is no time in 0..86400 seconds", times[i]);
        assert_string_equal(error, line);
    }
}

static void test_own_options_come_after_eals(void **state) {
    (void)state;
    struct lwip_options o;
    char *argv[] = {"lwip_server", "-l", "1", "--", "--port", "8080", NULL};
    assert_int_equal(options_parse_after_eal_or_exit(&o, &lwip_options, 6, argv), 3);
    assert_int_equal(o.port, 8080);
    assert_string_equal(argv[3], "--");
    assert_int_equal(options_parse_after_eal_or_exit(&o, &lwip_options, 3, argv), 3);
    assert_int_equal(o.port, 80);
}

static void test_cores_and_idle_of_lwip_server(void **state) {
    struct lwip_options o;
    char error[256];

    (void)state;
    assert_int_equal(PARSE(&o, &lwip_options, error, "--port", "80"), OPTIONS_OK);
    assert_int_equal(o.cores, 1);
    assert_int_equal(o.idle, IDLE_POLL);
    assert_int_equal(PARSE(&o, &lwip_options, error, "--cores", "64", "--idle=intr"), OPTIONS_OK);
    assert_int_equal(o.cores, 64);
    assert_int_equal(o.idle, IDLE_INTR);
    assert_int_equal(PARSE(&o, &lwip_options, error, "--cores", "65"), OPTIONS_ERROR);
    assert_string_equal(error, "--cores: '65' is not in 1..64");
    assert_int_equal(PARSE(&o, &lwip_options, error, "--idle", "sleep:50"), OPTIONS_ERROR);
    assert_string_equal(error, "--idle: 'sleep:50' is none of poll|intr");
}

static void test_threads_of_the_kernels_servers(void **state) {
    static const struct option_table *const tables[] = {&epoll_options, &uring_options};
    struct kernel_options o;
    struct lwip_options lwip;
    char error[256];

    (void)state;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        assert_int_equal(PARSE(&o, tables[i], error, "--port", "81"), OPTIONS_OK);
        assert_int_equal(o.threads, 1);
        assert_string_equal(o.cpus, "");
        assert_int_equal(o.busy_poll, 0);
        assert_int_equal(o.max_connections, 10000);
        assert_int_equal(PARSE(&o, tables[i], error, "--threads", "64", "--cpus=2,3"), OPTIONS_OK);
        assert_int_equal(o.threads, 64);
        assert_string_equal(o.cpus, "2,3");
        assert_int_equal(PARSE(&o, tables[i], error, "--threads", "0"), OPTIONS_ERROR);
        assert_string_equal(error, "--threads: '0' is not in 1..64");
        assert_int_equal(PARSE(&o, tables[i], error, "--threads", "65"), OPTIONS_ERROR);
    }
    assert_int_equal(PARSE(&o, &epoll_options, error, "--busy-poll", "50"), OPTIONS_OK);
    assert_int_equal(o.busy_poll, 50);
    assert_int_equal(PARSE(&o, &epoll_options, error, "--busy-poll", "0"), OPTIONS_ERROR);
    assert_string_equal(error, "--busy-poll: '0' is not in 1..1000000");
    assert_int_equal(PARSE(&o, &uring_options, error, "--busy-poll", "50"), OPTIONS_ERROR);
    assert_string_equal(error, "--busy-poll: no such option; see --help");
    assert_int_equal(PARSE(&lwip, &lwip_options, error, "--threads", "2"), OPTIONS_ERROR);
}

static void test_counters_of_cores_add_up(void **state) {
    struct counters sum = {.accepts = 1}, one = {.requests_parsed = 5, .accepts = 2, .retransmits = 7};

    (void)state;
    counters_add(&sum, &one);
    counters_add(&sum, &one);
    assert_int_equal(sum.requests_parsed, 10);
    assert_int_equal(sum.accepts, 5);
    assert_int_equal(sum.retransmits, 14);
    assert_int_equal(sum.closes, 0);
}

static void test_idle_errors(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "", "Poll", "poll:1", "sleep", "sleep:", "sleep:0", "sleep:1000001", "sleep:1us", "50", "sleep:-1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct preload_options o;
        char error[256];
        char line[256];
        assert_int_equal(
            PARSE(&o, &preload_options, error, "--address", "198.18.0.2", "--idle", (char *)wrong[i]),
            OPTIONS_ERROR);
        snprintf(line, sizeof(line), "--idle: '%s' is neither poll nor sleep:1..1000000", wrong[i]);
        assert_string_equal(error, line);
    }
}

/* One that adds up has an end. */
static void test_many_texts(void **state) {
    (void)state;
    struct preload_options o;
    char error[256];
    char *argv[OPTION_TEXTS_MAX + 4] = {"on-lwip", "--address=198.18.0.2"};
    for (int i = 0; i < OPTION_TEXTS_MAX; i++) {
        argv[2 + i] = "--eal=-v";
    }
    assert_int_equal(parse(&o, &preload_options, error, argv), OPTIONS_OK);
    assert_int_equal(o.eal.count, OPTION_TEXTS_MAX);
    argv[2 + OPTION_TEXTS_MAX] = "--eal=-v";
    assert_int_equal(parse(&o, &preload_options, error, argv), OPTIONS_ERROR);
    assert_string_equal(error, "--eal: given more than 32 times");
}

/* Runs `child` in a process of its own; its stdout and stderr in text[size]. Returns its exit code. */
static int run(void (*child)(void), char *text, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        child();
        fflush(NULL);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], text + used, size - 1 - used)) > 0) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void bad_option(void) {
    struct kernel_options o;
    options_parse_or_exit(&o, &epoll_options, 3, (char *[]){"/a/b/epoll_server", "--port", "70000", NULL});
}

static void ask_for_help(void) {
    struct lwip_options o;
    options_parse_or_exit(&o, &lwip_options, 2, (char *[]){"lwip_server", "--help", NULL});
}

static void list_of_preload(void) {
    options_list(stdout, &preload_options);
}

static void test_exits(void **state) {
    (void)state;
    char text[8192];
    assert_int_equal(run(bad_option, text, sizeof(text)), 2);
    assert_string_equal(text, "epoll_server: --port: '70000' is not in 1..65535\n");
    assert_int_equal(run(ask_for_help, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "usage: lwip_server [option…]\n"));
    static const char *const names[] = {"address",
                                        "netmask",
                                        "gateway",
                                        "mac",
                                        "port",
                                        "body-size",
                                        "max-connections",
                                        "backlog",
                                        "keepalive-idle",
                                        "keepalive-interval",
                                        "keepalive-count",
                                        "mbufs",
                                        "rx-descriptors",
                                        "tx-descriptors",
                                        "mtu",
                                        "without",
                                        "no-offload",
                                        "help"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "\n  --%s ", names[i]);
        assert_non_null(strstr(text, line));
    }
    assert_non_null(strstr(text, "(1..65535) [80]"));
    assert_null(strstr(text, "required"));
    assert_int_equal(run(list_of_preload, text, sizeof(text)), 0);
    assert_int_equal(strncmp(text, "  --address ", 12), 0); /* and no usage before it */
    assert_non_null(strstr(text, "IPv4 address of lwIP's interface [required]\n"));
    assert_non_null(strstr(text, "(1..1000000) [poll]\n"));
}

/* Each program has the options that are documented, and no other's. */
static void test_each_program_has_its_own_options(void **state) {
    static const struct {
        const struct option_table *table;
        const char *names;
    } programs[] = {
        {&epoll_options,
         "address port body-size max-connections backlog keepalive-idle keepalive-interval "
         "keepalive-count header-timeout idle-timeout send-timeout user threads cpus spin busy-poll "},
        {&uring_options, "address port body-size max-connections backlog keepalive-idle keepalive-interval "
                         "keepalive-count header-timeout idle-timeout send-timeout user threads cpus "},
        {&lwip_options,
         "address netmask gateway mac port body-size max-connections backlog keepalive-idle "
         "keepalive-interval keepalive-count header-timeout idle-timeout send-timeout user mbufs "
         "rx-descriptors tx-descriptors mtu cores idle "
         "without waive no-offload "},
        {&preload_options,
         "address netmask gateway mac mbufs rx-descriptors tx-descriptors mtu no-offload eal "
         "sockets idle linger counters "},
        {&loadgen_options,
         "mac body-size mbufs rx-descriptors tx-descriptors mtu no-offload address addresses "
         "netmask gateway-address server server-mac port mode connections active rotate rate "
         "connect-rate close duration warmup stay path window "},
        {&openload_options,
         "body-size duration warmup path address port connections rate arrivals seed threads "
         "spin lag-limit output "},
        {&canned_options, "address port body-size max-connections backlog "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        const struct option_table *table = programs[i].table;
        char names[1024] = "", *text;
        size_t size, lines = 0;
        FILE *out = open_memstream(&text, &size);

        assert_true(table->count <= OPTION_ROWS_MAX);
        for (size_t row = 0; row < table->count; row++) {
            strcat(strcat(names, table->rows[row].name), " ");
        }
        assert_string_equal(names, programs[i].names);
        options_list(out, table);
        fclose(out);
        for (const char *at = text; (at = strstr(at, "  --")) != NULL; at++) {
            lines++;
        }
        assert_int_equal(lines, table->count + 1); /* and --help */
        free(text);
    }
}

struct extra {
    uint64_t rx_packets;
    uint64_t tx_packets;
};

static const struct counters counted = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, UINT64_MAX};

static void print_common(void) {
    counters_print("epoll", &counted, NULL, 0, NULL, NULL);
}

static void print_more(void) {
    static const struct counter_field more[] = {{"rx_packets", offsetof(struct extra, rx_packets)},
                                                {"tx_packets", offsetof(struct extra, tx_packets)}};
    counters_print("lwip", &counted, more, 2, &(struct extra){11, 12}, "\"port\": {\"mtu\": 1500}");
}

static void print_ready(void) {
    ready_print(inet_addr("198.18.0.2"), 80);
}

#define COMMON                                                                                               \
    "\"requests_parsed\": 1, \"requests_known\": 2, \"responses_sent\": 3, \"bytes_received\": 4, "          \
    "\"bytes_sent\": 5, \"accepts\": 6, \"closes\": 7, \"refused\": 8, \"errors_http\": 9, "                 \
    "\"errors_socket\": 10, \"timeouts\": 11, \"retransmits\": 18446744073709551615"

static void test_lines_on_stdout(void **state) {
    (void)state;
    char text[1024];
    assert_int_equal(run(print_common, text, sizeof(text)), 0);
    assert_string_equal(text, "{\"server\": \"epoll\", " COMMON "}\n");
    assert_int_equal(run(print_more, text, sizeof(text)), 0);
    assert_string_equal(text, "{\"server\": \"lwip\", " COMMON
                              ", \"rx_packets\": 11, \"tx_packets\": 12, \"port\": {\"mtu\": 1500}}\n");
    assert_int_equal(run(print_ready, text, sizeof(text)), 0);
    assert_string_equal(text, "READY 198.18.0.2:80\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_exits),
        cmocka_unit_test(test_lines_on_stdout),
        cmocka_unit_test(test_preload),
        cmocka_unit_test(test_cores_and_idle_of_lwip_server),
        cmocka_unit_test(test_threads_of_the_kernels_servers),
        cmocka_unit_test(test_counters_of_cores_add_up),
        cmocka_unit_test(test_idle_errors),
        cmocka_unit_test(test_many_texts),
        cmocka_unit_test(test_loadgen),
        cmocka_unit_test(test_choices_and_times_that_are_none),
        cmocka_unit_test(test_own_options_come_after_eals),
        cmocka_unit_test(test_each_program_has_its_own_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
