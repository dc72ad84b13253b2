/* Metadata, directory, samples: into one SHA-256. Every item goes in with its length, so that none can pass for another. */
#include "engine/model_identity.h"

#include "base/sha256.h"

enum { LONG = 4096, END = 1024, SAMPLE = 2048 };

static void add(sha256 *hash, const void *bytes, size_t count)
{
    uint64_t length = count;
    sha256_update(hash, &length, sizeof length);
    sha256_update(hash, bytes, count);
}

/* What is long goes in by its size and its ends. */
static void add_bounded(sha256 *hash, const void *bytes, size_t count)
{
    if (count <= LONG) {
        add(hash, bytes, count);
        return;
    }
    uint64_t length = count;
    sha256_update(hash, &length, sizeof length);
    add(hash, bytes, END);
    add(hash, (const unsigned char *)bytes + count - END, END);
}

static void add_entry(sha256 *hash, const gguf_entry *entry)
{
    uint32_t type = entry->type;
    add(hash, entry->key, strlen(entry->key));
    add(hash, &type, sizeof type);
    if (entry->type == GGUF_STRING) {
        add_bounded(hash, entry->value.string.at, entry->value.string.length);
    } else if (entry->type == GGUF_ARRAY) {
        const gguf_array *array = &entry->value.array;
        uint64_t shape[] = {array->type, array->count};
        add(hash, shape, sizeof shape);
        add_bounded(hash, array->data, array->bytes);
    } else {
        add(hash, &entry->value.u64, sizeof entry->value.u64);
    }
}

/* Tensors without a format have bytes that nobody knows the number of; a model with such a one does not run. */
static void add_tensor(sha256 *hash, const gguf *file, const gguf_tensor *tensor)
{
    uint64_t facts[] = {tensor->type,     tensor->shape[0], tensor->shape[1], tensor->shape[2],
                        tensor->shape[3], tensor->bytes,    tensor->packed};
    size_t sample = tensor->bytes < SAMPLE ? tensor->bytes : SAMPLE;
    add(hash, tensor->name, strlen(tensor->name));
    add(hash, facts, sizeof facts);
    const unsigned char *middle = (const unsigned char *)tensor->data + (tensor->bytes - sample) / 2;
    add(hash, middle, sample);
    if (sample > 0)
        gguf_let_go(file, middle, sample); /* of a plain file no page is counted on any more */
}

mote_status model_identity(const gguf *file, unsigned char identity[32], mote_error *error)
{
    sha256 hash;
    uint64_t counts[] = {gguf_entry_count(file), gguf_tensor_count(file)};
    sha256_begin(&hash);
    add(&hash, counts, sizeof counts);
    for (size_t i = 0; i < gguf_entry_count(file); i++)
        add_entry(&hash, gguf_entry_at(file, i));
    for (size_t i = 0; i < gguf_tensor_count(file); i++)
        add_tensor(&hash, file, gguf_tensor_at(file, i));
    sha256_end(&hash, identity);
    return gguf_check(file, error);
}
