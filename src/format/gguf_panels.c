/* What a packed file (mote pack) says of its tensors. In the container a packed weight is a row of bytes, I8, for readers
 * that know nothing of panels; three arrays with one number for each tensor, in file order, say what it is:
 *
 *     mote.panels.version     PANEL_LAYOUT_VERSION of the writer
 *     mote.panels.types       type numbers; of a tensor that is not packed, the container's own
 *     mote.panels.columns
 *     mote.panels.rows
 *
 * From here on such a tensor has its true type and shape, and `packed` set. */
#include "format/gguf_part.h"

#include "base/checked.h"
#include "quant/panels.h"

typedef struct panel_arrays {
    const gguf_array *types, *columns, *rows;
} panel_arrays;

static mote_status need_array(const gguf *file, const char *key, const gguf_array **out, mote_error *error)
{
    mote_status status = gguf_need_array(file, key, GGUF_INTEGERS, out, error);
    if (status == MOTE_OK && (*out)->count != gguf_tensor_count(file))
        return fail(error, MOTE_E_FORMAT, "%s: %s has %zu numbers for %zu tensors; the file is damaged",
                    gguf_name(file), key, (*out)->count, gguf_tensor_count(file));
    return status;
}

static bool fits(const quant_format *format, size_t rows, size_t columns, size_t bytes, size_t *elements)
{
    const panel_layout *layout = panel_layout_of(format->type);
    size_t wanted;
    return layout != NULL && rows != 0 && columns != 0 && panels_bytes(layout, rows, columns, &wanted) &&
           wanted == bytes && checked_mul(columns, rows, elements);
}

static mote_status resolve(const gguf *file, gguf_tensor *tensor, const panel_arrays *says, mote_error *error)
{
    int64_t type = gguf_integer(says->types, tensor->index), columns = gguf_integer(says->columns, tensor->index);
    int64_t rows = gguf_integer(says->rows, tensor->index);
    size_t elements;
    if (type == (int64_t)tensor->type)
        return MOTE_OK;
    const quant_format *format = type >= 0 && type <= UINT32_MAX ? quant_find((uint32_t)type) : NULL;
    if (tensor->type != GGUF_TENSOR_I8 || format == NULL || rows < 0 || columns < 0 || (uint64_t)rows > SIZE_MAX ||
        (uint64_t)columns > SIZE_MAX || !fits(format, (size_t)rows, (size_t)columns, tensor->bytes, &elements))
        return fail(
            error, MOTE_E_FORMAT,
            "%s: tensor %.80s of %zu bytes cannot be a packed weight of type %lld, %lld × %lld; the file is damaged",
            gguf_name(file), tensor->name, tensor->bytes, (long long)type, (long long)rows, (long long)columns);
    tensor->packed = true;
    tensor->format = format;
    tensor->type = format->type;
    tensor->dimensions = 2;
    tensor->shape[0] = (size_t)columns;
    tensor->shape[1] = (size_t)rows;
    tensor->shape[2] = tensor->shape[3] = 1;
    tensor->elements = elements;
    return MOTE_OK;
}

mote_status gguf_panels_resolve(const gguf *file, gguf_tensor *const *tensors, mote_error *error)
{
    panel_arrays says;
    uint32_t version = 0;
    if (!gguf_has(file, GGUF_PANELS_VERSION))
        return MOTE_OK;
    mote_status status = gguf_need_u32(file, GGUF_PANELS_VERSION, 0, UINT32_MAX, &version, error);
    if (status == MOTE_OK && version != PANEL_LAYOUT_VERSION)
        return fail(
            error, MOTE_E_UNSUPPORTED,
            "%s: was packed in layout %u, and this mote reads layout %d; pack the model again from the file it was "
            "made of (mote pack)",
            gguf_name(file), version, PANEL_LAYOUT_VERSION);
    if (status != MOTE_OK || (status = need_array(file, GGUF_PANELS_TYPES, &says.types, error)) ||
        (status = need_array(file, GGUF_PANELS_COLUMNS, &says.columns, error)) ||
        (status = need_array(file, GGUF_PANELS_ROWS, &says.rows, error)))
        return status;
    for (size_t i = 0; i < gguf_tensor_count(file) && status == MOTE_OK; i++)
        status = resolve(file, tensors[i], &says, error);
    return status;
}
