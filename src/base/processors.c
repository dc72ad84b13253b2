/* Reading the kernel's files on processors and control groups (Linux, Documentation/admin-guide/cgroup-v2.rst,
 * Documentation/scheduler/sched-bwc.rst, Documentation/ABI/testing/sysfs-devices-system-cpu). */
#define _GNU_SOURCE
#include "base/processors.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/system_files.h"

/* ---- quotas of control groups, in thousandths of a processor ---- */

static const uint64_t NO_QUOTA = UINT64_MAX;

static uint64_t quota(uint64_t micros, uint64_t period)
{
    return micros == 0 || period == 0 ? NO_QUOTA : micros * 1000 / period;
}

/* A file of a control group's folder. */
static bool group_path(char path[SYSTEM_PATH], const char *folder, const char *name)
{
    return snprintf(path, SYSTEM_PATH, "%s/%s", folder, name) < SYSTEM_PATH;
}

/* Version 2, cpu.max: "150000 100000", or "max 100000". */
static uint64_t read_cpu_max(const char *root, const char *folder)
{
    char path[SYSTEM_PATH], text[SYSTEM_SMALL];
    const char *at = text;
    uint64_t micros, period;
    if (!group_path(path, folder, "cpu.max"))
        return NO_QUOTA;
    system_text(root, path, text, sizeof text);
    if (!system_take_number(&at, &micros) || *at++ != ' ' || !system_take_number(&at, &period) || !system_at_end(at))
        return NO_QUOTA;
    return quota(micros, period);
}

/* Version 1: two files; a quota of -1 is none. */
static uint64_t read_cfs_quota(const char *root, const char *folder)
{
    char path[SYSTEM_PATH];
    uint64_t micros, period;
    if (!group_path(path, folder, "cpu.cfs_quota_us") || !system_number(root, path, &micros) ||
        !group_path(path, folder, "cpu.cfs_period_us") || !system_number(root, path, &period))
        return NO_QUOTA;
    return quota(micros, period);
}

static void see_group(void *user, const char *root, const char *folder, int version)
{
    uint64_t *smallest = user;
    uint64_t found = version == 2 ? read_cpu_max(root, folder) : read_cfs_quota(root, folder);
    *smallest = found < *smallest ? found : *smallest;
}

/* The smallest quota of the groups this process is in. */
static uint64_t find_quota(const char *root)
{
    uint64_t smallest = NO_QUOTA;
    system_groups(root, "cpu", see_group, &smallest);
    return smallest;
}

/* ---- kinds of cores ---- */

/* One file of a processor's folder. */
static void processor_path(char path[SYSTEM_PATH], unsigned index, const char *name)
{
    snprintf(path, SYSTEM_PATH, "/sys/devices/system/cpu/cpu%u/%s", index, name);
}

/* What each allowed processor can do, in a unit of the file's own; 0 where it does not say. Returns the most. */
static uint64_t read_capacities(const processor_set *allowed, const char *root, const char *name,
                                uint64_t capacity[PROCESSORS_MOST])
{
    char path[SYSTEM_PATH];
    uint64_t most = 0;
    for (unsigned i = 0; i < PROCESSORS_MOST; i++) {
        capacity[i] = 0;
        if (!processor_in(allowed, i))
            continue;
        processor_path(path, i, name);
        if (!system_number(root, path, &capacity[i]))
            capacity[i] = 0;
        if (capacity[i] > most)
            most = capacity[i];
        else if (most == 0)
            break; /* a kernel writes this file for all processors or for none */
    }
    return most;
}

/* Adds the processors of a list like "0-3,8" to the set; nothing if any part of it is malformed. */
static void add_list(processor_set *set, const char *text)
{
    processor_set added = *set;
    for (bool more = true; more;) {
        uint64_t first, last;
        if (!system_take_number(&text, &first))
            return;
        last = first;
        if (*text == '-' && (text++, !system_take_number(&text, &last)))
            return;
        if (first > last || last >= PROCESSORS_MOST)
            return;
        for (uint64_t i = first; i <= last; i++)
            added.bits[i / 64] |= UINT64_C(1) << i % 64;
        more = *text == ',';
        if (more)
            text++;
    }
    if (system_at_end(text))
        *set = added;
}

