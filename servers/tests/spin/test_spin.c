/* SPDX-License-Identifier: BSD-3-Clause */
/* The waits of libspin.so, linked into this program: each is tested as each of the calls that it stands for.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { SHORT_MS = 60 };

static int ends[2]; /* of a pipe */
static volatile sig_atomic_t handled;

static struct timespec time_of(int ms) {
    return (struct timespec){ms / 1000, ms % 1000 * 1000000};
}

static int in_set(int (*wait)(int set, int ms, const sigset_t *mask), int fd, int ms, const sigset_t *mask) {
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    int ready = wait(set, ms, mask), error = errno;
    close(set);
    errno = error;
    return ready;
}

static int once_epoll_wait(int set, int ms, const sigset_t *mask) {
    struct epoll_event event;
    (void)mask;
    return epoll_wait(set, &event, 1, ms);
}

static int once_epoll_pwait(int set, int ms, const sigset_t *mask) {
    struct epoll_event event;
    return epoll_pwait(set, &event, 1, ms, mask);
}

static int once_epoll_pwait2(int set, int ms, const sigset_t *mask) {
    struct epoll_event event;
    struct timespec time = time_of(ms);
    return epoll_pwait2(set, &event, 1, ms < 0 ? NULL : &time, mask);
}

static int by_epoll_wait(int fd, int ms, const sigset_t *mask) {
    return in_set(once_epoll_wait, fd, ms, mask);
}

static int by_epoll_pwait(int fd, int ms, const sigset_t *mask) {
    return in_set(once_epoll_pwait, fd, ms, mask);
}

static int by_epoll_pwait2(int fd, int ms, const sigset_t *mask) {
    return in_set(once_epoll_pwait2, fd, ms, mask);
}

static int by_poll(int fd, int ms, const sigset_t *mask) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    (void)mask;
    return poll(&one, 1, ms);
}

static int by_ppoll(int fd, int ms, const sigset_t *mask) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    struct timespec time = time_of(ms);
    return ppoll(&one, 1, ms < 0 ? NULL : &time, mask);
}

/* The set that comes back must say the same as the number. */
static int checked(int fd, const fd_set *set, int ready) {
    if (ready >= 0) {
        assert_int_equal(FD_ISSET(fd, set) != 0, ready);
    }
    return ready;
}

static int by_select(int fd, int ms, const sigset_t *mask) {
    fd_set set;
    struct timeval time = {ms / 1000, ms % 1000 * 1000};
    (void)mask;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return checked(fd, &set, select(fd + 1, &set, NULL, NULL, ms < 0 ? NULL : &time));
}

static int by_pselect(int fd, int ms, const sigset_t *mask) {
    fd_set set;
    struct timespec time = time_of(ms);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return checked(fd, &set, pselect(fd + 1, &set, NULL, NULL, ms < 0 ? NULL : &time, mask));
}

static const struct {
    const char *name;
    int (*wait)(int fd, int ms, const sigset_t *mask);
    int masks;
} calls[] = {
    {"epoll_wait", by_epoll_wait, 0},
    {"epoll_pwait", by_epoll_pwait, 1},
    {"epoll_pwait2", by_epoll_pwait2, 1},
    {"poll", by_poll, 0},
    {"ppoll", by_ppoll, 1},
    {"select", by_select, 0},
    {"pselect", by_pselect, 1},
};

#define EACH_CALL(i)                                                                                         \
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && printf("%s\n", calls[i].name); i++)

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* How often this thread has given its core away, as whoever sleeps does; others may take it at any time. */
static long sleeps(void) {
    struct rusage used;
    getrusage(RUSAGE_THREAD, &used);
    return used.ru_nvcsw;
}

static void on_alarm(int signal) {
    (void)signal;
    handled++;
}

static void alarm_in(int ms) {
    struct itimerval time = {.it_value = {ms / 1000, ms % 1000 * 1000}};
    handled = 0;
    assert_int_equal(setitimer(ITIMER_REAL, &time, NULL), 0);
}

static void handle_with(void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
}

static sigset_t only_alarm(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    return set;
}

static void test_the_time_passes_without_sleep(void **state) {
    (void)state;
    EACH_CALL(i) {
        double began = seconds();
        long before = sleeps();
        assert_int_equal(calls[i].wait(ends[0], SHORT_MS, NULL), 0);
        assert_int_equal(sleeps(), before);
        assert_true(seconds() - began >= SHORT_MS / 1e3);
    }
}

static void *write_late(void *unused) {
    (void)unused;
    usleep(20000);
    assert_int_equal(write(ends[1], "x", 1), 1);
    return NULL;
}

