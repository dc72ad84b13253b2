/* Temporary name, fsync, rename. */
#include "base/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST_WRITE = 1 << 30 }; /* one call of the system writes no more than 2 GiB */

static mote_status fail_write(const new_file *file, int number, mote_error *error)
{
    return fail(error, MOTE_E_IO, "cannot write %s: %s; %s", file->path, strerror(number),
                number == ENOSPC || number == EDQUOT ? "free some space and run again" : "choose another place");
}

/* A file beside the place, with the permissions an ordinary new file has, or those of the one it replaces. mkstemp is not
 * for that: its files are private, and to learn the umask a process has to change it. */
static int open_temporary(new_file *file, const struct stat *old)
{
    enum { TRIES = 1000, SUFFIX = 16 };
    size_t size = strlen(file->path) + SUFFIX;
    struct timespec now;
    int fd = -1;
    file->temporary = malloc(size);
    if (file->temporary == NULL)
        return -1;
    clock_gettime(CLOCK_REALTIME, &now);
    for (unsigned i = 0; i < TRIES && fd < 0 && (i == 0 || errno == EEXIST); i++) {
        snprintf(file->temporary, size, "%s.%06lx", file->path, ((unsigned long)now.tv_nsec + i) & 0xffffff);
        fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (fd < 0) {
        free(file->temporary);
        file->temporary = NULL;
        return -1;
    }
    if (old != NULL)
        (void)fchmod(fd, old->st_mode & 0777); /* a file system without modes has none to set */
    return fd;
}

mote_status new_file_open(new_file *file, const char *path, bool overwrite, mote_error *error)
{
    struct stat old;
    *file = (new_file){.fd = -1};
    bool exists = stat(path, &old) == 0;
    bool direct = exists && !S_ISREG(old.st_mode);
    if (exists && !direct && !overwrite)
        return fail(error, MOTE_E_ARGUMENT,
                    "%s exists and would be overwritten; write to another file, or allow it (--force)", path);
    file->path = exists && !direct ? realpath(path, NULL) : strdup(path);
    if (file->path != NULL)
        file->fd = direct ? open(path, O_WRONLY | O_CLOEXEC) : open_temporary(file, exists ? &old : NULL);
    if (file->fd >= 0)
        return MOTE_OK;
    mote_status status =
        errno == ENOMEM ? fail_memory(error, strlen(path), "a file's name")
                        : fail(error, MOTE_E_IO, "cannot write %s: %s; choose another place", path, strerror(errno));
    new_file_close(file);
    return status;
}

mote_status new_file_write(new_file *file, const void *bytes, size_t count, mote_error *error)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = write(file->fd, at, count < LARGEST_WRITE ? count : LARGEST_WRITE);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail_write(file, written < 0 ? errno : ENOSPC, error);
        at += written;
        count -= (size_t)written;
    }
    return MOTE_OK;
}

/* A rename lasts through a power cut only once the directory is on disk too. */
static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int fd = directory != NULL ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd); /* some file systems cannot; the file itself is safe */
        close(fd);
    }
    free(directory);
}

mote_status new_file_commit(new_file *file, mote_error *error)
{
    int number = file->temporary != NULL && fsync(file->fd) != 0 ? errno : 0;
    if (close(file->fd) != 0 && number == 0)
        number = errno;
    file->fd = -1;
    if (number == 0 && file->temporary != NULL) {
        if (rename(file->temporary, file->path) != 0)
            return fail_write(file, errno, error);
        free(file->temporary);
        file->temporary = NULL;
        sync_directory(file->path);
    }
    return number == 0 ? MOTE_OK : fail_write(file, number, error);
}

void new_file_close(new_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary != NULL)
        unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    *file = (new_file){.fd = -1};
}
