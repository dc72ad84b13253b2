/* Reads VmHWM from /proc/self/status: resident pages of every kind, at their highest. Writing 5 to clear_refs sets it
 * back to what is resident now (Linux, Documentation/filesystems/proc.rst). */
#include "meter/memory_meter.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t memory_peak(void)
{
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *line = strstr(text, "\nVmHWM:");
    return line == NULL ? 0 : strtoull(line + sizeof "\nVmHWM:" - 1, NULL, 10) * 1024;
}

bool memory_peak_restart(void)
{
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool done = write(file, "5", 1) == 1;
    close(file);
    return done;
}
