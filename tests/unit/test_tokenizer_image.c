/* Tokenizer images: the same bytes from the same file, one sentence for what is none, and no harm from any bytes. */
#include "assert_says.h"
#include "text/detokenizer.h"
#include "text/tokenizer_image.h"
#include "tiny_model.h"
#include "vocabulary_case.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT                                                                                                           \
    "hello  hello 123 \xf0\x9f\x98\x80 \xc3\xa9\xff<|im_start|><think>\n\n  a\xe2\x96\x81\xe2\x96\x81"                 \
    "aaaa"

/* A copy of exactly the size, so that a sanitizer sees the first byte read past it. */
static unsigned char *copy_of(const void *bytes, size_t size)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    return copy;
}

static unsigned char *image_of(vocabulary_spec spec, size_t *size)
{
    vocabulary_case it;
    mote_error error;
    if (vocabulary_case_open_plain(&it, &spec, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    const void *image = tokenizer_image(it.tokenizer, size);
    unsigned char *copy = copy_of(image, *size);
    vocabulary_case_close(&it);
    vocabulary_spec_free(&spec);
    return copy;
}

static void same_file_same_bytes(void **state)
{
    (void)state;
    size_t size, other_size;
    unsigned char *image = image_of(spec_byte_level("qwen2"), &size);
    unsigned char *other = image_of(spec_byte_level("qwen2"), &other_size);
    assert_int_equal(size, other_size);
    assert_memory_equal(image, other, size);
    free(other);
    other = image_of(spec_byte_level("gpt-2"), &other_size);
    assert_int_equal(size, other_size);
    assert_true(memcmp(image, other, size) != 0);
    free(other);
    free(image);
}

/* The strings may be left out of a file that has the image. Where they are not, the image counts. */
static void image_counts(void **state)
{
    (void)state;
    size_t size;
    unsigned char *image = image_of(spec_byte_level("llama-bpe"), &size);
    gguf_writer w = {0};
    gguf *file;
    tokenizer *t;
    mote_error error;
    gguf_begin(&w, 3);
    gguf_add_text(&w, "tokenizer.ggml.model", "t5");
    gguf_add_tensor(&w, GGUF_TOKENIZER_TENSOR, GGUF_TENSOR_I8, 1, &size, image);
    gguf_finish(&w);
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, NULL, &error), MOTE_OK);
    assert_false(gguf_is_weight(gguf_tensor_at(file, 0)));
    assert_int_equal(gguf_tensor_at(file, 0)->bytes, size);
    assert_int_equal(gguf_require_formats(file, &error), MOTE_OK);
    assert_int_equal(tokenizer_open(&t, file, &error), MOTE_OK);
    assert_string_equal(tokenizer_describe(t), "byte-level BPE, llama-bpe pre-tokenizer");
    tokenizer_close(t);
    gguf_close(file);
    gguf_writer_free(&w);
    free(image);
}

/* A model with the image runs like the plain one, and what is said of its weights is the same. */
static void packed_models_open(void **state)
{
    (void)state;
    tiny_model spec = {.family = "llama",
                       .layers = 1,
                       .width = 32,
                       .heads = 2,
                       .kv_heads = 1,
                       .head_dim = 16,
                       .ffn = 64,
                       .vocabulary = TINY_END + 1,
                       .context = 64,
                       .text = true,
                       .seed = 1};
    void *data, *packed_data;
    mote_model *plain = tiny_model_open(&spec, &data);
    spec.packed = true;
    mote_model *packed = tiny_model_open(&spec, &packed_data);
    mote_model_info info, packed_info;
    mote_model_describe(plain, &info);
    mote_model_describe(packed, &packed_info);
    assert_int_equal(packed_info.parameters, info.parameters);
    assert_int_equal(packed_info.weight_bytes, info.weight_bytes);
    assert_string_equal(packed_info.types, info.types);
    assert_string_equal(packed_info.tokenizer, info.tokenizer);
    assert_int_equal(packed_info.weight_count, info.weight_count);
    mote_weight_info one, other; /* the tokenizer comes first in this file, and has no place in the list */
    for (size_t i = 0; i < info.weight_count; i++) {
        assert_int_equal(mote_model_weight(plain, i, &one), MOTE_OK);
        assert_int_equal(mote_model_weight(packed, i, &other), MOTE_OK);
        assert_string_equal(other.name, one.name);
    }
    assert_int_equal(mote_model_weight(packed, info.weight_count, &other), MOTE_E_ARGUMENT);
    mote_ids ids = {0}, packed_ids = {0};
    assert_int_equal(mote_tokenize(plain, TEXT, sizeof TEXT - 1, 0, &ids, NULL), MOTE_OK);
    assert_int_equal(mote_tokenize(packed, TEXT, sizeof TEXT - 1, 0, &packed_ids, NULL), MOTE_OK);
    assert_int_equal(packed_ids.count, ids.count);
    assert_memory_equal(packed_ids.at, ids.at, ids.count * sizeof *ids.at);
    mote_ids_free(&ids);
    mote_ids_free(&packed_ids);
    mote_model_close(plain);
    mote_model_close(packed);
    free(data);
    free(packed_data);
}

