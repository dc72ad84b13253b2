/* Quantising a model file: matrices decoded row by row, encoded by all threads, and written a batch at a time.
 *
 *     source, mapped   │ row │ row │ … │          a batch: rows of at most BATCH_BYTES once encoded, or one row
 *                         ↓ decode, check
 *     worker           one row of float32
 *                         ↓ encode
 *     batch            │ blocks │ blocks │ … │    written, and the source's pages let go of
 *
 * So memory is a batch and a row for each thread, whatever the model's size. What is written follows from the source, the
 * options and the importance matrix alone. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu_features.h"
#include "base/checked.h"
#include "base/thread_pool.h"
#include "format/gguf_output.h"
#include "prepare/importance.h"
#include "prepare/mixes.h"
#include "prepare/name_pattern.h"
#include "prepare/size_formats.h"
#include "quant/encoder.h"

enum { BATCH_BYTES = 4 << 20, ALIGNMENT = 32, QUANTIZATION_VERSION = 2 };

typedef struct quantizer {
    const mote_quantize_options *options;
    gguf *source;
    const mix *mix;
    importance *importance; /* NULL: none */
    gguf_output *out;
    thread_pool *pool;
    const quant_format **format; /* [tensors]: what each becomes; its own: it stays, byte for byte */
    float *rows;                 /* [threads][longest]: of matrices that change */
    size_t longest;
    unsigned char *batch;
    size_t batch_bytes;
    uint64_t written;
    double chosen_by; /* the part of the work after which the formats are known */
    mote_error *error;
} quantizer;

void mote_quantize_options_init(mote_quantize_options *options)
{
    *options = (mote_quantize_options){0};
}

const char *mote_quantize_type(size_t index)
{
    const mix *m = mix_at(index);
    return m != NULL ? mix_name(m) : NULL;
}

/* ----------------------------------------------------------------------------------------------------------- formats */

static mote_status fail_type(quantizer *q)
{
    char list[200] = "";
    for (size_t i = 0, length = 0; mix_at(i) != NULL && length < sizeof list; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? ", " : "", mix_name(mix_at(i)));
    if (q->options->type == NULL)
        return fail(q->error, MOTE_E_ARGUMENT, "no type is named; choose one of %s", list);
    return fail(q->error, MOTE_E_ARGUMENT, "there is no type \"%.40s\"; choose one of %s", q->options->type, list);
}

/* A format by its name, in letters of either case. */
static const quant_format *find_format(const char *name)
{
    for (size_t i = 0; i < quant_count(); i++) {
        const char *a = quant_at(i)->name, *b = name;
        while (*a != '\0' && (*a == *b || (*a >= 'A' && *a <= 'Z' && *a + 32 == *b))) {
            a++;
            b++;
        }
        if (*a == *b)
            return quant_encoder_of(quant_at(i)->type) != NULL ? quant_at(i) : NULL;
    }
    return NULL;
}

static bool is_named(const char *pattern, const char *name)
{
    char stem[GGUF_LONGEST_NAME + 1];
    size_t length = strlen(name) - strlen(".weight");
    snprintf(stem, sizeof stem, "%.*s", (int)length, name);
    return name_matches(pattern, name) || name_matches(pattern, stem);
}

/* "PATTERN=FORMAT" for every matrix that is like the pattern. */
static mote_status override(quantizer *q, const char *rule)
{
    char pattern[GGUF_LONGEST_NAME + 1];
    const char *equals = strrchr(rule, '=');
    if (equals == NULL || equals == rule || (size_t)(equals - rule) >= sizeof pattern)
        return fail(q->error, MOTE_E_ARGUMENT, "\"%.80s\" is no rule for tensors; write PATTERN=FORMAT, as in %s", rule,
                    "blk.*.ffn_down=q6_k");
    const quant_format *format = find_format(equals + 1);
    if (format == NULL)
        return fail(q->error, MOTE_E_ARGUMENT,
                    "%.80s: there is no format \"%.40s\" to encode in; choose one such as q6_k", rule, equals + 1);
    snprintf(pattern, sizeof pattern, "%.*s", (int)(equals - rule), rule);
    size_t found = 0;
    for (size_t i = 0; i < gguf_tensor_count(q->source); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(q->source, i);
        if (!mix_takes(tensor) || !is_named(pattern, tensor->name))
            continue;
        if (tensor->shape[0] % format->block != 0)
            return fail(q->error, MOTE_E_ARGUMENT,
                        "%.80s: rows of %s have %zu values, no whole blocks of %u; choose %s", rule, tensor->name,
                        tensor->shape[0], format->block, mix_fitting(format, tensor->shape[0])->name);
        q->format[i] = format;
        found++;
    }
    if (found == 0)
        return fail(q->error, MOTE_E_ARGUMENT,
                    "%.80s: no matrix of %s is named so; mote info --weights lists the names", rule,
                    gguf_name(q->source));
    return MOTE_OK;
}

