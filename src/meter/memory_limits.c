/* Reading the limits: /proc (Linux, Documentation/filesystems/proc.rst), control groups of version 2 and 1
 * (admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst), setrlimit(2). */
#include "meter/memory_limits.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/system_files.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A line "VmRSS:     1234 kB" in bytes; 0 if there is none. */
static uint64_t find_kilobytes(const char *text, const char *key)
{
    uint64_t number;
    return system_find_number(text, key, &number) ? number * 1024 : 0;
}

memory_figures memory_in_use(const char *root)
{
    char text[SYSTEM_LARGE];
    system_text(root, "/proc/self/status", text, sizeof text);
    return (memory_figures){
        .resident = find_kilobytes(text, "VmRSS:"),
        .address = find_kilobytes(text, "VmSize:"),
        .data = find_kilobytes(text, "VmData:"),
    };
}

uint64_t memory_own(const char *root)
{
    char text[SYSTEM_LARGE];
    system_text(root, "/proc/self/status", text, sizeof text);
    return find_kilobytes(text, "RssAnon:");
}

/* ---- control groups ---- */

typedef struct group_files {
    const char *limits[2];
    const char *used;
    const char *pages[2]; /* of files, in memory.stat: of the group and those below */
} group_files;

static bool group_number(const char *root, const char *folder, const char *name, uint64_t *out)
{
    char path[SYSTEM_PATH];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && system_number(root, path, out);
}

/* What the group has in use and the kernel cannot drop; 0 where it does not tell. */
static uint64_t group_used(const char *root, const char *folder, const group_files *files)
{
    char path[SYSTEM_PATH], text[SYSTEM_LARGE];
    uint64_t used, pages;
    if (!group_number(root, folder, files->used, &used) ||
        snprintf(path, sizeof path, "%s/memory.stat", folder) >= (int)sizeof path)
        return 0;
    system_text(root, path, text, sizeof text);
    for (int i = 0; i < 2; i++)
        if (system_find_number(text, files->pages[i], &pages))
            used -= smaller(pages, used);
    return used;
}

/* The least that any group leaves free. A number too large to be a limit, as version 1 writes for none, and "max" are no
 * numbers to system_number. */
static void see_group(void *user, const char *root, const char *folder, int version)
{
    static const group_files versions[] = {
        {{"memory.limit_in_bytes", "memory.limit_in_bytes"},
         "memory.usage_in_bytes",
         {"total_inactive_file ", "total_active_file "}},
        {{"memory.max", "memory.high"}, "memory.current", {"inactive_file ", "active_file "}},
    };
    const group_files *files = &versions[version - 1];
    uint64_t *least = user, limit, most = MEMORY_UNLIMITED;
    for (int i = 0; i < 2; i++)
        if (group_number(root, folder, files->limits[i], &limit))
            most = smaller(most, limit);
    if (most != MEMORY_UNLIMITED) {
        uint64_t used = group_used(root, folder, files);
        *least = smaller(*least, most - smaller(used, most));
    }
}

/* ---- all together ---- */

static uint64_t resource_limit(int resource)
{
    struct rlimit limit;
    return getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ? MEMORY_UNLIMITED : limit.rlim_cur;
}

memory_limits memory_limits_read(const char *root)
{
    char text[SYSTEM_LARGE];
    uint64_t machine, groups = MEMORY_UNLIMITED, own = memory_own(root);
    memory_limits limits = {
        .most = {MEMORY_UNLIMITED, resource_limit(RLIMIT_AS), resource_limit(RLIMIT_DATA)},
        .resident_by = "",
    };
    system_text(root, "/proc/meminfo", text, sizeof text);
    machine = system_find_number(text, "MemAvailable:", &machine) ? machine * 1024 : MEMORY_UNLIMITED;
    system_groups(root, "memory", see_group, &groups);
    uint64_t least = smaller(machine, groups);
    if (least != MEMORY_UNLIMITED) {
        limits.most.resident = least + own;
        limits.resident_by = groups < machine ? "a control group leaves" : "this machine leaves";
    }
    return limits;
}