/* Only that tensor, of that type, is no weight; and its bytes count where the file ends. */
static void other_tensors_are_weights(void **state)
{
    (void)state;
    gguf_writer w = {0};
    gguf *file;
    mote_error error;
    gguf_begin(&w, 3);
    gguf_add_tensor(&w, GGUF_TOKENIZER_TENSOR, QUANT_F32, 1, &(size_t){8}, NULL);
    gguf_add_tensor(&w, "mote.other", GGUF_TENSOR_I8, 1, &(size_t){8}, NULL);
    gguf_finish(&w);
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, NULL, &error), MOTE_OK);
    assert_true(gguf_is_weight(gguf_tensor_at(file, 0)));
    assert_true(gguf_is_weight(gguf_tensor_at(file, 1)));
    assert_int_equal(gguf_require_formats(file, &error), MOTE_E_UNSUPPORTED);
    assert_says(error, "mote.other has the type I8");
    gguf_close(file);
    assert_int_equal(gguf_open_memory(&file, w.at, w.size - 1, NULL, &error), MOTE_E_FORMAT);
    assert_says(error, "mote.other");
    gguf_writer_free(&w);
}

static void check_refused(const unsigned char *image, size_t size, mote_status expected, const char *words)
{
    tokenizer *t;
    mote_error error;
    assert_int_equal(tokenizer_open_image(&t, image, size, "tiny.gguf", &error), expected);
    assert_null(t);
    assert_says(error, "tiny.gguf: ");
    assert_says(error, words);
}

#define refused(field, value, status, words)                                                                           \
    do {                                                                                                               \
        tokenizer_image_header header;                                                                                 \
        memcpy(&header, image, sizeof header);                                                                         \
        header.field = value;                                                                                          \
        unsigned char *spoilt = copy_of(image, size);                                                                  \
        memcpy(spoilt, &header, sizeof header);                                                                        \
        check_refused(spoilt, size, status, words);                                                                    \
        free(spoilt);                                                                                                  \
    } while (0)