/* What each tensor becomes: by the mix, then by the user's rules. */
static mote_status choose_formats(quantizer *q)
{
    size_t count = gguf_tensor_count(q->source), again = 0;
    bool smaller_blocks = false;
    mix_model rules_for = mix_model_of(q->source, q->importance != NULL);
    for (size_t i = 0; i < count; i++) {
        const gguf_tensor *tensor = gguf_tensor_at(q->source, i);
        q->format[i] = mix_takes(tensor) ? mix_format(q->mix, &rules_for, tensor, &smaller_blocks) : tensor->format;
    }
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < q->options->tensor_count && status == MOTE_OK; i++)
        status = override(q, q->options->tensors[i]);
    for (size_t i = 0; i < count; i++) {
        const quant_format *was = gguf_tensor_at(q->source, i)->format;
        again += q->format[i] != was && was->block > 1 && q->format[i]->block > 1;
    }
    if (status != MOTE_OK || q->options->note == NULL)
        return status;
    if (smaller_blocks)
        q->options->note(q->options->user, "some rows are no whole blocks of 256 values: their matrices get the next "
                                           "larger format with blocks of 32");
    if (again > 0)
        q->options->note(q->options->user,
                         "the source is quantised already, and what it lost adds to what is lost now; "
                         "quantise the original (f16, bf16 or f32) if you have it");
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ weights */

typedef struct row_job {
    quantizer *quantizer;
    const gguf_tensor *tensor;
    const quant_format *format;
    quant_encoder encode;
    const float *importance;
    const unsigned char *rows; /* of the source */
    size_t row_bytes;
    size_t encoded_bytes;
    atomic_bool spoiled; /* a value is no finite number */
} row_job;

static void encode_rows(void *context, size_t begin, size_t end, uint32_t worker)
{
    row_job *job = context;
    float *values = job->quantizer->rows + worker * job->quantizer->longest;
    size_t columns = job->tensor->shape[0];
    for (size_t row = begin; row < end; row++) {
        float sum = 0; /* of zeros, or NaN */
        job->tensor->format->decode(job->rows + row * job->row_bytes, values, columns);
        for (size_t i = 0; i < columns; i++)
            sum += 0 * values[i];
        if (sum != 0)
            atomic_store_explicit(&job->spoiled, true, memory_order_relaxed);
        job->encode(values, job->importance, job->quantizer->batch + row * job->encoded_bytes, columns);
    }
}

static mote_status write(quantizer *q, const void *bytes, size_t count)
{
    mote_status status = gguf_output_data(q->out, bytes, count, q->error);
    q->written += count;
    double done = (double)q->written / (double)gguf_output_data_bytes(q->out);
    done = q->chosen_by + (1 - q->chosen_by) * done;
    if (status == MOTE_OK && q->options->progress != NULL && !q->options->progress(q->options->user, done))
        return fail(q->error, MOTE_E_CANCELLED, "cancelled; nothing is written");
    return status;
}

static mote_status write_as_it_is(quantizer *q, const gguf_tensor *tensor)
{
    const unsigned char *at = tensor->data;
    mote_status status = MOTE_OK;
    for (size_t left = tensor->bytes, now = 0; left > 0 && status == MOTE_OK; left -= now, at += now) {
        now = left < BATCH_BYTES ? left : BATCH_BYTES;
        status = write(q, at, now);
        gguf_let_go(q->source, at, now);
    }
    return status;
}

static mote_status write_encoded(quantizer *q, const gguf_tensor *tensor, const quant_format *format)
{
    size_t columns = tensor->shape[0], left = tensor->elements / columns;
    row_job job = {.quantizer = q, .tensor = tensor, .format = format, .encode = quant_encoder_of(format->type)};
    job.rows = tensor->data;
    job.row_bytes = columns / tensor->format->block * tensor->format->bytes;
    job.encoded_bytes = columns / format->block * format->bytes;
    if (q->importance != NULL)
        job.importance = importance_of(q->importance, tensor->name, columns);
    size_t most = job.encoded_bytes < BATCH_BYTES ? BATCH_BYTES / job.encoded_bytes : 1;
    mote_status status = MOTE_OK;
    while (left > 0 && status == MOTE_OK) {
        size_t now = left < most ? left : most;
        thread_pool_for(q->pool, now, 1, encode_rows, &job);
        if (job.spoiled)
            return fail(q->error, MOTE_E_FORMAT, "%s: %s holds values that are no finite numbers; make the file again",
                        gguf_name(q->source), tensor->name);
        status = write(q, q->batch, now * job.encoded_bytes);
        gguf_let_go(q->source, job.rows, now * job.row_bytes);
        job.rows += now * job.row_bytes;
        left -= now;
    }
    return status;
}

