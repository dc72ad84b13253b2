/* Mapped files, sound and vanishing: a page that cannot be read becomes a flag in the process that reads it, while a
 * SIGBUS that is none of ours ends where it would have ended without us. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mapped_file.h"

#include "assert_says.h"

enum { SIZE = 1 << 20, THREADS = 6 };

/* A file of SIZE bytes that are 1. The caller unlinks it. */
static void make_file(char path[32])
{
    unsigned char ones[SIZE / 16];
    memset(ones, 1, sizeof ones);
    strcpy(path, "/tmp/mote-test-XXXXXX");
    int descriptor = mkstemp(path);
    for (size_t i = 0; i < SIZE / sizeof ones; i++)
        if (descriptor < 0 || write(descriptor, ones, sizeof ones) != (ssize_t)sizeof ones)
            abort();
    close(descriptor);
}

/* ------------------------------------------------------------------------- what needs a process without the guard yet
 *
 * The guard is armed once in a process, so these run in children, before anything is mapped in this one. */

enum { SAW_SIGINFO = 41, SAW_PLAIN = 42, WRONG = 99 };

static void on_siginfo(int signal, siginfo_t *info, void *context)
{
    _exit(signal == SIGBUS && info->si_addr != NULL && context != NULL ? SAW_SIGINFO : WRONG);
}

static void on_plain(int signal)
{
    _exit(signal == SIGBUS ? SAW_PLAIN : WRONG);
}

/* A SIGBUS outside any region: a mapping that is not ours, over a file cut to nothing. */
static void fault_elsewhere(void)
{
    char path[32];
    make_file(path);
    int descriptor = open(path, O_RDWR);
    const volatile unsigned char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, descriptor, 0);
    unlink(path);
    if (descriptor < 0 || page == MAP_FAILED || ftruncate(descriptor, 0) != 0)
        _exit(WRONG);
    (void)page[0];
}

static void send_to_self(void)
{
    kill(getpid(), SIGBUS);
}