static void wrong_headers(void **state)
{
    (void)state;
    size_t size;
    unsigned char *image = image_of(spec_byte_level("qwen2"), &size);
    refused(magic[3], 'E', MOTE_E_FORMAT, "does not begin like one");
    refused(version, TOKENIZER_IMAGE_VERSION + 1, MOTE_E_UNSUPPORTED, "version 2, and this mote reads 1");
    refused(version, 0x01000000, MOTE_E_UNSUPPORTED, "big-endian");
    refused(size, size + 1, MOTE_E_FORMAT, "bytes, and it has");
    refused(words[0], 'x', MOTE_E_UNSUPPORTED, "pre-tokenizer");
    const char *const words = "contradicts itself";
    refused(words[0], '\0', MOTE_E_FORMAT, words); /* SentencePiece, and no room for scores */
    refused(count, 0, MOTE_E_FORMAT, words);
    refused(count, UINT32_MAX, MOTE_E_FORMAT, words);
    refused(count, header.count - 100, MOTE_E_FORMAT, words);
    refused(merge_count, UINT32_MAX, MOTE_E_FORMAT, words);
    refused(text_bytes, UINT32_MAX, MOTE_E_FORMAT, words);
    refused(longest, VOCABULARY_LONGEST_TOKEN + 1, MOTE_E_FORMAT, words);
    refused(facts.begin, (mote_token)header.count, MOTE_E_FORMAT, words);
    refused(facts.unknown, -2, MOTE_E_FORMAT, words);
    refused(facts.end_count, VOCABULARY_MOST_ENDS + 1, MOTE_E_FORMAT, words);
    refused(facts.ends[15], INT32_MIN, MOTE_E_FORMAT, words);
    refused(facts.bytes[255], INT32_MAX, MOTE_E_FORMAT, words);
    refused(facts.space_runs[255], INT32_MAX, MOTE_E_FORMAT, words);
    refused(facts.added_first[0], UINT32_MAX, MOTE_E_FORMAT, words);
    refused(facts.added_first[256], UINT32_MAX, MOTE_E_FORMAT, words);
    free(image);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    size_t size;
    unsigned char *image = image_of(spec_sentencepiece(true), &size);
    for (size_t length = 0; length < size; length++) {
        tokenizer *t;
        mote_error error;
        unsigned char *part = copy_of(image, length);
        assert_int_equal(tokenizer_open_image(&t, part, length, "tiny.gguf", &error), MOTE_E_FORMAT);
        free(part);
    }
    free(image);
}

/* Whatever an image says: ids of the vocabulary, valid bytes, an end. */
static void use(const unsigned char *image, size_t size)
{
    tokenizer *t;
    detokenizer *d;
    mote_error error;
    mote_ids ids = {0};
    if (tokenizer_open_image(&t, image, size, "tiny.gguf", &error) != MOTE_OK)
        return;
    assert_int_equal(tokenizer_encode(t, TEXT, sizeof TEXT - 1, MOTE_TOKENIZE_SPECIAL, &ids, &error), MOTE_OK);
    assert_int_equal(tokenizer_encode(t, TEXT, sizeof TEXT - 1, MOTE_TOKENIZE_BOS, &ids, &error), MOTE_OK);
    assert_int_equal(detokenizer_open(&d, t, true, &error), MOTE_OK);
    for (size_t i = 0, length; i < ids.count; i++) {
        assert_true(ids.at[i] >= 0 && (size_t)ids.at[i] < tokenizer_size(t));
        (void)detokenizer_push(d, ids.at[i], &length);
    }
    detokenizer_close(d);
    mote_ids_free(&ids);
    tokenizer_close(t);
}

/* One to sixteen bytes become others: some anywhere, some in the tables alone, where the header's check does not look. */
static void wrong_bytes_do_no_harm(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        size_t size;
        unsigned char *image = image_of(kind == 0   ? spec_byte_level("qwen2")
                                        : kind == 1 ? spec_byte_level("llama-bpe")
                                                    : spec_sentencepiece(false),
                                        &size);
        uint64_t random = 20261123;
        for (int round = 0; round < 3000; round++) {
            unsigned char *spoilt = copy_of(image, size);
            size_t from = round % 4 == 0 ? 0 : sizeof(tokenizer_image_header);
            for (int flips = 1 << round % 5; flips > 0; flips--)
                spoilt[from + (size_t)(random_unit(&random) * (double)(size - from))] =
                    (unsigned char)(random_unit(&random) * 256);
            use(spoilt, size);
            free(spoilt);
        }
        for (int fill = 0; fill < 256; fill += 5) { /* nothing but one byte in all tables */
            unsigned char *spoilt = copy_of(image, size);
            memset(spoilt + sizeof(tokenizer_image_header), fill, size - sizeof(tokenizer_image_header));
            use(spoilt, size);
            free(spoilt);
        }
        free(image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_file_same_bytes),   cmocka_unit_test(image_counts),
        cmocka_unit_test(packed_models_open),     cmocka_unit_test(other_tensors_are_weights),
        cmocka_unit_test(wrong_headers),          cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(wrong_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
