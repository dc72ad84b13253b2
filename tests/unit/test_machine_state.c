/* What mote bench reads of a machine's state, from made-up /proc and /sys: a laptop, a board that is too hot, a system that
 * tells nothing, and files that hold nonsense. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "assert_says.h"

#include "machine_state.h"

typedef struct fake {
    char root[64];
} fake;

static void put(const fake *f, const char *path, const char *text)
{
    char name[512];
    snprintf(name, sizeof name, "%s%s", f->root, path);
    for (char *at = name + strlen(f->root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(name, 0700);
        *at = '/';
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int setup(void **state)
{
    fake *f = calloc(1, sizeof *f);
    strcpy(f->root, "/tmp/mote-machine-XXXXXX");
    *state = f;
    return mkdtemp(f->root) == NULL;
}

static int teardown(void **state)
{
    fake *f = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", f->root);
    int status = system(command);
    free(f);
    return status;
}

/* The line of two states as text; the caller's buffer. */
static void line_of(const struct machine_state *before, const struct machine_state *after, char *text, size_t size)
{
    FILE *file = fmemopen(text, size, "w");
    struct output out = output_to(file, "memory");
    machine_state_print(&out, before, after);
    fclose(file);
}

static void test_laptop(void **state)
{
    const fake *f = *state;
    char line[256];
    put(f, "/proc/loadavg", "0.42 0.11 0.01 1/234 5678\n");
    put(f, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    put(f, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "800000\n");
    put(f, "/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "3600000\n");
    put(f, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3700000\n");
    put(f, "/sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "7\n");
    put(f, "/sys/class/thermal/thermal_zone0/temp", "41000\n");
    put(f, "/sys/class/thermal/thermal_zone1/temp", "54321\n");
    put(f, "/sys/class/thermal/cooling_device0/type", "Processor\n");
    put(f, "/sys/class/thermal/cooling_device0/cur_state", "0\n");
    put(f, "/sys/fs/cgroup/cpu.stat", "usage_usec 1\nnr_periods 12\nnr_throttled 3\n");
    struct machine_state before = machine_state_read(f->root);
    assert_string_equal(before.governor, "powersave");
    assert_int_equal(before.frequency, 3600000); /* an idle processor beside it says nothing */
    assert_int_equal(before.limit, 3700000);
    assert_int_equal(before.throttles, 7);
    assert_int_equal(before.quota_waits, 3);
    assert_int_equal(before.hottest, 54);
    assert_true(before.load > 0.41 && before.load < 0.43);
    assert_false(before.cooling || machine_state_throttled(&before, &before));
    line_of(&before, &before, line, sizeof line);
    assert_string_equal(line, "governor powersave, 3.60 of 3.70 GHz, 54 °C, not throttled, load 0.42 before");

    put(f, "/sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "8\n");
    struct machine_state hot = machine_state_read(f->root);
    assert_true(machine_state_throttled(&before, &hot));
    put(f, "/sys/fs/cgroup/cpu.stat", "nr_throttled 4\n");
    struct machine_state waited = machine_state_read(f->root);
    assert_true(machine_state_throttled(&hot, &waited));
}

static void test_hot_board(void **state)
{
    const fake *f = *state;
    struct machine_state before = machine_state_read(f->root);
    assert_false(before.cooling);
    put(f, "/sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n"); /* it has happened, long ago */
    assert_false(machine_state_read(f->root).cooling);
    put(f, "/sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n");
    assert_true(machine_state_read(f->root).cooling);
    put(f, "/sys/devices/platform/soc/soc:firmware/get_throttled", "0\n");
    put(f, "/sys/class/thermal/cooling_device2/type", "cpufreq-cpu0\n");
    put(f, "/sys/class/thermal/cooling_device2/cur_state", "1\n");
    assert_true(machine_state_read(f->root).cooling);
    put(f, "/sys/class/thermal/cooling_device2/type", "pwm-fan\n"); /* a fan that turns holds nothing back */
    assert_false(machine_state_read(f->root).cooling);
}

static void test_nothing_told(void **state)
{
    const fake *f = *state;
    char line[256];
    struct machine_state found = machine_state_read(f->root);
    line_of(&found, &found, line, sizeof line);
    assert_string_equal(line, "governor unknown, not throttled, load 0.00 before");
}

static void test_nonsense(void **state)
{
    const fake *f = *state;
    char line[512];
    put(f, "/proc/loadavg", "lots");
    put(f, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "\x1b[31mred\n");
    put(f, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "fast");
    put(f, "/sys/class/thermal/thermal_zone0/temp", "99999999999999999999999");
    put(f, "/sys/class/thermal/thermal_zone1/temp", "-40000");
    put(f, "/sys/fs/cgroup/cpu.stat", "nr_throttled\n");
    struct machine_state found = machine_state_read(f->root);
    assert_int_equal(found.frequency, 0);
    assert_int_equal(found.hottest, 0);
    assert_true(found.load == 0);
    line_of(&found, &found, line, sizeof line);
    assert_string_equal(line, "governor \\x1b[31mred, not throttled, load 0.00 before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_laptop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hot_board, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
