/* SPDX-License-Identifier: BSD-3-Clause */
/* kernel_ring.c: a ring that receives into its buffers until they run out; and why there is none. */
#include "kernel/kernel_ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

static void test_reasons(void **state) {
    static const struct {
        int error, disabled;
        const char *words;
    } rows[] = {
        {ENOSYS, -1, "has no io_uring"},
        {EPERM, 2, "kernel.io_uring_disabled is 2"},
        {EPERM, 1, "kernel.io_uring_disabled is 1"},
        {EPERM, 0, "forbidden here"},
        {EPERM, -1, "forbidden here"},
        {EACCES, 0, "forbidden here"},
        {EINVAL, 0, "Linux 6.1"},
        {ENOMEM, 0, "RLIMIT_MEMLOCK"},
        {EMFILE, 0, "Too many open files"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        kernel_ring_reason(rows[i].error, rows[i].disabled, text, sizeof(text));
        assert_non_null(strstr(text, rows[i].words));
        assert_null(strchr(text, '\n'));
    }
}

/* A receive that stands, one byte a buffer, until there is none left; one that is given back is filled again.
 */
static void test_buffers_run_out_and_come_back(void **state) {
    struct kernel_ring ring;
    struct io_uring_cqe *completion;
    char error[256];
    int ends[2];
    bool seen[KERNEL_RING_BUFFERS] = {false};
    unsigned id = 0;

    (void)state;
    if (kernel_ring_init(&ring, error, sizeof(error)) != 0) {
        print_message("%s\n", error);
        skip();
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    for (int round = 0; round < 2; round++) {
        unsigned filled = 0;
        for (;;) {
            struct io_uring_sqe *submission = io_uring_get_sqe(&ring.ring);
            assert_int_equal(send(ends[0], "x", 1, 0), 1);
            io_uring_prep_recv(submission, ends[1], NULL, 0, 0);
            submission->flags |= IOSQE_BUFFER_SELECT;
            submission->buf_group = KERNEL_RING_BUFFER_GROUP;
            assert_int_equal(io_uring_submit_and_wait(&ring.ring, 1), 1);
            assert_int_equal(io_uring_peek_cqe(&ring.ring, &completion), 0);
            int result = completion->res;
            id = completion->flags >> IORING_CQE_BUFFER_SHIFT;
            io_uring_cqe_seen(&ring.ring, completion);
            if (result == -ENOBUFS) {
                break;
            }
            assert_int_equal(result, 1);
            assert_true(id < KERNEL_RING_BUFFERS && !seen[id]);
            assert_int_equal(kernel_ring_buffer(&ring, id)[0], 'x');
            seen[id] = true;
            filled++;
        }
        assert_int_equal(filled, KERNEL_RING_BUFFERS);
        assert_int_equal(recv(ends[1], error, sizeof(error), 0), 1); /* the one that found no buffer */
        for (id = 0; id < KERNEL_RING_BUFFERS; id++) {
            seen[id] = false;
            kernel_ring_give_back(&ring, id);
        }
    }
    close(ends[0]);
    close(ends[1]);
    kernel_ring_free(&ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_buffers_run_out_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
