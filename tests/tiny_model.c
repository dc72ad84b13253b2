/* Random models as GGUF files in memory: see tiny_model.h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "gguf_writer.h"
#include "text/tokenizer.h"
#include "quant/blocks.h"
#include "quant/encoder.h"
#include "quant/mote_quants.h"
#include "tiny_model.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* ---- chance ---- */

static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double random_unit(uint64_t *state)
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

double random_normal(uint64_t *state)
{
    double sum = -2;
    for (int i = 0; i < 4; i++)
        sum += random_unit(state);
    return sum * 1.7320508075688772; /* four uniform numbers have variance 4 ÷ 12 */
}

/* ---- random blocks ---- */

/* Where a format keeps its half-precision scale and minimum, and the minimum (in scales) that centres random levels. */
typedef struct block_layout {
    quant_type type;
    size_t scale;
    size_t minimum; /* 0: none; no format begins with one */
    double centre;
} block_layout;

static const block_layout LAYOUTS[] = {
    {QUANT_Q4_0, offsetof(block_q4_0, scale), 0, 0},
    {QUANT_Q4_1, offsetof(block_q4_1, scale), offsetof(block_q4_1, minimum), -7.5},
    {QUANT_Q5_0, offsetof(block_q5_0, scale), 0, 0},
    {QUANT_Q5_1, offsetof(block_q5_1, scale), offsetof(block_q5_1, minimum), -15.5},
    {QUANT_Q8_0, offsetof(block_q8_0, scale), 0, 0},
    {QUANT_IQ4_NL, offsetof(block_iq4_nl, scale), 0, 0},
    {QUANT_Q2_K, offsetof(block_q2_k, scale), offsetof(block_q2_k, minimum), 1.5},
    {QUANT_Q3_K, offsetof(block_q3_k, scale), 0, 0},
    {QUANT_Q4_K, offsetof(block_q4_k, scale), offsetof(block_q4_k, minimum), 7.5},
    {QUANT_Q5_K, offsetof(block_q5_k, scale), offsetof(block_q5_k, minimum), 15.5},
    {QUANT_Q6_K, offsetof(block_q6_k, scale), 0, 0},
    {QUANT_IQ4_XS, offsetof(block_iq4_xs, scale), 0, 0},
    {QUANT_IQ3_XXS, offsetof(block_iq3_xxs, scale), 0, 0},
    {QUANT_IQ3_S, offsetof(block_iq3_s, scale), 0, 0},
    {QUANT_TQ1_0, offsetof(block_tq1_0, scale), 0, 0},
    {QUANT_TQ2_0, offsetof(block_tq2_0, scale), 0, 0},
};

static const block_layout *layout_of(quant_type type)
{
    for (size_t i = 0; i < sizeof LAYOUTS / sizeof *LAYOUTS; i++)
        if (LAYOUTS[i].type == type)
            return &LAYOUTS[i];
    fail_msg("tiny_model.c does not know how %s keeps its scale", quant_find(type)->name);
    return NULL;
}

static void store_f16(uint8_t *at, double value)
{
    uint16_t half = f16_from_f32((float)value);
    memcpy(at, &half, sizeof half);
}

/* Scales within a factor of 2, times `unit`. */
static void set_scale(quant_type type, uint64_t *state, double unit, uint8_t *block)
{
    if (type == QUANT_MXFP4) {
        block[offsetof(block_mxfp4, scale)] = (uint8_t)(127 + lrint(log2(unit) + random_unit(state)));
        return;
    }
    double scale = unit * (0.7 + 0.7 * random_unit(state));
    if (type == QUANT_M4 || type == QUANT_M3) { /* both begin with it */
        *block = quant_m_scale_below((float)scale);
        return;
    }
    const block_layout *layout = layout_of(type);
    store_f16(block + layout->scale, scale);
    if (layout->minimum != 0)
        store_f16(block + layout->minimum, scale * layout->centre);
}

