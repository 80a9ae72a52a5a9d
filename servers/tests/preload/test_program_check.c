/* SPDX-License-Identifier: BSD-3-Clause */
/* program_check.c: where a program is found, and which ones are refused. Programs are made with the compiler
 * and then bent; where kernel and loader can be asked what they would do, they are. */
#include "preload/launcher/program_check.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#define NOBODY 65534
#define RANDOM_FILES 5000

static const char program_source[] = "int main(void) { return 0; }";
static const char bare_source[] = "void _start(void); void _start(void) { for (;;) { } }";
/* What Go's linker writes. */
static const char go_note[] = "__asm__(\".section .note.go.buildid,\\\"a\\\",@note\\n.balign 4\\n\"\n"
                              "\".long 4,4,4\\n.ascii \\\"Go\\\\0\\\\0abcd\\\"\\n.text\");";
static const char go_table[] = "__asm__(\".section .gopclntab,\\\"a\\\"\\n.long 1\\n.text\");";

static char home[] = "/tmp/stackduel-XXXXXX"; /* the working directory of all tests; readable by all */
static char loader[PATH_MAX];                 /* the path in PT_INTERP of what the compiler makes */

/* Runs `command` of a shell. */
__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...) {
    char command[2048];
    va_list arguments;
    va_start(arguments, format);
    assert_true(vsnprintf(command, sizeof(command), format, arguments) < (int)sizeof(command));
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static void write_file(const char *path, mode_t mode, const void *bytes, size_t size) {
    unlink(path);
    int file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, size), size);
    assert_int_equal(fchmod(file, mode), 0);
    close(file);
}

static void write_text(const char *path, mode_t mode, const char *text) {
    write_file(path, mode, text, strlen(text));
}

static void build(const char *path, const char *source, const char *flags) {
    write_text("source.c", 0644, source);
    shell("gcc -Wl,--build-id=none %s source.c -o %s", flags, path);
}

static size_t read_all(const char *path, char *bytes, size_t room) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(file, bytes, room);
    assert_true(size > 0 && (size_t)size < room);
    close(file);
    return (size_t)size;
}

/* A copy of `from` with `size` bytes at `offset` replaced. */
static void bend(const char *from, const char *to, size_t offset, const void *bytes, size_t size) {
    static char image[1 << 20];
    size_t length = read_all(from, image, sizeof(image));
    assert_true(offset + size <= length);
    memcpy(image + offset, bytes, size);
    write_file(to, 0755, image, length);
}

static int check(const char *path, char error[512]) {
    error[0] = '\0';
    return program_check(path, path, error, 512);
}

static void assert_fine(const char *path) {
    char error[512];
    int code = check(path, error);
    assert_string_equal(error, "");
    assert_int_equal(code, PROGRAM_OK);
}

static void assert_refused(const char *path, int code, const char *line) {
    char error[512];
    int got = check(path, error);
    assert_string_equal(error, line);
    assert_int_equal(got, code);
}

/* --- finding ----------------------------------------------------------------------------------------- */

