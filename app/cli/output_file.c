#include "output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool begins_as_gguf(const char *path)
{
    char magic[4];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool is = read(fd, magic, sizeof magic) == (ssize_t)sizeof magic && memcmp(magic, "GGUF", 4) == 0;
    close(fd);
    return is;
}

static bool is_precious(const char *path, const struct stat *old, const char *input)
{
    struct stat other;
    if (input != NULL && stat(input, &other) == 0 && other.st_dev == old->st_dev && other.st_ino == old->st_ino) {
        complain("%s is what is read; write to another file", path);
        return true;
    }
    if (S_ISREG(old->st_mode) && begins_as_gguf(path)) {
        complain("%s is a model and would be overwritten; write to another file", path);
        return true;
    }
    return false;
}

/* A new file beside `path` with the permissions an ordinary new file would have, or those of the one it replaces. */
static int open_temporary(struct output_file *file, const struct stat *old)
{
    static const char suffix[] = ".XXXXXX";
    size_t length = strlen(file->path);
    file->temporary = malloc(length + sizeof suffix);
    if (file->temporary == NULL)
        return -1;
    memcpy(file->temporary, file->path, length);
    memcpy(file->temporary + length, suffix, sizeof suffix);
    int fd = mkstemp(file->temporary);
    if (fd < 0) {
        free(file->temporary);
        file->temporary = NULL;
        return -1;
    }
    mode_t mask = umask(0);
    umask(mask);
    (void)fchmod(fd,
                 old != NULL ? old->st_mode & 0777 : 0666 & ~mask); /* a file system without modes has none to set */
    return fd;
}

static void discard(struct output_file *file)
{
    if (file->temporary != NULL)
        unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    *file = (struct output_file){0};
}

bool output_file_open(struct output_file *file, const char *path, const char *input)
{
    struct stat old;
    *file = (struct output_file){0};
    bool exists = stat(path, &old) == 0;
    if (exists && is_precious(path, &old, input))
        return false;
    bool direct = exists && !S_ISREG(old.st_mode);
    int fd = -1;
    file->path = exists && !direct ? realpath(path, NULL) : strdup(path);
    if (file->path != NULL)
        fd = direct ? open(path, O_WRONLY | O_CLOEXEC) : open_temporary(file, exists ? &old : NULL);
    FILE *stream = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (stream == NULL) {
        complain("cannot write %s: %s; choose another place", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        discard(file);
        return false;
    }
    file->out = output_to(stream, path);
    return true;
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

int output_file_close(struct output_file *file, int status)
{
    struct output *out = &file->out;
    FILE *stream = out->file;
    errno = 0;
    if (out->error == 0 && (fflush(stream) != 0 || (file->temporary != NULL && fsync(fileno(stream)) != 0)))
        out->error = errno;
    if (fclose(stream) != 0 && out->error == 0)
        out->error = errno;
    if (out->error == 0 && status == EXIT_SUCCESS && file->temporary != NULL) {
        if (rename(file->temporary, file->path) == 0) {
            free(file->temporary);
            file->temporary = NULL;
            sync_directory(file->path);
        } else {
            out->error = errno;
        }
    }
    if (out->error != 0) {
        complain("cannot write %s: %s; %s", out->name, strerror(out->error),
                 out->error == ENOSPC ? "free some space and run again" : "choose another place");
        status = EXIT_FAILURE;
    }
    discard(file);
    return status;
}
