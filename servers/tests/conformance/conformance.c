/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs the cases, in a child process that goes from one to the next. A case that hangs or crashes ends its
 * child, which the trace says; a new child goes on with the next case.
 */
#include "conformance.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { DONE = 0, CASE_FAILED = 1, BAD_USAGE = 2, GAVE_UP = 77 };

static struct conformance_case *cases, **last_case = &cases;
static struct conformance_case *running;
static struct in_addr own_address;
/* How many cases the child has begun; shared with it. */
static volatile int *begun;

struct order {
    const char *only; /* one case, or NULL */
    bool list;
    bool no_fork;
    unsigned limit_seconds;
};

void conformance_add(struct conformance_case *added) {
    *last_case = added;
    last_case = &added->next;
}

struct sockaddr_in test_address(uint16_t port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = own_address};
}

const char *address_text(const struct sockaddr_in *address) {
    static __thread char text[64];
    const char *host = "another address";

    if (address->sin_family != AF_INET)
        return "another family";
    if (address->sin_addr.s_addr == own_address.s_addr)
        host = "own address";
    else if (address->sin_addr.s_addr == htonl(INADDR_ANY))
        host = "any address";
    else if (address->sin_addr.s_addr == htonl(INADDR_LOOPBACK))
        host = "loopback";
    snprintf(text, sizeof(text), "%s, %s", host, address->sin_port ? "a port" : "no port");
    return text;
}

/* One write a line, so that lines of several processes or threads do not mix. */
static void put_line(const char *text) {
    char line[512];
    int size = snprintf(line, sizeof(line), "%s: %s\n", running ? running->name : "conformance", text);

    if (size >= (int)sizeof(line))
        size = sizeof(line) - 1;
    if (write(STDOUT_FILENO, line, (size_t)size) != size)
        abort();
}

void note(const char *what, ...) {
    int saved = errno;
    char text[400];
    va_list arguments;

    va_start(arguments, what);
    vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    put_line(text);
    errno = saved;
}

const char *error_text(int error) {
    const char *name = error == 0 ? "0" : strerrorname_np(error);
    return name ? name : "unknown error";
}

long trace(long result, const char *what, ...) {
    int saved = errno;
    char text[400];
    va_list arguments;

    va_start(arguments, what);
    vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    if (result == -1)
        note("%s -> %s", text, error_text(saved));
    else
        note("%s -> %ld", text, result);
    errno = saved;
    return result;
}

int trace_descriptor(int fd, const char *what, ...) {
    int saved = errno;
    char text[400];
    va_list arguments;

    va_start(arguments, what);
    vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    note("%s -> %s", text, fd >= 0 ? "descriptor" : error_text(saved));
    errno = saved;
    return fd;
}

void give_up(const char *what, ...) {
    char text[400];
    va_list arguments;

    va_start(arguments, what);
    vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    note("GAVE UP: %s (%s)", text, error_text(errno));
    _exit(GAVE_UP);
}

static void run_case(struct conformance_case *chosen) {
    running = chosen;
    patience_ms = chosen->differs ? 1000 : 20000;
    note("begins");
    chosen->run();
    note("ends");
    running = NULL;
}

/* The child's whole life: `first` and what follows, up to the next one that wants a process of its own. */
static void run_cases(struct conformance_case *first, bool only_one) {
    struct conformance_case *chosen = first;

    do {
        (*begun)++;
        run_case(chosen);
        chosen = chosen->next;
    } while (chosen && !only_one && !first->fresh && !chosen->fresh);
}

static struct conformance_case *nth(struct conformance_case *from, int count) {
    while (from && count-- > 0)
        from = from->next;
    return from;
}

