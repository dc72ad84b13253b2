#include "machine_state.h"

#include <stdlib.h>
#include <string.h>

enum { PROCESSORS_MAX = 256, ZONES_MAX = 32, PATH_MAX_LENGTH = 512 };

static const double load_allowed = 0.5;

/* The first line of the file root + path; "" if it cannot be read. `number` takes the place of '#' in the path. */
static void read_line(char *line, size_t capacity, const char *root, const char *path, unsigned number)
{
    char name[PATH_MAX_LENGTH], digits[16] = "";
    size_t head = strcspn(path, "#");
    if (path[head] != '\0')
        snprintf(digits, sizeof digits, "%u", number);
    snprintf(name, sizeof name, "%s%.*s%s%s", root, (int)head, path, digits, path + head + (path[head] != '\0'));
    *line = '\0';
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return;
    if (fgets(line, (int)capacity, file) == NULL)
        *line = '\0';
    line[strcspn(line, "\n")] = '\0';
    fclose(file);
}

static uint64_t read_number(const char *root, const char *path, unsigned number, int base)
{
    char line[64];
    read_line(line, sizeof line, root, path, number);
    return strtoull(line, NULL, base);
}

/* The value of a line "key value". */
static void read_value(char *value, size_t capacity, const char *root, const char *path, const char *key)
{
    char name[PATH_MAX_LENGTH], line[256];
    snprintf(name, sizeof name, "%s%s", root, path);
    *value = '\0';
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return;
    size_t length = strlen(key);
    while (*value == '\0' && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, length) != 0)
            continue;
        const char *at = line + length + strspn(line + length, " ");
        snprintf(value, capacity, "%.*s", (int)strcspn(at, "\n"), at);
    }
    fclose(file);
}

static void read_processors(struct machine_state *state, const char *root)
{
    for (unsigned i = 0; i < PROCESSORS_MAX; i++) {
        uint64_t now = read_number(root, "/sys/devices/system/cpu/cpu#/cpufreq/scaling_cur_freq", i, 10);
        uint64_t limit = read_number(root, "/sys/devices/system/cpu/cpu#/cpufreq/cpuinfo_max_freq", i, 10);
        if (now > state->frequency)
            state->frequency = now;
        if (limit > state->limit)
            state->limit = limit;
        state->throttles +=
            read_number(root, "/sys/devices/system/cpu/cpu#/thermal_throttle/core_throttle_count", i, 10);
    }
    read_line(state->governor, sizeof state->governor, root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
              0);
}

static void read_heat(struct machine_state *state, const char *root)
{
    for (unsigned i = 0; i < ZONES_MAX; i++) {
        char type[64];
        int degrees = (int)(read_number(root, "/sys/class/thermal/thermal_zone#/temp", i, 10) / 1000);
        if (degrees > state->hottest && degrees < 150)
            state->hottest = degrees;
        read_line(type, sizeof type, root, "/sys/class/thermal/cooling_device#/type", i);
        if (strstr(type, "cpufreq") != NULL || strcmp(type, "Processor") == 0)
            state->cooling |= read_number(root, "/sys/class/thermal/cooling_device#/cur_state", i, 10) > 0;
    }
    /* A Raspberry Pi's firmware: bits 0 to 3 are under-voltage, a capped frequency, throttling and the soft limit now. */
    state->cooling |= (read_number(root, "/sys/devices/platform/soc/soc:firmware/get_throttled", 0, 16) & 0xf) != 0;
}

struct machine_state machine_state_read(const char *root)
{
    struct machine_state state = {0};
    char text[64];
    read_processors(&state, root);
    read_heat(&state, root);
    read_value(text, sizeof text, root, "/sys/fs/cgroup/cpu.stat", "nr_throttled");
    state.quota_waits = strtoull(text, NULL, 10);
    read_line(text, sizeof text, root, "/proc/loadavg", 0);
    state.load = strtod(text, NULL);
    return state;
}

bool machine_state_throttled(const struct machine_state *before, const struct machine_state *after)
{
    return after->throttles > before->throttles || after->quota_waits > before->quota_waits || after->cooling;
}

void machine_state_print(struct output *out, const struct machine_state *before, const struct machine_state *after)
{
    output_print(out, "governor ");
    if (*after->governor != '\0')
        output_escaped(out, after->governor, strlen(after->governor));
    else
        output_print(out, "unknown");
    if (after->frequency > 0 && after->limit > 0)
        output_print(out, ", %.2f of %.2f GHz", (double)after->frequency / 1e6, (double)after->limit / 1e6);
    if (after->hottest > 0)
        output_print(out, ", %d °C", after->hottest);
    output_print(out, ", %sthrottled, load %.2f before", machine_state_throttled(before, after) ? "" : "not ",
                 before->load);
}

void machine_state_warn_before(const struct machine_state *before)
{
    if (before->load > load_allowed)
        complain(
            "warning: another program is running (load average %.2f before the start), so the figures will be below "
            "the machine's; end it or wait a minute, then measure again",
            before->load);
}

void machine_state_warn_after(const struct machine_state *before, const struct machine_state *after)
{
    if (after->quota_waits > before->quota_waits)
        complain(
            "warning: the CPU quota of this container held the run up %llu times; raise it, or give fewer --threads",
            (unsigned long long)(after->quota_waits - before->quota_waits));
    if (after->throttles > before->throttles || after->cooling)
        complain("warning: the processor was throttled during the run; see to its cooling and its power supply");
    else if (after->frequency > 0 && after->frequency < after->limit / 10 * 8)
        complain(
            "warning: the processor ended the run at %.2f of %.2f GHz, governor %s; choose the governor performance",
            (double)after->frequency / 1e6, (double)after->limit / 1e6, after->governor);
}