/* The deviation that scales of unit 2⁻⁸ give, over enough blocks of a stream of its own. */
static double deviation_of(const quant_format *format)
{
    enum { BLOCKS = 64 };
    uint64_t state = 1;
    uint8_t block[256];
    float values[QUANT_SUPER];
    double sum = 0;
    for (size_t b = 0; b < BLOCKS; b++) {
        for (size_t i = 0; i < format->bytes; i++)
            block[i] = (uint8_t)random_bits(&state);
        set_scale(format->type, &state, 0x1p-8, block);
        format->decode(block, values, format->block);
        for (size_t i = 0; i < format->block; i++)
            sum += (double)values[i] * (double)values[i];
    }
    return sqrt(sum / ((double)BLOCKS * format->block));
}

void random_blocks(const quant_format *format, uint64_t *state, double deviation, void *blocks, size_t count)
{
    uint8_t *at = blocks;
    if (format->block == 1) {
        for (size_t i = 0; i < count; i++, at += format->bytes) {
            float value = (float)(deviation * random_normal(state));
            quant_encoder_of(format->type)(&value, NULL, at, 1);
        }
        return;
    }
    double unit = 0x1p-8 * deviation / deviation_of(format);
    for (size_t b = 0; b < count / format->block; b++, at += format->bytes) {
        for (size_t i = 0; i < format->bytes; i++)
            at[i] = (uint8_t)random_bits(state);
        set_scale(format->type, state, unit, at);
    }
}

/* ---- tensors ---- */

typedef struct builder {
    const tiny_model *spec;
    gguf_writer writer;
    uint64_t state;
    size_t matrices; /* so far */
} builder;

static void *room(size_t count, size_t each)
{
    void *memory = calloc(count, each);
    assert_non_null(memory);
    return memory;
}

static void add_matrix(builder *b, const char *name, size_t rows, size_t columns, double gain)
{
    quant_type type = b->spec->formats == NULL ? QUANT_F32 : b->spec->formats[b->matrices % b->spec->format_count];
    const quant_format *format = quant_find(type);
    assert_int_equal(columns % format->block, 0);
    size_t count = rows * columns;
    void *blocks = room(count / format->block, format->bytes);
    random_blocks(format, &b->state, gain / sqrt((double)columns), blocks, count);
    b->matrices++;
    if (b->spec->decoded && type != QUANT_F32) {
        float *values = room(count, sizeof *values);
        format->decode(blocks, values, count);
        gguf_add_tensor(&b->writer, name, QUANT_F32, 2, (size_t[]){columns, rows}, values);
        free(values);
    } else {
        gguf_add_tensor(&b->writer, name, type, 2, (size_t[]){columns, rows}, blocks);
    }
    free(blocks);
}

