/* Building a tokenizer image from the strings of a plain model file.
 *
 * The time goes into look-ups of texts that are scattered over memory. So tokens and merges are taken a batch at a time,
 * and what a batch will look at is fetched before it is looked at; and a merge's result is first compared with the tokens
 * that follow the last one, where nearly all of them are: merges are in the order in which they made the vocabulary. */
#include "text/tokenizer_image.h"

#include "text/added_tokens.h"

#include <stdlib.h>

#define AGAIN "fetch or convert the file again"

enum {
    BATCH = 32,
    SHOWN = 60 /* of a token's text in a sentence, in bytes */
};

typedef struct builder {
    const gguf *file;
    const gguf_array *tokens, *kinds, *scores, *merges; /* NULL: there are none */
    mote_error *error;

    arena memory; /* the image */
    tokenizer_image_header header;
    tokenizer_image_layout at;
    vocabulary v; /* the image as far as it is filled */
} builder;

static int shown(size_t length)
{
    return length < SHOWN ? (int)length : SHOWN;
}

/* The image's tables, to be written. */
static void *table(const builder *b, size_t at)
{
    return b->memory.base + at;
}

/* ------------------------------------------------------------------------------------------------------------ counts */

/* Sets the pre-tokenizer by tokenizer.ggml.model and .pre. */
static mote_status read_model(builder *b)
{
    gguf_string model = {"", 0}, words = {"default", 7};
    mote_status status = gguf_get_string(b->file, "tokenizer.ggml.model", &model, b->error);
    if (status != MOTE_OK)
        return status;
    if (model.length == 0 || gguf_string_is(model, "no_vocab") || gguf_string_is(model, "none"))
        return fail(b->error, MOTE_E_UNSUPPORTED, "%s: has no tokenizer; use it with token ids, or convert it with one",
                    gguf_name(b->file));
    if (gguf_string_is(model, "llama"))
        return MOTE_OK;
    if (!gguf_string_is(model, "gpt2"))
        return fail(b->error, MOTE_E_UNSUPPORTED,
                    "%s: its tokenizer is of kind \"%.*s\", and mote knows \"gpt2\" (byte-level "
                    "BPE) and \"llama\" (SentencePiece BPE); choose another model",
                    gguf_name(b->file), shown(model.length), model.at);
    status = gguf_get_string(b->file, "tokenizer.ggml.pre", &words, b->error);
    if (status != MOTE_OK)
        return status;
    const pretokenizer *found = pretokenizer_find(words.at, words.length);
    if (found == NULL)
        return fail(b->error, MOTE_E_UNSUPPORTED,
                    "%s: its pre-tokenizer is \"%.*s\", and mote knows gpt-2, smollm, qwen2, "
                    "llama-bpe, gpt-4o and default; choose another model",
                    gguf_name(b->file), shown(words.length), words.at);
    memcpy(b->header.words, found->name, strlen(found->name));
    return MOTE_OK;
}

static mote_status check_length(const builder *b, const gguf_array *array, const char *key)
{
    if (array == NULL || array->count == b->tokens->count)
        return MOTE_OK;
    return fail(b->error, MOTE_E_FORMAT, "%s: %s has %zu entries for %zu tokens; " AGAIN, gguf_name(b->file), key,
                array->count, b->tokens->count);
}

