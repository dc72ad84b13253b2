/* Counting processors, on machines made of files: cgroup quotas of both versions, slow cores, hardware threads; and files
 * that hold nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "assert_says.h"

#include "base/cpu_features.h"
#include "base/processors.h"

enum { PATH_BYTES = 512 };

static char root[] = "/tmp/mote-processors-XXXXXX";

/* Writes a file below the root, with its folders. */
static void put(const char *name, const char *text)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = strchr(path + sizeof root, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void put_for(unsigned processor, const char *name, const char *text)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", processor, name);
    put(path, text);
}

static int new_machine(void **state)
{
    (void)state;
    memcpy(root + sizeof root - 7, "XXXXXX", 6);
    return mkdtemp(root) == NULL;
}

static int remove_machine(void **state)
{
    (void)state;
    char command[PATH_BYTES];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static processor_set first(unsigned count)
{
    processor_set set = {{0}};
    for (unsigned i = 0; i < count; i++)
        set.bits[i / 64] |= UINT64_C(1) << i % 64;
    return set;
}

static void expect(unsigned allowed, unsigned usable, unsigned good)
{
    processor_set set = first(allowed);
    assert_int_equal(processors_usable(&set, root), usable);
    assert_int_equal(processors_good(&set, root), good);
}

static void test_no_files_at_all(void **state)
{
    (void)state;
    expect(1, 1, 1);
    expect(4, 4, 4);
    expect(PROCESSORS_MOST, PROCESSORS_MOST, PROCESSORS_MOST);
    expect(0, 1, 1);
}

static void test_quota_of_version_2(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    expect(8, 2, 2);
    expect(1, 1, 1);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    expect(8, 8, 8);
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n"); /* two can be kept busy in part; one never stands still */
    expect(8, 2, 1);
    put("/sys/fs/cgroup/cpu.max", "1000 100000\n");
    expect(8, 1, 1);
}

static void test_quota_of_a_group_above(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/system.slice/mote.service\n");
    put("/sys/fs/cgroup/system.slice/mote.service/cpu.max", "600000 100000\n");
    expect(8, 6, 6);
    put("/sys/fs/cgroup/system.slice/cpu.max", "300000 100000\n");
    expect(8, 3, 3);
    put("/sys/fs/cgroup/system.slice/cpu.max", "max 100000\n");
    expect(8, 6, 6);
    put("/sys/fs/cgroup/cpu.max", "100000 50000\n");
    expect(8, 2, 2);
}

/* In a container the path is the host's: only what is mounted at the top can be seen. */
static void test_quota_of_a_container(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/../../docker/0123\n");
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    expect(8, 3, 3);
    put("/proc/self/cgroup", "4:cpu,cpuacct:/docker/0123\n0::/docker/0123\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    expect(8, 2, 2);
}

static void test_quota_of_version_1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "9:cpuset:/\n3:memory:/box\n2:cpu:/box/inner\n1:cpuacct:/\n");
    put("/sys/fs/cgroup/cpu/box/inner/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/box/inner/cpu.cfs_period_us", "100000\n");
    expect(8, 8, 8);
    put("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "250000\n");
    expect(8, 8, 8); /* a quota without a period is none */
    put("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    expect(8, 3, 2);
    put("/proc/self/cgroup", "9:cpuset:/box\n1:cpuacct:/box\n"); /* not the controller that sets quotas */
    expect(8, 8, 8);
}

static void test_quota_files_of_nonsense(void **state)
{
    (void)state;
    static const char *const quotas[] = {"",
                                         "\n",
                                         "x",
                                         "100000",
                                         "100000 ",
                                         "100000\n",
                                         " 1 1",
                                         "-1 100000",
                                         "1e5 100000",
                                         "100000 0\n",
                                         "0 100000",
                                         "max",
                                         "MAX 100000",
                                         "100000 100000 1",
                                         "100000\t100000",
                                         "100000 1x",
                                         "\xff\xfe ",
                                         "0x10 10",
                                         "99999999999999999999 1"};
    put("/proc/self/cgroup", "0::/\n");
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        put("/sys/fs/cgroup/cpu.max", quotas[i]);
        expect(4, 4, 4);
    }
    static char huge[1 << 20];
    memset(huge, '1', sizeof huge - 1);
    put("/sys/fs/cgroup/cpu.max", huge);
    expect(4, 4, 4);
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    static const char *const groups[] = {"",     "\n", ":",     "::\n", "0:\n", "0::\n", "0::relative\n",
                                         "0::/", huge, "\n\n\n"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        put("/proc/self/cgroup", groups[i]);
        expect(4, 4, 4);
    }
    memset(huge, '/', 12000); /* a path longer than any */
    memcpy(huge, "0::", 3);
    strcpy(huge + 12000, "\n0::/\n");
    put("/proc/self/cgroup", huge);
    expect(4, 1, 1);
}

static void put_capacities(const char *name, const char *const *value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put_for(i, name, value[i]);
}

static void test_slow_cores_do_not_count(void **state)
{
    (void)state;
    static const char *const rk3588[] = {"414\n", "414\n", "414\n", "414\n", "1024\n", "1024\n", "1024\n", "1024\n"};
    put_capacities("cpu_capacity", rk3588, 8);
    expect(8, 8, 4);
    expect(4, 4, 4); /* only slow ones are allowed: then they are the best there are */
    expect(6, 6, 2);
    static const char *const near[] = {"720\n", "720\n", "1024\n", "1024\n"};
    put_capacities("cpu_capacity", near, 4);
    expect(4, 4, 4); /* 70% is near enough */
}

static void test_clock_rates_where_there_are_no_capacities(void **state)
{
    (void)state;
    static const char *const hertz[] = {"1500000\n", "1500000\n", "2400000\n", "2400000\n"};
    put_capacities("cpufreq/cpuinfo_max_freq", hertz, 4);
    expect(4, 4, 2);
    put_for(1, "cpufreq/cpuinfo_max_freq", "fast\n"); /* nobody knows: it may be */
    expect(4, 4, 3);
    static const char *const same[] = {"1024\n", "1024\n", "1024\n", "1024\n"};
    put_capacities("cpu_capacity", same, 4); /* says it better */
    expect(4, 4, 4);
}

static void test_hardware_threads_count_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        put_for(i, "topology/thread_siblings_list", i % 2 == 0 ? "0,2\n" : "1,3\n");
    expect(4, 4, 2);
    for (unsigned i = 0; i < 4; i++)
        put_for(i, "topology/thread_siblings_list", i < 2 ? "0-1\n" : "2-3\n");
    expect(4, 4, 2);
    expect(1, 1, 1);
    for (unsigned i = 0; i < 4; i++)
        put_for(i, "topology/thread_siblings_list", "0-1,2-3\n");
    expect(4, 4, 1);
}

