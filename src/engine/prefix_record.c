/* Reading, checking and writing one record's file. */
#include "engine/prefix_record.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checked.h"

/* Where the header's fields lie. */
enum {
    MAGIC_BYTES = 8,
    VERSION = 8,
    COUNT = 12,
    BLOB_BYTES = 16,
    KEY = 24,
    PARENT = 56,
    HEAD_TAG = 88,
    BLOB_TAG = 120
};

enum { PIECE = 256 * 1024 }; /* is hashed while it lies in the second cache */

static const char magic[MAGIC_BYTES + 1] = "mote kv\n";

/* Bytes read, fewer than `count` at the file's end; −1: errno says why. */
static ssize_t read_at(int file, void *to, size_t count, uint64_t offset)
{
    size_t done = 0;
    while (done < count) {
        ssize_t got = pread(file, (unsigned char *)to + done, count - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int write_at(int file, const void *from, size_t count, uint64_t offset)
{
    size_t done = 0;
    while (done < count) {
        ssize_t put = pwrite(file, (const unsigned char *)from + done, count - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : ENOSPC;
        done += (size_t)put;
    }
    return 0;
}

bool prefix_record_size(size_t count, uint64_t blob_bytes, uint64_t *size)
{
    size_t blob, total;
    if (count > PREFIX_STORE_IDS || !checked_size(blob_bytes, &blob) ||
        !checked_add(PREFIX_RECORD_HEADER + count * sizeof(mote_token), blob, &total) || total > PTRDIFF_MAX)
        return false;
    *size = total;
    return true;
}

static void tag_head(const unsigned char *header, const mote_token *ids, size_t count, const keyed_hash_key *secret,
                     unsigned char tag[SHA256_BYTES])
{
    hmac_sha256 mac = secret->mac;
    hmac_sha256_update(&mac, "head", KEYED_HASH_LABEL);
    hmac_sha256_update(&mac, header, HEAD_TAG);
    hmac_sha256_update(&mac, ids, count * sizeof *ids);
    hmac_sha256_end(&mac, tag);
}

static void begin_blob(keyed_hash *hash, const prefix_record *record, const keyed_hash_key *secret)
{
    keyed_hash_begin(hash, secret, "blob");
    keyed_hash_update(hash, record->head_tag, sizeof record->head_tag);
}

static uint64_t blob_begin(const prefix_record *record)
{
    return PREFIX_RECORD_HEADER + (uint64_t)record->count * sizeof(mote_token);
}

prefix_record_state prefix_record_read(prefix_record *record, int file, uint64_t file_size,
                                       const keyed_hash_key *secret)
{
    unsigned char head[PREFIX_RECORD_HEAD], tag[SHA256_BYTES];
    uint64_t size;
    ssize_t got = read_at(file, head, sizeof head, 0);
    if (got < 0)
        return PREFIX_RECORD_UNREADABLE;
    if (got < MAGIC_BYTES || memcmp(head, magic, MAGIC_BYTES) != 0)
        return PREFIX_RECORD_FOREIGN;
    if (got < PREFIX_RECORD_HEADER || load_u32(head + VERSION) != PREFIX_RECORD_VERSION)
        return PREFIX_RECORD_UNUSABLE;
    record->count = load_u32(head + COUNT);
    record->blob_bytes = load_u64(head + BLOB_BYTES);
    memcpy(record->key.bytes, head + KEY, sizeof record->key);
    memcpy(record->parent.bytes, head + PARENT, sizeof record->parent);
    memcpy(record->head_tag, head + HEAD_TAG, SHA256_BYTES);
    memcpy(record->blob_tag, head + BLOB_TAG, SHA256_BYTES);
    if (record->count == 0 || !prefix_record_size(record->count, record->blob_bytes, &size) || size != file_size)
        return PREFIX_RECORD_UNUSABLE;
    if ((uint64_t)got < blob_begin(record))
        return PREFIX_RECORD_UNUSABLE;
    memcpy(record->ids, head + PREFIX_RECORD_HEADER, record->count * sizeof *record->ids);
    tag_head(head, record->ids, record->count, secret, tag);
    return memcmp(tag, record->head_tag, sizeof tag) == 0 ? PREFIX_RECORD_SOUND : PREFIX_RECORD_UNUSABLE;
}

/* One segment of the blob, a piece at a time. */
static prefix_record_state read_segment(int file, uint64_t offset, prefix_segment segment, void *spare,
                                        size_t spare_bytes, keyed_hash *hash)
{
    size_t piece = segment.at != NULL || spare_bytes > PIECE ? PIECE : spare_bytes;
    for (size_t done = 0; done < segment.bytes; done += piece) {
        size_t wanted = segment.bytes - done < piece ? segment.bytes - done : piece;
        void *to = segment.at != NULL ? (unsigned char *)segment.at + done : spare;
        ssize_t got = read_at(file, to, wanted, offset + done);
        if (got < 0)
            return PREFIX_RECORD_UNREADABLE;
        if ((size_t)got < wanted)
            return PREFIX_RECORD_UNUSABLE; /* was cut since its size was looked at */
        keyed_hash_update(hash, to, wanted);
    }
    return PREFIX_RECORD_SOUND;
}

prefix_record_state prefix_record_read_blob(const prefix_record *record, int file, const prefix_segment *segments,
                                            size_t segment_count, const keyed_hash_key *secret, void *spare,
                                            size_t spare_bytes)
{
    keyed_hash hash;
    unsigned char tag[SHA256_BYTES];
    uint64_t offset = blob_begin(record);
    begin_blob(&hash, record, secret);
    for (size_t i = 0; i < segment_count; i++) {
        prefix_record_state state = read_segment(file, offset, segments[i], spare, spare_bytes, &hash);
        if (state != PREFIX_RECORD_SOUND)
            return state;
        offset += segments[i].bytes;
    }
    keyed_hash_end(&hash, tag);
    return memcmp(tag, record->blob_tag, sizeof tag) == 0 ? PREFIX_RECORD_SOUND : PREFIX_RECORD_UNUSABLE;
}

static void fill_header(unsigned char *head, const prefix_record *record)
{
    memcpy(head, magic, MAGIC_BYTES);
    store_u32(head + VERSION, PREFIX_RECORD_VERSION);
    store_u32(head + COUNT, record->count);
    memcpy(head + BLOB_BYTES, &record->blob_bytes, sizeof record->blob_bytes);
    memcpy(head + KEY, record->key.bytes, sizeof record->key);
    memcpy(head + PARENT, record->parent.bytes, sizeof record->parent);
    memcpy(head + PREFIX_RECORD_HEADER, record->ids, record->count * sizeof *record->ids);
}

int prefix_record_write(prefix_record *record, int file, const prefix_segment *segments, size_t segment_count,
                        const keyed_hash_key *secret)
{
    keyed_hash hash;
    unsigned char head[PREFIX_RECORD_HEAD];
    uint64_t offset = blob_begin(record);
    fill_header(head, record);
    tag_head(head, record->ids, record->count, secret, record->head_tag);
    begin_blob(&hash, record, secret);
    for (size_t i = 0; i < segment_count; i++)
        for (size_t done = 0; done < segments[i].bytes; done += PIECE) {
            const unsigned char *from = (const unsigned char *)segments[i].at + done;
            size_t piece = segments[i].bytes - done < PIECE ? segments[i].bytes - done : PIECE;
            keyed_hash_update(&hash, from, piece);
            int number = write_at(file, from, piece, offset);
            if (number != 0)
                return number;
            offset += piece;
        }
    keyed_hash_end(&hash, record->blob_tag);
    memcpy(head + HEAD_TAG, record->head_tag, SHA256_BYTES);
    memcpy(head + BLOB_TAG, record->blob_tag, SHA256_BYTES);
    return write_at(file, head, (size_t)blob_begin(record), 0);
}
