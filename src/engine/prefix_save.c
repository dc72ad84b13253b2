/* Writing records: whether one may be written, making room, and what a full or failing disk leads to. */
#include "engine/prefix_store.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "engine/prefix_store_parts.h"

enum {
    REST = 3600,     /* seconds until writing is tried again */
    OVERHEAD = 8192, /* bytes written beside a record: the count of bytes written, the directory */
    MEBI = 20
};

/* Says it, and hands it on. */
static mote_status fail_saying(prefix_store *store, unsigned kind, const mote_error *own, mote_error *error)
{
    prefix_store_say(store, kind, own);
    return fail(error, own->status, "%s", own->text);
}

static mote_status fail_disk(prefix_store *store, int number, mote_error *error)
{
    mote_error own;
    if (prefix_store_may_pass(number)) {
        fail(&own, MOTE_E_IO, "%s: cannot be written now (%s), so that this prompt is not kept; raise ulimit -n",
             store->path, strerror(number));
        return fail_saying(store, SAY_LATER, &own, error);
    }
    bool full = number == ENOSPC || number == EDQUOT;
    store->rests_until = clock_seconds() + REST;
    fail(&own, MOTE_E_IO, "%s: cannot be written (%s), so that nothing more is kept for an hour; %s", store->path,
         strerror(number), full ? "free some space" : "check the disk");
    return fail_saying(store, SAY_DISK, &own, error);
}

/* The record as it will be, in store->record. */
static mote_status plan(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count,
                        const prefix_segment *segments, size_t segment_count, mote_error *error)
{
    prefix_record *record = &store->record;
    size_t bytes = 0;
    uint64_t size;
    if (count == 0 || count > PREFIX_STORE_IDS)
        return fail(error, MOTE_E_ARGUMENT, "a record of %zu tokens; give 1 to %d", count, PREFIX_STORE_IDS);
    for (size_t i = 0; i < segment_count; i++)
        if (!checked_add(bytes, segments[i].bytes, &bytes))
            return fail(error, MOTE_E_ARGUMENT, "a record's segments are larger than memory; give their true sizes");
    if (!prefix_record_size(count, bytes, &size))
        return fail(error, MOTE_E_ARGUMENT, "a record of %zu bytes; give less", bytes);
    *record = (prefix_record){.parent = *parent, .count = (uint32_t)count, .blob_bytes = bytes};
    memcpy(record->ids, ids, count * sizeof *ids);
    prefix_key_extend(parent, ids, count, &record->key);
    return MOTE_OK;
}

/* May so many bytes be written today? */
static mote_status check_day(prefix_store *store, uint64_t size, mote_error *error)
{
    mote_error own;
    uint64_t limit = store->options.daily_write_limit, sum;
    prefix_quota_advance(&store->quota, time(NULL));
    if (limit == UINT64_MAX ||
        (!__builtin_add_overflow(prefix_quota_sum(&store->quota), size + OVERHEAD, &sum) && sum <= limit))
        return MOTE_OK;
    fail(
        &own, MOTE_E_LIMIT,
        "%s: a record of %llu MiB would take what is written in a day past %llu MiB, so that it is not kept; raise the "
        "limit if the disk bears it",
        store->path, (unsigned long long)(size >> MEBI), (unsigned long long)(limit >> MEBI));
    return fail_saying(store, SAY_DAY, &own, error);
}

/* Removes records until `size` more bytes, and one more entry, fit. */
static mote_status make_room(prefix_store *store, const prefix_key *parent, uint64_t size, mote_error *error)
{
    mote_error own;
    uint64_t limit = store->options.size_limit, sum;
    prefix_index *index = &store->index;
    while (size > limit || __builtin_add_overflow(prefix_index_bytes(index), size, &sum) || sum > limit ||
           index->count >= PREFIX_STORE_RECORDS) {
        char name[PREFIX_NAME];
        prefix_entry *victim = size > limit ? NULL : prefix_index_victim(index, parent);
        if (victim == NULL) {
            fail(&own, MOTE_E_LIMIT,
                 "%s: a record of %llu MiB does not fit into %llu MiB, so that it is not kept; raise the limit",
                 store->path, (unsigned long long)(size >> MEBI), (unsigned long long)(limit >> MEBI));
            return fail_saying(store, SAY_SIZE, &own, error);
        }
        prefix_store_name(&victim->key, name);
        if (unlinkat(store->directory, name, 0) != 0 && errno != ENOENT)
            return fail_disk(store, errno, error);
        prefix_index_remove(index, victim);
    }
    return MOTE_OK;
}

