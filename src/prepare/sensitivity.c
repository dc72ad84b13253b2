#include "prepare/sensitivity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "prepare/coding_loss.h"

enum {
    WINDOW = 64, /* tokens that are read together, */
    SCORED = 32, /* and the last of them, whose predictions count */
    LEAST_WINDOWS = 4,
    MOST_WINDOWS = 32,
    LEAST_LAYERS = 3,
    LOGITS_BYTES = 64 << 20, /* of the source's, kept to compare with */
    LONGEST_KIND = 64
};
static const double most_operations = 2e13;
static const double least_sensitivity =
    1e-9; /* of a matrix that nothing depends on: a geometric line needs more than 0 */

typedef struct measuring {
    mote_model *source;
    const sensitivity_options *options;
    mote_engine *engine;
    mote_session *session;
    mote_ids ids;
    size_t windows, vocabulary;
    float *expected; /* [windows × SCORED][vocabulary]: log probabilities of the source */
    float *logits;   /* [SCORED][vocabulary] */
    uint16_t *halves;
    unsigned char *measured; /* [tensors] */
    double *sensitivity;     /* [tensors] */
    mote_error *error;
} measuring;

/* ------------------------------------------------------------------------------------------------------------- kinds */

/* The layer of "blk.12.attn_q.weight", and its kind, "attn_q.weight". Outside the layers: -1, and the whole name. */
static long layer_of(const char *name, const char **kind)
{
    *kind = name;
    if (strncmp(name, "blk.", 4) != 0)
        return -1;
    char *end;
    long layer = strtol(name + 4, &end, 10);
    if (*end != '.' || layer < 0 || layer > INT32_MAX)
        return -1;
    *kind = end + 1;
    return layer;
}

/* The weight that a tensor is, or NULL: a vector, or nothing of the model's. */
static weight *weight_of(model *m, const gguf_tensor *tensor)
{
    for (size_t j = 0; j < model_weight_count(m); j++)
        if (model_weight_at(m, j)->data == tensor->data)
            return model_weight_at(m, j);
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------- reading the text */

/* Logits become log probabilities. False: some are no numbers. */
static bool to_log_probabilities(float *row, size_t count)
{
    float most = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        most = fmaxf(most, row[i]);
    for (size_t i = 0; i < count; i++)
        sum += (double)expf(row[i] - most);
    double norm = (double)most + log(sum);
    for (size_t i = 0; i < count; i++)
        row[i] = (float)((double)row[i] - norm);
    return isfinite(norm);
}

static double divergence(const float *expected, const float *got, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        if (expected[i] > -30) /* what is less likely adds less than 1e-11 each */
            sum += exp((double)expected[i]) * ((double)expected[i] - (double)got[i]);
    return fmax(sum, 0);
}

/* Windows lie evenly over the text. */
static mote_status read_window(measuring *m, size_t index, float *rows)
{
    size_t last = m->ids.count - WINDOW, at = m->windows > 1 ? last * index / (m->windows - 1) : 0;
    mote_session_clear(m->session);
    const mote_work work = {m->session, m->ids.at + at, WINDOW, rows, SCORED};
    mote_status status = mote_engine_step(m->engine, &work, 1, m->error);
    for (size_t i = 0; i < SCORED && status == MOTE_OK; i++)
        if (!to_log_probabilities(rows + i * m->vocabulary, m->vocabulary))
            status = fail(m->error, MOTE_E_FORMAT, "%s: computes what is no number; the model is damaged",
                          gguf_name(m->source->file));
    return status;
}

static mote_status read_expected(measuring *m)
{
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < m->windows && status == MOTE_OK; i++)
        status = read_window(m, i, m->expected + i * SCORED * m->vocabulary);
    return status;
}

static mote_status read_divergence(measuring *m, double *mean)
{
    mote_status status = MOTE_OK;
    *mean = 0;
    for (size_t i = 0; i < m->windows && status == MOTE_OK; i++) {
        status = read_window(m, i, m->logits);
        for (size_t j = 0; j < SCORED && status == MOTE_OK; j++)
            *mean += divergence(m->expected + (i * SCORED + j) * m->vocabulary, m->logits + j * m->vocabulary,
                                m->vocabulary);
    }
    *mean /= (double)(m->windows * SCORED);
    return status;
}

