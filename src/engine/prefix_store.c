/* Opening a store, finding records and reading them. Writing is in prefix_save.c. */
#include "engine/prefix_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/mapped_file.h"
#include "engine/prefix_store_parts.h"

enum {
    MOST_NAMES = 65536, /* looked at in a directory: somebody may have filled it */
    MOST_LOOKS = 32,    /* files read to find the best tail */
    TOUCH_AFTER = 86400 /* seconds: a file's time is set once a day, since that too is a write */
};

#define SUFFIX ".kv"

static const uint64_t default_size = 1ull << 30, default_daily = 2ull << 30;

/* ------------------------------------------------------------------------------------------------------------ says */

mote_status prefix_store_say(prefix_store *store, unsigned kind, const mote_error *error)
{
    if ((store->said & kind) == 0 && store->options.say != NULL)
        store->options.say(store->options.user, error->text);
    store->said |= kind;
    return error->status;
}

/* ------------------------------------------------------------------------------------------------------------ scan */

void prefix_store_name(const prefix_key *key, char name[PREFIX_NAME])
{
    prefix_files_hex(name, key->bytes, sizeof key->bytes);
    strcat(name, SUFFIX);
}

static bool key_of_name(const char *name, prefix_key *key)
{
    char again[PREFIX_NAME];
    for (size_t i = 0; i < sizeof key->bytes; i++) {
        unsigned value;
        if (strspn(name + 2 * i, "0123456789abcdef") < 2 || sscanf(name + 2 * i, "%2x", &value) != 1)
            return false;
        key->bytes[i] = (unsigned char)value;
    }
    prefix_store_name(key, again);
    return strcmp(again, name) == 0;
}

bool prefix_store_may_pass(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOMEM;
}

/* What cannot be opened now may be as sound as ever. */
static prefix_record_state state_of_errno(void)
{
    if (prefix_store_may_pass(errno))
        return PREFIX_RECORD_LATER;
    return errno == EPERM ? PREFIX_RECORD_FOREIGN : PREFIX_RECORD_UNREADABLE;
}

prefix_record_state prefix_store_open_record(prefix_store *store, const prefix_key *key, int *file, struct stat *about)
{
    char name[PREFIX_NAME];
    prefix_store_name(key, name);
    *file = prefix_files_read(store->directory, name, about);
    if (*file < 0)
        return state_of_errno();
    prefix_record_state state = prefix_record_read(&store->record, *file, (uint64_t)about->st_size, &store->secret);
    if (state == PREFIX_RECORD_SOUND && memcmp(&store->record.key, key, sizeof *key) != 0)
        state = PREFIX_RECORD_UNUSABLE; /* a record under another's name */
    if (state != PREFIX_RECORD_SOUND) {
        int number = errno;
        close(*file);
        *file = -1;
        errno = number;
    }
    return state;
}

prefix_entry prefix_store_entry(const prefix_store *store, const struct stat *about)
{
    int64_t now = time(NULL), used = about->st_mtime;
    return (prefix_entry){.key = store->record.key,
                          .parent = store->record.parent,
                          .size = (uint64_t)about->st_size,
                          .time = used < now ? used : now, /* a clock that was ahead must not keep it for ever */
                          .first = store->record.ids[0],
                          .count = store->record.count,
                          .usable = true,
                          .present = true};
}

static void look_at_record(prefix_store *store, const char *name, const prefix_key *key)
{
    int file;
    struct stat about = {0};
    prefix_entry *known = prefix_index_find(&store->index, key);
    if (known != NULL && known->usable && fstatat(store->directory, name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(about.st_mode) && (uint64_t)about.st_size == known->size) {
        known->present = true;
        return;
    }
    prefix_record_state state = prefix_store_open_record(store, key, &file, &about);
    prefix_entry entry = {.key = *key, .size = (uint64_t)about.st_size, .present = true};
    if (state == PREFIX_RECORD_SOUND) {
        entry = prefix_store_entry(store, &about);
        close(file);
    } else if (state == PREFIX_RECORD_FOREIGN) {
        store->foreign++;
        return;
    } else if (state == PREFIX_RECORD_UNREADABLE && errno == ENOENT) {
        return; /* removed by another process meanwhile */
    } else if (state == PREFIX_RECORD_LATER) {
        if (known != NULL)
            known->present = true;
        store->look_again = true;
        return;
    }
    if (prefix_index_add(&store->index, &entry) == NULL)
        store->foreign++; /* more records than an index holds */
}

static void look_at_name(prefix_store *store, const char *name)
{
    prefix_key key;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, PREFIX_SECRET_NAME) == 0 ||
        strcmp(name, PREFIX_QUOTA_NAME) == 0)
        return;
    if (prefix_temporary_is(name) && !store->read_only)
        prefix_temporary_remove_dead(store->directory, name);
    else if (key_of_name(name, &key))
        look_at_record(store, name, &key);
    else if (!prefix_temporary_is(name))
        store->foreign++;
}

