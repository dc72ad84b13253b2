/* Any bytes as a record of a prefix store: it is refused, or its blob is read into exactly the memory it has. Chance does not
 * find tags, so the first byte says which of the two are made right first, as by somebody who has the secret, and whether the
 * file is cut between the header and the blob. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "engine/prefix_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIGN_HEAD = 1, SIGN_BLOB = 2, CUT = 4, COUNT = 12, HEAD_TAG = 88, BLOB_TAG = 120 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static const keyed_hash_key *secret_key(void)
{
    static keyed_hash_key key;
    static bool ready;
    if (!ready)
        keyed_hash_prepare(&key, (const unsigned char *)"a secret of thirty-two bytes, so");
    ready = true;
    return &key;
}

static void sign(unsigned char *file, size_t size, unsigned flags)
{
    size_t ids = size >= PREFIX_RECORD_HEADER ? load_u32(file + COUNT) : SIZE_MAX;
    if (ids > PREFIX_STORE_IDS || PREFIX_RECORD_HEADER + ids * 4 > size)
        return;
    hmac_sha256 mac = secret_key()->mac;
    hmac_sha256_update(&mac, "head", KEYED_HASH_LABEL);
    hmac_sha256_update(&mac, file, HEAD_TAG);
    hmac_sha256_update(&mac, file + PREFIX_RECORD_HEADER, ids * 4);
    if (flags & SIGN_HEAD)
        hmac_sha256_end(&mac, file + HEAD_TAG);
    keyed_hash hash;
    size_t blob = PREFIX_RECORD_HEADER + ids * 4;
    keyed_hash_begin(&hash, secret_key(), "blob");
    keyed_hash_update(&hash, file + HEAD_TAG, SHA256_BYTES);
    keyed_hash_update(&hash, file + blob, size - blob);
    if (flags & SIGN_BLOB)
        keyed_hash_end(&hash, file + BLOB_TAG);
}

/* Three segments, the middle one dropped. */
static void read_blob(const prefix_record *record, int file, unsigned flags)
{
    size_t bytes = (size_t)record->blob_bytes, first = bytes / 3, last = bytes / 2;
    unsigned char *one = malloc(first), *other = malloc(last), spare[16];
    require((one != NULL || first == 0) && (other != NULL || last == 0));
    prefix_segment segments[] = {{one, first}, {NULL, bytes - first - last}, {other, last}};
    if (flags & CUT && bytes > 0)
        require(ftruncate(file, (off_t)(PREFIX_RECORD_HEADER + record->count * 4 + bytes / 2)) == 0);
    prefix_record_state state = prefix_record_read_blob(record, file, segments, 3, secret_key(), spare, sizeof spare);
    if (flags & CUT && bytes > 0)
        require(state == PREFIX_RECORD_UNUSABLE);
    else
        require(state == PREFIX_RECORD_SOUND || (state == PREFIX_RECORD_UNUSABLE && !(flags & SIGN_BLOB)));
    free(one);
    free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prefix_record record;
    uint64_t file_size;
    if (size == 0)
        return 0;
    unsigned flags = *data++;
    unsigned char *bytes = malloc(--size + 1);
    int file = memfd_create("record", MFD_CLOEXEC);
    require(bytes != NULL && file >= 0);
    memcpy(bytes, data, size);
    sign(bytes, size, flags);
    require(write(file, bytes, size) == (ssize_t)size);
    prefix_record_state state = prefix_record_read(&record, file, size, secret_key());
    require(state != PREFIX_RECORD_UNREADABLE);
    if (state == PREFIX_RECORD_SOUND) {
        require(record.count > 0 && prefix_record_size(record.count, record.blob_bytes, &file_size) &&
                file_size == size);
        read_blob(&record, file, flags);
    }
    close(file);
    free(bytes);
    return 0;
}