static void assert_found(const char *name, const char *expected) {
    char path[PATH_MAX];
    char error[512] = "";
    int code = program_find(name, path, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(code, PROGRAM_OK);
    assert_string_equal(path, expected);
}

static void assert_lost(const char *name, int code, const char *line) {
    char path[PATH_MAX];
    char error[PATH_MAX * 2];
    assert_int_equal(program_find(name, path, error, sizeof(error)), code);
    assert_string_equal(error, line);
}

static void test_find(void **state) {
    (void)state;
    char absolute[PATH_MAX];
    shell("mkdir -p bin sbin bin/directory");
    write_text("bin/plain", 0644, "");
    write_text("sbin/plain", 0755, "");
    write_text("bin/only", 0644, "");
    write_text("bin/both", 0755, "");
    write_text("sbin/both", 0755, "");
    write_text("here", 0755, "");
    shell("ln -sf /nonexistent bin/dangling; ln -sf both bin/link");

    setenv("PATH", "bin:sbin", 1);
    assert_found("both", "bin/both");
    assert_found("link", "bin/link");
    assert_found("plain", "sbin/plain"); /* what may not be executed does not end the search */
    assert_found("./here", "./here");    /* a slash: PATH is not asked */
    assert_found("sbin/both", "sbin/both");
    snprintf(absolute, sizeof(absolute), "%s/bin/both", home);
    assert_found(absolute, absolute);
    assert_lost("here", PROGRAM_NOT_FOUND, "here: not found on PATH");
    assert_lost("dangling", PROGRAM_NOT_FOUND, "dangling: not found on PATH");
    assert_lost("only", PROGRAM_NOT_EXECUTABLE, "only: is not an executable file");
    assert_lost("directory", PROGRAM_NOT_EXECUTABLE, "directory: is not an executable file");
    assert_lost("./bin", PROGRAM_NOT_EXECUTABLE, "./bin: is not an executable file");
    assert_lost("./bin/plain", PROGRAM_NOT_EXECUTABLE, "./bin/plain: is not an executable file");
    assert_lost("./none", PROGRAM_NOT_FOUND, "./none: No such file or directory");
    assert_lost("./here/x", PROGRAM_NOT_FOUND, "./here/x: Not a directory");
    assert_lost("", PROGRAM_NOT_FOUND, ": No such file or directory");

    static const char *const with_empty_element[] = {":bin", "bin::sbin", "bin:", ""};
    for (int i = 0; i < 4; i++) {
        setenv("PATH", with_empty_element[i], 1);
        assert_found("here", "./here");
    }
    setenv("PATH", "here:/nonexistent:sbin", 1); /* elements that are no directories */
    assert_found("both", "sbin/both");
    unsetenv("PATH");
    assert_lost("both", PROGRAM_NOT_FOUND, "both: not found on PATH");
    assert_found("sh", "/bin/sh");
}

static void test_find_long_names(void **state) {
    (void)state;
    static char name[2 * PATH_MAX];
    char line[2 * PATH_MAX + 64];
    memset(name, 'x', 300);
    setenv("PATH", "bin", 1);
    snprintf(line, sizeof(line), "%s: not found on PATH", name);
    assert_lost(name, PROGRAM_NOT_FOUND, line);
    memset(name, 'x', PATH_MAX + 1);
    snprintf(line, sizeof(line), "%s: not found on PATH", name);
    assert_lost(name, PROGRAM_NOT_FOUND, line);
    name[0] = '/';
    snprintf(line, sizeof(line), "%s: File name too long", name);
    assert_lost(name, PROGRAM_NOT_EXECUTABLE, line);
    write_text("here", 0755, "");
    memset(name, 'x', PATH_MAX); /* an element that is too long is passed over */
    snprintf(name + PATH_MAX, 16, ":.");
    setenv("PATH", name, 1);
    assert_found("here", "./here");
}

/* --- machine code ------------------------------------------------------------------------------------ */

static void test_dynamic(void **state) {
    (void)state;
    assert_fine("program");
    build("no-pie", program_source, "-no-pie");
    assert_fine("no-pie");
    shell("strip -s -o stripped program");
    assert_fine("stripped");
    assert_fine("/proc/self/exe");
}

static void test_static(void **state) {
    (void)state;
    build("static", bare_source, "-nostdlib -static");
    assert_refused("static", PROGRAM_REFUSED, "static: is statically linked: no library can be preloaded");
    build("static-pie", bare_source, "-nostdlib -static-pie");
    assert_refused("static-pie", PROGRAM_REFUSED,
                   "static-pie: is statically linked: no library can be preloaded");
}

static void test_go(void **state) {
    (void)state;
    static const char line[] =
        "go: is a Go program, which calls the kernel past the C library: its sockets cannot "
        "be lwIP's";
    char source[1024];
    ElfW(Ehdr) header;
    snprintf(source, sizeof(source), "%s\n%s", go_note, program_source);
    build("go", source, "");
    assert_refused("go", PROGRAM_REFUSED, line);
    shell("strip -s go");
    assert_refused("go", PROGRAM_REFUSED, line);
    /* The note alone: no section has a name any more. */
    assert_true(read_all("go", (char[1 << 20]){0}, 1 << 20) > sizeof(header));
    int file = open("go", O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(file, &header, sizeof(header)), sizeof(header));
    close(file);
    header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
    bend("go", "bent", 0, &header, sizeof(header));
    shell("mv bent go");
    assert_refused("go", PROGRAM_REFUSED, line);
    /* The table alone, as of a program built without an id. */
    snprintf(source, sizeof(source), "%s\n%s", go_table, program_source);
    build("go", source, "");
    assert_refused("go", PROGRAM_REFUSED, line);
    /* And without a C library. */
    snprintf(source, sizeof(source), "%s\n%s", go_note, bare_source);
    build("go", source, "-nostdlib -static");
    assert_refused("go", PROGRAM_REFUSED, line);
}

static void test_other_machines(void **state) {
    (void)state;
    static const char line[] = "bent: is built for another kind of machine than the library";
    uint16_t machine = EM_S390;
    unsigned char class = sizeof(void *) == 8 ? ELFCLASS32 : ELFCLASS64;
    bend("program", "bent", offsetof(ElfW(Ehdr), e_machine), &machine, sizeof(machine));
    assert_refused("bent", PROGRAM_REFUSED, line);
    bend("program", "bent", EI_CLASS, &class, 1);
    char error[512];
    int code = check("bent", error); /* in the other class the fields stand elsewhere: also the type */
    assert_true(code == PROGRAM_REFUSED || code == PROGRAM_NOT_EXECUTABLE);
    assert_int_equal(strncmp(error, "bent: is ", 9), 0);
    /* A whole header of the other class and byte order. */
    Elf32_Ehdr other = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2MSB, EV_CURRENT},
                        .e_type = htobe16(ET_EXEC),
                        .e_machine = htobe16(EM_PPC),
                        .e_version = htobe32(EV_CURRENT),
                        .e_ehsize = htobe16(sizeof(other))};
    write_file("bent", 0755, &other, sizeof(other));
    assert_refused("bent", PROGRAM_REFUSED, line);
}

