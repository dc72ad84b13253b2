/* Small vocabularies in memory. */
#include "vocabulary_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/byte_map.h"
#include "text/unicode.h"

enum { MOST_TEXTS = 512, MOST_MERGES = 64 };

static vocabulary_spec spec_begin(const char *model)
{
    vocabulary_spec spec = {.model = model, .begin = -1, .end = -1, .unknown = -1};
    spec.texts = calloc(MOST_TEXTS, sizeof *spec.texts);
    spec.kinds = calloc(MOST_TEXTS, sizeof *spec.kinds);
    spec.scores = calloc(MOST_TEXTS, sizeof *spec.scores);
    spec.merges = calloc(MOST_MERGES, sizeof *spec.merges);
    if (spec.texts == NULL || spec.kinds == NULL || spec.scores == NULL || spec.merges == NULL)
        exit(1);
    return spec;
}

static void spec_add(vocabulary_spec *spec, const char *text, int32_t kind, float score)
{
    spec->texts[spec->count] = strdup(text);
    spec->kinds[spec->count] = kind;
    spec->scores[spec->count] = score;
    spec->count++;
    spec->kind_count = spec->score_count = spec->count;
}

static void spec_add_merge(vocabulary_spec *spec, const char *left, const char *right)
{
    char text[64];
    snprintf(text, sizeof text, "%s%s", left, right);
    spec_add(spec, text, TOKEN_NORMAL, 0);
    snprintf(text, sizeof text, "%s %s", left, right);
    spec->merges[spec->merge_count++] = strdup(text);
}

static void spec_add_others(vocabulary_spec *spec)
{
    spec->end = (int64_t)spec->count;
    spec_add(spec, "<|im_end|>", TOKEN_CONTROL, -1000);
    spec_add(spec, "<|im_start|>", TOKEN_CONTROL, -1000);
    spec_add(spec, "<think>", TOKEN_USER, -1000);
    spec_add(spec, "<unused>", TOKEN_UNUSED, -1000);
}

vocabulary_spec spec_byte_level(const char *pre)
{
    vocabulary_spec spec = spec_begin("gpt2");
    spec.pre = pre;
    for (int byte = 0; byte < 256; byte++) {
        char raw = (char)byte, text[4];
        text[byte_map_write(&raw, 1, text)] = '\0';
        spec_add(&spec, text, TOKEN_NORMAL, 0);
    }
    static const char *const merges[][2] = {
        {"a", "a"}, {"aa", "aa"}, {"h", "e"},   {"l", "l"},    {"he", "ll"}, {"hell", "o"}, {"Ġ", "hello"},
        {"Ġ", "Ġ"}, {"ĠĠ", "ĠĠ"}, {"1", "2"},   {"12", "3"},   {"Ċ", "Ċ"},   {"'", "s"},    {"A", "B"},
        {"Ã", "©"}, {"ð", "Ł"},   {"ðŁ", "ĺ"},  {"ðŁĺ", "Ģ"},  {"æ", "¼"},   {"æ¼", "¢"},   {"t", "h"},
        {"<", "|"}, {"i", "m"},   {"<|", "im"}, {"<|im", "_"},
    };
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++)
        spec_add_merge(&spec, merges[i][0], merges[i][1]);
    spec.score_count = 0;
    spec_add_others(&spec);
    spec.score_count = 0;
    return spec;
}

vocabulary_spec spec_sentencepiece(bool space_prefix)
{
    static const bool yes = true, no = false;
    vocabulary_spec spec = spec_begin("llama");
    spec_add(&spec, "<unk>", TOKEN_UNKNOWN, 0);
    spec_add(&spec, "<s>", TOKEN_CONTROL, 0);
    spec_add(&spec, "</s>", TOKEN_CONTROL, 0);
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        spec_add(&spec, text, TOKEN_BYTE, 0);
    }
    static const char *const pieces[] = {"▁",    "a",     "aa",     "aaaa", "h",  "e",  "l",   "o", "he", "ll",
                                         "hell", "hello", "▁hello", "▁h",   "é",  "漢", "▁漢", "1", "2",  "12",
                                         "<",    ">",     "▁<",     ">▁<",  ">▁", "t",  "k",   "n", "i"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        spec_add(&spec, pieces[i], TOKEN_NORMAL, -(float)i);
    spec_add(&spec, "  ", TOKEN_USER, -1000);
    spec_add(&spec, "   ", TOKEN_USER, -1000);
    spec_add(&spec, "\n", TOKEN_USER, -1000);
    spec_add(&spec, "\n\n", TOKEN_USER, -1000);
    spec_add_others(&spec);
    spec.begin = 1;
    spec.unknown = 0;
    spec.space_prefix = space_prefix ? &yes : &no;
    return spec;
}

