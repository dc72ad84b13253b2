/* Typed access to metadata: the value as the caller needs it, or a sentence about what it is instead. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/bytes.h"
#include "format/gguf_part.h"

enum { SHOWN = 60 /* bytes of a value in a sentence */ };

static mote_status absent(const gguf_part *part, const char *key, mote_error *error)
{
    return fail(error, MOTE_E_FORMAT, "%s: has no %.80s, which it needs; fetch or convert the file again", part->name,
                key);
}

/* `wanted` as in "it must be …". */
static mote_status unfit(const gguf_part *part, const gguf_entry *entry, const char *wanted, mote_error *error)
{
    char value[SHOWN];
    gguf_entry_text(entry, value, sizeof value);
    return fail(error, MOTE_E_FORMAT, "%s: %.80s is %s (%s), and must be %s; fetch or convert the file again",
                part->name, entry->key, value, gguf_entry_type_name(entry), wanted);
}

static bool is_unsigned(gguf_type type)
{
    return type == GGUF_U8 || type == GGUF_U16 || type == GGUF_U32 || type == GGUF_U64;
}

static bool is_signed(gguf_type type)
{
    return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
}

static bool is_float(gguf_type type)
{
    return type == GGUF_F32 || type == GGUF_F64;
}

/* ---------------------------------------------------------------------------------------------------------- scalars */

mote_status gguf_part_u32(const gguf_part *part, const char *key, uint32_t min, uint32_t max, bool required,
                          uint32_t *out, mote_error *error)
{
    const gguf_entry *entry = gguf_part_find(part, key);
    if (entry == NULL)
        return required ? absent(part, key, error) : MOTE_OK;
    /* A negative number, seen as unsigned, is above any uint32_t. */
    uint64_t value = is_signed(entry->type) ? (uint64_t)entry->value.i64 : entry->value.u64;
    if ((!is_signed(entry->type) && !is_unsigned(entry->type)) || value < min || value > max) {
        char wanted[SHOWN];
        snprintf(wanted, sizeof wanted, "an integer from %" PRIu32 " to %" PRIu32, min, max);
        return unfit(part, entry, wanted, error);
    }
    *out = (uint32_t)value;
    return MOTE_OK;
}

static mote_status part_f32(const gguf_part *part, const char *key, float min, float max, bool required, float *out,
                            mote_error *error)
{
    const gguf_entry *entry = gguf_part_find(part, key);
    if (entry == NULL)
        return required ? absent(part, key, error) : MOTE_OK;
    double value = is_float(entry->type)      ? entry->value.f64
                   : is_signed(entry->type)   ? (double)entry->value.i64
                   : is_unsigned(entry->type) ? (double)entry->value.u64
                                              : (double)NAN;
    if (!isfinite(value) || value < (double)min || value > (double)max) {
        char wanted[SHOWN];
        snprintf(wanted, sizeof wanted, "a number from %g to %g", (double)min, (double)max);
        return unfit(part, entry, wanted, error);
    }
    *out = (float)value;
    return MOTE_OK;
}

static mote_status part_string(const gguf_part *part, const char *key, bool required, gguf_string *out,
                               mote_error *error)
{
    const gguf_entry *entry = gguf_part_find(part, key);
    if (entry == NULL)
        return required ? absent(part, key, error) : MOTE_OK;
    if (entry->type != GGUF_STRING)
        return unfit(part, entry, "a string", error);
    *out = entry->value.string;
    return MOTE_OK;
}

mote_status gguf_get_u32(const gguf *file, const char *key, uint32_t min, uint32_t max, uint32_t *out,
                         mote_error *error)
{
    return gguf_part_u32(gguf_first_part(file), key, min, max, false, out, error);
}

mote_status gguf_need_u32(const gguf *file, const char *key, uint32_t min, uint32_t max, uint32_t *out,
                          mote_error *error)
{
    return gguf_part_u32(gguf_first_part(file), key, min, max, true, out, error);
}

mote_status gguf_get_f32(const gguf *file, const char *key, float min, float max, float *out, mote_error *error)
{
    return part_f32(gguf_first_part(file), key, min, max, false, out, error);
}

mote_status gguf_need_f32(const gguf *file, const char *key, float min, float max, float *out, mote_error *error)
{
    return part_f32(gguf_first_part(file), key, min, max, true, out, error);
}

mote_status gguf_get_bool(const gguf *file, const char *key, bool *out, mote_error *error)
{
    const gguf_entry *entry = gguf_find(file, key);
    if (entry == NULL)
        return MOTE_OK;
    if (entry->type != GGUF_BOOL)
        return unfit(gguf_first_part(file), entry, "a bool", error);
    *out = entry->value.u64 != 0;
    return MOTE_OK;
}