static void test_loaders(void **state) {
    (void)state;
    char flags[PATH_MAX + 64];
    char line[2 * PATH_MAX];
    const char *name = strrchr(loader, '/') + 1;
    snprintf(flags, sizeof(flags), "-Wl,--dynamic-linker=/nonexistent/%s", name);
    build("lost", program_source, flags);
    snprintf(line, sizeof(line), "lost: its loader /nonexistent/%s: No such file or directory", name);
    assert_refused("lost", PROGRAM_NOT_FOUND, line);

    shell("cp %s ld-other.so.1 && ln -sf %s ld-link.so.1 && mkdir -p lib && cp %s lib/", loader, loader,
          loader);
    snprintf(flags, sizeof(flags), "-Wl,--dynamic-linker=%s/ld-other.so.1", home);
    build("other", program_source, flags);
    snprintf(line, sizeof(line),
             "other: its loader %s/ld-other.so.1 is of another C library than the library's", home);
    assert_refused("other", PROGRAM_REFUSED, line);
    snprintf(flags, sizeof(flags), "-Wl,--dynamic-linker=%s/ld-link.so.1", home);
    build("link", program_source, flags);
    assert_fine("link");
    snprintf(flags, sizeof(flags), "-Wl,--dynamic-linker=%s/lib/%s", home, name);
    build("elsewhere", program_source, flags);
    assert_fine("elsewhere");
}