static uint32_t count_fast_cores(const processor_set *allowed, const char *root)
{
    char path[SYSTEM_PATH], text[SYSTEM_SMALL];
    uint64_t capacity[PROCESSORS_MOST];
    uint64_t most = read_capacities(allowed, root, "cpu_capacity", capacity);
    if (most == 0)
        most = read_capacities(allowed, root, "cpufreq/cpuinfo_max_freq", capacity);
    processor_set counted = {{0}};
    uint32_t count = 0;
    for (unsigned i = 0; i < PROCESSORS_MOST; i++) {
        bool slow = most > 0 && capacity[i] > 0 && capacity[i] * 10 < most * 7;
        if (!processor_in(allowed, i) || slow || processor_in(&counted, i))
            continue;
        count++;
        processor_path(path, i, "topology/thread_siblings_list");
        system_text(root, path, text, sizeof text);
        add_list(&counted, text);
    }
    return count;
}

/* ---- the counts ---- */

processor_set processors_allowed(void)
{
    processor_set set = {{0}};
    cpu_set_t allowed;
    bool any = false;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        for (unsigned i = 0; i < PROCESSORS_MOST && i < CPU_SETSIZE; i++) {
            if (CPU_ISSET(i, &allowed)) {
                set.bits[i / 64] |= UINT64_C(1) << i % 64;
                any = true;
            }
        }
    }
    long online = any ? 0 : sysconf(_SC_NPROCESSORS_ONLN);
    for (long i = 0; !any && (i == 0 || (i < online && i < PROCESSORS_MOST)); i++)
        set.bits[i / 64] |= UINT64_C(1) << i % 64;
    return set;
}

static uint32_t between(uint64_t value, uint32_t most)
{
    return value < 1 ? 1 : value < most ? (uint32_t)value : most;
}

uint32_t processors_usable(const processor_set *allowed, const char *root)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < PROCESSORS_MOST; i++)
        count += processor_in(allowed, i);
    uint64_t thousandths = find_quota(root);
    return between(thousandths == NO_QUOTA ? count : (thousandths + 999) / 1000, count > 0 ? count : 1);
}

uint32_t processors_good(const processor_set *allowed, const char *root)
{
    uint32_t fast = count_fast_cores(allowed, root);
    return between(find_quota(root) / 1000, fast > 0 ? fast : 1);
}

/* ---- the name ---- */

/* Printable ASCII of `from` up to its end of line or NUL, without spaces around it. */
static void copy_line(const char *from, char *text, size_t capacity)
{
    size_t length = 0;
    from += strspn(from, " \t:");
    for (; *from >= ' ' && *from < 0x7f && length + 1 < capacity; from++)
        text[length++] = *from;
    while (length > 0 && text[length - 1] == ' ')
        length--;
    text[length] = '\0';
}

void processor_name(const char *root, char *text, size_t capacity)
{
    /* The board's name where there is a device tree, else the processor's: x86's key, then arm's, then riscv's. */
    static const char *const keys[] = {"\nmodel name\t", "\nModel\t", "\nHardware\t", "\nuarch\t"};
    char found[SYSTEM_LARGE];
    *text = '\0';
    system_text(root, "/proc/device-tree/model", found, SYSTEM_SMALL);
    copy_line(found, text, capacity);
    if (*text != '\0')
        return;
    found[0] = '\n';
    system_text(root, "/proc/cpuinfo", found + 1, sizeof found - 1);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && *text == '\0'; i++) {
        const char *line = strstr(found, keys[i]);
        if (line != NULL)
            copy_line(line + strlen(keys[i]), text, capacity);
    }
}
