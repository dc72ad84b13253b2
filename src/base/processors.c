/* Reading the kernel's files on processors and control groups (Linux, Documentation/admin-guide/cgroup-v2.rst,
 * Documentation/scheduler/sched-bwc.rst, Documentation/ABI/testing/sysfs-devices-system-cpu). */
#define _GNU_SOURCE
#include "base/processors.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    SMALL_BYTES = 512,   /* of a file that holds a number or a short list */
    GROUPS_BYTES = 16384 /* of /proc/self/cgroup and of the part of /proc/cpuinfo that matters */
};

/* Far above any machine, far below an overflow. */
static const uint64_t MOST_NUMBER = UINT64_C(1) << 40;

/* ---- files ---- */

/* The first `capacity` - 1 bytes of a file, as text; "" if it cannot be read. */
static void read_text(const char *path, char *text, size_t capacity)
{
    size_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe in a file's place must not hold us up */
    while (file >= 0 && length < capacity - 1) {
        ssize_t got = read(file, text + length, capacity - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    if (file >= 0)
        close(file);
    text[length] = '\0';
}

/* Takes a decimal number off *text. */
static bool take_number(const char **text, uint64_t *out)
{
    const char *at = *text;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > MOST_NUMBER)
            return false;
    }
    bool any = at != *text;
    *text = at;
    *out = value;
    return any;
}

static bool at_end(const char *text)
{
    return *text == '\0' || strcmp(text, "\n") == 0;
}

/* A file that holds one number above 0; 0 if it is anything else. */
static uint64_t read_number(const char *path)
{
    char text[SMALL_BYTES];
    const char *at = text;
    uint64_t value;
    read_text(path, text, sizeof text);
    return take_number(&at, &value) && at_end(at) ? value : 0;
}

/* ---- quotas of control groups, in thousandths of a processor ---- */

static const uint64_t NO_QUOTA = UINT64_MAX;

static uint64_t quota(uint64_t micros, uint64_t period)
{
    return micros == 0 || period == 0 ? NO_QUOTA : micros * 1000 / period;
}

/* Version 2, cpu.max: "150000 100000", or "max 100000". */
static uint64_t read_cpu_max(const char *folder)
{
    char path[PATH_BYTES], text[SMALL_BYTES];
    const char *at = text;
    uint64_t micros, period;
    if (snprintf(path, sizeof path, "%s/cpu.max", folder) >= (int)sizeof path)
        return NO_QUOTA;
    read_text(path, text, sizeof text);
    if (!take_number(&at, &micros) || *at++ != ' ' || !take_number(&at, &period) || !at_end(at))
        return NO_QUOTA;
    return quota(micros, period);
}

/* Version 1: two files; a quota of -1 is none. */
static uint64_t read_cfs_quota(const char *folder)
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder) >= (int)sizeof path)
        return NO_QUOTA;
    uint64_t micros = read_number(path);
    if (micros == 0)
        return NO_QUOTA;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    return quota(micros, read_number(path));
}

/* The smallest quota of a group and of all above it. In a container the group's path may name a place that only the host
 * sees; the container's own group is then what is mounted, and the walk ends there. */
static uint64_t smallest_quota(const char *root, const char *mount, const char *group,
                               uint64_t (*read_quota)(const char *folder))
{
    char folder[PATH_BYTES];
    uint64_t smallest = NO_QUOTA;
    if (strstr(group, "/..") != NULL) /* a group outside of what this process may see */
        group = "";
    int length = snprintf(folder, sizeof folder, "%s%s%s", root, mount, group);
    size_t top = strlen(root) + strlen(mount);
    if (length < 0 || length >= (int)sizeof folder)
        return NO_QUOTA;
    for (char *end = folder + length;;) {
        while (end > folder + top && end[-1] == '/')
            end--;
        *end = '\0';
        uint64_t found = read_quota(folder);
        if (found < smallest)
            smallest = found;
        if (end <= folder + top)
            return smallest;
        while (end > folder + top && end[-1] != '/')
            end--;
    }
}