static void test_lists_of_nonsense(void **state)
{
    (void)state;
    static const char *const lists[] = {"",     "\n",  ",",          "0,",   "0-",        "-1",  "1-0\n",
                                        "0-3x", "0 3", "0-99999999", "0--3", "0,1,2,3,y", "max", "0-1-3"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (unsigned p = 0; p < 4; p++)
            put_for(p, "topology/thread_siblings_list", lists[i]);
        expect(4, 4, 4);
    }
}

static void test_all_of_it_together(void **state)
{
    (void)state;
    static const char *const sizes[] = {"300\n", "300\n", "1000\n", "1000\n", "1000\n", "1000\n"};
    put_capacities("cpu_capacity", sizes, 6);
    for (unsigned i = 2; i < 6; i++)
        put_for(i, "topology/thread_siblings_list", i < 4 ? "2-3\n" : "4-5\n");
    expect(6, 6, 2);
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "199999 100000\n");
    expect(6, 2, 1);
}

static void test_names(void **state)
{
    (void)state;
    char name[32];
    processor_name(root, name, sizeof name);
    assert_string_equal(name, "");
    put("/proc/cpuinfo", "processor\t: 0\nmodel\t\t: 17\nmodel name\t: Some CPU @ 2 GHz  \nflags\t: x\n");
    processor_name(root, name, sizeof name);
    assert_string_equal(name, "Some CPU @ 2 GHz");
    put("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0");
    processor_name(root, name, sizeof name);
    assert_string_equal(name, "Raspberry Pi 5 Model B Rev 1.0");
    processor_name(root, name, 10);
    assert_string_equal(name, "Raspberry");
    put("/proc/device-tree/model", "\x1b[31m");
    put("/proc/cpuinfo", "model name\t:");
    processor_name(root, name, sizeof name);
    assert_string_equal(name, "");
}

