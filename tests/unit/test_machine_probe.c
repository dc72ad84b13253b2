/* Measuring the machine: figures that can be true, at any number of threads, and a processor without extensions. */
#include <stdlib.h>
#include <sys/mman.h>

#include "assert_says.h"

#include <mote/mote.h>

#include "base/cpu_features.h"
#include "kernel/machine_probe.h"

/* Between an emulator on a busy machine and far more than any machine has. */
static void expect_possible(const mote_machine *machine)
{
    assert_true(machine->read_rate > 1e6 && machine->read_rate < 1e13);
    assert_true(machine->int8_rate > 1e6 && machine->int8_rate < 1e17);
    assert_true(*machine->int8_kernel != '\0');
    assert_true(machine->cache_bytes < (uint64_t)64 << 30);
}

static void test_measures(void **state)
{
    (void)state;
    mote_machine machine;
    mote_error error;
    assert_int_equal(mote_machine_measure(&machine, 1, &error), MOTE_OK);
    assert_int_equal(machine.threads, 1);
    expect_possible(&machine);
    assert_int_equal(mote_machine_measure(&machine, 0, NULL), MOTE_OK);
    assert_in_range(machine.threads, 1, THREAD_POOL_MOST);
    expect_possible(&machine);
}

static void test_more_threads_than_processors(void **state)
{
    (void)state;
    mote_machine machine;
    mote_error error;
    assert_int_equal(mote_machine_measure(&machine, 64, &error), MOTE_OK);
    assert_in_range(machine.threads, 1, 64); /* a pool has no more than can run at once */
    expect_possible(&machine);
}

static void test_too_many_threads(void **state)
{
    (void)state;
    mote_machine machine;
    mote_error error;
    assert_int_equal(mote_machine_measure(&machine, THREAD_POOL_MOST + 1, &error), MOTE_E_ARGUMENT);
    assert_says(error, "threads asked for");
    assert_true(machine.read_rate == 0 && machine.int8_rate == 0);
    assert_int_equal(mote_machine_measure(&machine, UINT32_MAX, NULL), MOTE_E_ARGUMENT);
}

/* Each probe that this processor has runs, and only those are asked. */
static void test_probes(void **state)
{
    (void)state;
    const char *name = NULL;
    thread_pool *pool;
    assert_int_equal(thread_pool_open(&pool, 2, NULL), MOTE_OK);
    double plain = machine_probe_dots(pool, 0, &name);
    assert_true(plain > 0);
    assert_string_equal(name, machine_probe_at(0)->name);
    assert_int_equal(machine_probe_at(0)->needs, 0);
    /* Half, since another program may have had the processors for all of the second run. */
    assert_true(machine_probe_dots(pool, cpu_features(), &name) > plain / 2);
    for (size_t i = 0; machine_probe_at(i) != NULL; i++) {
        const dot_probe *probe = machine_probe_at(i);
        assert_true(probe->operations > 0);
        if ((probe->needs & ~cpu_features()) != 0)
            continue;
        probe->run(0);
        probe->run(1);
        probe->run(1000);
    }
    assert_null(machine_probe_at(SIZE_MAX));
    thread_pool_close(pool);
}

/* Sizes that are no multiple of anything, and one that no machine has. */
static void test_odd_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, (1 << 20) - 1, (3 << 20) + 12345};
    double rate;
    mote_error error;
    thread_pool *pool;
    assert_int_equal(thread_pool_open(&pool, 3, NULL), MOTE_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        rate = 0;
        assert_int_equal(machine_probe_read(pool, sizes[i], &rate, &error), MOTE_OK);
        assert_true(rate > 0);
    }
    assert_int_equal(machine_probe_read(pool, SIZE_MAX / 2, &rate, &error), MOTE_E_MEMORY);
    thread_pool_close(pool);
}

/* An emulator's peak is its own. */
static bool emulated(void)
{
    const char *emulator = getenv("MOTE_EMULATOR");
    return emulator != NULL && *emulator != '\0';
}

static void touch_and_return(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    memset(memory, 1, size);
    __asm__ volatile("" : : "r"(memory) : "memory");
    munmap(memory, size);
}

/* The peak forgets what has been given back, and sees what comes. */
static void test_peak_memory_restarts(void **state)
{
    (void)state;
    const size_t size = (size_t)64 << 20;
    touch_and_return(size);
    uint64_t before = mote_peak_memory();
    if (before == 0 || !mote_peak_memory_restart() || emulated())
        skip();
    uint64_t after = mote_peak_memory();
    assert_true(after < before - size / 2);
    touch_and_return(size / 2);
    assert_true(mote_peak_memory() >= after + size / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peak_memory_restarts),
        cmocka_unit_test(test_measures),
        cmocka_unit_test(test_more_threads_than_processors),
        cmocka_unit_test(test_too_many_threads),
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_odd_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