static mote_status find_arrays(builder *b)
{
    static const char kinds[] = "tokenizer.ggml.token_type", scores[] = "tokenizer.ggml.scores";
    bool byte_level = b->header.words[0] != '\0';
    mote_status status = gguf_need_array(b->file, "tokenizer.ggml.tokens", GGUF_STRINGS, &b->tokens, b->error);
    if (status != MOTE_OK)
        return status;
    const uint64_t bytes = b->tokens->bytes;
    if (b->tokens->count == 0 || b->tokens->count > VOCABULARY_MOST || bytes > UINT32_MAX)
        return fail(b->error, b->tokens->count == 0 ? MOTE_E_FORMAT : MOTE_E_LIMIT,
                    "%s: tokenizer.ggml.tokens has %zu tokens in %zu bytes, and mote reads 1 to %d in 4 GiB; " AGAIN,
                    gguf_name(b->file), b->tokens->count, b->tokens->bytes, VOCABULARY_MOST);
    if ((status = gguf_get_array(b->file, kinds, GGUF_INTEGERS, &b->kinds, b->error)) ||
        (status = check_length(b, b->kinds, kinds)))
        return status;
    if (!byte_level) {
        status = gguf_need_array(b->file, scores, GGUF_FLOATS, &b->scores, b->error);
        return status == MOTE_OK ? check_length(b, b->scores, scores) : status;
    }
    status = gguf_need_array(b->file, "tokenizer.ggml.merges", GGUF_STRINGS, &b->merges, b->error);
    if (status == MOTE_OK && b->merges->count > HASH_INDEX_MOST)
        return fail(b->error, MOTE_E_LIMIT, "%s: tokenizer.ggml.merges has %zu merges, and mote reads up to %d; " AGAIN,
                    gguf_name(b->file), b->merges->count, HASH_INDEX_MOST);
    return status;
}

/* Of tokens that are not normal, some may be added tokens. */
static uint32_t most_added(const gguf_array *kinds)
{
    uint32_t most = 0;
    for (size_t i = 0; kinds != NULL && i < kinds->count; i++)
        most += gguf_integer(kinds, i) > TOKEN_NORMAL;
    return most;
}

/* Room for as many added tokens as there may be: their table is the last, and what it does not need is cut off in the
 * end. */
static mote_status lay_out(builder *b)
{
    tokenizer_image_header *h = &b->header;
    memcpy(h->magic, TOKENIZER_IMAGE_MAGIC, sizeof h->magic);
    h->version = TOKENIZER_IMAGE_VERSION;
    h->count = (uint32_t)b->tokens->count;
    h->merge_count = b->merges == NULL ? 0 : (uint32_t)b->merges->count;
    h->text_bytes = (uint32_t)(b->tokens->bytes - sizeof(uint64_t) * b->tokens->count); /* without the lengths */
    memset(&h->facts.begin, 0xff, offsetof(vocabulary_facts, added_first));             /* tokens: -1 */
    h->facts.end_count = 0;
    h->facts.added_first[256] = most_added(b->kinds);
    return tokenizer_image_lay_out(&b->at, h) ? MOTE_OK : fail_memory(b->error, SIZE_MAX, "the vocabulary");
}