static void test_broken_files(void **state) {
    (void)state;
    static char image[1 << 20];
    size_t size = read_all("program", image, sizeof(image));
    uint16_t type = ET_CORE;
    write_text("source.c", 0644, program_source);
    shell("gcc -c source.c -o object && chmod +x object");
    assert_refused("object", PROGRAM_NOT_EXECUTABLE, "object: is no program");
    bend("program", "bent", offsetof(ElfW(Ehdr), e_type), &type, sizeof(type));
    assert_refused("bent", PROGRAM_NOT_EXECUTABLE, "bent: is no program");
    for (size_t length = 4; length < sizeof(ElfW(Ehdr)); length += 5) {
        write_file("short", 0755, image, length);
        assert_refused("short", PROGRAM_NOT_EXECUTABLE, "short: is no program");
    }
    for (size_t length = sizeof(ElfW(Ehdr)); length < size; length += 501) {
        char error[512];
        write_file("short", 0755, image, length);
        int code = check("short", error);
        assert_true((code == PROGRAM_OK) == (error[0] == '\0'));
    }
    assert_refused("nothing", PROGRAM_REFUSED,
                   "nothing: cannot be looked at before it runs: No such file or directory");
}

/* Headers with random bytes: whatever is answered, nothing is read that is not there. */
static void test_random_headers(void **state) {
    (void)state;
    static char image[1 << 20];
    size_t size = read_all("program", image, sizeof(image));
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)image;
    size_t sections = header->e_shoff;
    size_t head = sizeof(ElfW(Ehdr)) + header->e_phnum * sizeof(ElfW(Phdr));
    write_file("random", 0755, image, size);
    int file = open("random", O_RDWR | O_CLOEXEC);
    srandom(1);
    for (int i = 0; i < RANDOM_FILES; i++) {
        char error[512];
        size_t at[4];
        for (int j = 0; j < 4; j++) {
            char byte = (char)random();
            at[j] =
                j < 3 ? 4 + (size_t)random() % (head - 4) : sections + (size_t)random() % (size - sections);
            assert_int_equal(pwrite(file, &byte, 1, (off_t)at[j]), 1);
        }
        int code = check("random", error);
        assert_true(code == PROGRAM_OK || code == PROGRAM_REFUSED || code == PROGRAM_NOT_EXECUTABLE ||
                    code == PROGRAM_NOT_FOUND);
        assert_true((code == PROGRAM_OK) == (error[0] == '\0'));
        for (int j = 0; j < 4; j++)
            assert_int_equal(pwrite(file, image + at[j], 1, (off_t)at[j]), 1);
    }
    close(file);
    assert_fine("random");
}

/* --- scripts ----------------------------------------------------------------------------------------- */

static void test_scripts(void **state) {
    (void)state;
    char text[PATH_MAX + 300];
    static const char *const fine[] = {
        "#!/bin/sh\n",
        "#!/bin/sh",
        "#! \t/bin/sh \t-e  x\n",
        "#!/usr/bin/env -S python3 -E\n",
        "#!/bin/sh -e\necho\n",
        "echo a shell's\n",
        "",
        "#!\n",
        "#! \t\n",
        "#",
    };
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        write_text("script", 0755, fine[i]);
        assert_fine("script");
    }
    write_text("script", 0755, "#!./program with arguments\n"); /* from the working directory */
    assert_fine("script");
    write_text("script", 0755, "#!program");
    assert_fine("script");
    write_text("script", 0755, "#!/nonexistent -x\n");
    assert_refused("script", PROGRAM_NOT_FOUND,
                   "script: its interpreter /nonexistent: No such file or directory");
    write_text("script", 0755, "#!/bin/sh\r\n");
    assert_refused("script", PROGRAM_NOT_FOUND,
                   "script: its interpreter /bin/sh\r: No such file or directory");
    write_text("script", 0755, "#!/tmp\n");
    assert_refused("script", PROGRAM_NOT_EXECUTABLE, "script: its interpreter /tmp: Permission denied");
    build("static", bare_source, "-nostdlib -static");
    write_text("script", 0755, "#!static\n");
    assert_refused("script", PROGRAM_REFUSED,
                   "script: its interpreter static: is statically linked: no library can be preloaded");
    /* A line that the kernel cuts off in the argument is fine, in the path it is not a script's. */
    snprintf(text, sizeof(text), "#!/bin/sh %0300d\n", 0);
    write_text("script", 0755, text);
    assert_fine("script");
    snprintf(text, sizeof(text), "#!/%0300d\n", 0);
    write_text("script", 0755, text);
    assert_fine("script");
}