/* Is `name` one of the words of a list like "cpu,cpuacct"? */
static bool lists(const char *words, const char *name)
{
    size_t length = strlen(name);
    for (;; words++) {
        size_t word = strcspn(words, ",");
        if (word == length && memcmp(words, name, length) == 0)
            return true;
        words += word;
        if (*words == '\0')
            return false;
    }
}

/* One line of /proc/self/cgroup: "0::/a/b" is version 2, "4:cpu,cpuacct:/a/b" version 1. */
static uint64_t quota_of_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':'), *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL || group[1] != '/')
        return NO_QUOTA;
    *group++ = '\0';
    controllers++;
    if (*controllers == '\0') {
        uint64_t pure = smallest_quota(root, "/sys/fs/cgroup", group, read_cpu_max);
        uint64_t beside_v1 = smallest_quota(root, "/sys/fs/cgroup/unified", group, read_cpu_max);
        return pure < beside_v1 ? pure : beside_v1;
    }
    if (!lists(controllers, "cpu"))
        return NO_QUOTA;
    uint64_t alone = smallest_quota(root, "/sys/fs/cgroup/cpu", group, read_cfs_quota);
    uint64_t joint = smallest_quota(root, "/sys/fs/cgroup/cpu,cpuacct", group, read_cfs_quota);
    return alone < joint ? alone : joint;
}

static uint64_t find_quota(const char *root)
{
    char path[PATH_BYTES], text[GROUPS_BYTES];
    uint64_t smallest = NO_QUOTA;
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path)
        return NO_QUOTA;
    read_text(path, text, sizeof text);
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        uint64_t found = quota_of_line(root, line);
        if (found < smallest)
            smallest = found;
    }
    return smallest;
}

/* ---- kinds of cores ---- */

/* One file of a processor's folder. */
static void processor_path(char path[PATH_BYTES], const char *root, unsigned index, const char *name)
{
    if (snprintf(path, PATH_BYTES, "%s/sys/devices/system/cpu/cpu%u/%s", root, index, name) >= PATH_BYTES)
        path[0] = '\0';
}

/* What each allowed processor can do, in a unit of the file's own; 0 where it does not say. Returns the most. */
static uint64_t read_capacities(const processor_set *allowed, const char *root, const char *name,
                                uint64_t capacity[PROCESSORS_MOST])
{
    char path[PATH_BYTES];
    uint64_t most = 0;
    for (unsigned i = 0; i < PROCESSORS_MOST; i++) {
        capacity[i] = 0;
        if (!processor_in(allowed, i))
            continue;
        processor_path(path, root, i, name);
        capacity[i] = read_number(path);
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
        if (!take_number(&text, &first))
            return;
        last = first;
        if (*text == '-' && (text++, !take_number(&text, &last)))
            return;
        if (first > last || last >= PROCESSORS_MOST)
            return;
        for (uint64_t i = first; i <= last; i++)
            added.bits[i / 64] |= UINT64_C(1) << i % 64;
        more = *text == ',';
        if (more)
            text++;
    }
    if (at_end(text))
        *set = added;
}

static uint32_t count_fast_cores(const processor_set *allowed, const char *root)
{
    char path[PATH_BYTES], text[SMALL_BYTES];
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
        processor_path(path, root, i, "topology/thread_siblings_list");
        read_text(path, text, sizeof text);
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
    char path[PATH_BYTES], found[GROUPS_BYTES];
    *text = '\0';
    if (snprintf(path, sizeof path, "%s/proc/device-tree/model", root) < (int)sizeof path) {
        read_text(path, found, SMALL_BYTES);
        copy_line(found, text, capacity);
    }
    if (*text != '\0' || snprintf(path, sizeof path, "%s/proc/cpuinfo", root) >= (int)sizeof path)
        return;
    found[0] = '\n';
    read_text(path, found + 1, sizeof found - 1);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && *text == '\0'; i++) {
        const char *line = strstr(found, keys[i]);
        if (line != NULL)
            copy_line(line + strlen(keys[i]), text, capacity);
    }
}