static void scan(prefix_store *store)
{
    const struct dirent *entry = NULL;
    size_t names = 0;
    prefix_index *index = &store->index;
    store->foreign = 0;
    store->look_again = false;
    for (size_t i = 0; i < index->count; i++)
        index->entry[i].present = false;
    rewinddir(store->listing);
    for (; names < MOST_NAMES && (entry = readdir(store->listing)) != NULL; names++)
        look_at_name(store, entry->d_name);
    if (entry != NULL) {
        mote_error error;
        fail(&error, MOTE_E_LIMIT,
             "%s: holds more than %d files; those after are not looked at: name another directory", store->path,
             MOST_NAMES);
        prefix_store_say(store, SAY_CROWDED, &error);
    }
    for (size_t i = index->count; i-- > 0 && entry == NULL;)
        if (!index->entry[i].present)
            prefix_index_remove(index, &index->entry[i]);
}

void prefix_store_looked(prefix_store *store)
{
    struct stat about;
    if (fstat(store->directory, &about) == 0)
        store->changed = about.st_mtim;
}

void prefix_store_look(prefix_store *store)
{
    struct stat about;
    if (fstat(store->directory, &about) != 0 || (!store->look_again && about.st_mtim.tv_sec == store->changed.tv_sec &&
                                                 about.st_mtim.tv_nsec == store->changed.tv_nsec))
        return;
    scan(store);
    store->changed = about.st_mtim;
}

/* ------------------------------------------------------------------------------------------------------------ open */

static void say_what_was_found(prefix_store *store)
{
    mote_error error;
    prefix_store_report report;
    prefix_store_describe(store, &report);
    if (report.unusable + report.foreign > 0) {
        fail(&error, MOTE_E_FORMAT,
             "%s: ignores %zu files that are torn, changed, or of another version, and %zu that are not the cache's",
             store->path, report.unusable, report.foreign);
        prefix_store_say(store, SAY_IGNORED, &error);
    }
    if (store->read_only) {
        fail(&error, MOTE_E_IO, "%s: lies on a read-only disk; what is there is read, and nothing is written",
             store->path);
        prefix_store_say(store, SAY_READ_ONLY, &error);
    }
}

static mote_status open_listing(prefix_store *store, mote_error *error)
{
    int again = fcntl(store->directory, F_DUPFD_CLOEXEC, 0);
    store->listing = again >= 0 ? fdopendir(again) : NULL;
    if (store->listing != NULL)
        return MOTE_OK;
    int number = errno;
    if (again >= 0)
        close(again);
    return fail(error, number == ENOMEM ? MOTE_E_MEMORY : MOTE_E_IO, "%s: cannot be listed (%s); check its permissions",
                store->path, strerror(number));
}

static mote_status open_directory(prefix_store *store, mote_error *error)
{
    unsigned char secret[KEYED_HASH_SECRET];
    const char *path = store->options.directory;
    mote_status status = prefix_files_open(&store->directory, path, &store->read_only, error);
    if (status == MOTE_OK)
        status = prefix_files_secret(store->directory, path, store->read_only, secret, error);
    if (status == MOTE_OK)
        status = open_listing(store, error);
    if (status != MOTE_OK)
        return status;
    keyed_hash_prepare(&store->secret, secret);
    int number = prefix_quota_read(&store->quota, store->directory, &store->secret);
    if (number == 0)
        return MOTE_OK;
    return fail(error, MOTE_E_IO, "%s: its %s cannot be read (%s); remove it, or name another directory", store->path,
                PREFIX_QUOTA_NAME, number == EPERM ? "it is not what mote wrote there" : strerror(number));
}

mote_status prefix_store_open(prefix_store **out, const prefix_store_options *options, mote_error *error)
{
    *out = NULL;
    if (options->directory == NULL || options->directory[0] == '\0')
        return fail(error, MOTE_E_ARGUMENT, "a cache needs a directory; name one");
    prefix_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return fail_memory(error, sizeof *store, "the index of a cache directory");
    store->options = *options;
    store->directory = -1;
    if (options->size_limit == 0)
        store->options.size_limit = default_size;
    if (options->daily_write_limit == 0)
        store->options.daily_write_limit = default_daily;
    snprintf(store->path, sizeof store->path, "%s", mapped_file_short_path(options->directory));
    mote_status status = open_directory(store, error);
    if (status != MOTE_OK) {
        prefix_store_close(store);
        return status;
    }
    store->options.directory = store->path;
    scan(store);
    prefix_store_looked(store);
    say_what_was_found(store);
    *out = store;
    return MOTE_OK;
}

