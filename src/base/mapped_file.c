/* Opening, mapping and closing a file. */

#include "base/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"

enum {
    SHORT_PATH = 200,
    FAULT_AROUND = 64 << 10 /* bytes that one fault maps (fault_around_bytes), a multiple of every page's size */
};

const char *mapped_file_short_path(const char *path)
{
    size_t length = strlen(path);
    if (length <= SHORT_PATH)
        return path;
    const char *tail = path + length - SHORT_PATH;
    const char *slash = strchr(tail, '/');
    if (slash != NULL && slash[1] != '\0')
        return slash + 1;
    while (((unsigned char)*tail & 0xc0) == 0x80) /* not into the middle of a character */
        tail++;
    return tail;
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

static mote_status size_of(int descriptor, const char *path, size_t *size, mote_error *error)
{
    const char *shown = mapped_file_short_path(path);
    struct stat about;
    if (fstat(descriptor, &about) != 0)
        return fail(error, MOTE_E_IO, "%s: cannot be examined (%m); check the disk", shown);
    if (!S_ISREG(about.st_mode))
        return fail(error, MOTE_E_IO, "%s: is %s; name a regular file", shown, kind_of(about.st_mode));
    if (about.st_size <= 0)
        return fail(error, MOTE_E_IO, "%s: is empty; fetch the file again", shown);
    if (!checked_size((uint64_t)about.st_size, size) || *size > PTRDIFF_MAX)
        return fail(error, MOTE_E_MEMORY, "%s: has %lld bytes, more than a process of this machine can address", shown,
                    (long long)about.st_size);
    return MOTE_OK;
}

/* What is not in memory is read 2 MiB at a time, whatever the device's read-ahead is, and stays in huge pages: mapping
 * the file takes a millisecond then, now and for whoever maps it next, where 4 KiB pages take 30 for 400 MB. (Asking
 * for it with MADV_WILLNEED would leave such pages.) A kernel or filesystem that cannot do this goes on as ever. */
static void read_in_huge_pages(void *data, size_t size)
{
#ifdef MADV_HUGEPAGE
    madvise(data, size, MADV_HUGEPAGE);
#else
    (void)data, (void)size;
#endif
}

static mote_status map(mapped_file *file, int descriptor, const char *path, mote_error *error)
{
    size_t size = 0;
    mote_status status = size_of(descriptor, path, &size, error);
    if (status != MOTE_OK)
        return status;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED)
        return fail(error, errno == ENOMEM ? MOTE_E_MEMORY : MOTE_E_IO,
                    "%s: its %zu bytes cannot be mapped (%m); copy it to a local disk, or free address space",
                    mapped_file_short_path(path), size);
    fault_region *region;
    status = fault_guard_add(&region, data, size, error);
    if (status != MOTE_OK) {
        munmap(data, size);
        return status;
    }
    read_in_huge_pages(data, size);
    *file = (mapped_file){data, size, region};
    return MOTE_OK;
}

mote_status mapped_file_open(mapped_file *file, const char *path, mote_error *error)
{
    *file = (mapped_file){0};
    /* O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return fail(error, MOTE_E_IO, "%s: cannot be opened (%m); check the path and its permissions",
                    mapped_file_short_path(path));
    mote_status status = map(file, descriptor, path, error);
    close(descriptor);
    return status;
}

void mapped_file_close(mapped_file *file)
{
    if (file->data == NULL)
        return;
    fault_guard_remove(file->region);
    munmap((void *)file->data, file->size);
    *file = (mapped_file){0};
}

/* Touching is what reads a page, and what runs into one that cannot be read, and so into the guard. With it the kernel
 * maps those around it that it holds already: half the time of asking for each of them (MADV_POPULATE_READ). */
void mapped_file_read_ahead(const mapped_file *file, size_t offset, size_t length)
{
    const volatile unsigned char *from = file->data + offset;
    for (size_t i = 0; i < length; i += FAULT_AROUND)
        (void)from[i];
    (void)from[length - 1];
}

/* A fault brings in what the page cache has of the 64 KiB around it, so that these go as a whole; what else is in them
 * comes back at the price of a minor fault. */
void mapped_file_let_go(const mapped_file *file, size_t offset, size_t length)
{
    uintptr_t start = (uintptr_t)file->data, begin = (start + offset) & ~(uintptr_t)(FAULT_AROUND - 1);
    size_t end = file->size - (offset + length) > FAULT_AROUND ? offset + length + FAULT_AROUND : file->size;
    begin = begin > start ? begin : start;
    madvise((void *)begin, start + end - begin, MADV_DONTNEED);
}

bool mapped_file_failed(const mapped_file *file)
{
    return file->region != NULL && fault_guard_failed(file->region);
}
