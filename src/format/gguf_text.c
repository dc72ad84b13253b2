/* A metadata entry as one line of text, for people. */
#include <inttypes.h>
#include <stdio.h>

#include "format/gguf.h"

/* Text that ends in "…" where it did not fit. Pieces go in whole or not at all. */
typedef struct line {
    char *text;
    size_t capacity;
    size_t length;
    bool full;
} line;

static const char ellipsis[] = "…";

static void add(line *to, const char *piece, size_t length)
{
    if (to->full)
        return;
    /* Room for the ellipsis and the NUL stays. */
    if (length + sizeof ellipsis > to->capacity - to->length) {
        to->full = true;
        piece = ellipsis;
        length = sizeof ellipsis - 1;
    }
    memcpy(to->text + to->length, piece, length);
    to->length += length;
    to->text[to->length] = '\0';
}

/* Bytes of the UTF-8 character at `at`, as in RFC 3629; 0: there is none. */
static size_t character(const unsigned char *at, size_t left)
{
    unsigned char lead = at[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((lead == 0xe0 && at[1] < 0xa0) || (lead == 0xed && at[1] > 0x9f) || (lead == 0xf0 && at[1] < 0x90) ||
        (lead == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

static void add_string(line *to, gguf_string string)
{
    for (size_t i = 0; i < string.length && !to->full;) {
        unsigned char bytes[4] = {0};
        size_t left = string.length - i;
        memcpy(bytes, string.at + i, left < sizeof bytes ? left : sizeof bytes); /* the mapping may change: look once */
        size_t length = character(bytes, left);
        bool control = bytes[0] < 0x20 || bytes[0] == 0x7f || (bytes[0] == 0xc2 && bytes[1] < 0xa0);
        if (bytes[0] == '\n')
            add(to, "\\n", 2);
        else if (bytes[0] == '\t')
            add(to, "\\t", 2);
        else if (length == 0 || control)
            add(to, "\xef\xbf\xbd", 3); /* U+FFFD */
        else
            add(to, (const char *)bytes, length);
        i += length == 0 ? 1 : length;
    }
}

static void add_number(line *to, const char *digits)
{
    add(to, digits, strlen(digits));
}

static void add_array(line *to, const gguf_array *array)
{
    char digits[32];
    snprintf(digits, sizeof digits, "[%zu]", array->count);
    add_number(to, digits);
    gguf_strings walk = gguf_strings_begin(array);
    for (size_t i = 0; i < array->count && !to->full; i++) {
        gguf_string string;
        add(to, i == 0 ? " " : ", ", i == 0 ? 1 : 2);
        if (gguf_strings_next(&walk, &string)) {
            add_string(to, string);
        } else if (array->type == GGUF_BOOL) {
            add_number(to, gguf_integer(array, i) != 0 ? "true" : "false");
        } else {
            bool real = array->type == GGUF_F32 || array->type == GGUF_F64;
            if (real)
                snprintf(digits, sizeof digits, "%.7g", (double)gguf_float(array, i));
            else
                snprintf(digits, sizeof digits, "%" PRId64, gguf_integer(array, i));
            add_number(to, digits);
        }
    }
}

void gguf_entry_text(const gguf_entry *entry, char *text, size_t capacity)
{
    char digits[32];
    if (capacity == 0)
        return;
    text[0] = '\0';
    if (capacity < sizeof ellipsis)
        return;
    line to = {.text = text, .capacity = capacity};
    switch (entry->type) {
    case GGUF_STRING: add_string(&to, entry->value.string); return;
    case GGUF_ARRAY: add_array(&to, &entry->value.array); return;
    case GGUF_BOOL: add_number(&to, entry->value.u64 != 0 ? "true" : "false"); return;
    case GGUF_F32: snprintf(digits, sizeof digits, "%.7g", entry->value.f64); break;
    case GGUF_F64: snprintf(digits, sizeof digits, "%.15g", entry->value.f64); break;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64: snprintf(digits, sizeof digits, "%" PRId64, entry->value.i64); break;
    default: snprintf(digits, sizeof digits, "%" PRIu64, entry->value.u64); break;
    }
    add_number(&to, digits);
}

/* clang-format off */
#define TYPE_NAMES(before)                                                                          \
    {                                                                                               \
        [GGUF_U8] = before "u8", [GGUF_I8] = before "i8", [GGUF_U16] = before "u16",                \
        [GGUF_I16] = before "i16", [GGUF_U32] = before "u32", [GGUF_I32] = before "i32",            \
        [GGUF_F32] = before "f32", [GGUF_BOOL] = before "bool", [GGUF_STRING] = before "string",    \
        [GGUF_ARRAY] = before "array", [GGUF_U64] = before "u64", [GGUF_I64] = before "i64",        \
        [GGUF_F64] = before "f64"                                                                   \
    }
/* clang-format on */

const char *gguf_entry_type_name(const gguf_entry *entry)
{
    static const char *const single[GGUF_TYPE_COUNT] = TYPE_NAMES("");
    static const char *const many[GGUF_TYPE_COUNT] = TYPE_NAMES("array of ");
    return entry->type == GGUF_ARRAY ? many[entry->value.array.type] : single[entry->type];
}
