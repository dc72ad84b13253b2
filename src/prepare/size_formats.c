#include "prepare/size_formats.h"

#include <stdlib.h>

#include "base/checked.h"
#include "prepare/coding_loss.h"
#include "prepare/size_plan.h"
#include "quant/encoder.h"
#include "quant/panels.h"

/* In order of bits a weight. */
static const quant_type candidates[] = {
    QUANT_Q2_K, QUANT_M3,   QUANT_Q3_K, QUANT_M4,   QUANT_IQ4_XS, QUANT_Q4_0, QUANT_IQ4_NL, QUANT_Q4_K,
    QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_K, QUANT_Q5_1, QUANT_Q6_K,   QUANT_Q8_0, QUANT_F16,
};
enum { CANDIDATES = sizeof candidates / sizeof *candidates, ITS_OWN = 1 };

typedef struct chooser {
    mote_model *source;
    const size_wish *wish;
    thread_pool *pool;
    size_t count;            /* of tensors */
    double *sensitivity;     /* [count] */
    size_choice *choice;     /* [count][CANDIDATES + ITS_OWN] */
    const quant_format **of; /* the same: what each choice is */
    size_item *item;         /* [count] */
    size_t *chosen;          /* [count] */
    mote_error *error;
} chooser;

static bool is_ours(quant_type type)
{
    return type == QUANT_M3 || type == QUANT_M4;
}

/* A matrix that products are made with; vectors are small, and not multiplied. */
static bool is_matrix(mote_model *source, const gguf_tensor *tensor)
{
    for (size_t j = 0; j < model_weight_count(&source->weights); j++)
        if (model_weight_at(&source->weights, j)->data == tensor->data)
            return true;
    return false;
}

static bool suits(const chooser *c, const gguf_tensor *tensor, const quant_format *format, bool slow_too)
{
    bool fast = format->block == 1 || panel_layout_of(format->type) != NULL;
    return tensor->shape[0] % format->block == 0 && quant_encoder_of(format->type) != NULL && (fast || slow_too) &&
           !(c->wish->standard_only && is_ours(format->type));
}

static uint64_t padded(const chooser *c, const gguf_tensor *tensor, const quant_format *format)
{
    uint64_t bytes = (uint64_t)(tensor->elements / format->block) * format->bytes, alignment = c->wish->alignment;
    return (bytes + alignment - 1) / alignment * alignment;
}

/* As it is, it loses nothing; what takes as much and more is no choice. */
static void offer(chooser *c, size_t index, bool slow_too)
{
    const gguf_tensor *tensor = gguf_tensor_at(c->source->file, index);
    size_t base = index * (CANDIDATES + ITS_OWN);
    c->item[index] = (size_item){&c->choice[base], 1};
    c->of[base] = tensor->format;
    c->choice[base] = (size_choice){padded(c, tensor, tensor->format), 0};
    for (size_t j = 0; j < CANDIDATES && is_matrix(c->source, tensor); j++) {
        const quant_format *format = quant_find(candidates[j]);
        if (!suits(c, tensor, format, slow_too) || padded(c, tensor, format) >= c->choice[base].bytes)
            continue;
        size_t at = base + c->item[index].count++;
        c->of[at] = format;
        c->choice[at] = (size_choice){padded(c, tensor, format), 0};
    }
}

static void offer_all(chooser *c, bool slow_too)
{
    for (size_t i = 0; i < c->count; i++)
        offer(c, i, slow_too);
}

/* Fast formats alone, if they can be small enough. */
static mote_status make_choices(chooser *c)
{
    uint64_t least;
    mote_status status = MOTE_OK;
    for (int slow_too = c->wish->standard_only; slow_too < 2; slow_too++) {
        offer_all(c, slow_too != 0);
        status = size_plan_least(&least, c->item, c->count, c->error);
        if (status != MOTE_OK || __builtin_add_overflow(least, c->wish->head, &least))
            return status != MOTE_OK ? status
                                     : fail(c->error, MOTE_E_LIMIT, "%s: is too large", gguf_name(c->source->file));
        if (least <= c->wish->size)
            return MOTE_OK;
    }
    return fail(c->error, MOTE_E_LIMIT,
                "%s: the smallest file of it has %llu bytes, more than the %llu asked for; ask for at least %lluKB",
                gguf_name(c->source->file), (unsigned long long)least, (unsigned long long)c->wish->size,
                (unsigned long long)(least + 999) / 1000);
}