/* Look-ups all over the tables make large pages worth having. */
static mote_status allocate(builder *b)
{
    if (!arena_allocate(&b->memory, b->at.size))
        return fail_memory(b->error, b->at.size, "the vocabulary");
    arena_use_huge_pages(&b->memory);
    tokenizer_image_bind(&b->v, b->memory.base, &b->header, &b->at);
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ tokens */

static mote_status copy_texts(builder *b)
{
    uint32_t *offsets = table(b, b->at.text_offsets), used = 0;
    char *texts = table(b, b->at.texts);
    gguf_string text;
    gguf_strings walk = gguf_strings_begin(b->tokens);
    for (size_t i = 0; gguf_strings_next(&walk, &text); i++) {
        if (text.length > VOCABULARY_LONGEST_TOKEN)
            return fail(b->error, MOTE_E_LIMIT, "%s: token %zu has %zu bytes, and mote reads up to %d; " AGAIN,
                        gguf_name(b->file), i, text.length, VOCABULARY_LONGEST_TOKEN);
        if (text.length > b->v.text_bytes - used) /* the file has changed: gguf_check will say so, or nothing can */
            text.length = 0;
        memcpy(texts + used, text.at, text.length);
        used += (uint32_t)text.length;
        offsets[i + 1] = used;
        if (text.length > b->v.longest)
            b->v.longest = text.length;
    }
    return MOTE_OK;
}

static mote_status index_text(const builder *b, mote_token token, uint64_t hash, uint32_t *slots)
{
    gguf_string text = vocabulary_text(&b->v, token);
    if (text.length == 0) /* converters leave holes in some vocabularies; nothing is ever written that way */
        return MOTE_OK;
    hash_probe probe = hash_index_begin(&b->v.text_index, hash);
    mote_token same = vocabulary_probe(&b->v, &probe, text.at, text.length);
    if (same >= 0)
        return fail(b->error, MOTE_E_FORMAT, "%s: tokens %d and %d are both \"%.*s\"; " AGAIN, gguf_name(b->file), same,
                    token, shown(text.length), text.at);
    if (!hash_index_put(slots, &probe, (uint32_t)token))
        return fail(b->error, MOTE_E_FORMAT,
                    "%s: the texts of its tokens collide at token %d, which chance does not "
                    "bring about; " AGAIN,
                    gguf_name(b->file), token);
    return MOTE_OK;
}

static mote_status index_texts(builder *b)
{
    mote_status status = MOTE_OK;
    uint32_t *slots = table(b, b->at.text_slots);
    uint64_t hashes[BATCH];
    for (size_t from = 0; from < b->v.count && status == MOTE_OK; from += BATCH) {
        size_t many = b->v.count - from < BATCH ? b->v.count - from : BATCH;
        for (size_t i = 0; i < many; i++) {
            gguf_string text = vocabulary_text(&b->v, (mote_token)(from + i));
            hashes[i] = hash_bytes(text.at, text.length);
            hash_index_expect(&b->v.text_index, hashes[i]);
        }
        for (size_t i = 0; i < many && status == MOTE_OK; i++)
            status = index_text(b, (mote_token)(from + i), hashes[i], slots);
    }
    return status;
}

static mote_status read_kinds(builder *b)
{
    unsigned char *to = table(b, b->at.kinds);
    memset(to, TOKEN_NORMAL, b->v.count);
    for (size_t i = 0; b->kinds != NULL && i < b->v.count; i++) {
        int64_t kind = gguf_integer(b->kinds, i);
        if (kind < 0 || kind > TOKEN_BYTE)
            return fail(b->error, MOTE_E_FORMAT,
                        "%s: tokenizer.ggml.token_type says %lld of token %zu, and there are kinds "
                        "1 to 6; " AGAIN,
                        gguf_name(b->file), (long long)kind, i);
        to[i] = (unsigned char)(kind == 0 ? TOKEN_NORMAL : kind);
    }
    return MOTE_OK;
}

/* An optional entry that names a token; -1 if it is absent. */
static mote_status read_token(const builder *b, const char *key, mote_token *out)
{
    uint32_t token = UINT32_MAX;
    mote_status status = gguf_get_u32(b->file, key, 0, (uint32_t)b->v.count - 1, &token, b->error);
    *out = token == UINT32_MAX ? -1 : (mote_token)token;
    return status;
}

static void add_end(vocabulary_facts *f, mote_token token)
{
    for (size_t i = 0; i < f->end_count; i++)
        if (f->ends[i] == token)
            return;
    if (token >= 0 && f->end_count < VOCABULARY_MOST_ENDS)
        f->ends[f->end_count++] = token;
}

/* Files often name one end token where the model has two: of its turn and of the text. The others are known by name. */
static mote_status read_special(builder *b)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    static const char *const names[] = {"<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>",
                                        "<|end|>",    "<end_of_turn>", "<eos>",           "</s>"};
    vocabulary_facts *f = &b->v.facts;
    bool begins = b->v.words == NULL || b->v.words->begins;
    mote_status status = gguf_get_bool(b->file, "tokenizer.ggml.add_bos_token", &begins, b->error);
    if (status == MOTE_OK)
        status = read_token(b, "tokenizer.ggml.bos_token_id", &f->begin);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == MOTE_OK; i++) {
        mote_token token;
        status = read_token(b, keys[i], &token);
        add_end(f, token);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        mote_token token = vocabulary_find(&b->v, names[i], strlen(names[i]));
        if (token >= 0 && vocabulary_kind(&b->v, token) == TOKEN_CONTROL)
            add_end(f, token);
    }
    if (!begins)
        f->begin = -1;
    return status;
}

/* -------------------------------------------------------------------------------------------------------- byte-level */

/* A merge is "left right". */
typedef struct merge_text {
    gguf_string text;
    size_t left, right; /* bytes */
    uint64_t left_hash, right_hash;
    uint64_t pair_hash;
} merge_text;