mote_status gguf_get_string(const gguf *file, const char *key, gguf_string *out, mote_error *error)
{
    return part_string(gguf_first_part(file), key, false, out, error);
}

mote_status gguf_need_string(const gguf *file, const char *key, gguf_string *out, mote_error *error)
{
    return part_string(gguf_first_part(file), key, true, out, error);
}

/* ----------------------------------------------------------------------------------------------------------- arrays */

static bool is_kind(gguf_type type, gguf_kind kind)
{
    switch (kind) {
    case GGUF_INTEGERS: return is_signed(type) || is_unsigned(type);
    case GGUF_FLOATS: return is_float(type);
    case GGUF_BOOLS: return type == GGUF_BOOL;
    case GGUF_STRINGS: return type == GGUF_STRING;
    }
    return false;
}

static mote_status part_array(const gguf_part *part, const char *key, gguf_kind kind, bool required,
                              const gguf_array **out, mote_error *error)
{
    static const char *const wanted[] = {[GGUF_INTEGERS] = "an array of integers",
                                         [GGUF_FLOATS] = "an array of floats",
                                         [GGUF_BOOLS] = "an array of bools",
                                         [GGUF_STRINGS] = "an array of strings"};
    const gguf_entry *entry = gguf_part_find(part, key);
    if (entry == NULL)
        return required ? absent(part, key, error) : MOTE_OK;
    if (entry->type != GGUF_ARRAY || !is_kind(entry->value.array.type, kind))
        return unfit(part, entry, wanted[kind], error);
    const gguf_array *array = &entry->value.array;
    for (size_t i = 0; kind == GGUF_FLOATS && i < array->count; i++)
        if (!isfinite(gguf_float(array, i)))
            return fail(error, MOTE_E_FORMAT,
                        "%s: %.80s holds %g at index %zu, and its floats must be finite; fetch or "
                        "convert the file again",
                        part->name, key, (double)gguf_float(array, i), i);
    *out = array;
    return MOTE_OK;
}

mote_status gguf_get_array(const gguf *file, const char *key, gguf_kind kind, const gguf_array **out, mote_error *error)
{
    return part_array(gguf_first_part(file), key, kind, false, out, error);
}

mote_status gguf_need_array(const gguf *file, const char *key, gguf_kind kind, const gguf_array **out,
                            mote_error *error)
{
    return part_array(gguf_first_part(file), key, kind, true, out, error);
}

int64_t gguf_integer(const gguf_array *array, size_t index)
{
    const unsigned char *data = array->data;
    switch (array->type) {
    case GGUF_U8: return data[index];
    case GGUF_I8: return (int8_t)data[index];
    case GGUF_U16: return load_u16(data + 2 * index);
    case GGUF_I16: return (int16_t)load_u16(data + 2 * index);
    case GGUF_U32: return load_u32(data + 4 * index);
    case GGUF_I32: return (int32_t)load_u32(data + 4 * index);
    case GGUF_I64: return (int64_t)load_u64(data + 8 * index);
    case GGUF_U64: {
        uint64_t value = load_u64(data + 8 * index);
        return value > INT64_MAX ? INT64_MAX : (int64_t)value;
    }
    case GGUF_BOOL: return data[index] != 0;
    default: return 0;
    }
}

float gguf_float(const gguf_array *array, size_t index)
{
    switch (array->type) {
    case GGUF_F32: return load_f32(array->data + 4 * index);
    case GGUF_F64: return (float)load_f64(array->data + 8 * index);
    default: return (float)gguf_integer(array, index);
    }
}

gguf_strings gguf_strings_begin(const gguf_array *array)
{
    return (gguf_strings){array->data, array->bytes, array->type == GGUF_STRING ? array->count : 0};
}

/* The lengths were checked when the file was opened, but are read from it again: where they no longer fit, the file has
 * changed, and what is left of the array reads as empty strings. */
bool gguf_strings_next(gguf_strings *walk, gguf_string *out)
{
    if (walk->left == 0)
        return false;
    walk->left--;
    *out = (gguf_string){"", 0};
    if (walk->bytes < 8)
        return true;
    uint64_t length = load_u64(walk->at);
    if (length > walk->bytes - 8) {
        walk->bytes = 0;
        return true;
    }
    *out = (gguf_string){(const char *)walk->at + 8, (size_t)length};
    walk->at += 8 + length;
    walk->bytes -= 8 + (size_t)length;
    return true;
}