/* What a guarded process with `before` as its handler comes to after `act`: wait()'s status. */
static int fate(struct sigaction before, void (*act)(void))
{
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a handler that returns to a fault for ever would hang */
        sigaction(SIGBUS, &before, NULL);
        char path[32];
        mapped_file file;
        make_file(path);
        if (mapped_file_open(&file, path, NULL) != MOTE_OK)
            _exit(WRONG);
        unlink(path);
        act();
        _exit(mapped_file_failed(&file) ? WRONG : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_killed_by_sigbus(int status)
{
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static void assert_exited_with(int status, int code)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

/* An emulator of the user mode does not raise SIGBUS as a kernel does, or not to the handler it should. */
static void need_a_real_kernel(void)
{
    const char *emulator = getenv("MOTE_EMULATOR");
    if (emulator != NULL && *emulator != '\0')
        skip();
}

static void test_a_fault_elsewhere_still_kills(void **state)
{
    (void)state;
    need_a_real_kernel();
    assert_killed_by_sigbus(fate((struct sigaction){.sa_handler = SIG_DFL}, fault_elsewhere));
    assert_killed_by_sigbus(fate((struct sigaction){.sa_handler = SIG_IGN}, fault_elsewhere)); /* not to be ignored */
}

static void test_a_sent_signal_does_what_it_did(void **state)
{
    (void)state;
    need_a_real_kernel();
    assert_killed_by_sigbus(fate((struct sigaction){.sa_handler = SIG_DFL}, send_to_self));
    assert_exited_with(fate((struct sigaction){.sa_handler = SIG_IGN}, send_to_self), 0);
    assert_exited_with(fate((struct sigaction){.sa_handler = on_plain}, send_to_self), SAW_PLAIN);
}

static void test_the_handler_before_is_called(void **state)
{
    (void)state;
    need_a_real_kernel();
    struct sigaction with_info = {.sa_sigaction = on_siginfo, .sa_flags = SA_SIGINFO};
    assert_exited_with(fate(with_info, fault_elsewhere), SAW_SIGINFO);
    assert_exited_with(fate((struct sigaction){.sa_handler = on_plain}, fault_elsewhere), SAW_PLAIN);
}

/* -------------------------------------------------------------------------------------------------------- sound files */

static void test_a_file_is_mapped(void **state)
{
    (void)state;
    char path[32];
    mapped_file file;
    mote_error error;
    make_file(path);
    assert_int_equal(mapped_file_open(&file, path, &error), MOTE_OK);
    assert_int_equal(file.size, SIZE);
    assert_int_equal(unlink(path), 0); /* the mapping keeps it */
    mapped_file_read_ahead(&file, 0, SIZE);
    mapped_file_read_ahead(&file, 65536, 1);
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(file.data[i], 1);
    assert_false(mapped_file_failed(&file));
    mapped_file_close(&file);
    assert_null(file.data);
    mapped_file_close(&file); /* closed is closed */
    assert_false(mapped_file_failed(&file));
}

static void test_what_cannot_be_mapped(void **state)
{
    (void)state;
    mapped_file file;
    mote_error error;
    assert_int_equal(mapped_file_open(&file, "/tmp", &error), MOTE_E_IO);
    assert_says(error, "/tmp: is a directory");
    assert_null(file.data);
    mapped_file_close(&file);
    assert_int_equal(mapped_file_open(&file, "/tmp/mote-test-absent", &error), MOTE_E_IO);
    assert_says(error, "/tmp/mote-test-absent: cannot be opened (No such file or directory)");
    assert_int_equal(mapped_file_open(&file, "/proc/self/status", &error), MOTE_E_IO); /* a file without a size */
    assert_says(error, "/proc/self/status: is empty");
    assert_int_equal(mapped_file_open(&file, "/tmp", NULL), MOTE_E_IO);
}

static void test_long_paths_are_shown_by_their_end(void **state)
{
    (void)state;
    char path[1000];
    assert_string_equal(mapped_file_short_path("a/b"), "a/b");
    assert_string_equal(mapped_file_short_path(""), "");
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(strlen(mapped_file_short_path(path)), 200);
    path[900] = '/';
    assert_int_equal(strlen(mapped_file_short_path(path)), 98);
    path[900] = 'x';
    path[998] = '/';
    assert_int_equal(strlen(mapped_file_short_path(path)), 200);
    memcpy(path + 798, "\xe2\x82\xac", 3); /* a euro sign across the cut */
    assert_int_equal(strlen(mapped_file_short_path(path)), 198);
    assert_int_equal(mapped_file_short_path(path)[0], 'x');
}

/* --------------------------------------------------------------------------------------------------- vanishing files */

static struct sigaction guard;

/* cmocka takes SIGBUS for itself in every test: the guard's handler is put back where it is tested. */
static void restore_guard(void)
{
    assert_int_equal(sigaction(SIGBUS, &guard, NULL), 0);
}

static void *sum_bytes(void *argument)
{
    const mapped_file *file = argument;
    size_t sum = 0;
    for (size_t i = 0; i < file->size; i += 64)
        sum += ((const volatile unsigned char *)file->data)[i];
    return (void *)sum;
}

static void test_threads_outlive_a_shortened_file(void **state)
{
    (void)state;
    need_a_real_kernel();
    restore_guard();
    for (off_t left = 0; left < SIZE; left += SIZE / 4) {
        char path[32];
        mapped_file file, other;
        pthread_t thread[THREADS];
        make_file(path);
        assert_int_equal(mapped_file_open(&file, path, NULL), MOTE_OK);
        assert_int_equal(truncate(path, left), 0);
        assert_int_equal(unlink(path), 0);
        make_file(path);
        assert_int_equal(mapped_file_open(&other, path, NULL), MOTE_OK);
        assert_false(mapped_file_failed(&file));
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, sum_bytes, &file), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_true(mapped_file_failed(&file));
        assert_int_equal((size_t)sum_bytes(&file), 0); /* all of it is zeros now */
        assert_int_equal((size_t)sum_bytes(&other), SIZE / 64);
        assert_false(mapped_file_failed(&other));
        mapped_file_close(&file);
        mapped_file_close(&other);
        unlink(path);
    }
}

static void test_read_ahead_meets_the_end(void **state)
{
    (void)state;
    need_a_real_kernel();
    restore_guard();
    char path[32];
    mapped_file file;
    make_file(path);
    assert_int_equal(mapped_file_open(&file, path, NULL), MOTE_OK);
    assert_int_equal(truncate(path, 65536), 0);
    mapped_file_read_ahead(&file, 0, 65536);
    assert_false(mapped_file_failed(&file));
    mapped_file_read_ahead(&file, 65536, 65536);
    assert_true(mapped_file_failed(&file));
    mapped_file_close(&file);
    unlink(path);
}

/* Files come and go in some threads while others fault: each fault finds its own region. */
static void *open_break_close(void *argument)
{
    size_t *wrong = argument;
    for (int round = 0; round < 40; round++) {
        char path[32];
        mapped_file file;
        make_file(path);
        if (mapped_file_open(&file, path, NULL) != MOTE_OK) {
            (*wrong)++;
            continue;
        }
        bool cut = round % 2 == 0;
        if (cut && truncate(path, 0) != 0)
            (*wrong)++;
        size_t sum = (size_t)sum_bytes(&file);
        *wrong += mapped_file_failed(&file) != cut || sum != (cut ? 0 : SIZE / 64);
        mapped_file_close(&file);
        unlink(path);
    }
    return NULL;
}

static void test_faults_and_openings_at_once(void **state)
{
    (void)state;
    need_a_real_kernel();
    restore_guard();
    pthread_t thread[THREADS];
    size_t wrong[THREADS] = {0};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, open_break_close, &wrong[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

static void test_regions_have_a_limit(void **state)
{
    (void)state;
    static fault_region *regions[FAULT_GUARD_MOST];
    static _Alignas(4096) unsigned char page[4096];
    mote_error error;
    fault_region *more;
    for (size_t i = 0; i < FAULT_GUARD_MOST; i++)
        assert_int_equal(fault_guard_add(&regions[i], page, sizeof page, &error), MOTE_OK);
    assert_int_equal(fault_guard_add(&more, page, sizeof page, &error), MOTE_E_LIMIT);
    assert_null(more);
    assert_says(error, "2048 files are mapped already");
    mapped_file file;
    assert_int_equal(mapped_file_open(&file, "/proc/self/exe", &error), MOTE_E_LIMIT);
    assert_null(file.data);
    fault_guard_remove(regions[7]);
    assert_int_equal(fault_guard_add(&regions[7], page, sizeof page, &error), MOTE_OK);
    for (size_t i = 0; i < FAULT_GUARD_MOST; i++)
        fault_guard_remove(regions[i]);
    fault_guard_remove(NULL);
}

int main(void)
{
    const struct CMUnitTest unarmed[] = {
        cmocka_unit_test(test_a_fault_elsewhere_still_kills),
        cmocka_unit_test(test_a_sent_signal_does_what_it_did),
        cmocka_unit_test(test_the_handler_before_is_called),
    };
    const struct CMUnitTest armed[] = {
        cmocka_unit_test(test_a_file_is_mapped),
        cmocka_unit_test(test_what_cannot_be_mapped),
        cmocka_unit_test(test_long_paths_are_shown_by_their_end),
        cmocka_unit_test(test_regions_have_a_limit),
        cmocka_unit_test(test_threads_outlive_a_shortened_file),
        cmocka_unit_test(test_read_ahead_meets_the_end),
        cmocka_unit_test(test_faults_and_openings_at_once),
    };
    int failures = cmocka_run_group_tests(unarmed, NULL, NULL);
    mapped_file file;
    if (mapped_file_open(&file, "/proc/self/exe", NULL) != MOTE_OK) /* arms the guard */
        return 1;
    mapped_file_close(&file);
    sigaction(SIGBUS, NULL, &guard);
    return failures + cmocka_run_group_tests(armed, NULL, NULL);
}