static mote_status split_merge(const builder *b, merge_text *m, size_t rank)
{
    gguf_string text = m->text;
    const char *gap = memchr(text.at, ' ', text.length);
    m->left = gap != NULL ? (size_t)(gap - text.at) : 0;
    m->right = gap != NULL ? text.length - m->left - 1 : 0;
    if (m->left == 0 || m->right == 0 || memchr(gap + 1, ' ', m->right) != NULL)
        return fail(b->error, MOTE_E_FORMAT,
                    "%s: merge %zu is \"%.*s\", which is not two tokens with a space between; " AGAIN,
                    gguf_name(b->file), rank, shown(text.length), text.at);
    m->left_hash = hash_bytes(text.at, m->left);
    m->right_hash = hash_bytes(gap + 1, m->right);
    hash_index_expect(&b->v.text_index, m->left_hash);
    hash_index_expect(&b->v.text_index, m->right_hash);
    return MOTE_OK;
}

static mote_token find_hashed(const vocabulary *v, uint64_t hash, const char *text, size_t length)
{
    hash_probe probe = hash_index_begin(&v->text_index, hash);
    return length > v->longest ? -1 : vocabulary_probe(v, &probe, text, length);
}

/* The token that two texts make together, in all likelihood `likely` or the one behind it. */
static mote_token find_joined(const vocabulary *v, const merge_text *m, mote_token likely)
{
    char joined[2 * VOCABULARY_LONGEST_TOKEN];
    memcpy(joined, m->text.at, m->left); /* neither is longer than a token */
    memcpy(joined + m->left, m->text.at + m->left + 1, m->right);
    for (mote_token token = likely; token < (mote_token)v->count && token <= likely + 1; token++) {
        gguf_string text = vocabulary_text(v, token);
        if (text.length == m->left + m->right && memcmp(text.at, joined, text.length) == 0)
            return token;
    }
    return vocabulary_find(v, joined, m->left + m->right);
}

/* Finds the tokens that a merge names, and notes them. */
static mote_status read_merge(const builder *b, merge_text *m, size_t rank, token_merge *out, mote_token *likely)
{
    const vocabulary *v = &b->v;
    mote_token left = find_hashed(v, m->left_hash, m->text.at, m->left);
    mote_token right = find_hashed(v, m->right_hash, m->text.at + m->left + 1, m->right);
    mote_token result = left >= 0 && right >= 0 ? find_joined(v, m, *likely) : -1;
    if (result < 0)
        return fail(b->error, MOTE_E_FORMAT,
                    "%s: merge %zu (\"%.*s\") is of tokens, or makes a token, that the vocabulary "
                    "lacks; " AGAIN,
                    gguf_name(b->file), rank, shown(m->text.length), m->text.at);
    *likely = result;
    *out = (token_merge){(uint32_t)left, (uint32_t)right, (uint32_t)result};
    m->pair_hash = merge_hash(out->left, out->right);
    hash_index_expect(&v->merge_index, m->pair_hash);
    return MOTE_OK;
}

static mote_status index_merge(const builder *b, const merge_text *m, size_t rank, const token_merge *merge,
                               uint32_t *slots)
{
    uint32_t first;
    if (vocabulary_kind(&b->v, (mote_token)merge->result) != TOKEN_NORMAL) /* no text may spell a control token */
        return MOTE_OK;
    hash_probe probe = hash_index_begin(&b->v.merge_index, m->pair_hash);
    if (vocabulary_probe_merge(&b->v, &probe, merge->left, merge->right, &first) >= 0) /* the first counts */
        return MOTE_OK;
    if (!hash_index_put(slots, &probe, (uint32_t)rank))
        return fail(b->error, MOTE_E_FORMAT,
                    "%s: its merges collide at merge %zu, which chance does not bring about; " AGAIN,
                    gguf_name(b->file), rank);
    return MOTE_OK;
}

