/* Random models as GGUF files in memory: any family, shape and weight format, with or without a vocabulary. */
#ifndef MOTE_TESTS_TINY_MODEL_H
#define MOTE_TESTS_TINY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mote/mote.h>

#include "quant/formats.h"

typedef struct tiny_model {
    const char *family; /* "llama", "qwen2", "qwen3", "gemma3" or "phi3" */
    uint32_t layers;
    uint32_t width;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t ffn;
    uint32_t vocabulary; /* at least TINY_LETTERS_END with `text` */
    uint32_t context;
    uint32_t window; /* of gemma3 and phi3; 0: none in phi3 */
    bool untied;
    bool text;   /* a byte-level vocabulary: ids 0 … 255 are bytes, and see below */
    bool packed; /* with `text`: the tokenizer as an image, not as strings */
    uint64_t seed;
    const quant_type *formats; /* the matrices take them in turn, the embedding first; NULL: all F32 */
    size_t format_count;
    bool decoded; /* the same weights decoded, so that every matrix is F32 */
} tiny_model;

/* The vocabulary of `text`: after the bytes come the 26 × 26 pairs of small letters, each of them a merge of two bytes;
 * the rest are control tokens, the first of which ends a text. */
enum { TINY_PAIRS = 256, TINY_LETTERS_END = TINY_PAIRS + 26 * 26, TINY_END = TINY_LETTERS_END };

/* Matrices keep the scale of what passes through them; norms spread around 1. The same seed and shape give the same
 * bytes. Freed by the caller; running out of memory fails the test. */
void *tiny_model_build(const tiny_model *spec, size_t *size);

/* The same, opened. `*data` holds the file and is freed by the caller after the model. */
mote_model *tiny_model_open(const tiny_model *spec, void **data);

/* `count` values of random blocks: uniform bits, except that scales are such that the values have a deviation of about
 * `deviation`, and minimums centre them. `count` is a multiple of the format's block. */
void random_blocks(const quant_format *format, uint64_t *state, double deviation, void *blocks, size_t count);

/* 0 ≤ … < 1 (splitmix64, Steele et al. 2014), and about normal with deviation 1. */
double random_unit(uint64_t *state);
double random_normal(uint64_t *state);

#endif
