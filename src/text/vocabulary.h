/* The vocabulary of a model file: every token's text and kind, and what BPE needs to know about them.
 *
 * Texts and scores stay in the file's mapping, and only what leads to them is kept: 7 bytes for a token, 6 to 12 for its
 * place in the index, 12 and as much for a merge. Everything is checked while opening; what the mapping holds later is
 * never trusted for more than which id comes out. */
#ifndef MOTE_TEXT_VOCABULARY_H
#define MOTE_TEXT_VOCABULARY_H

#include "format/gguf.h"
#include "text/hash_index.h"
#include "text/pretokenizer.h"

enum {
    VOCABULARY_MOST = 1 << 22,       /* tokens */
    VOCABULARY_LONGEST_TOKEN = 4095, /* bytes */
    VOCABULARY_LONGEST_SPACES = 255, /* spaces in a token of nothing else */
    VOCABULARY_MOST_ENDS = 16
};

/* The kinds of tokenizer.ggml.token_type, under its numbers. */
typedef enum token_kind {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER = 4, /* "user-defined" */
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
} token_kind;

/* Two neighbours that byte-level BPE joins; its place in the list is its rank. */
typedef struct token_merge {
    uint32_t left, right, result;
} token_merge;

typedef struct vocabulary {
    const pretokenizer *words; /* of a byte-level vocabulary; NULL: SentencePiece */
    size_t count;
    size_t longest; /* text of any token, in bytes */

    const char *texts;                     /* in the file */
    uint32_t *text_offsets;                /* [count] from `texts` */
    uint16_t *text_lengths;                /* [count] */
    unsigned char *kinds;                  /* [count] a token_kind */
    hash_index text_index;                 /* all texts that are not empty */
    mote_token bytes[256];                 /* the token of each byte, -1: there is none */
    mote_token begin;                      /* of a text; -1: texts begin without one */
    mote_token ends[VOCABULARY_MOST_ENDS]; /* what ends an answer */
    size_t end_count;

    /* Byte-level. */
    token_merge *merges; /* [merge_count] */
    size_t merge_count;
    hash_index merge_index;

    /* SentencePiece. */
    const gguf_array *scores;                             /* [count], higher merges first */
    mote_token unknown;                                   /* for what no token spells, -1: there is none */
    bool space_prefix;                                    /* a text begins with a space that is not there */
    bool joins_space[256];                                /* some token has this byte in front of a "▁" */
    bool has_space_runs;                                  /* see vocabulary_find_piece */
    mote_token space_runs[VOCABULARY_LONGEST_SPACES + 1]; /* user-defined tokens of n spaces, -1: there is none */
} vocabulary;

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 LOWER ONE EIGHTH BLOCK, SentencePiece's way to write a space */
enum { SPACE_MARK_LENGTH = 3 };

/* Errors: UNSUPPORTED, FORMAT, LIMIT, MEMORY. `file` must outlive it. */
mote_status vocabulary_open(vocabulary *v, const gguf *file, mote_error *error);
void vocabulary_close(vocabulary *v);

static inline token_kind vocabulary_kind(const vocabulary *v, mote_token token)
{
    return (token_kind)v->kinds[token];
}

static inline gguf_string vocabulary_text(const vocabulary *v, mote_token token)
{
    return (gguf_string){v->texts + v->text_offsets[token], v->text_lengths[token]};
}

/* The token with exactly this text, of any kind; -1 if there is none. */
mote_token vocabulary_find(const vocabulary *v, const char *text, size_t length);

/* SentencePiece: the token that BPE makes of a text in which spaces are "▁", -1 if there is none. Normal and user-defined
 * tokens only. Converters write a user-defined token of spaces as spaces, although it was trained as a run of "▁". */
mote_token vocabulary_find_piece(const vocabulary *v, const char *text, size_t length);

/* Byte-level: the normal token that spells exactly these bytes, -1 if there is none. */
mote_token vocabulary_find_bytes(const vocabulary *v, const char *bytes, size_t length);

/* Byte-level: the rank of a merge in v->merges, or -1. */
static inline int64_t vocabulary_find_merge(const vocabulary *v, uint32_t left, uint32_t right)
{
    hash_probe probe = hash_index_begin(&v->merge_index, hash_mix((uint64_t)left << 32 | right));
    for (uint32_t rank; hash_index_next(&v->merge_index, &probe, &rank);)
        if (v->merges[rank].left == left && v->merges[rank].right == right)
            return rank;
    return -1;
}

#endif