static mote_status read_merges(builder *b)
{
    merge_text batch[BATCH];
    token_merge *merges = table(b, b->at.merges);
    uint32_t *slots = table(b, b->at.merge_slots);
    mote_token likely = 0;
    mote_status status = MOTE_OK;
    gguf_strings walk = gguf_strings_begin(b->merges);
    for (size_t from = 0, many; from < b->v.merge_count && status == MOTE_OK; from += many) {
        for (many = 0; many < BATCH && status == MOTE_OK && gguf_strings_next(&walk, &batch[many].text); many++)
            status = split_merge(b, &batch[many], from + many);
        for (size_t i = 0; i < many && status == MOTE_OK; i++)
            status = read_merge(b, &batch[i], from + i, &merges[from + i], &likely);
        for (size_t i = 0; i < many && status == MOTE_OK; i++)
            status = index_merge(b, &batch[i], from + i, &merges[from + i], slots);
    }
    return status;
}

static mote_status read_byte_level(builder *b)
{
    size_t missing = 0;
    for (int byte = 0; byte < 256; byte++) {
        char raw = (char)byte;
        b->v.facts.bytes[byte] = vocabulary_find_bytes(&b->v, &raw, 1);
        missing += b->v.facts.bytes[byte] < 0;
    }
    if (missing == 256)
        return fail(b->error, MOTE_E_FORMAT,
                    "%s: not one of its tokens is a byte, as in a byte-level vocabulary; " AGAIN, gguf_name(b->file));
    return read_merges(b);
}

/* ----------------------------------------------------------------------------------------------------- SentencePiece */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A byte token is "<0xZZ>". */
static mote_status read_byte_token(builder *b, mote_token token)
{
    gguf_string text = vocabulary_text(&b->v, token);
    int high = -1, low = -1;
    if (text.length == 6 && memcmp(text.at, "<0x", 3) == 0 && text.at[5] == '>') {
        high = hex_digit(text.at[3]);
        low = hex_digit(text.at[4]);
    }
    if (high < 0 || low < 0)
        return fail(b->error, MOTE_E_FORMAT,
                    "%s: token %d is a byte and its text is \"%.*s\", not \"<0x00>\" to \"<0xFF>\"; " AGAIN,
                    gguf_name(b->file), token, shown(text.length), text.at);
    b->v.facts.bytes[high * 16 + low] = token;
    return MOTE_OK;
}

/* Bytes of a text from `at` on. */
static size_t left_of(gguf_string text, const char *at)
{
    return text.length - (size_t)(at - text.at);
}

/* Notes what the token's text means for spaces: it is a run of them, or has one behind something else. */
static void note_spaces(vocabulary *v, mote_token token)
{
    gguf_string text = vocabulary_text(v, token);
    if (vocabulary_kind(v, token) == TOKEN_USER && text.length <= VOCABULARY_LONGEST_SPACES) {
        size_t spaces = 0;
        while (spaces < text.length && text.at[spaces] == ' ')
            spaces++;
        if (spaces == text.length && spaces > 0) {
            v->facts.space_runs[spaces] = token;
            return;
        }
    }
    size_t behind = 0; /* the last mark */
    for (const char *mark = text.at; (mark = memchr(mark, SPACE_MARK[0], left_of(text, mark))) != NULL;) {
        size_t at = (size_t)(mark - text.at);
        if (text.length - at < SPACE_MARK_LENGTH || memcmp(mark, SPACE_MARK, SPACE_MARK_LENGTH) != 0) {
            mark++;
            continue;
        }
        if (at > behind)
            v->facts.joins_space[(unsigned char)mark[-1]] = 1;
        mark += SPACE_MARK_LENGTH;
        behind = at + SPACE_MARK_LENGTH;
    }
}

static mote_status read_sentencepiece(builder *b)
{
    vocabulary_facts *f = &b->v.facts;
    float *scores = table(b, b->at.scores);
    bool prefix = true;
    mote_status status = gguf_get_bool(b->file, "tokenizer.ggml.add_space_prefix", &prefix, b->error);
    if (status == MOTE_OK)
        status = read_token(b, "tokenizer.ggml.unknown_token_id", &f->unknown);
    f->space_prefix = prefix;
    for (size_t i = 0; i < b->v.count && status == MOTE_OK; i++) {
        scores[i] = gguf_float(b->scores, i);
        token_kind kind = vocabulary_kind(&b->v, (mote_token)i);
        if (kind == TOKEN_BYTE)
            status = read_byte_token(b, (mote_token)i);
        else if (kind == TOKEN_NORMAL || kind == TOKEN_USER)
            note_spaces(&b->v, (mote_token)i);
        else if (kind == TOKEN_UNKNOWN && f->unknown < 0)
            f->unknown = (mote_token)i;
    }
    return status;
}