static void add_vector(builder *b, const char *name, size_t count, double mean, double deviation)
{
    float *values = room(count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(mean + deviation * random_normal(&b->state));
    gguf_add_tensor(&b->writer, name, QUANT_F32, 1, &count, values);
    free(values);
}

static const char *in_layer(char name[static 64], uint32_t layer, const char *suffix)
{
    snprintf(name, 64, "blk.%u.%s", layer, suffix);
    return name;
}

static bool is(const builder *b, const char *family)
{
    return strcmp(b->spec->family, family) == 0;
}

static void add_attention(builder *b, uint32_t layer)
{
    const tiny_model *s = b->spec;
    size_t q = (size_t)s->heads * s->head_dim, kv = (size_t)s->kv_heads * s->head_dim;
    char name[64];
    add_vector(b, in_layer(name, layer, "attn_norm.weight"), s->width, 1, 0.3);
    if (is(b, "phi3")) {
        add_matrix(b, in_layer(name, layer, "attn_qkv.weight"), q + 2 * kv, s->width, 1.2);
    } else {
        add_matrix(b, in_layer(name, layer, "attn_q.weight"), q, s->width, 1.2);
        add_matrix(b, in_layer(name, layer, "attn_k.weight"), kv, s->width, 1.2);
        add_matrix(b, in_layer(name, layer, "attn_v.weight"), kv, s->width, 1.2);
    }
    if (is(b, "qwen2")) {
        add_vector(b, in_layer(name, layer, "attn_q.bias"), q, 0, 0.5);
        add_vector(b, in_layer(name, layer, "attn_k.bias"), kv, 0, 0.5);
        add_vector(b, in_layer(name, layer, "attn_v.bias"), kv, 0, 0.5);
    }
    if (is(b, "qwen3") || is(b, "gemma3")) {
        add_vector(b, in_layer(name, layer, "attn_q_norm.weight"), s->head_dim, 1, 0.3);
        add_vector(b, in_layer(name, layer, "attn_k_norm.weight"), s->head_dim, 1, 0.3);
    }
    add_matrix(b, in_layer(name, layer, "attn_output.weight"), s->width, q, 1.2);
    if (is(b, "gemma3"))
        add_vector(b, in_layer(name, layer, "post_attention_norm.weight"), s->width, 1, 0.3);
}

static void add_mlp(builder *b, uint32_t layer)
{
    const tiny_model *s = b->spec;
    char name[64];
    add_vector(b, in_layer(name, layer, "ffn_norm.weight"), s->width, 1, 0.3);
    if (is(b, "phi3")) {
        add_matrix(b, in_layer(name, layer, "ffn_up.weight"), 2 * (size_t)s->ffn, s->width, 1.2);
    } else {
        add_matrix(b, in_layer(name, layer, "ffn_gate.weight"), s->ffn, s->width, 1.2);
        add_matrix(b, in_layer(name, layer, "ffn_up.weight"), s->ffn, s->width, 1.2);
    }
    add_matrix(b, in_layer(name, layer, "ffn_down.weight"), s->width, s->ffn, 1.2);
    if (is(b, "gemma3"))
        add_vector(b, in_layer(name, layer, "post_ffw_norm.weight"), s->width, 1, 0.3);
}

static void add_tensors(builder *b)
{
    const tiny_model *s = b->spec;
    /* Rows of the embedding have length √width ÷ 2, and 1 in gemma3, which scales them by √width. */
    add_matrix(b, "token_embd.weight", s->vocabulary, s->width, is(b, "gemma3") ? 1 : 0.5 * sqrt(s->width));
    if (s->untied)
        add_matrix(b, "output.weight", s->vocabulary, s->width, 4);
    add_vector(b, "output_norm.weight", s->width, 1, 0.3);
    for (uint32_t i = 0; i < s->layers; i++) {
        add_attention(b, i);
        add_mlp(b, i);
    }
}

/* ---- metadata ---- */

static const char *key_of(char key[static 96], const tiny_model *spec, const char *suffix)
{
    snprintf(key, 96, "%s.%s", spec->family, suffix);
    return key;
}

static void add_metadata(builder *b)
{
    const tiny_model *s = b->spec;
    const struct {
        const char *suffix;
        uint32_t value;
    } numbers[] = {
        {"block_count", s->layers},
        {"context_length", s->context},
        {"embedding_length", s->width},
        {"feed_forward_length", s->ffn},
        {"attention.head_count", s->heads},
        {"attention.head_count_kv", s->kv_heads},
        {"attention.key_length", s->head_dim},
        {"attention.value_length", s->head_dim},
    };
    char key[96];
    gguf_add_text(&b->writer, "general.architecture", s->family);
    gguf_add_text(&b->writer, "general.name", "tiny");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        gguf_add_u32(&b->writer, key_of(key, s, numbers[i].suffix), numbers[i].value);
    if (s->window != 0)
        gguf_add_u32(&b->writer, key_of(key, s, "attention.sliding_window"), s->window);
    gguf_add_f32(&b->writer, key_of(key, s, "attention.layer_norm_rms_epsilon"), 1e-5f);
    gguf_add_f32(&b->writer, key_of(key, s, "rope.freq_base"), 100000.0f);
}

/* ---- vocabulary ---- */

/* Byte-level BPE writes bytes as characters: printable ones as themselves, the others from U+0100 on (Radford et al.
 * 2019). Writes the character as UTF-8 and returns its length. */
static size_t byte_character(unsigned byte, char *at)
{
    unsigned point = byte;
    bool itself = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    if (!itself) {
        point = 256;
        for (unsigned other = 0; other < byte; other++)
            point += !((other > 32 && other < 127) || (other > 160 && other != 173));
    }
    if (point < 128) {
        *at = (char)point;
        return 1;
    }
    at[0] = (char)(0xc0 | point >> 6);
    at[1] = (char)(0x80 | (point & 63));
    return 2;
}

enum { CONTROL = 3, NORMAL = 1, LONGEST = 24 };

static void token_text(uint32_t id, char text[static LONGEST])
{
    memset(text, 0, LONGEST);
    if (id < TINY_PAIRS)
        byte_character(id, text);
    else if (id < TINY_LETTERS_END)
        snprintf(text, LONGEST, "%c%c", 'a' + (id - TINY_PAIRS) / 26, 'a' + (id - TINY_PAIRS) % 26);
    else if (id == TINY_END)
        snprintf(text, LONGEST, "<|endoftext|>");
    else
        snprintf(text, LONGEST, "<|control_%u|>", id);
}

static void add_vocabulary(builder *b)
{
    uint32_t count = b->spec->vocabulary;
    assert_true(count > TINY_END);
    char(*texts)[LONGEST] = room(count, sizeof *texts);
    const char **pointers = room(count, sizeof *pointers);
    int32_t *types = room(count, sizeof *types);
    char merges[26 * 26][4];
    const char *merge_pointers[26 * 26];
    for (uint32_t i = 0; i < count; i++) {
        token_text(i, texts[i]);
        pointers[i] = texts[i];
        types[i] = i < TINY_LETTERS_END ? NORMAL : CONTROL;
    }
    for (int i = 0; i < 26 * 26; i++) {
        snprintf(merges[i], sizeof merges[i], "%c %c", 'a' + i / 26, 'a' + i % 26);
        merge_pointers[i] = merges[i];
    }
    gguf_add_text(&b->writer, "tokenizer.ggml.model", "gpt2");
    gguf_add_text(&b->writer, "tokenizer.ggml.pre", "qwen2");
    gguf_add_texts(&b->writer, "tokenizer.ggml.tokens", count, pointers);
    gguf_add_numbers(&b->writer, "tokenizer.ggml.token_type", GGUF_I32, count, types);
    gguf_add_texts(&b->writer, "tokenizer.ggml.merges", 26 * 26, merge_pointers);
    gguf_add_u32(&b->writer, "tokenizer.ggml.eos_token_id", TINY_END);
    free(texts);
    free(pointers);
    free(types);
}

/* The image that the plain model's tokenizer makes. */
static void add_image(builder *b)
{
    tiny_model plain = *b->spec;
    plain.packed = false;
    size_t size, image_size;
    void *data = tiny_model_build(&plain, &size);
    gguf *file = NULL;
    tokenizer *t = NULL;
    mote_error error = {0};
    if (gguf_open_memory(&file, data, size, NULL, &error) != MOTE_OK || tokenizer_open(&t, file, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    const void *image = tokenizer_image(t, &image_size);
    gguf_add_tensor(&b->writer, GGUF_TOKENIZER_TENSOR, GGUF_TENSOR_I8, 1, &image_size, image);
    tokenizer_close(t);
    gguf_close(file);
    free(data);
}

void *tiny_model_build(const tiny_model *spec, size_t *size)
{
    builder b = {.spec = spec, .state = spec->seed};
    gguf_begin(&b.writer, 3);
    add_metadata(&b);
    if (spec->text && spec->packed)
        add_image(&b);
    else if (spec->text)
        add_vocabulary(&b);
    else
        gguf_add_text(&b.writer, "tokenizer.ggml.model", "no_vocab");
    add_tensors(&b);
    gguf_finish(&b.writer);
    void *file = b.writer.at;
    *size = b.writer.size;
    b.writer.at = NULL; /* the caller's now */
    gguf_writer_free(&b.writer);
    return file;
}

mote_model *tiny_model_open(const tiny_model *spec, void **data)
{
    mote_model *model = NULL;
    mote_error error = {0};
    mote_model_options options;
    mote_model_options_init(&options);
    *data = tiny_model_build(spec, &options.size);
    options.data = *data;
    if (mote_model_open(&model, NULL, &options, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return model;
}
