/* Counting by hours, and the file that holds the counts: magic, the struct as it lies in memory, a tag. */
#include "engine/prefix_quota.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/prefix_files.h"

enum { MAGIC_BYTES = 8, TAG = MAGIC_BYTES + sizeof(prefix_quota), FILE_BYTES = TAG + SHA256_BYTES, HOUR = 3600 };

static const char magic[MAGIC_BYTES + 1] = "motekvw\n";

void prefix_quota_advance(prefix_quota *quota, int64_t now)
{
    int64_t hour = now / HOUR;
    int64_t passed = hour > quota->latest ? hour - quota->latest : hour - quota->seen;
    if (passed > 0) {
        size_t shift = passed < PREFIX_QUOTA_HOURS ? (size_t)passed : PREFIX_QUOTA_HOURS;
        memmove(quota->written + shift, quota->written, (PREFIX_QUOTA_HOURS - shift) * sizeof *quota->written);
        memset(quota->written, 0, shift * sizeof *quota->written);
    }
    quota->latest = hour > quota->latest ? hour : quota->latest;
    quota->seen = hour;
}

uint64_t prefix_quota_sum(const prefix_quota *quota)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < PREFIX_QUOTA_HOURS; i++)
        if (__builtin_add_overflow(sum, quota->written[i], &sum))
            return UINT64_MAX;
    return sum;
}

void prefix_quota_add(prefix_quota *quota, uint64_t bytes)
{
    if (__builtin_add_overflow(quota->written[0], bytes, &quota->written[0]))
        quota->written[0] = UINT64_MAX;
}

static void make_tag(const unsigned char *bytes, const keyed_hash_key *secret, unsigned char tag[SHA256_BYTES])
{
    hmac_sha256 mac = secret->mac;
    hmac_sha256_update(&mac, "days", KEYED_HASH_LABEL);
    hmac_sha256_update(&mac, bytes, TAG);
    hmac_sha256_end(&mac, tag);
}

int prefix_quota_read(prefix_quota *quota, int directory, const keyed_hash_key *secret)
{
    unsigned char bytes[FILE_BYTES + 1], tag[SHA256_BYTES];
    struct stat about;
    *quota = (prefix_quota){0};
    int file = prefix_files_read(directory, PREFIX_QUOTA_NAME, &about);
    if (file < 0)
        return errno == ENOENT ? 0 : errno;
    ssize_t got = read(file, bytes, sizeof bytes);
    int number = got < 0 ? errno : 0;
    close(file);
    if (got > 0 && (got < MAGIC_BYTES || memcmp(bytes, magic, MAGIC_BYTES) != 0))
        return EPERM;
    if (got != FILE_BYTES)
        return number;
    make_tag(bytes, secret, tag);
    if (memcmp(tag, bytes + TAG, sizeof tag) == 0)
        memcpy(quota, bytes + MAGIC_BYTES, sizeof *quota);
    return 0;
}

int prefix_quota_write(const prefix_quota *quota, int directory, const keyed_hash_key *secret)
{
    unsigned char bytes[FILE_BYTES];
    memcpy(bytes, magic, MAGIC_BYTES);
    memcpy(bytes + MAGIC_BYTES, quota, sizeof *quota);
    make_tag(bytes, secret, bytes + TAG);
    return prefix_files_replace(directory, PREFIX_QUOTA_NAME, bytes, sizeof bytes);
}