/* 0 if the kernel runs the file, which leaves with 0, or the errno. */
static int execute(const char *path) {
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execv(path, (char *[]){(char *)path, NULL});
        _exit(errno);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* As many scripts in a row as this kernel follows, and no more. */
static void test_chains(void **state) {
    (void)state;
    bool too_many = false;
    shell("cp program link0");
    for (int i = 1; i <= 8; i++) {
        char path[16];
        char text[32];
        char error[512];
        snprintf(path, sizeof(path), "link%d", i);
        snprintf(text, sizeof(text), "#!link%d\n", i - 1);
        write_text(path, 0755, text);
        int kernels = execute(path);
        assert_true(kernels == 0 || kernels == ELOOP);
        assert_int_equal(check(path, error), kernels == 0 ? PROGRAM_OK : PROGRAM_NOT_EXECUTABLE);
        too_many = too_many || kernels == ELOOP;
    }
    assert_true(too_many);
    assert_refused("link8", PROGRAM_NOT_EXECUTABLE, "link8: Too many levels of symbolic links");
    write_text("itself", 0755, "#!itself\n");
    assert_refused("itself", PROGRAM_NOT_EXECUTABLE, "itself: Too many levels of symbolic links");
}

/* --- identity ---------------------------------------------------------------------------------------- */

/* Whether the loader heeds LD_PRELOAD for `path`: a library that exits with 77. */
static bool preloads(const char *path) {
    char library[PATH_MAX];
    int status;
    snprintf(library, sizeof(library), "%s/probe.so", home);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("LD_PRELOAD", library, 1);
        execv(path, (char *[]){(char *)path, NULL});
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0);
    return WEXITSTATUS(status) == 77;
}

static const char identity_line[] =
    "set: would run as another user or group or with capabilities: its loader then "
    "ignores LD_PRELOAD";

static void assert_identity(bool fine) {
    assert_int_equal(preloads("./set"), fine);
    if (fine)
        assert_fine("set");
    else
        assert_refused("set", PROGRAM_REFUSED, identity_line);
}

/* The program "set" as a copy with this owner and mode. */
static void give(uid_t user, gid_t group, mode_t mode) {
    shell("cp program set");
    assert_int_equal(chown("set", user, group), 0);
    assert_int_equal(chmod("set", mode), 0);
}

