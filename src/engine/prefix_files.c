/* Opening, naming, locking and replacing. */
#include "engine/prefix_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mapped_file.h"

enum {
    TEMPORARY_DIGITS = 16,
    TRIES = 8,
    MAGIC_BYTES = 8,
    SECRET_FILE = MAGIC_BYTES + KEYED_HASH_SECRET + SHA256_BYTES, /* magic, secret, SHA-256 of both */
    OTHERS_WRITE = S_IWGRP | S_IWOTH
};

#define SUFFIX ".part"

static const char secret_magic[MAGIC_BYTES + 1] = "motekey\n";

void prefix_files_hex(char *text, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * count] = '\0';
}

static int random_bytes(void *to, size_t count)
{
    unsigned char *at = to;
    while (count > 0) {
        ssize_t got = getrandom(at, count, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : EIO;
        at += got;
        count -= (size_t)got;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- directory */

static mote_status check_directory(int directory, const char *path, bool *read_only, mote_error *error)
{
    struct stat about;
    struct statvfs disk;
    const char *shown = mapped_file_short_path(path);
    if (fstat(directory, &about) != 0)
        return fail(error, MOTE_E_IO, "%s: cannot be examined (%m); check the disk", shown);
    if (about.st_uid != geteuid())
        return fail(error, MOTE_E_IO,
                    "%s: belongs to another user (%u), who could put anything there; name a directory of your own",
                    shown, (unsigned)about.st_uid);
    if ((about.st_mode & OTHERS_WRITE) != 0)
        return fail(
            error, MOTE_E_IO,
            "%s: others may write to it and could put anything there; take that from them (chmod go-w), or name "
            "another directory",
            shown);
    *read_only = fstatvfs(directory, &disk) == 0 && (disk.f_flag & ST_RDONLY) != 0;
    if (!*read_only && faccessat(directory, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        if (errno != EROFS)
            return fail(error, MOTE_E_IO,
                        "%s: cannot be written (%m); allow it (chmod u+wx), or name another directory", shown);
        *read_only = true;
    }
    return MOTE_OK;
}

mote_status prefix_files_open(int *directory, const char *path, bool *read_only, mote_error *error)
{
    const char *shown = mapped_file_short_path(path);
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    *directory = open(path, flags);
    if (*directory < 0 && errno == ENOENT) {
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return fail(error, MOTE_E_IO, "%s: cannot be made (%m); name a directory whose parent exists and is yours",
                        shown);
        *directory = open(path, flags);
    }
    if (*directory < 0 && errno == ENOTDIR)
        return fail(error, MOTE_E_IO, "%s: is not a directory, or lies in none; name a directory for the cache", shown);
    if (*directory < 0)
        return fail(error, MOTE_E_IO, "%s: cannot be opened (%m); check the path and its permissions", shown);
    mote_status status = check_directory(*directory, path, read_only, error);
    if (status != MOTE_OK) {
        close(*directory);
        *directory = -1;
    }
    return status;
}

void prefix_files_sync(int directory)
{
    (void)fsync(directory); /* some file systems cannot; the files themselves are safe */
}

/* ----------------------------------------------------------------------------------------------------------- files */

int prefix_files_read(int directory, const char *name, struct stat *about)
{
    /* O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. */
    int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) {
        errno = errno == ELOOP ? EPERM : errno;
        return -1;
    }
    if (fstat(file, about) == 0 && S_ISREG(about->st_mode) && about->st_uid == geteuid() &&
        (about->st_mode & OTHERS_WRITE) == 0)
        return file;
    close(file);
    errno = EPERM;
    return -1;
}

/* Once it is locked, nobody who removes what dead writers left can have it; one may just before. */
static bool lock_new_file(int file)
{
    struct stat about;
    if (flock(file, LOCK_EX | LOCK_NB) != 0)
        return errno != EWOULDBLOCK; /* a file system without locks: nobody gets one */
    return fstat(file, &about) == 0 && about.st_nlink > 0;
}

int prefix_temporary_open(prefix_temporary *file, int directory)
{
    *file = (prefix_temporary){.directory = directory, .file = -1};
    for (unsigned i = 0; i < TRIES; i++) {
        unsigned char number[TEMPORARY_DIGITS / 2];
        int error = random_bytes(number, sizeof number);
        if (error != 0)
            return error;
        prefix_files_hex(file->name, number, sizeof number);
        strcat(file->name, SUFFIX);
        file->file = openat(directory, file->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file->file < 0 && errno != EEXIST)
            return errno;
        if (file->file >= 0 && lock_new_file(file->file))
            return 0;
        if (file->file >= 0)
            close(file->file);
        file->file = -1;
    }
    return EAGAIN;
}

int prefix_temporary_sync(prefix_temporary *file)
{
    return fsync(file->file) == 0 ? 0 : errno;
}

int prefix_temporary_rename(prefix_temporary *file, const char *name)
{
    if (renameat(file->directory, file->name, file->directory, name) != 0)
        return errno;
    file->name[0] = '\0';
    return 0;
}

void prefix_temporary_close(prefix_temporary *file)
{
    if (file->file < 0)
        return;
    if (file->name[0] != '\0')
        unlinkat(file->directory, file->name, 0);
    close(file->file);
    file->file = -1;
}

bool prefix_temporary_is(const char *name)
{
    return strspn(name, "0123456789abcdef") == TEMPORARY_DIGITS && strcmp(name + TEMPORARY_DIGITS, SUFFIX) == 0;
}

void prefix_temporary_remove_dead(int directory, const char *name)
{
    struct stat about;
    int file = prefix_files_read(directory, name, &about);
    if (file < 0)
        return;
    if (flock(file, LOCK_EX | LOCK_NB) == 0)
        unlinkat(directory, name, 0);
    close(file);
}

static int write_all(int file, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = write(file, at, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        at += written;
        count -= (size_t)written;
    }
    return 0;
}

int prefix_files_replace(int directory, const char *name, const void *bytes, size_t count)
{
    prefix_temporary file;
    int number = prefix_temporary_open(&file, directory);
    if (number == 0)
        number = write_all(file.file, bytes, count);
    if (number == 0)
        number = prefix_temporary_sync(&file);
    if (number == 0)
        number = prefix_temporary_rename(&file, name);
    prefix_temporary_close(&file);
    return number;
}

/* ---------------------------------------------------------------------------------------------------------- secret */

static void sum_secret(const unsigned char *bytes, unsigned char sum[SHA256_BYTES])
{
    sha256 hash;
    sha256_begin(&hash);
    sha256_update(&hash, bytes, MAGIC_BYTES + KEYED_HASH_SECRET);
    sha256_end(&hash, sum);
}

/* 0: read. ENOENT: none, or a torn one of ours. EPERM: somebody's file of that name. Else why it cannot be had. */
static int read_secret(int directory, unsigned char secret[KEYED_HASH_SECRET])
{
    unsigned char bytes[SECRET_FILE + 1], sum[SHA256_BYTES];
    struct stat about;
    int file = prefix_files_read(directory, PREFIX_SECRET_NAME, &about);
    if (file < 0)
        return errno;
    ssize_t got = read(file, bytes, sizeof bytes);
    int number = errno;
    close(file);
    if (got < 0)
        return number;
    if (got > 0 && (got < MAGIC_BYTES || memcmp(bytes, secret_magic, MAGIC_BYTES) != 0))
        return EPERM;
    if (got != SECRET_FILE)
        return ENOENT;
    sum_secret(bytes, sum);
    if (memcmp(sum, bytes + MAGIC_BYTES + KEYED_HASH_SECRET, sizeof sum) != 0)
        return ENOENT;
    memcpy(secret, bytes + MAGIC_BYTES, KEYED_HASH_SECRET);
    return 0;
}

static int make_secret(int directory)
{
    unsigned char bytes[SECRET_FILE];
    memcpy(bytes, secret_magic, MAGIC_BYTES);
    int number = random_bytes(bytes + MAGIC_BYTES, KEYED_HASH_SECRET);
    if (number != 0)
        return number;
    sum_secret(bytes, bytes + MAGIC_BYTES + KEYED_HASH_SECRET);
    number = prefix_files_replace(directory, PREFIX_SECRET_NAME, bytes, sizeof bytes);
    prefix_files_sync(directory);
    return number;
}

/* Of two processes that come to an empty directory the one with its lock makes the secret, and both read it. Somebody who may
 * only read the directory can hold the lock too: nobody waits longer than a second. */
static int read_or_make_secret(int directory, unsigned char secret[KEYED_HASH_SECRET])
{
    enum { WAITS = 100 };
    int number = read_secret(directory, secret);
    for (unsigned i = 0; i <= WAITS && number == ENOENT; i++) {
        bool locked = flock(directory, LOCK_EX | LOCK_NB) == 0;
        number = read_secret(directory, secret);
        if (number == ENOENT && (locked || i == WAITS)) {
            number = make_secret(directory);
            number = number == 0 ? read_secret(directory, secret) : number;
        }
        if (locked)
            (void)flock(directory, LOCK_UN);
        else if (number == ENOENT)
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return number;
}

mote_status prefix_files_secret(int directory, const char *path, bool read_only,
                                unsigned char secret[KEYED_HASH_SECRET], mote_error *error)
{
    const char *shown = mapped_file_short_path(path);
    int number = read_only ? read_secret(directory, secret) : read_or_make_secret(directory, secret);
    if (number == 0)
        return MOTE_OK;
    if (number == ENOENT && read_only)
        return fail(error, MOTE_E_IO, "%s: its disk is read-only, and no cache was made there; name another directory",
                    shown);
    if (number == EPERM)
        return fail(error, MOTE_E_IO,
                    "%s: its " PREFIX_SECRET_NAME
                    " is not one that mote wrote and you alone may write; name another directory",
                    shown);
    return fail(error, MOTE_E_IO,
                "%s: its " PREFIX_SECRET_NAME " cannot be read or made (%s); check the disk, or name another", shown,
                strerror(number));
}