/* ------------------------------------------------------------------------------------------------------------ losses */

static bool report(const chooser *c, double done)
{
    return c->wish->progress == NULL || c->wish->progress(c->wish->user, done);
}

typedef struct part {
    const chooser *of;
    double begin, length;
} part;

static bool report_part(void *user, double done)
{
    const part *p = user;
    return report(p->of, p->begin + done * p->length);
}

static mote_status find_losses(chooser *c, double begin)
{
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < c->count && status == MOTE_OK; i++) {
        const gguf_tensor *tensor = gguf_tensor_at(c->source->file, i);
        size_t base = i * (CANDIDATES + ITS_OWN);
        const float *counts =
            c->wish->importance != NULL ? importance_of(c->wish->importance, tensor->name, tensor->shape[0]) : NULL;
        for (size_t j = ITS_OWN; j < c->item[i].count && status == MOTE_OK; j++) {
            size_choice *choice = &c->choice[base + j];
            status = coding_loss(&choice->loss, tensor, c->of[base + j], counts, c->pool, c->error);
            choice->loss *= c->sensitivity[i];
        }
        gguf_let_go(c->source->file, tensor->data, tensor->bytes);
        if (status == MOTE_OK && !report(c, begin + (1 - begin) * (double)(i + 1) / (double)c->count))
            status = fail(c->error, MOTE_E_CANCELLED, "cancelled; nothing is written");
    }
    return status;
}

static mote_status find_sensitivities(chooser *c, double share)
{
    part progress = {c, 0, share};
    const sensitivity_options options = {.text = c->wish->text,
                                         .length = c->wish->length,
                                         .importance = c->wish->importance,
                                         .pool = c->pool,
                                         .threads = c->wish->threads,
                                         .progress = report_part,
                                         .user = &progress};
    if (c->wish->text != NULL)
        return sensitivity_measure(c->sensitivity, c->source, &options, c->error);
    sensitivity_assume(c->sensitivity, c->source->file);
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ choose */

static mote_status prepare(chooser *c)
{
    size_t choices = c->count * (CANDIDATES + ITS_OWN);
    c->sensitivity = calloc(c->count + 1, sizeof *c->sensitivity);
    c->choice = calloc(choices + 1, sizeof *c->choice);
    c->of = calloc(choices + 1, sizeof *c->of);
    c->item = calloc(c->count + 1, sizeof *c->item);
    c->chosen = calloc(c->count + 1, sizeof *c->chosen);
    if (c->sensitivity == NULL || c->choice == NULL || c->of == NULL || c->item == NULL || c->chosen == NULL)
        return fail_memory(c->error, choices * sizeof *c->choice, "choosing formats");
    return thread_pool_open(&c->pool, c->wish->threads != 0 ? c->wish->threads : THREAD_POOL_MOST, c->error);
}

static mote_status solve(chooser *c, const quant_format **format, size_outcome *outcome)
{
    size_plan plan;
    mote_status status = size_plan_solve(&plan, c->chosen, c->item, c->count, c->wish->size - c->wish->head, c->error);
    for (size_t i = 0; i < c->count && status == MOTE_OK; i++)
        format[i] = c->of[i * (CANDIDATES + ITS_OWN) + c->chosen[i]];
    *outcome = (size_outcome){plan.bytes + c->wish->head, plan.loss, plan.loss - plan.bound};
    return status;
}

mote_status size_formats_choose(const quant_format **format, size_outcome *outcome, mote_model *source,
                                const size_wish *wish, mote_error *error)
{
    chooser c = {.source = source, .wish = wish, .count = gguf_tensor_count(source->file), .error = error};
    double measuring = wish->text != NULL ? 0.8 : 0; /* of the time, about */
    mote_status status = prepare(&c);
    *outcome = (size_outcome){0};
    if (status == MOTE_OK && (status = make_choices(&c)) == MOTE_OK &&
        (status = find_sensitivities(&c, measuring)) == MOTE_OK && (status = find_losses(&c, measuring)) == MOTE_OK)
        status = solve(&c, format, outcome);
    thread_pool_close(c.pool);
    free(c.sensitivity);
    free(c.choice);
    free(c.of);
    free(c.item);
    free(c.chosen);
    return status;
}