/* Waits for `child`; kills it once no new case has begun for so long. Returns its wait status. */
static int watch(pid_t child, unsigned limit_seconds, bool *hung) {
    const struct timespec tick = {.tv_nsec = 200 * 1000 * 1000};
    int status, seen = *begun;
    uint64_t since = milliseconds();
    sigset_t ended;

    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    *hung = false;
    while (waitpid(child, &status, WNOHANG) != child) {
        sigtimedwait(&ended, NULL, &tick);
        if (*begun != seen) {
            seen = *begun;
            since = milliseconds();
        } else if (!*hung && milliseconds() - since > limit_seconds * 1000u) {
            *hung = true;
            kill(child, SIGKILL);
        }
    }
    return status;
}

/* Runs one child from `first` on; *next is where to go on. Returns whether all its cases ended well. */
static bool run_child(struct conformance_case *first, const struct order *order,
                      struct conformance_case **next) {
    sigset_t ended;
    bool hung;
    int status;
    pid_t child;

    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, NULL);
    *begun = 0;
    child = fork();
    if (child < 0)
        give_up("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_UNBLOCK, &ended, NULL);
        run_cases(first, order->only != NULL);
        exit(DONE);
    }
    status = watch(child, order->limit_seconds, &hung);
    *next = nth(first, *begun ? *begun : 1);
    if (WIFEXITED(status) && WEXITSTATUS(status) == DONE)
        return true;
    running = nth(first, *begun ? *begun - 1 : 0);
    if (hung)
        note("HANG");
    else if (WIFSIGNALED(status))
        note("CRASH: SIG%s", sigabbrev_np(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != GAVE_UP)
        note("EXIT: %d", WEXITSTATUS(status));
    running = NULL;
    return false;
}

static int run_all(struct conformance_case *first, const struct order *order) {
    bool good = true;

    while (first) {
        struct conformance_case *next;
        good = run_child(first, order, &next) && good;
        first = order->only ? NULL : next;
    }
    return good ? DONE : CASE_FAILED;
}

static void list_cases(void) {
    for (const struct conformance_case *each = cases; each; each = each->next)
        printf("%s%s%s\n", each->name, each->differs ? "\t" : "", each->differs ? each->differs : "");
}

static void usage(void) {
    fputs("usage: conformance --address A [--case NAME] [--limit SECONDS] [--no-fork]\n"
          "       conformance --list      (name, and after a tab why the library differs)\n",
          stderr);
    exit(BAD_USAGE);
}

static struct order read_order(int argc, char *argv[]) {
    static const struct option options[] = {
        {"address", required_argument, NULL, 'a'}, {"case", required_argument, NULL, 'c'},
        {"list", no_argument, NULL, 'l'},          {"limit", required_argument, NULL, 's'},
        {"no-fork", no_argument, NULL, 'n'},       {NULL, 0, NULL, 0}};
    struct order order = {.limit_seconds = 120};
    bool addressed = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a')
            addressed = inet_pton(AF_INET, optarg, &own_address) == 1;
        else if (option == 'c')
            order.only = optarg;
        else if (option == 'l')
            order.list = true;
        else if (option == 's')
            order.limit_seconds = (unsigned)atoi(optarg);
        else if (option == 'n')
            order.no_fork = true;
        else
            usage();
    }
    if (optind != argc || (!order.list && !addressed) || order.limit_seconds == 0 ||
        (order.no_fork && !order.only))
        usage();
    return order;
}

static struct conformance_case *find_case(const char *name) {
    struct conformance_case *found = cases;

    while (found && strcmp(found->name, name) != 0)
        found = found->next;
    if (!found) {
        fprintf(stderr, "conformance: no case '%s'\n", name);
        exit(BAD_USAGE);
    }
    return found;
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char *argv[]) {
    struct order order = read_order(argc, argv);
    struct conformance_case *first = order.only ? find_case(order.only) : cases;

    if (order.list) {
        list_cases();
        return DONE;
    }
    raise_descriptor_limit();
    /* A descriptor that is no socket. */
    if (!freopen("/dev/null", "r", stdin))
        give_up("/dev/null");
    begun = mmap(NULL, sizeof(*begun), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (begun == MAP_FAILED)
        give_up("mmap");
    if (!order.no_fork)
        return run_all(first, &order);
    run_case(first);
    return DONE;
}
