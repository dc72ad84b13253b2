/* How much memory is left, on machines made of files: what is available, control groups of both versions, own memory; and
 * files that hold nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "assert_says.h"
#include "temporary_folder.h"

#include "meter/memory_limits.h"

#define MIB (UINT64_C(1) << 20)

static const char *root(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s", in_folder("root"));
    return path;
}

/* Writes a file below the root, with its folders. */
static void put(const char *name, const char *text)
{
    char path[512];
    int top = snprintf(path, sizeof path, "%s", root());
    snprintf(path + top, sizeof path - (size_t)top, "%s", name);
    mkdir(root(), 0700);
    for (char *slash = strchr(path + top + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect(uint64_t resident, const char *by)
{
    memory_limits limits = memory_limits_read(root());
    assert_int_equal(limits.most.resident, resident);
    assert_string_equal(limits.resident_by, by);
}

#define MACHINE "this machine leaves"
#define GROUP   "a control group leaves"

static void nothing_is_known(void **state)
{
    (void)state;
    expect(MEMORY_UNLIMITED, "");
    assert_int_equal(memory_in_use(root()).resident, 0);
    assert_int_equal(memory_own(root()), 0);
}

static void a_machine(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal:       16384 kB\nMemFree:         1024 kB\nMemAvailable:    8192 kB\n");
    expect(8 * MIB, MACHINE);
    put("/proc/self/status",
        "Name:\tmote\nVmSize:\t  9000 kB\nVmRSS:\t  4096 kB\nRssAnon:\t  2048 kB\nVmData:\t  500 kB\n");
    expect(10 * MIB, MACHINE); /* what is its own already is part of the whole */
    memory_figures now = memory_in_use(root());
    assert_int_equal(now.resident, 4 * MIB);
    assert_int_equal(now.address, 9000 * 1024);
    assert_int_equal(now.data, 500 * 1024);
    assert_int_equal(memory_own(root()), 2 * MIB);
}

static void groups_of_version_2(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemAvailable:    65536 kB\n");
    put("/proc/self/cgroup", "0::/system.slice/mote.service\n");
    put("/sys/fs/cgroup/system.slice/mote.service/memory.max", "max\n");
    expect(64 * MIB, MACHINE);
    put("/sys/fs/cgroup/system.slice/mote.service/memory.max", "33554432\n");
    put("/sys/fs/cgroup/system.slice/mote.service/memory.current", "1048576\n");
    expect(31 * MIB, GROUP);
    put("/sys/fs/cgroup/system.slice/mote.service/memory.high", "16777216\n"); /* above it the kernel slows us down */
    expect(15 * MIB, GROUP);
    put("/sys/fs/cgroup/system.slice/memory.max", "8388608\n"); /* shared with others, who have used half */
    put("/sys/fs/cgroup/system.slice/memory.current", "4194304\n");
    expect(4 * MIB, GROUP);
    put("/sys/fs/cgroup/system.slice/memory.stat", "anon 1\ninactive_file 1048576\nactive_file 1048576\nfile 9\n");
    expect(6 * MIB, GROUP); /* pages of files make way */
    put("/sys/fs/cgroup/system.slice/memory.current", "99999999\n");
    expect(0, GROUP);
}

static void groups_of_version_1(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemAvailable:    65536 kB\n");
    put("/proc/self/cgroup", "9:cpuset:/other\n4:memory:/box/inner\n0::/\n");
    put("/sys/fs/cgroup/memory/box/inner/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    put("/sys/fs/cgroup/cpuset/other/memory.limit_in_bytes", "4096\n");
    expect(64 * MIB, MACHINE);
    put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "16777216\n");
    put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "8388608\n");
    expect(8 * MIB, GROUP);
    put("/sys/fs/cgroup/memory/box/memory.stat",
        "inactive_file 5\ntotal_inactive_file 2097152\ntotal_active_file 1048576\n");
    expect(11 * MIB, GROUP);
}

/* In a container the path is the host's: what is mounted at the top is the container's own group. */
static void a_container(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/../../docker/0123\n");
    put("/sys/fs/cgroup/memory.max", "33554432\n");
    put("/sys/fs/cgroup/memory.current", "1048576\n");
    expect(31 * MIB, GROUP);
    put("/proc/self/cgroup", "4:memory:/docker/0123\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2097152\n");
    expect(2 * MIB, GROUP); /* what is in use is not told */
}

static void nonsense(void **state)
{
    (void)state;
    static const char *const meminfo[] = {"",
                                          "MemAvailable:\n",
                                          "MemAvailable: -5 kB\n",
                                          "MemAvailable: many kB\n",
                                          "MemAvailable: 99999999999999999999999 kB\n",
                                          "xMemAvailable: 5 kB\n"};
    static const char *const limit[] = {
        "", "\n", "-1\n", "max 5\n", "12 MiB\n", "0x100\n", "99999999999999999999999999\n"};
    for (size_t i = 0; i < sizeof meminfo / sizeof *meminfo; i++) {
        put("/proc/meminfo", meminfo[i]);
        expect(MEMORY_UNLIMITED, "");
    }
    put("/proc/meminfo", "MemAvailable: 8192 kB\n");
    static const char *const groups[] = {"",        "0:",         "0::",         "0::relative\n",
                                         ":::::\n", "4:memory\n", "4:memory:\n", "0::/no end of line"};
    put("/sys/fs/cgroup/memory.max", "4096\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        put("/proc/self/cgroup", groups[i]);
        expect(8 * MIB, MACHINE);
    }
    put("/proc/self/cgroup", "0::/\n");
    for (size_t i = 0; i < sizeof limit / sizeof *limit; i++) {
        put("/sys/fs/cgroup/memory.max", limit[i]);
        expect(8 * MIB, MACHINE);
    }
    put("/sys/fs/cgroup/memory.max", "4194304\n");
    put("/sys/fs/cgroup/memory.current", "half\n");
    put("/sys/fs/cgroup/memory.stat", "inactive_file lots\n");
    expect(4 * MIB, GROUP);
}

static void resource_limits(void **state)
{
    (void)state;
    struct rlimit before, lower;
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    lower = before;
    lower.rlim_cur = (rlim_t)1 << 40;
    if (setrlimit(RLIMIT_DATA, &lower) != 0)
        skip();
    assert_int_equal(memory_limits_read(root()).most.data, UINT64_C(1) << 40);
    lower.rlim_cur = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
}

static void this_machine(void **state)
{
    (void)state;
    memory_figures now = memory_in_use("");
    assert_true(now.resident > 0 && now.address >= now.resident && now.data > 0);
    assert_true(memory_own("") > 0 && memory_own("") <= now.resident + MIB);
    assert_true(memory_limits_read("").most.resident > MIB);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_known), TEST(a_machine), TEST(groups_of_version_2), TEST(groups_of_version_1),
        TEST(a_container),      TEST(nonsense),  TEST(resource_limits),     TEST(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
