/* SPDX-License-Identifier: BSD-3-Clause */
/* library_check.c: libraries that load and that do not, made with the compiler. */
#include "preload/launcher/library_check.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#define HINT "; is it built for the DPDK that is installed?"
#define NO_PATH "the loader preloads from no path with a colon, or with a space and a semicolon"

static char home[] = "/tmp/stackduel-XXXXXX"; /* the working directory of all tests */

/* Runs `command` of a shell. */
__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...) {
    char command[2048];
    va_list arguments;
    va_start(arguments, format);
    assert_true(vsnprintf(command, sizeof(command), format, arguments) < (int)sizeof(command));
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

/* Checks home/name; the line is `expected` with each % replaced by home. */
static void assert_checked(const char *name, int code, const char *expected) {
    char path[PATH_MAX];
    char error[1024] = "";
    char line[1024] = "";
    snprintf(path, sizeof(path), "%s/%s", home, name);
    int got = library_check(path, error, sizeof(error));
    for (const char *at = expected; *at != '\0'; at++)
        snprintf(line + strlen(line), sizeof(line) - strlen(line), *at == '%' ? "%s" : "%.1s",
                 *at == '%' ? home : at);
    assert_string_equal(error, line);
    assert_int_equal(got, code);
}

/* libneeded.so, with f() in `version`, and libuser.so, which calls it. */
static void build_needed(const char *version) {
    shell("echo 'int f(void); int f(void) { return 1; }' | gcc -shared -fPIC -x c - -Wl,-soname,libneeded.so "
          "-Wl,--version-script=%s.map -o libneeded.so",
          version);
}

static void test_loads(void **state) {
    (void)state;
    assert_checked("libuser.so", 0, "");
    setenv("LD_DEBUG", "libs", 1);
    setenv("LD_VERBOSE", "1", 1);
    assert_checked("libuser.so", 0, "");
    unsetenv("LD_DEBUG");
    unsetenv("LD_VERBOSE");
    setenv("LD_PRELOAD", "/nonexistent.so", 1); /* another's */
    assert_checked("libuser.so", 0, "");
    unsetenv("LD_PRELOAD");
}

/* One with a blank is found by its name. */
static void test_any_path(void **state) {
    (void)state;
    shell(
        "for d in 'a b' \"it's\" 'g;h' 'ä%%s{}$HOME#,\\'; do mkdir -p \"$d\" && cp libuser.so \"$d\"; done");
    assert_checked("a b/libuser.so", 0, "");
    setenv("LD_LIBRARY_PATH", "/nonexistent", 1); /* another's */
    assert_checked("a b/libuser.so", 0, "");
    assert_string_equal(getenv("LD_LIBRARY_PATH"), "/nonexistent");
    unsetenv("LD_LIBRARY_PATH");
    assert_checked("it's/libuser.so", 0, "");
    assert_checked("g;h/libuser.so", 0, "");
    assert_checked("ä%s{}$HOME#,\\/libuser.so", 0, "");
}

static void test_runs_nothing(void **state) {
    (void)state;
    shell("echo '#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { system(\"touch "
          "ran\"); }' | "
          "gcc -shared -fPIC -x c - -o libruns.so");
    assert_checked("libruns.so", 0, "");
    assert_int_equal(access("ran", F_OK), -1);
}

static void test_missing(void **state) {
    (void)state;
    assert_checked("libnone.so", -ELIBACC, "%/libnone.so: No such file or directory");
    shell("for d in c:d 'e ;f'; do mkdir -p \"$d\" && cp libuser.so \"$d\"; done");
    assert_checked("c:d/libuser.so", -EINVAL, "%/c:d/libuser.so: " NO_PATH);
    assert_checked("e ;f/libuser.so", -EINVAL, "%/e ;f/libuser.so: " NO_PATH);
    shell("echo text > libtext.so");
    assert_checked("libtext.so", -ELIBACC,
                   "libtext.so does not load: ERROR: ld.so: object '%/libtext.so' from LD_PRELOAD cannot be "
                   "preloaded (file too short): ignored." HINT);
}

static void test_what_it_needs(void **state) {
    (void)state;
    build_needed("second");
    assert_checked("libuser.so", -ELIBACC,
                   "libuser.so does not load: ld.so: %/libneeded.so: version `FIRST' not found (required by "
                   "%/libuser.so)" HINT);
    shell("mv libneeded.so libaway.so");
    assert_checked("libuser.so", -ELIBACC, "libuser.so does not load: libneeded.so => not found" HINT);
    build_needed("first");
    assert_checked("libuser.so", 0, "");
    shell("echo 'int none(void); int h(void); int h(void) { return none(); }' | gcc -shared -fPIC -x c - "
          "-o libundefined.so");
    assert_checked("libundefined.so", -ELIBACC,
                   "libundefined.so does not load: undefined symbol: none (%/libundefined.so)" HINT);
}

static int set_up(void **state) {
    (void)state;
    if (mkdtemp(home) == NULL || chmod(home, 0755) != 0 || chdir(home) != 0)
        return -1;
    shell("echo 'FIRST { f; };' > first.map; echo 'SECOND { f; };' > second.map");
    build_needed("first");
    shell("echo 'int f(void); int g(void); int g(void) { return f(); }' | gcc -shared -fPIC -x c - -L. "
          "-lneeded "
          "-Wl,-rpath,%s -o libuser.so",
          home);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    shell("rm -rf %s", home);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),         cmocka_unit_test(test_any_path),
        cmocka_unit_test(test_runs_nothing),  cmocka_unit_test(test_missing),
        cmocka_unit_test(test_what_it_needs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