/* --------------------------------------------------------------------------------------------------------- measuring */

/* The coarse format: about three bits, in which every published model's rows are whole blocks. */
static const quant_format *coarse = &quant_format_M3;

static bool is_measurable(measuring *m, const gguf_tensor *tensor)
{
    return weight_of(&m->source->weights, tensor) != NULL && tensor->shape[0] % coarse->block == 0;
}

/* The model with one matrix in its coarse form; a tied head goes with the embedding. */
static mote_status measure_tensor(measuring *m, const gguf_tensor *tensor)
{
    double loss, mean = 0;
    model *weights = &m->source->weights;
    const float *counts =
        m->options->importance != NULL ? importance_of(m->options->importance, tensor->name, tensor->shape[0]) : NULL;
    mote_status status;
    if ((status = coding_loss(&loss, tensor, coarse, counts, m->options->pool, m->error)) ||
        (status = coding_result(m->halves, tensor, coarse, counts, m->options->pool, m->error)))
        return status;
    for (size_t j = 0; j < model_weight_count(weights); j++) {
        weight *w = model_weight_at(weights, j);
        if (w->data == tensor->data) {
            w->data = m->halves;
            w->format = &quant_format_F16;
        }
    }
    status = read_divergence(m, &mean);
    for (size_t j = 0; j < model_weight_count(weights); j++) {
        weight *w = model_weight_at(weights, j);
        if (w->data == m->halves) {
            w->data = tensor->data;
            w->format = tensor->format;
        }
    }
    m->sensitivity[tensor->index] = fmax(loss > 0 ? mean / loss : 0, least_sensitivity);
    m->measured[tensor->index] = 1;
    return status;
}

/* So many layers of each kind, the first and the last among them. */
static size_t layers_to_measure(measuring *m)
{
    const gguf *file = m->source->file;
    size_t layers = m->source->config.layers, outside = 0, inside = 0;
    double weights = 0;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const char *kind;
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        if (!is_measurable(m, tensor))
            continue;
        weights += (double)tensor->elements;
        *(layer_of(tensor->name, &kind) < 0 ? &outside : &inside) += 1;
    }
    double pass = 2 * weights * WINDOW;
    double windows = most_operations / (pass * (double)(outside + inside + 1));
    size_t room = LOGITS_BYTES / (SCORED * m->vocabulary * sizeof(float));
    m->windows = windows > MOST_WINDOWS ? MOST_WINDOWS : windows < LEAST_WINDOWS ? LEAST_WINDOWS : (size_t)windows;
    m->windows = m->windows > room ? (room > 0 ? room : 1) : m->windows;
    double affordable = most_operations / (pass * (double)m->windows) - (double)outside - 1;
    double wanted = inside > 0 ? affordable * (double)layers / (double)inside : 0;
    return wanted >= (double)layers ? layers : wanted > LEAST_LAYERS ? (size_t)wanted : LEAST_LAYERS;
}

static bool is_chosen(long layer, size_t layers, size_t wanted)
{
    if (layer < 0 || wanted >= layers)
        return true;
    for (size_t k = 0; k < wanted; k++)
        if ((size_t)layer == (k * (layers - 1) + (wanted - 1) / 2) / (wanted - 1))
            return true;
    return false;
}

static mote_status measure_all(measuring *m, size_t wanted)
{
    const gguf *file = m->source->file;
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < gguf_tensor_count(file) && status == MOTE_OK; i++) {
        const char *kind;
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        if (is_measurable(m, tensor) && is_chosen(layer_of(tensor->name, &kind), m->source->config.layers, wanted))
            status = measure_tensor(m, tensor);
        double done = (double)(i + 1) / (double)gguf_tensor_count(file);
        if (status == MOTE_OK && m->options->progress != NULL && !m->options->progress(m->options->user, done))
            status = fail(m->error, MOTE_E_CANCELLED, "cancelled; nothing is written");
    }
    return status;
}

