/* Reading the kernel's text files. */
#include "base/system_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Far above any machine's, and a thousand of it do not overflow. */
static const uint64_t MOST_NUMBER = UINT64_C(1) << 53;

void system_text(const char *root, const char *path, char *text, size_t capacity)
{
    char whole[SYSTEM_PATH];
    size_t length = 0;
    int file = -1;
    if (snprintf(whole, sizeof whole, "%s%s", root, path) < (int)sizeof whole)
        file = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe in a file's place must not hold us up */
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

bool system_take_number(const char **text, uint64_t *out)
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

bool system_at_end(const char *text)
{
    return *text == '\0' || strcmp(text, "\n") == 0;
}

bool system_number(const char *root, const char *path, uint64_t *out)
{
    char text[SYSTEM_SMALL];
    const char *at = text;
    system_text(root, path, text, sizeof text);
    return system_take_number(&at, out) && system_at_end(at);
}

bool system_find_number(const char *text, const char *key, uint64_t *out)
{
    size_t length = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0)
            continue;
        const char *at = line + length;
        at += strspn(at, " \t");
        return system_take_number(&at, out);
    }
    return false;
}

/* ---- control groups ---- */

typedef struct group_walk {
    const char *root;
    void (*see)(void *user, const char *root, const char *folder, int version);
    void *user;
} group_walk;

/* A group and all above it, up to where they are mounted. */
static void walk_up(const group_walk *walk, const char *mount, const char *group, int version)
{
    char folder[SYSTEM_PATH];
    if (strstr(group, "/..") != NULL) /* a group outside of what this process may see */
        group = "";
    int length = snprintf(folder, sizeof folder, "%s%s", mount, group);
    size_t top = strlen(mount);
    if (length < 0 || length >= (int)sizeof folder)
        return;
    for (char *end = folder + length;;) {
        while (end > folder + top && end[-1] == '/')
            end--;
        *end = '\0';
        walk->see(walk->user, walk->root, folder, version);
        if (end <= folder + top)
            return;
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

/* One line of /proc/self/cgroup: "0::/a/b" is version 2, "4:cpu,cpuacct:/a/b" version 1, which is mounted under the
 * controller's name or under the list's. */
static void walk_line(const group_walk *walk, const char *controller, char *line)
{
    char *controllers = strchr(line, ':'), *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL || group[1] != '/')
        return;
    *group++ = '\0';
    controllers++;
    if (*controllers == '\0') {
        walk_up(walk, "/sys/fs/cgroup", group, 2);
        walk_up(walk, "/sys/fs/cgroup/unified", group, 2); /* beside version 1 */
    } else if (lists(controllers, controller)) {
        char mount[SYSTEM_SMALL];
        const char *names[] = {controller, strcmp(controllers, controller) != 0 ? controllers : NULL};
        for (size_t i = 0; i < 2 && names[i] != NULL; i++)
            if (snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", names[i]) < (int)sizeof mount)
                walk_up(walk, mount, group, 1);
    }
}

void system_groups(const char *root, const char *controller,
                   void (*see)(void *user, const char *root, const char *folder, int version), void *user)
{
    char text[SYSTEM_LARGE];
    group_walk walk = {root, see, user};
    system_text(root, "/proc/self/cgroup", text, sizeof text);
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        walk_line(&walk, controller, line);
    }
}
