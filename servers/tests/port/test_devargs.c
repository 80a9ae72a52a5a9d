/* SPDX-License-Identifier: BSD-3-Clause */
/* stack/devargs.c: what becomes of socket files, and what is said of paths that cannot work. */
#include "stack/port/devargs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

static char directory[] = "/tmp/devargs-XXXXXX";
static char path[64];
static char error[256];

static int check(const char *format) {
    char word[512];
    char *words[] = {"program", "--no-pci", word};

    snprintf(word, sizeof(word), format, path);
    error[0] = '\0';
    return devargs_check(3, words, error, sizeof(error));
}

static void assert_error(const char *format) {
    char line[256];

    snprintf(line, sizeof(line), format, path);
    assert_string_equal(error, line);
}

/* A socket of this path; its descriptor. */
static int bind_socket(int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, type, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    if (type == SOCK_STREAM) {
        assert_int_equal(listen(descriptor, 1), 0);
    }
    return descriptor;
}

static void make_file(void) {
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fclose(file);
}

static int set_up(void **state) {
    (void)state;
    return mkdtemp(directory) == NULL || snprintf(path, sizeof(path), "%s/socket", directory) < 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(directory) != 0 || strcpy(directory, "/tmp/devargs-XXXXXX") == NULL;
}

static void test_other_words_are_none_of_its_business(void **state) {
    char *words[] = {"program", "--vdev=net_tap0,iface=/dev/null", "--vdev", "net_ring0",
                     "-l",      "net_vhost0,iface=/dev/null",      "--vdev"};

    (void)state;
    assert_int_equal(devargs_check(7, words, error, sizeof(error)), 0);
    assert_int_equal(check("--vdev=net_vhost0"), 0); /* EAL says what is missing */
}

static void test_a_listener_may_start_where_nothing_is(void **state) {
    (void)state;
    assert_int_equal(check("--vdev=net_vhost0,iface=%s"), 0);
    assert_int_equal(check("--vdev=net_virtio_user0,path=%s,server=1"), 0);
}

static void test_a_stale_socket_is_removed(void **state) {
    const char *words[] = {"--vdev=net_vhost0,iface=%s,queues=1", "--vdev=eth_vhost1,queues=1,iface=%s",
                           "--vdev=net_virtio_user0,path=%s,server=1"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        close(bind_socket(SOCK_STREAM));
        assert_int_equal(check(words[i]), 0);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void test_a_socket_in_use_stays_and_is_not_disturbed(void **state) {
    int listener = bind_socket(SOCK_STREAM | SOCK_NONBLOCK);

    (void)state;
    listen(listener, 1);
    assert_int_equal(check("--vdev=net_vhost0,iface=%s"), -EADDRINUSE);
    assert_error("%s: in use: another process listens there");
    assert_int_equal(check("--vdev=net_virtio_user0,server=1,path=%s"), -EADDRINUSE);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(accept(listener, NULL, NULL), -1); /* nobody knocked */
    assert_int_equal(errno, EAGAIN);
    close(listener);
}

static void test_a_socket_of_another_type_is_in_use_too(void **state) {
    int datagrams = bind_socket(SOCK_DGRAM);

    (void)state;
    assert_int_equal(check("--vdev=net_vhost0,iface=%s"), -EADDRINUSE);
    close(datagrams);
}

static void test_what_is_no_socket_is_left_alone(void **state) {
    (void)state;
    make_file();
    assert_int_equal(check("--vdev=net_vhost0,iface=%s"), -EINVAL);
    assert_error("%s: is no socket, and stays");
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(check("--vdev=net_virtio_user0,path=%s"), -EINVAL);
    assert_error("%s: is no socket");
}

static void test_a_symbolic_link_to_a_stale_socket_is_left_alone(void **state) {
    char link[80];

    (void)state;
    snprintf(link, sizeof(link), "%s2", path);
    close(bind_socket(SOCK_STREAM));
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(check("--vdev=net_vhost0,iface=%s2"), -EINVAL);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(link), 0);
}

static void test_connecting_needs_a_listener(void **state) {
    int listener;

    (void)state;
    assert_int_equal(check("--vdev=net_virtio_user0,path=%s,queues=1"), -ENOENT);
    assert_error("%s: nobody listens there: no such file");
    listener = bind_socket(SOCK_STREAM);
    assert_int_equal(check("--vdev=virtio_user0,path=%s,server=0"), 0);
    close(listener);
    assert_int_equal(check("--vdev=net_virtio_user0,path=%s"), -ECONNREFUSED);
    assert_error("%s: nobody listens there: the process that did is gone");
    assert_int_equal(access(path, F_OK), 0);
}

static void test_a_device_of_the_kernel_is_no_socket_and_right(void **state) {
    (void)state;
    assert_int_equal(check("--vdev=net_virtio_user0,path=/dev/null"), 0);
}

static void test_vhost_as_a_client_waits_by_itself(void **state) {
    (void)state;
    assert_int_equal(check("--vdev=net_vhost0,iface=%s,client=1"), 0);
    close(bind_socket(SOCK_STREAM));
    assert_int_equal(check("--vdev=net_vhost0,iface=%s,client=1"), 0);
    assert_int_equal(access(path, F_OK), 0);
}

static void test_a_long_path_is_refused_on_either_side(void **state) {
    char long_path[110], word[256];
    char *words[] = {"--vdev", word};

    (void)state;
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[0] = '/';
    long_path[107] = '\0';
    snprintf(word, sizeof(word), "net_vhost0,iface=%s,client=1", long_path);
    assert_int_equal(devargs_check(2, words, error, sizeof(error)), 0);
    long_path[107] = 'x';
    long_path[108] = '\0';
    snprintf(word, sizeof(word), "net_vhost0,iface=%s,client=1", long_path);
    assert_int_equal(devargs_check(2, words, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "x: a socket's path has at most 107 bytes, this one has 108"));
    snprintf(word, sizeof(word), "net_virtio_user0,server=1,path=%s", long_path);
    assert_int_equal(devargs_check(2, words, error, sizeof(error)), -EINVAL);
}

#define SOCKET_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SOCKET_TEST(test_other_words_are_none_of_its_business),
        SOCKET_TEST(test_a_listener_may_start_where_nothing_is),
        SOCKET_TEST(test_a_stale_socket_is_removed),
        SOCKET_TEST(test_a_socket_in_use_stays_and_is_not_disturbed),
        SOCKET_TEST(test_a_socket_of_another_type_is_in_use_too),
        SOCKET_TEST(test_what_is_no_socket_is_left_alone),
        SOCKET_TEST(test_a_symbolic_link_to_a_stale_socket_is_left_alone),
        SOCKET_TEST(test_connecting_needs_a_listener),
        SOCKET_TEST(test_a_device_of_the_kernel_is_no_socket_and_right),
        SOCKET_TEST(test_vhost_as_a_client_waits_by_itself),
        SOCKET_TEST(test_a_long_path_is_refused_on_either_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