static void test_this_machine(void **state)
{
    (void)state;
    processor_set allowed = processors_allowed();
    uint32_t usable = processors_usable(&allowed, ""), good = processors_good(&allowed, "");
    assert_true(usable >= 1 && usable <= PROCESSORS_MOST);
    assert_true(good >= 1 && good <= usable);
}

static void test_masks_of_features(void **state)
{
    (void)state;
    mote_error error;
    uint32_t all = cpu_features(), some;
    char names[256];
    assert_int_equal(cpu_features_choose(&some, NULL, NULL), MOTE_OK);
    assert_int_equal(some, all);
    assert_int_equal(cpu_features_choose(&some, "", NULL), MOTE_OK);
    assert_int_equal(some, all);
    assert_int_equal(cpu_features_choose(&some, "generic", NULL), MOTE_OK);
    assert_int_equal(some, 0);
    assert_int_equal(cpu_features_choose(&some, "generic,generic", NULL), MOTE_OK);
    assert_int_equal(some, 0);
#ifdef __x86_64__
    assert_int_equal(cpu_features_choose(&some, "avx2", NULL), MOTE_OK);
    assert_int_equal(some, all & (CPU_F16C | CPU_AVX2));
    assert_int_equal(cpu_features_choose(&some, "avx512-bf16", NULL), MOTE_OK);
    assert_int_equal(some, all);
    assert_int_equal(cpu_features_choose(&some, "avx512,avx2", NULL), MOTE_OK);
    assert_int_equal(some, all & (CPU_AVX512 | CPU_AVX2));
    cpu_feature_names(CPU_AVX2 | CPU_AVX512_VNNI | CPU_NEON, names, sizeof names);
    assert_string_equal(names, "avx2 avx512-vnni");
    assert_int_equal(cpu_features_choose(&some, "neon", &error), MOTE_E_ARGUMENT);
#endif
    static const char *const wrong[] = {",", "avx", "AVX2", " avx2", "generic,", "generic,,generic", "x\x1b[31m"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(cpu_features_choose(&some, wrong[i], &error), MOTE_E_ARGUMENT);
        assert_non_null(strstr(error.text, "choose from: generic"));
        assert_null(strchr(error.text, '\x1b'));
    }
    cpu_feature_names(UINT32_MAX, names, 3); /* cut, and no further */
    assert_true(strlen(names) < 3);
}

#define ON_A_NEW_MACHINE(test) cmocka_unit_test_setup_teardown(test, new_machine, remove_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_NEW_MACHINE(test_no_files_at_all),
        ON_A_NEW_MACHINE(test_quota_of_version_2),
        ON_A_NEW_MACHINE(test_quota_of_a_group_above),
        ON_A_NEW_MACHINE(test_quota_of_a_container),
        ON_A_NEW_MACHINE(test_quota_of_version_1),
        ON_A_NEW_MACHINE(test_quota_files_of_nonsense),
        ON_A_NEW_MACHINE(test_slow_cores_do_not_count),
        ON_A_NEW_MACHINE(test_clock_rates_where_there_are_no_capacities),
        ON_A_NEW_MACHINE(test_hardware_threads_count_once),
        ON_A_NEW_MACHINE(test_lists_of_nonsense),
        ON_A_NEW_MACHINE(test_all_of_it_together),
        ON_A_NEW_MACHINE(test_names),
        cmocka_unit_test(test_this_machine),
        cmocka_unit_test(test_masks_of_features),
    };
    return cmocka_run_group_tests_name("processors", tests, NULL, NULL);
}