/* As it would be for an ordinary user; the child's assertions end it with a code. */
static void as_nobody(void (*body)(void)) {
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
            setresuid(NOBODY, NOBODY, NOBODY) != 0)
            _exit(2);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool honours_set_bits(void) {
    struct statvfs mount;
    return geteuid() == 0 && statvfs(".", &mount) == 0 && (mount.f_flag & ST_NOSUID) == 0 &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

/* In a child an assertion cannot jump back to the test. */
static void leave_unless(bool good) {
    if (!good)
        _exit(1);
}

static void expect_fine(void) {
    char error[512];
    leave_unless(preloads("./set") && check("set", error) == PROGRAM_OK && error[0] == '\0');
}

static void expect_refusal(void) {
    char error[512];
    leave_unless(!preloads("./set") && check("set", error) == PROGRAM_REFUSED &&
                 strcmp(error, identity_line) == 0);
}

static void expect_fine_without_new_privileges(void) {
    leave_unless(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    expect_fine();
}

static void expect_refusal_without_new_privileges(void) {
    leave_unless(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    expect_refusal();
}

static void test_set_bits(void **state) {
    (void)state;
    if (!honours_set_bits())
        skip();
    give(0, 0, 06755);
    assert_identity(true); /* for root that is no change */
    as_nobody(expect_refusal);
    as_nobody(expect_fine_without_new_privileges);
    give(NOBODY, 0, 04755);
    assert_identity(false);
    as_nobody(expect_fine);
    give(0, NOBODY, 02755);
    assert_identity(false);
    as_nobody(expect_fine);
    give(0, NOBODY, 02745); /* not setgid without the group's x */
    assert_identity(true);
    give(0, 0, 0755);
    assert_identity(true);
    as_nobody(expect_fine);
}

static void test_set_bits_of_scripts(void **state) {
    (void)state;
    if (!honours_set_bits())
        skip();
    give(NOBODY, 0, 04755);
    write_text("script", 0755, "#!./set\n");
    char error[512];
    assert_int_equal(check("script", error), PROGRAM_REFUSED);
    assert_non_null(strstr(error, "script: its interpreter ./set: would run as another user"));
    assert_false(preloads("./script"));
    write_text("script", 0755, "#!./program\n"); /* the kernel does not heed them on a script */
    assert_int_equal(chown("script", NOBODY, 0), 0);
    assert_int_equal(chmod("script", 04755), 0);
    assert_true(preloads("./script"));
    assert_fine("script");
}

static void test_capabilities(void **state) {
    (void)state;
    if (!honours_set_bits())
        skip();
    struct vfs_cap_data caps = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                .data = {{.permitted = 1U << CAP_NET_RAW}}};
    give(0, 0, 0755);
    if (setxattr("set", "security.capability", &caps, sizeof(caps), 0) != 0)
        skip(); /* this file system has none */
    assert_identity(true);
    as_nobody(expect_refusal);
    as_nobody(expect_refusal_without_new_privileges);
}

/* Where the file system is mounted without set bits they change nothing. */
static void test_nosuid(void **state) {
    (void)state;
    int status;
    if (!honours_set_bits())
        skip();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            _exit(3);
        leave_unless(mkdir("mounted", 0755) == 0 && mount("x", "mounted", "tmpfs", MS_NOSUID, NULL) == 0 &&
                     system("cp program mounted/set && chown 65534 mounted/set && chmod 4755 mounted/set") ==
                         0 &&
                     chdir("mounted") == 0);
        expect_fine();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
        skip(); /* a container that may not mount */
    assert_int_equal(status, 0);
}

/* What cannot be read cannot be told about. */
static void expect_unreadable(void) {
    char error[512];
    leave_unless(check("set", error) == PROGRAM_REFUSED &&
                 strcmp(error, "set: cannot be looked at before it runs: Permission denied") == 0);
}

static void test_unreadable(void **state) {
    (void)state;
    if (!honours_set_bits())
        skip();
    give(0, 0, 0711);
    assert_fine("set"); /* root may */
    as_nobody(expect_unreadable);
}

static int set_up(void **state) {
    (void)state;
    if (mkdtemp(home) == NULL || chmod(home, 0755) != 0 || chdir(home) != 0)
        return -1;
    build("program", program_source, "");
    build("probe.so",
          "#include <unistd.h>\n__attribute__((constructor)) static void probe(void) { _exit(77); }",
          "-shared -fPIC");
    shell("readelf -p .interp program | sed -n 's/^ *\\[ *0\\] *//p' > loader");
    loader[read_all("loader", loader, sizeof(loader)) - 1] = '\0'; /* and not the newline */
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    setenv("PATH", "/usr/bin:/bin", 1);
    shell("rm -rf %s", home);
    return 0;
}

/* Each test gets PATH as it was. */
static int restore_path(void **state) {
    (void)state;
    return setenv("PATH", "/usr/bin:/bin", 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_find, restore_path),
        cmocka_unit_test_teardown(test_find_long_names, restore_path),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_static),
        cmocka_unit_test(test_go),
        cmocka_unit_test(test_other_machines),
        cmocka_unit_test(test_loaders),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_random_headers),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_set_bits),
        cmocka_unit_test(test_set_bits_of_scripts),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_nosuid),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