static mote_status write_weights(quantizer *q)
{
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < gguf_tensor_count(q->source) && status == MOTE_OK; i++) {
        const gguf_tensor *tensor = gguf_tensor_at(q->source, i);
        bool same = q->format[i] == tensor->format;
        status = same ? write_as_it_is(q, tensor) : write_encoded(q, tensor, q->format[i]);
        if (gguf_check(q->source, NULL) != MOTE_OK) /* rather than what came of the zeros in its place */
            status = gguf_check(q->source, q->error);
    }
    return status;
}

/* --------------------------------------------------------------------------------------------------------------- file */

static mote_status make_room(quantizer *q)
{
    size_t rows;
    q->batch_bytes = BATCH_BYTES;
    for (size_t i = 0; i < gguf_tensor_count(q->source); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(q->source, i);
        if (q->format[i] == tensor->format)
            continue;
        size_t columns = tensor->shape[0], encoded = columns / q->format[i]->block * q->format[i]->bytes;
        q->longest = columns > q->longest ? columns : q->longest;
        q->batch_bytes = encoded > q->batch_bytes ? encoded : q->batch_bytes;
    }
    if (!checked_mul(q->longest, thread_pool_size(q->pool) * sizeof *q->rows, &rows))
        return fail_memory(q->error, SIZE_MAX, "rows of a model's weights");
    q->rows = malloc(rows + 1);
    q->batch = malloc(q->batch_bytes);
    return q->rows != NULL && q->batch != NULL ? MOTE_OK
                                               : fail_memory(q->error, rows + q->batch_bytes, "quantising a model");
}

static bool is_replaced(const char *key)
{
    return strncmp(key, "quantize.imatrix.", 17) == 0;
}

static bool is_chosen_anew(const char *key)
{
    return is_replaced(key) || strcmp(key, "general.file_type") == 0;
}

/* As llama.cpp's quantizer names them. */
static mote_status declare_importance(quantizer *q)
{
    gguf *file;
    const gguf_array *names = NULL;
    gguf_string first;
    uint32_t known = 0, chunks = 0;
    mote_status status = gguf_open(&file, q->options->importance, q->error);
    if (status != MOTE_OK)
        return status;
    for (size_t i = 0; i < gguf_tensor_count(q->source); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(q->source, i);
        known += mix_takes(tensor) && importance_of(q->importance, tensor->name, tensor->shape[0]) != NULL;
    }
    gguf_output_text(q->out, "quantize.imatrix.file", q->options->importance);
    if (gguf_get_array(file, "imatrix.datasets", GGUF_STRINGS, &names, NULL) == MOTE_OK && names != NULL) {
        gguf_strings walk = gguf_strings_begin(names);
        if (gguf_strings_next(&walk, &first))
            gguf_output_string(q->out, "quantize.imatrix.dataset", first);
    }
    gguf_output_u32(q->out, "quantize.imatrix.entries_count", known);
    if (gguf_get_u32(file, "imatrix.chunk_count", 0, UINT32_MAX, &chunks, NULL) == MOTE_OK && chunks > 0)
        gguf_output_u32(q->out, "quantize.imatrix.chunks_count", chunks);
    gguf_close(file);
    if (known == 0)
        return fail(q->error, MOTE_E_ARGUMENT, "%s knows no matrix of %s; name the importance matrix of this model",
                    q->options->importance, gguf_name(q->source));
    return MOTE_OK;
}

/* No number of general.file_type stands for formats chosen one by one. */
static mote_status declare_metadata(quantizer *q)
{
    if (q->mix != NULL)
        gguf_output_u32(q->out, "general.file_type", mix_number(q->mix));
    gguf_output_u32(q->out, "general.quantization_version", QUANTIZATION_VERSION);
    gguf_output_copy(q->out, q->source, q->mix == NULL ? is_chosen_anew : q->importance != NULL ? is_replaced : NULL);
    mote_status status = gguf_check(q->source, q->error);
    return status == MOTE_OK && q->importance != NULL ? declare_importance(q) : status;
}

static mote_status declare_tensors(quantizer *q)
{
    for (size_t i = 0; i < gguf_tensor_count(q->source); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(q->source, i);
        gguf_output_tensor(q->out, tensor->name, q->format[i], tensor->dimensions, tensor->shape);
    }
    return gguf_output_begin(q->out, q->error);
}