/* ------------------------------------------------------------------------------------------------------ added tokens */

typedef struct added_text {
    gguf_string text;
    mote_token token;
} added_text;

static int compare_texts(const void *left, const void *right)
{
    gguf_string a = ((const added_text *)left)->text, b = ((const added_text *)right)->text;
    int order = memcmp(a.at, b.at, a.length < b.length ? a.length : b.length);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* In order of their ids. */
static mote_status collect_added(const builder *b, added_text *added, size_t *count)
{
    *count = 0;
    for (mote_token token = 0; token < (mote_token)b->v.count; token++) {
        if (vocabulary_kind(&b->v, token) == TOKEN_NORMAL || !added_tokens_has(&b->v, token))
            continue;
        gguf_string text = vocabulary_text(&b->v, token);
        if (text.length > ADDED_TOKENS_LONGEST)
            return fail(b->error, MOTE_E_LIMIT,
                        "%s: token %d stands outside BPE and has %zu bytes, of up to %d; fetch or convert it again",
                        gguf_name(b->file), token, text.length, ADDED_TOKENS_LONGEST);
        added[(*count)++] = (added_text){text, token};
    }
    return MOTE_OK;
}

static void write_added(builder *b, const added_text *added, size_t count)
{
    uint32_t at = 0, *first = b->header.facts.added_first, *out = table(b, b->at.added);
    for (unsigned byte = 0; byte <= 256; byte++) {
        while (at < count && (unsigned char)added[at].text.at[0] < byte)
            at++;
        first[byte] = at;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)added[i].token;
}

static mote_status read_added(builder *b)
{
    size_t count, bytes = ((size_t)b->header.facts.added_first[256] + 1) * sizeof(added_text);
    added_text *added = malloc(bytes);
    if (added == NULL)
        return fail_memory(b->error, bytes, "the vocabulary's added tokens");
    mote_status status = collect_added(b, added, &count);
    if (status == MOTE_OK) {
        qsort(added, count, sizeof *added, compare_texts);
        write_added(b, added, count);
    }
    free(added);
    return status;
}

/* ------------------------------------------------------------------------------------------------------------- whole */

static mote_status build(builder *b)
{
    mote_status status;
    if ((status = read_model(b)) || (status = find_arrays(b)) || (status = lay_out(b)) || (status = allocate(b)) ||
        (status = copy_texts(b)) || (status = index_texts(b)) || (status = read_kinds(b)) ||
        (status = read_special(b)) || (status = b->v.words != NULL ? read_byte_level(b) : read_sentencepiece(b)))
        return status;
    b->header.longest = (uint32_t)b->v.longest;
    b->header.facts = b->v.facts;
    if ((status = read_added(b)))
        return status;
    (void)tokenizer_image_lay_out(&b->at, &b->header); /* it fitted with more added tokens */
    b->header.size = b->at.size;
    memcpy(b->memory.base, &b->header, sizeof b->header);
    return MOTE_OK;
}

mote_status tokenizer_image_build(arena *out, size_t *size, const gguf *file, mote_error *error)
{
    builder b = {.file = file, .error = error};
    mote_status status = build(&b);
    if (status != MOTE_OK)
        arena_release(&b.memory);
    *out = b.memory;
    *size = b.at.size;
    return status;
}

mote_status tokenizer_image_measure(size_t *size, const gguf *file, mote_error *error)
{
    builder b = {.file = file, .error = error};
    mote_status status;
    if ((status = read_model(&b)) || (status = find_arrays(&b)) || (status = lay_out(&b)))
        return status;
    *size = b.at.size;
    return MOTE_OK;
}