/* The nearest layer of the same kind that was measured, going up or down. */
static bool nearest(const measuring *m, const char *kind, long layer, int direction, long *at, double *value)
{
    char name[LONGEST_KIND + 32];
    for (*at = layer + direction; *at >= 0 && *at < (long)m->source->config.layers; *at += direction) {
        snprintf(name, sizeof name, "blk.%ld.%.*s", *at, LONGEST_KIND, kind);
        const gguf_tensor *tensor = gguf_find_tensor(m->source->file, name);
        if (tensor != NULL && m->measured[tensor->index] != 0) {
            *value = m->sensitivity[tensor->index];
            return true;
        }
    }
    return false;
}

static void interpolate(measuring *m)
{
    const gguf *file = m->source->file;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const char *kind;
        long below, above;
        double low, high;
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        long layer = layer_of(tensor->name, &kind);
        if (!is_measurable(m, tensor) || m->measured[i] != 0)
            continue;
        bool left = nearest(m, kind, layer, -1, &below, &low), right = nearest(m, kind, layer, 1, &above, &high);
        if (left && right)
            m->sensitivity[i] =
                exp(log(low) + (log(high) - log(low)) * (double)(layer - below) / (double)(above - below));
        else
            m->sensitivity[i] = left ? low : right ? high : least_sensitivity;
    }
}

/* --------------------------------------------------------------------------------------------------------- preparing */

static mote_status prepare(measuring *m)
{
    mote_status status;
    mote_engine_options wish;
    mote_engine_options_init(&wish);
    wish.context = wish.batch = WINDOW;
    wish.threads = m->options->threads;
    wish.kv_keys = wish.kv_values = MOTE_KV_F32;
    wish.forgetful = true;
    if ((status = mote_tokenize(m->source, m->options->text, m->options->length, MOTE_TOKENIZE_BOS, &m->ids, m->error)))
        return status;
    if (m->ids.count < WINDOW)
        return fail(m->error, MOTE_E_ARGUMENT,
                    "the calibration text has %zu tokens; give one of %d and more, best of some thousand", m->ids.count,
                    WINDOW);
    if ((status = mote_engine_open(&m->engine, m->source, &wish, m->error)))
        return status;
    return mote_session_open(&m->session, m->engine, m->error);
}

static mote_status allocate(measuring *m)
{
    size_t tensors = gguf_tensor_count(m->source->file), row = m->vocabulary * sizeof(float), largest = 0;
    for (size_t i = 0; i < tensors; i++)
        if (is_measurable(m, gguf_tensor_at(m->source->file, i)) &&
            gguf_tensor_at(m->source->file, i)->elements > largest)
            largest = gguf_tensor_at(m->source->file, i)->elements;
    m->expected = malloc(m->windows * SCORED * row);
    m->logits = malloc(SCORED * row);
    m->halves = malloc(largest * sizeof *m->halves + 1);
    m->measured = calloc(tensors + 1, 1);
    if (m->expected == NULL || m->logits == NULL || m->halves == NULL || m->measured == NULL)
        return fail_memory(m->error, (m->windows + 1) * SCORED * row + largest * sizeof *m->halves,
                           "measuring sensitivities");
    return MOTE_OK;
}

mote_status sensitivity_measure(double *sensitivity, mote_model *source, const sensitivity_options *options,
                                mote_error *error)
{
    measuring m = {.source = source,
                   .options = options,
                   .vocabulary = source->config.vocabulary,
                   .sensitivity = sensitivity,
                   .error = error};
    memset(sensitivity, 0, gguf_tensor_count(source->file) * sizeof *sensitivity);
    mote_status status = prepare(&m);
    size_t wanted = status == MOTE_OK ? layers_to_measure(&m) : 0;
    if (status == MOTE_OK && (status = allocate(&m)) == MOTE_OK && (status = read_expected(&m)) == MOTE_OK &&
        (status = measure_all(&m, wanted)) == MOTE_OK)
        interpolate(&m);
    free(m.expected);
    free(m.logits);
    free(m.halves);
    free(m.measured);
    mote_ids_free(&m.ids);
    mote_session_close(m.session);
    mote_engine_close(m.engine);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------- assuming */

void sensitivity_assume(double *sensitivity, const gguf *file)
{
    for (size_t i = 0; i < gguf_tensor_count(file); i++)
        sensitivity[i] = 1;
}
