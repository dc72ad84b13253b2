/* Any bytes as a safetensors file: it is refused, or its tensors fill the data, and each can be read to its last byte. The
 * length of the head is set right first where the first byte says so; chance does not find it. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LENGTH_BYTES = 8 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void read_all(const safetensors *files, size_t size)
{
    size_t sum = 0;
    for (size_t i = 0; i < safetensors_count(files); i++) {
        const safetensors_tensor *t = safetensors_at(files, i);
        char last;
        sum += t->bytes;
        require(t->offset + t->bytes <= size && t->bytes > 0 && safetensors_find(files, t->name) == t);
        require(safetensors_read(files, t, t->bytes - 1, &last, 1, NULL) == MOTE_OK);
        require(safetensors_read(files, t, t->bytes, &last, 1, NULL) == MOTE_E_ARGUMENT);
    }
    require(sum <= size - LENGTH_BYTES);
}

/* The head ends at the last '}' of its text. */
static void set_length(unsigned char *file, size_t size)
{
    size_t end = size;
    while (end > LENGTH_BYTES && file[end - 1] != '}')
        end--;
    uint64_t length = end - LENGTH_BYTES;
    memcpy(file, &length, sizeof length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    safetensors *files;
    mote_error error = {0};
    if (size == 0)
        return 0;
    bool mend = *data++ & 1;
    unsigned char *file = malloc(size); /* of exactly its size, so that a sanitizer sees the first byte past it */
    require(file != NULL);
    memcpy(file, data, --size);
    if (mend && size >= LENGTH_BYTES)
        set_length(file, size);
    if (safetensors_open_memory(&files, file, size, &error) == MOTE_OK)
        read_all(files, size);
    else
        require(files == NULL && error.status < 0 && error.text[0] != '\0');
    safetensors_close(files);
    free(file);
    return 0;
}
