#include "prepare/importance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/gguf.h"

#define SUMS   ".in_sum2"
#define COUNTS ".counts"

struct importance {
    gguf *file;
    float **mean; /* [tensors]: of those that hold sums; NULL: of the others, and where the text never came by */
};

static size_t stem_of(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length > tail && strcmp(name + length - tail, suffix) == 0 ? length - tail : 0;
}

static const gguf_tensor *find(const gguf *file, const char *name, size_t length, const char *suffix)
{
    char full[GGUF_LONGEST_NAME + 1];
    int written = snprintf(full, sizeof full, "%.*s%s", (int)length, name, suffix);
    return written > 0 && (size_t)written < sizeof full ? gguf_find_tensor(file, full) : NULL;
}

static mote_status check_pair(const gguf *file, const gguf_tensor *sums, const gguf_tensor *counts, mote_error *error)
{
    if (counts == NULL)
        return fail(error, MOTE_E_FORMAT, "%s: %s has no counts beside it; make the file again", gguf_name(file),
                    sums->name);
    if (sums->type != QUANT_F32 || counts->type != QUANT_F32 || sums->packed || counts->packed)
        return fail(error, MOTE_E_FORMAT, "%s: %s and its counts have to be F32; make the file again", gguf_name(file),
                    sums->name);
    if (counts->elements == 0 || sums->elements == 0 || sums->elements / sums->shape[0] != counts->elements)
        return fail(error, MOTE_E_FORMAT, "%s: %s has %zu rows and %zu counts; make the file again", gguf_name(file),
                    sums->name, sums->elements / (sums->shape[0] > 0 ? sums->shape[0] : 1), counts->elements);
    return MOTE_OK;
}

/* What the file says is copied before it is checked: it may change under a mapping. */
static mote_status read_means(const gguf *file, const gguf_tensor *sums, const gguf_tensor *counts, float **out,
                              mote_error *error)
{
    float count, *mean = malloc(sums->bytes);
    if (mean == NULL)
        return fail_memory(error, sums->bytes, "an importance matrix");
    memcpy(&count, counts->data, sizeof count);
    memcpy(mean, sums->data, sums->bytes);
    bool good = count >= 0 && isfinite(count);
    for (size_t i = 0; i < sums->elements && good; i++) {
        good = mean[i] >= 0 && isfinite(mean[i]);
        mean[i] = count > 0 ? (float)((double)mean[i] / (double)count) : 0;
        good = good && isfinite(mean[i]);
    }
    if (good && count > 0) {
        *out = mean;
        return MOTE_OK;
    }
    free(mean);
    if (good)
        return MOTE_OK;
    return fail(error, MOTE_E_FORMAT, "%s: %s holds numbers that are no sums of squares; make the file again",
                gguf_name(file), sums->name);
}

static mote_status read_tensor(importance *it, const gguf_tensor *tensor, mote_error *error)
{
    size_t stem = stem_of(tensor->name, SUMS);
    if (stem == 0)
        return MOTE_OK;
    const gguf_tensor *counts = find(it->file, tensor->name, stem, COUNTS);
    mote_status status = check_pair(it->file, tensor, counts, error);
    if (status != MOTE_OK || counts->elements != 1) /* one matrix for each expert: nothing that mote runs */
        return status;
    return read_means(it->file, tensor, counts, &it->mean[tensor->index], error);
}

static mote_status read_all(importance *it, mote_error *error)
{
    gguf_string type = {"", 0};
    mote_status status = gguf_get_string(it->file, "general.type", &type, error);
    if (status != MOTE_OK)
        return status;
    if (!gguf_string_is(type, "imatrix"))
        return fail(error, MOTE_E_FORMAT, "%s: is GGUF, but no importance matrix; make one with mote imatrix",
                    gguf_name(it->file));
    size_t count = gguf_tensor_count(it->file);
    it->mean = calloc(count + 1, sizeof *it->mean);
    if (it->mean == NULL)
        return fail_memory(error, count * sizeof *it->mean, "an importance matrix");
    for (size_t i = 0; i < count && status == MOTE_OK; i++)
        status = read_tensor(it, gguf_tensor_at(it->file, i), error);
    return status == MOTE_OK ? gguf_check(it->file, error) : status;
}

mote_status importance_open(importance **out, const char *path, mote_error *error)
{
    *out = NULL;
    importance *it = calloc(1, sizeof *it);
    if (it == NULL)
        return fail_memory(error, sizeof *it, "an importance matrix");
    mote_status status = gguf_open(&it->file, path, error);
    if (status == MOTE_OK)
        status = read_all(it, error);
    if (status != MOTE_OK) {
        importance_close(it);
        return status;
    }
    *out = it;
    return MOTE_OK;
}

void importance_close(importance *it)
{
    if (it == NULL)
        return;
    for (size_t i = 0; it->mean != NULL && i < gguf_tensor_count(it->file); i++)
        free(it->mean[i]);
    free(it->mean);
    gguf_close(it->file);
    free(it);
}

const float *importance_of(const importance *it, const char *tensor, size_t columns)
{
    const gguf_tensor *sums = find(it->file, tensor, strlen(tensor), SUMS);
    return sums != NULL && sums->shape[0] == columns ? it->mean[sums->index] : NULL;
}