/* The choice comes first and is most of the work. */
static bool report_choice(void *user, double done)
{
    const quantizer *q = user;
    return q->options->progress == NULL || q->options->progress(q->options->user, q->chosen_by * done);
}

static mote_status choose_by_size(quantizer *q, const char *from)
{
    char sentence[200];
    mote_model *source;
    size_outcome outcome;
    q->chosen_by = q->options->text != NULL ? 0.9 : 0.5;
    const size_wish wish = {.size = q->options->size,
                            .head = gguf_output_head_bytes(q->out, q->source),
                            .alignment = ALIGNMENT,
                            .standard_only = q->options->standard,
                            .importance = q->importance,
                            .text = q->options->text,
                            .length = q->options->length,
                            .threads = q->options->threads,
                            .progress = report_choice,
                            .user = q};
    mote_status status = model_handle_open_unpacked(&source, from, q->error);
    if (status == MOTE_OK)
        status = size_formats_choose(q->format, &outcome, source, &wish, q->error);
    mote_model_close(source);
    if (status != MOTE_OK || q->options->note == NULL)
        return status;
    int length =
        snprintf(sentence, sizeof sentence, "the file will have %llu bytes", (unsigned long long)outcome.bytes);
    if (q->options->text != NULL)
        snprintf(sentence + length, sizeof sentence - (size_t)length,
                 "; its divergence from the source should be about %.2g nats a token", outcome.loss);
    else
        snprintf(sentence + length, sizeof sentence - (size_t)length,
                 "; a calibration text would tell which matrices count, and lose less");
    q->options->note(q->options->user, sentence);
    return MOTE_OK;
}

/* What is asked for: a type, or a size. */
static mote_status check_wish(quantizer *q)
{
    q->mix = q->options->type != NULL ? mix_find(q->options->type) : NULL;
    if (q->options->size == 0)
        return q->mix == NULL ? fail_type(q) : MOTE_OK;
    if (q->options->type != NULL || q->options->tensor_count > 0)
        return fail(q->error, MOTE_E_ARGUMENT,
                    "a size leaves the formats to be chosen, but a type or a rule for tensors is given; leave it out");
    return MOTE_OK;
}

static mote_status choose(quantizer *q, const char *from)
{
    q->format = calloc(gguf_tensor_count(q->source) + 1, sizeof *q->format);
    if (q->format == NULL)
        return fail_memory(q->error, gguf_tensor_count(q->source) * sizeof *q->format, "quantising a model");
    return q->mix != NULL ? choose_formats(q) : choose_by_size(q, from);
}

static mote_status open_source(quantizer *q, const char *from)
{
    mote_status status = gguf_open(&q->source, from, q->error);
    if (status == MOTE_OK && gguf_has(q->source, GGUF_PANELS_VERSION))
        return fail(q->error, MOTE_E_ARGUMENT, "%s: is packed; quantise its source", gguf_name(q->source));
    if (status == MOTE_OK && gguf_tensor_count(q->source) == 0)
        return fail(q->error, MOTE_E_FORMAT, "%s: holds no weights; name a model", gguf_name(q->source));
    if (status == MOTE_OK)
        status = gguf_require_formats(q->source, q->error);
    if (status == MOTE_OK && q->options->importance != NULL)
        status = importance_open(&q->importance, q->options->importance, q->error);
    return status;
}

static mote_status quantize(quantizer *q, const char *from, const char *to)
{
    uint32_t threads = q->options->threads != 0 ? q->options->threads : cpu_count();
    mote_status status;
    if ((status = check_wish(q)) || (status = open_source(q, from)) ||
        (status = gguf_output_open(&q->out, to, ALIGNMENT, q->options->overwrite, q->error)) ||
        (status = declare_metadata(q)) || (status = choose(q, from)) ||
        (status = thread_pool_open(&q->pool, threads < THREAD_POOL_MOST ? threads : THREAD_POOL_MOST, q->error)) ||
        (status = make_room(q)) || (status = declare_tensors(q)) || (status = write_weights(q)))
        return status;
    return gguf_output_finish(q->out, q->error);
}

mote_status mote_quantize(const char *from, const char *to, const mote_quantize_options *options, mote_error *error)
{
    const mote_quantize_options defaults = {0};
    quantizer q = {.options = options != NULL ? options : &defaults, .error = error};
    mote_status status = quantize(&q, from, to);
    gguf_output_close(q.out);
    thread_pool_close(q.pool);
    free(q.rows);
    free(q.batch);
    free(q.format);
    importance_close(q.importance);
    gguf_close(q.source);
    return status;
}