void prefix_store_close(prefix_store *store)
{
    if (store == NULL)
        return;
    if (store->listing != NULL)
        closedir(store->listing);
    if (store->directory >= 0)
        close(store->directory);
    free(store);
}

size_t prefix_store_memory(void)
{
    enum { LISTING = 32 * 1024 + 64 }; /* what the C library takes for a DIR */
    return sizeof(prefix_store) + LISTING;
}

void prefix_store_describe(prefix_store *store, prefix_store_report *report)
{
    *report = (prefix_store_report){.bytes = prefix_index_bytes(&store->index),
                                    .foreign = store->foreign,
                                    .size_limit = store->options.size_limit,
                                    .daily_write_limit = store->options.daily_write_limit,
                                    .writes = !store->read_only && clock_seconds() >= store->rests_until};
    for (size_t i = 0; i < store->index.count; i++) {
        report->records += store->index.entry[i].usable;
        report->unusable += !store->index.entry[i].usable;
    }
    prefix_quota_advance(&store->quota, time(NULL));
    report->written = prefix_quota_sum(&store->quota);
}

/* ------------------------------------------------------------------------------------------------------------ keys */

void prefix_store_root(const prefix_store *store, const prefix_facts *facts, prefix_key *root)
{
    hmac_sha256 mac = store->secret.mac;
    uint32_t numbers[] = {PREFIX_RECORD_VERSION, facts->layout,  facts->key_type,
                          facts->value_type,     facts->variant, facts->scope != NULL};
    hmac_sha256_update(&mac, "root", KEYED_HASH_LABEL);
    hmac_sha256_update(&mac, facts->model, sizeof facts->model);
    hmac_sha256_update(&mac, numbers, sizeof numbers);
    if (facts->scope != NULL)
        hmac_sha256_update(&mac, facts->scope, facts->scope_bytes);
    hmac_sha256_end(&mac, root->bytes);
}

void prefix_key_extend(const prefix_key *parent, const mote_token *ids, size_t count, prefix_key *key)
{
    sha256 hash;
    sha256_begin(&hash);
    sha256_update(&hash, parent->bytes, sizeof parent->bytes);
    sha256_update(&hash, ids, count * sizeof *ids);
    sha256_end(&hash, key->bytes);
}

/* ------------------------------------------------------------------------------------------------------------ find */

/* The store's index is looked at, not changed: what const promises holds. */
bool prefix_store_has(const prefix_store *store, const prefix_key *key)
{
    const prefix_entry *entry = prefix_index_find((prefix_index *)&store->index, key);
    return entry != NULL && entry->usable;
}

/* A record that turned out to be none: it only takes room now, or is gone. */
static void forget(prefix_store *store, const prefix_key *key, bool gone)
{
    prefix_entry *entry = prefix_index_find(&store->index, key);
    if (entry != NULL && gone)
        prefix_index_remove(&store->index, entry);
    else if (entry != NULL)
        entry->usable = false;
}

static mote_status fail_record(prefix_store *store, const prefix_key *key, prefix_record_state state, int number,
                               mote_error *error)
{
    mote_error own;
    char name[PREFIX_NAME];
    prefix_store_name(key, name);
    if (state == PREFIX_RECORD_LATER) {
        fail(&own, MOTE_E_IO, "%s/%s: cannot be opened now (%s), so that it is computed again; raise ulimit -n",
             store->path, name, strerror(number));
        prefix_store_say(store, SAY_LATER, &own);
        return fail(error, own.status, "%s", own.text);
    }
    forget(store, key, state == PREFIX_RECORD_FOREIGN || (state == PREFIX_RECORD_UNREADABLE && number == ENOENT));
    if (state == PREFIX_RECORD_UNREADABLE && number == ENOENT) /* another process made room */
        return fail(error, MOTE_E_IO, "%s/%s: was removed meanwhile; compute it again", store->path, name);
    if (state == PREFIX_RECORD_UNREADABLE)
        fail(&own, MOTE_E_IO, "%s/%s: cannot be read (%s), so that it is computed again; check the disk", store->path,
             name, strerror(number));
    else
        fail(&own, MOTE_E_FORMAT,
             "%s/%s: is torn, was changed, or is not the cache's; it is ignored and computed again", store->path, name);
    prefix_store_say(store, SAY_BROKEN, &own);
    return fail(error, own.status, "%s", own.text);
}

