/* The vocabulary of a model: every token's text and kind, and what BPE needs to know about them.
 *
 * It is a view of a tokenizer image (text/tokenizer_image.h), which may be a mapped file that anybody wrote and that
 * changes while it is read. Only what lies in this struct was checked, when it was opened. Every number that comes out of
 * the image is looked at once and held against its bound there and then: a bad image gives wrong ids, and nothing else. */
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

/* What does not grow with the vocabulary, as it lies in an image. Tokens are -1 where there is none. */
typedef struct vocabulary_facts {
    mote_token begin;                                     /* of a text */
    mote_token unknown;                                   /* for what no token spells; SentencePiece alone */
    uint32_t end_count;                                   /* of what ends an answer: */
    mote_token ends[VOCABULARY_MOST_ENDS];                /* */
    mote_token bytes[256];                                /* the token of each byte */
    mote_token space_runs[VOCABULARY_LONGEST_SPACES + 1]; /* user-defined tokens of n spaces */
    uint32_t added_first[257];      /* where in `added` the texts with each first byte begin; [256] is the end */
    unsigned char joins_space[256]; /* 1: some token has this byte in front of a "▁" */
    uint32_t space_prefix;          /* 1: a text begins with a space that is not there */
} vocabulary_facts;

typedef struct vocabulary {
    const pretokenizer *words; /* of a byte-level vocabulary; NULL: SentencePiece */
    size_t count;
    size_t longest; /* text of any token, in bytes */
    size_t text_bytes;
    size_t merge_count; /* byte-level alone */
    bool has_space_runs;
    vocabulary_facts facts;

    /* In the image, at any alignment. */
    const unsigned char *text_offsets; /* uint32_t [count + 1] from `texts`: each text ends where the next begins */
    const unsigned char *kinds;        /* [count] a token_kind */
    hash_index text_index;             /* all texts that are not empty */
    const unsigned char *scores;       /* float [count], higher merges first; SentencePiece alone */
    const unsigned char *merges;       /* token_merge [merge_count] */
    hash_index merge_index;
    const char *texts;          /* [text_bytes] */
    const unsigned char *added; /* uint32_t [facts.added_first[256]]: see text/added_tokens.h */
} vocabulary;

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 LOWER ONE EIGHTH BLOCK, SentencePiece's way to write a space */
enum { SPACE_MARK_LENGTH = 3 };

/* In all of these a token is in [0, v->count). */
static inline token_kind vocabulary_kind(const vocabulary *v, mote_token token)
{
    return (token_kind)look_u8(v->kinds + token);
}

static inline gguf_string vocabulary_text(const vocabulary *v, mote_token token)
{
    const unsigned char *at = v->text_offsets + (size_t)token * sizeof(uint32_t);
    size_t begin = look_u32(at), end = look_u32(at + sizeof(uint32_t));
    if (begin > end || end > v->text_bytes || end - begin > v->longest)
        return (gguf_string){"", 0};
    return (gguf_string){v->texts + begin, end - begin};
}

/* The token with exactly this text, of any kind; -1 if there is none. */
mote_token vocabulary_find(const vocabulary *v, const char *text, size_t length);

/* The same for a text whose hash is known and which is no longer than v->longest; *probe ends where it would be put. */
mote_token vocabulary_probe(const vocabulary *v, hash_probe *probe, const char *text, size_t length);

/* SentencePiece: the token that BPE makes of a text in which spaces are "▁", -1 if there is none. Normal and user-defined
 * tokens only. Converters write a user-defined token of spaces as spaces, although it was trained as a run of "▁". */
mote_token vocabulary_find_piece(const vocabulary *v, const char *text, size_t length);

/* SentencePiece: which piece is joined first. Any bits may be there, a NaN's too. */
static inline float vocabulary_score(const vocabulary *v, mote_token token)
{
    return f32_from_bits(look_u32(v->scores + (size_t)token * sizeof(float)));
}

/* Byte-level: the normal token that spells exactly these bytes, -1 if there is none. */
mote_token vocabulary_find_bytes(const vocabulary *v, const char *bytes, size_t length);

static inline uint64_t merge_hash(uint32_t left, uint32_t right)
{
    return hash_mix((uint64_t)left << 32 | right);
}

/* Byte-level: the token that two neighbours are joined to and the rank of that, or -1; *probe ends where the pair would be
 * put. */
static inline mote_token vocabulary_probe_merge(const vocabulary *v, hash_probe *probe, uint32_t left, uint32_t right,
                                                uint32_t *rank)
{
    while (hash_index_next(&v->merge_index, probe, rank)) {
        const unsigned char *merge = v->merges + *rank * sizeof(token_merge);
        uint32_t result = look_u32(merge + offsetof(token_merge, result));
        if (load_u32(merge) == left && load_u32(merge + offsetof(token_merge, right)) == right && result < v->count)
            return (mote_token)result;
    }
    return -1;
}

#endif