void vocabulary_spec_free(vocabulary_spec *spec)
{
    for (size_t i = 0; i < MOST_TEXTS; i++)
        free((char *)spec->texts[i]);
    for (size_t i = 0; i < MOST_MERGES; i++)
        free((char *)spec->merges[i]);
    free(spec->texts);
    free(spec->kinds);
    free(spec->scores);
    free(spec->merges);
}

/* With an image (NULL: without) in place of the strings, as a packed file has it. */
static void write_file(gguf_writer *w, const vocabulary_spec *spec, const void *image, size_t size)
{
    gguf_begin(w, 3);
    gguf_add_text(w, "general.architecture", "llama");
    if (spec->model != NULL)
        gguf_add_text(w, "tokenizer.ggml.model", spec->model);
    if (spec->pre != NULL)
        gguf_add_text(w, "tokenizer.ggml.pre", spec->pre);
    if (spec->texts != NULL && image == NULL)
        gguf_add_texts(w, "tokenizer.ggml.tokens", spec->count, spec->texts);
    if (spec->kind_count > 0 && image == NULL)
        gguf_add_numbers(w, "tokenizer.ggml.token_type", GGUF_I32, spec->kind_count, spec->kinds);
    if (spec->score_count > 0 && image == NULL)
        gguf_add_numbers(w, "tokenizer.ggml.scores", GGUF_F32, spec->score_count, spec->scores);
    if (spec->merge_count > 0 && image == NULL)
        gguf_add_texts(w, "tokenizer.ggml.merges", spec->merge_count, spec->merges);
    if (spec->begin >= 0)
        gguf_add_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)spec->begin);
    if (spec->end >= 0)
        gguf_add_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)spec->end);
    if (spec->unknown >= 0)
        gguf_add_u32(w, "tokenizer.ggml.unknown_token_id", (uint32_t)spec->unknown);
    if (spec->add_begin != NULL)
        gguf_add_bool(w, "tokenizer.ggml.add_bos_token", *spec->add_begin);
    if (spec->space_prefix != NULL)
        gguf_add_bool(w, "tokenizer.ggml.add_space_prefix", *spec->space_prefix);
    if (spec->chat_template != NULL)
        gguf_add_text(w, "tokenizer.chat_template", spec->chat_template);
    if (image != NULL)
        gguf_add_tensor(w, GGUF_TOKENIZER_TENSOR, GGUF_TENSOR_I8, 1, &size, image);
    gguf_finish(w);
}

static void open_memory(vocabulary_case *it, mote_error *error)
{
    if (gguf_open_memory(&it->file, it->writer.at, it->writer.size, "tiny.gguf", error) != MOTE_OK) {
        fprintf(stderr, "vocabulary_case: %s\n", error->text);
        exit(1);
    }
}

mote_status vocabulary_case_open_plain(vocabulary_case *out, const vocabulary_spec *spec, mote_error *error)
{
    *out = (vocabulary_case){0};
    write_file(&out->writer, spec, NULL, 0);
    open_memory(out, error);
    return tokenizer_open(&out->tokenizer, out->file, error);
}

mote_status vocabulary_case_open(vocabulary_case *out, const vocabulary_spec *spec, mote_error *error)
{
    vocabulary_case plain;
    mote_status status = vocabulary_case_open_plain(&plain, spec, error);
    if (status != MOTE_OK) {
        *out = plain;
        return status;
    }
    size_t size;
    const void *image = tokenizer_image(plain.tokenizer, &size);
    *out = (vocabulary_case){0};
    write_file(&out->writer, spec, image, size);
    vocabulary_case_close(&plain);
    open_memory(out, error);
    return tokenizer_open(&out->tokenizer, out->file, error);
}

void vocabulary_case_close(vocabulary_case *it)
{
    tokenizer_close(it->tokenizer);
    gguf_close(it->file);
    gguf_writer_free(&it->writer);
}
