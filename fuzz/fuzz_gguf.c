/* Any bytes as a GGUF file: whatever opens must be readable to its last entry, string, element and tensor. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/gguf.h"
#include "quant/panels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* A sentence: there, on one line, and naming the file. */
static void check_error(mote_status status, const mote_error *error)
{
    require(status < 0 && error->status == status);
    require(strncmp(error->text, "any.gguf: ", 10) == 0 || status == MOTE_E_MEMORY);
    for (const char *c = error->text; *c != '\0'; c++)
        require((unsigned char)*c >= 0x20);
}

static unsigned touch(const void *bytes, size_t length)
{
    unsigned sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += ((const volatile unsigned char *)bytes)[i];
    return sum;
}

static void read_array(const gguf_array *array)
{
    gguf_strings walk = gguf_strings_begin(array);
    size_t strings = 0;
    for (gguf_string text; gguf_strings_next(&walk, &text); strings++)
        touch(text.at, text.length);
    require(strings == (array->type == GGUF_STRING ? array->count : 0));
    for (size_t i = 0; array->type != GGUF_STRING && i < array->count; i++)
        require(gguf_integer(array, i) != INT64_MIN || !isnan(gguf_float(array, i)));
}

/* Every typed look at one key: it may fail, with a sentence, and must then leave the default alone. */
static void read_typed(const gguf *file, const char *key)
{
    mote_error error;
    uint32_t count = 77;
    float number = 7.5f;
    bool flag = false;
    gguf_string text = {NULL, 0};
    const gguf_array *array = NULL;
    mote_status status = gguf_need_u32(file, key, 1, 1000, &count, &error);
    require(count >= 1 && count <= 1000);
    if (status != MOTE_OK)
        check_error(status, &error);
    status = gguf_need_f32(file, key, -1.0f, 8.0f, &number, &error);
    require(number >= -1.0f && number <= 8.0f);
    if (status != MOTE_OK)
        check_error(status, &error);
    if (gguf_get_bool(file, key, &flag, &error) != MOTE_OK)
        check_error(error.status, &error);
    if (gguf_need_string(file, key, &text, &error) != MOTE_OK)
        check_error(error.status, &error);
    touch(text.at, text.length);
    for (gguf_kind kind = GGUF_INTEGERS; kind <= GGUF_STRINGS; kind++)
        if (gguf_need_array(file, key, kind, &array, &error) != MOTE_OK)
            check_error(error.status, &error);
    if (array != NULL)
        read_array(array);
}

static void read_entries(const gguf *file)
{
    static const size_t capacities[] = {0, 1, 3, 4, 5, 20, 300};
    for (size_t i = 0; i < gguf_entry_count(file); i++) {
        const gguf_entry *entry = gguf_entry_at(file, i);
        require(gguf_find(file, entry->key) == entry);
        require(gguf_entry_type_name(entry) != NULL);
        for (size_t j = 0; j < sizeof capacities / sizeof *capacities; j++) {
            char *text = malloc(capacities[j] + 1);
            require(text != NULL);
            gguf_entry_text(entry, text, capacities[j]);
            require(capacities[j] == 0 || strlen(text) < capacities[j]);
            free(text);
        }
        if (entry->type == GGUF_STRING)
            touch(entry->value.string.at, entry->value.string.length);
        if (entry->type == GGUF_ARRAY)
            read_array(&entry->value.array);
        read_typed(file, entry->key);
    }
}

/* A packed weight's rows, the first and the last, are inside its bytes. */
static void read_panels(const gguf_tensor *tensor)
{
    const panel_layout *layout = panel_layout_of(tensor->format->type);
    size_t rows = tensor->shape[1], columns = tensor->shape[0], bytes = 0;
    require(layout != NULL && panels_bytes(layout, rows, columns, &bytes) && bytes == tensor->bytes);
    float *values = malloc(columns * sizeof *values);
    require(values != NULL);
    const unsigned char *last = (const unsigned char *)tensor->data + bytes - panel_bytes(layout, columns);
    panel_decode_row(layout, tensor->data, 0, columns, values);
    panel_decode_row(layout, last, (rows - 1) % PANEL_ROWS, columns, values);
    free(values);
}

static void read_tensors(const gguf *file)
{
    bool known = true;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        require(gguf_find_tensor(file, tensor->name) == tensor);
        require(gguf_tensor_type_name(tensor) != NULL);
        if (tensor->format == NULL) {
            known = false;
            continue;
        }
        touch(tensor->data, tensor->bytes);
        if (tensor->packed) {
            read_panels(tensor);
            continue;
        }
        float values[256];
        require(tensor->format->block <= 256 && tensor->shape[0] % tensor->format->block == 0);
        require(tensor->elements / tensor->format->block * tensor->format->bytes == tensor->bytes);
        tensor->format->decode(tensor->data, values, tensor->format->block);
    }
    mote_error error;
    mote_status status = gguf_require_formats(file, &error);
    require((status == MOTE_OK) == known);
    if (status != MOTE_OK)
        check_error(status, &error);
}

/* Readers of whole files, such as the tokenizer, have targets of their own; this one stays with the format. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gguf *file;
    mote_error error;
    mote_status status = gguf_open_memory(&file, data, size, "any.gguf", &error);
    if (status != MOTE_OK) {
        require(file == NULL);
        check_error(status, &error);
        return 0;
    }
    require(gguf_check(file, NULL) == MOTE_OK && gguf_read_ahead(file, NULL, NULL, NULL) == MOTE_OK);
    require(gguf_file_bytes(file) == size && !gguf_has(file, "") && gguf_find_tensor(file, "") == NULL);
    read_entries(file);
    read_tensors(file);
    gguf_close(file);
    return 0;
}
