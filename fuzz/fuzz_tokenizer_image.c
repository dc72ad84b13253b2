/* Any bytes as a tokenizer image: it is refused, or texts become ids of the vocabulary and ids valid UTF-8, in bounded
 * time. Half of the first byte says how many of the next are text, and the rest is the image; if that byte is odd, the
 * image first gets the size that its counts ask for, since chance would not often find it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/detokenizer.h"
#include "text/tokenizer_image.h"
#include "text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_TOKENS = 2000, MOST_BYTES = 1 << 17 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_utf8(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        utf8_char c = utf8_decode(text + at, length - at);
        require(c.code < UTF8_INVALID);
        at += c.length;
    }
}

static void decode(const tokenizer *t, const mote_ids *ids, bool show_special)
{
    detokenizer *d;
    size_t length;
    require(detokenizer_open(&d, t, show_special, NULL) == MOTE_OK);
    for (size_t i = 0; i < ids->count; i++) {
        const char *text = detokenizer_push(d, ids->at[i], &length);
        check_utf8(text, length);
    }
    (void)detokenizer_finish(d, &length);
    detokenizer_close(d);
}

static void encode(const tokenizer *t, const char *text, size_t length, unsigned flags)
{
    mote_ids ids = {0};
    require(tokenizer_encode(t, text, length, flags, &ids, NULL) == MOTE_OK);
    for (size_t i = 0; i < ids.count; i++)
        require(ids.at[i] >= 0 && (size_t)ids.at[i] < tokenizer_size(t));
    decode(t, &ids, flags != 0);
    mote_ids_free(&ids);
}

/* A copy in memory of exactly its size, so that a sanitizer sees the first byte read past it. */
static unsigned char *copy_image(const uint8_t *from, size_t *size, bool fit)
{
    tokenizer_image_header header;
    tokenizer_image_layout at = {.size = *size};
    bool fitted = fit && *size >= sizeof header;
    if (fitted) {
        memcpy(&header, from, sizeof header);
        fitted = header.count <= VOCABULARY_MOST && header.merge_count <= HASH_INDEX_MOST &&
                 tokenizer_image_lay_out(&at, &header) && at.size <= MOST_BYTES;
    }
    size_t wanted = fitted ? at.size : *size;
    unsigned char *image = calloc(1, wanted > 0 ? wanted : 1);
    require(image != NULL);
    memcpy(image, from, wanted < *size ? wanted : *size);
    if (fitted)
        memcpy(image + offsetof(tokenizer_image_header, size), &(uint64_t){wanted}, sizeof(uint64_t));
    *size = wanted;
    return image;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tokenizer *t;
    if (size < 1 || size - 1 < data[0] / 2)
        return 0;
    const char *text = (const char *)data + 1;
    size_t length = data[0] / 2, image_size = size - 1 - length;
    unsigned char *image = copy_image(data + 1 + length, &image_size, data[0] % 2 == 1);
    if (tokenizer_open_image(&t, image, image_size, "the input", NULL) == MOTE_OK) {
        encode(t, text, length, MOTE_TOKENIZE_SPECIAL | MOTE_TOKENIZE_BOS);
        encode(t, text, length, 0);
        (void)tokenizer_find(t, "<|im_end|>");
        size_t many = tokenizer_size(t) < MOST_TOKENS ? tokenizer_size(t) : MOST_TOKENS;
        mote_token all[MOST_TOKENS];
        for (size_t i = 0; i < many; i++)
            all[i] = (mote_token)i;
        decode(t, &(mote_ids){.at = all, .count = many}, true);
        tokenizer_close(t);
    }
    free(image);
    return 0;
}