static void test_what_is_ready_ends_a_wait(void **state) {
    (void)state;
    EACH_CALL(i) {
        char byte;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_late, NULL), 0);
        assert_int_equal(calls[i].wait(ends[0], -1, NULL), 1);
        pthread_join(thread, NULL);
        assert_int_equal(calls[i].wait(ends[0], 0, NULL), 1);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        assert_int_equal(calls[i].wait(ends[0], 0, NULL), 0);
    }
}

static void test_a_handled_signal_ends_a_wait_and_leaves_the_mask(void **state) {
    (void)state;
    handle_with(on_alarm);
    EACH_CALL(i) {
        sigset_t now;
        alarm_in(20);
        errno = 0;
        assert_int_equal(calls[i].wait(ends[0], -1, NULL), -1);
        assert_int_equal(errno, EINTR);
        assert_int_equal(handled, 1);
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        assert_int_equal(sigismember(&now, SIGALRM), 0);
        assert_int_equal(sigismember(&now, SIGTERM), 0);
    }
}

static void test_a_signal_that_is_ignored_ends_none(void **state) {
    (void)state;
    handle_with(SIG_IGN);
    EACH_CALL(i) {
        alarm_in(20);
        assert_int_equal(calls[i].wait(ends[0], SHORT_MS, NULL), 0);
    }
}

static void test_a_mask_blocks_and_lets_in(void **state) {
    (void)state;
    sigset_t alarm = only_alarm(), none, waiting, now;
    sigemptyset(&none);
    handle_with(on_alarm);
    EACH_CALL(i) {
        if (calls[i].masks) {
            alarm_in(20);
            assert_int_equal(calls[i].wait(ends[0], SHORT_MS, &alarm), 0);
            /* it waited for the end of the call */
            assert_int_equal(handled, 1);

            pthread_sigmask(SIG_BLOCK, &alarm, NULL);
            alarm_in(20);
            assert_int_equal(calls[i].wait(ends[0], SHORT_MS, NULL), 0);
            sigpending(&waiting);
            assert_int_equal(sigismember(&waiting, SIGALRM), 1);
            assert_int_equal(handled, 0);
            assert_int_equal(calls[i].wait(ends[0], -1, &none), -1);
            assert_int_equal(errno, EINTR);
            assert_int_equal(handled, 1);
            pthread_sigmask(SIG_UNBLOCK, &alarm, &now);
            assert_int_equal(sigismember(&now, SIGALRM), 1);
        }
    }
}

static void test_a_wait_for_no_descriptor_sleeps(void **state) {
    (void)state;
    struct timeval time = {0, SHORT_MS * 1000};
    double began = seconds();
    long before = sleeps();
    assert_int_equal(poll(NULL, 0, SHORT_MS), 0);
    assert_int_equal(select(0, NULL, NULL, NULL, &time), 0);
    assert_true(seconds() - began >= 2 * SHORT_MS / 1e3);
    assert_true(sleeps() >= before + 2);
}

static void test_select_leaves_what_is_left_of_the_time(void **state) {
    (void)state;
    struct timeval time = {60, 500000};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[1], &set);
    assert_int_equal(select(ends[1] + 1, NULL, &set, NULL, &time), 1);
    assert_true(time.tv_sec == 60 || time.tv_sec == 59);
    time = (struct timeval){0, 1000 * SHORT_MS};
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    assert_int_equal(select(ends[0] + 1, &set, NULL, NULL, &time), 0);
    assert_int_equal(time.tv_sec + time.tv_usec, 0);
}

static void test_errors_are_the_kernels(void **state) {
    (void)state;
    struct timespec wrong = {0, 1000000000}, before = {-1, 0};
    struct timeval past = {-1, 0};
    struct pollfd one = {.fd = ends[0], .events = POLLIN};
    struct epoll_event event;
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    int epoll = epoll_create1(0);
    assert_int_equal(epoll_wait(ends[0], &event, 1, -1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(epoll_wait(epoll, &event, 0, -1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(epoll_pwait2(epoll, &event, 1, &wrong, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(ppoll(&one, 1, &before, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(pselect(ends[0] + 1, &set, NULL, NULL, &wrong, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(select(ends[0] + 1, &set, NULL, NULL, &past), -1);
    assert_int_equal(errno, EINVAL);
    close(epoll);
    assert_int_equal(epoll_wait(epoll, &event, 1, -1), -1);
    assert_int_equal(errno, EBADF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_time_passes_without_sleep),
        cmocka_unit_test(test_what_is_ready_ends_a_wait),
        cmocka_unit_test(test_a_handled_signal_ends_a_wait_and_leaves_the_mask),
        cmocka_unit_test(test_a_signal_that_is_ignored_ends_none),
        cmocka_unit_test(test_a_mask_blocks_and_lets_in),
        cmocka_unit_test(test_a_wait_for_no_descriptor_sleeps),
        cmocka_unit_test(test_select_leaves_what_is_left_of_the_time),
        cmocka_unit_test(test_errors_are_the_kernels),
    };

    return pipe(ends) != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