/* Writes store->record; 0 or an error number. */
static int write_record(prefix_store *store, const prefix_segment *segments, size_t segment_count, struct stat *about)
{
    prefix_temporary file;
    char name[PREFIX_NAME];
    prefix_store_name(&store->record.key, name);
    int number = prefix_temporary_open(&file, store->directory);
    if (number == 0)
        number = prefix_record_write(&store->record, file.file, segments, segment_count, &store->secret);
    if (number == 0)
        number = prefix_temporary_sync(&file);
    if (number == 0 && fstat(file.file, about) != 0)
        number = errno;
    if (number == 0)
        number = prefix_temporary_rename(&file, name);
    prefix_temporary_close(&file);
    return number;
}

/* Is it on disk already? Then the index learns of it. What has its name and is no record is not ours to replace. */
static bool is_there(prefix_store *store, const prefix_key *key, bool *in_the_way)
{
    int file;
    struct stat about;
    prefix_record planned = store->record;
    prefix_record_state state = prefix_store_open_record(store, key, &file, &about);
    *in_the_way = state == PREFIX_RECORD_FOREIGN;
    if (state != PREFIX_RECORD_SOUND) {
        store->record = planned;
        return false;
    }
    close(file);
    prefix_entry entry = prefix_store_entry(store, &about);
    prefix_entry *added = prefix_index_add(&store->index, &entry);
    if (added != NULL)
        prefix_index_touch(&store->index, added);
    return added != NULL;
}

static mote_status write_within_limits(prefix_store *store, const prefix_segment *segments, size_t segment_count,
                                       mote_error *error)
{
    uint64_t size = 0;
    struct stat about;
    (void)prefix_record_size(store->record.count, store->record.blob_bytes, &size); /* was checked in plan */
    prefix_key parent = store->record.parent;
    mote_status status = check_day(store, size, error);
    if (status == MOTE_OK)
        status = make_room(store, &parent, size, error);
    if (status != MOTE_OK)
        return status;
    /* Counted before it is written: a program that is killed again and again cannot write for nothing. */
    prefix_quota_add(&store->quota, size + OVERHEAD);
    int number = prefix_quota_write(&store->quota, store->directory, &store->secret);
    if (number == 0)
        number = write_record(store, segments, segment_count, &about);
    if (number != 0)
        return fail_disk(store, number, error);
    prefix_files_sync(store->directory);
    prefix_entry entry = prefix_store_entry(store, &about);
    prefix_entry *added = prefix_index_add(&store->index, &entry);
    if (added != NULL)
        prefix_index_touch(&store->index, added);
    return MOTE_OK;
}

mote_status prefix_store_save(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count,
                              const prefix_segment *segments, size_t segment_count, mote_error *error)
{
    bool in_the_way;
    mote_status status = plan(store, parent, ids, count, segments, segment_count, error);
    if (status != MOTE_OK)
        return status;
    prefix_key key = store->record.key;
    if (prefix_store_has(store, &key))
        return MOTE_OK;
    if (store->read_only || clock_seconds() < store->rests_until)
        return fail(error, MOTE_E_IO, "%s: is not written to; read what was said about it before", store->path);
    prefix_store_look(store);
    (void)plan(store, parent, ids, count, segments, segment_count, NULL); /* looking took store->record */
    if (is_there(store, &key, &in_the_way))
        return MOTE_OK;
    if (in_the_way)
        return fail(error, MOTE_E_IO, "%s: a file that is not the cache's has the name of a record; remove it",
                    store->path);
    status = write_within_limits(store, segments, segment_count, error);
    prefix_store_looked(store);
    return status;
}