static size_t common_ids(const prefix_record *record, const mote_token *ids, size_t count)
{
    size_t most = record->count < count ? record->count : count, common = 0;
    while (common < most && record->ids[common] == ids[common])
        common++;
    return common;
}

bool prefix_store_find(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count,
                       prefix_match *match)
{
    prefix_key behind = *parent; /* which may lie in *match */
    *match = (prefix_match){.count = PREFIX_STORE_IDS, .common = PREFIX_STORE_IDS};
    if (count >= PREFIX_STORE_IDS) {
        prefix_key_extend(&behind, ids, PREFIX_STORE_IDS, &match->key);
        if (prefix_store_has(store, &match->key))
            return true;
        count = PREFIX_STORE_IDS;
    }
    *match = (prefix_match){.common = 0};
    store->index.search++;
    for (size_t looks = 0; looks < MOST_LOOKS && count > 0 && match->common < count; looks++) {
        int file;
        struct stat about;
        const prefix_entry *entry = prefix_index_child(&store->index, &behind, ids[0]);
        if (entry == NULL)
            break;
        prefix_key key = entry->key;
        prefix_record_state state = prefix_store_open_record(store, &key, &file, &about);
        if (state != PREFIX_RECORD_SOUND) {
            fail_record(store, &key, state, errno, NULL);
            continue;
        }
        close(file);
        size_t common = common_ids(&store->record, ids, count);
        if (common > match->common)
            *match = (prefix_match){.key = key, .count = store->record.count, .common = common};
    }
    return match->common > 0;
}

/* ------------------------------------------------------------------------------------------------------------ load */

/* A record whose head is sound and whose blob is not: ours, and in the way of the same record saved again. */
static void remove_broken(prefix_store *store, const prefix_key *key)
{
    char name[PREFIX_NAME];
    prefix_store_name(key, name);
    if (!store->read_only && unlinkat(store->directory, name, 0) == 0)
        forget(store, key, true);
}

/* Is it the record that was asked for, to the last id? No hash is believed where the ids themselves are at hand. */
static bool is_asked_for(const prefix_record *record, const prefix_key *parent, const prefix_match *match,
                         const mote_token *ids, const prefix_segment *segments, size_t segment_count)
{
    prefix_key key;
    size_t bytes = 0;
    for (size_t i = 0; i < segment_count; i++)
        if (!checked_add(bytes, segments[i].bytes, &bytes))
            return false;
    prefix_key_extend(parent, record->ids, record->count, &key);
    return bytes == record->blob_bytes && record->count == match->count && match->common <= match->count &&
           memcmp(&record->parent, parent, sizeof *parent) == 0 && memcmp(&key, &match->key, sizeof key) == 0 &&
           common_ids(record, ids, match->common) == match->common;
}

static void touch(prefix_store *store, const prefix_key *key, int file)
{
    prefix_entry *entry = prefix_index_find(&store->index, key);
    int64_t now = time(NULL);
    if (entry == NULL)
        return;
    prefix_index_touch(&store->index, entry);
    if (store->read_only || (now >= entry->time && now - entry->time < TOUCH_AFTER))
        return;
    entry->time = now;
    (void)futimens(file, (const struct timespec[]){{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}});
}

mote_status prefix_store_load(prefix_store *store, const prefix_key *parent, const prefix_match *match,
                              const mote_token *ids, const prefix_segment *segments, size_t segment_count,
                              mote_error *error)
{
    int file;
    struct stat about;
    prefix_record_state state = prefix_store_open_record(store, &match->key, &file, &about);
    if (state != PREFIX_RECORD_SOUND)
        return fail_record(store, &match->key, state, errno, error);
    if (!is_asked_for(&store->record, parent, match, ids, segments, segment_count))
        state = PREFIX_RECORD_UNUSABLE;
    if (state == PREFIX_RECORD_SOUND)
        state = prefix_record_read_blob(&store->record, file, segments, segment_count, &store->secret, store->spare,
                                        sizeof store->spare);
    int number = errno;
    if (state == PREFIX_RECORD_SOUND)
        touch(store, &match->key, file);
    close(file);
    if (state == PREFIX_RECORD_UNUSABLE)
        remove_broken(store, &match->key);
    return state == PREFIX_RECORD_SOUND ? MOTE_OK : fail_record(store, &match->key, state, number, error);
}
