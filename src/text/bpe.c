/* Joining pairs with a heap over a doubly linked list: O(n log n) for a word of n bytes.
 *
 *     symbols   h ⇄ e ⇄ l ⇄ l ⇄ o          each with the priority of joining it to the next
 *     heap      (h,e) (l,l) …              entries are never removed early: one whose priority is no longer
 *                                          that of its symbol is stale and skipped
 *
 * Of pairs of equal priority the leftmost is joined first. */
#include "text/bpe.h"

#include "base/checked.h"
#include "base/ids.h"
#include "text/unicode.h"

#include <stdlib.h>

enum { NOWHERE = -1 };
#define NEVER UINT64_MAX /* the priority of a pair that cannot be joined */

struct bpe_symbol {
    mote_token token;
    mote_token joined;    /* what it becomes when joined with the next */
    int32_t before, next; /* symbols, or NOWHERE */
    uint64_t priority;    /* of joining it with the next: the least goes first */
};

struct bpe_pair {
    uint64_t priority;
    int32_t at; /* the left symbol */
};

void bpe_close(bpe *b)
{
    free(b->symbols);
    free(b->heap);
    b->symbols = NULL;
    b->heap = NULL;
}

/* -------------------------------------------------------------------------------------------------------------- heap */

static bool is_before(bpe_pair a, bpe_pair b)
{
    return a.priority < b.priority || (a.priority == b.priority && a.at < b.at);
}

static mote_status push(bpe *b, bpe_pair pair, mote_error *error)
{
    if (b->heap_count == b->heap_capacity) {
        size_t capacity = b->heap_capacity * 2 + 64, bytes;
        if (!checked_mul(capacity, sizeof *b->heap, &bytes))
            return fail_memory(error, SIZE_MAX, "a long word");
        bpe_pair *heap = realloc(b->heap, bytes);
        if (heap == NULL)
            return fail_memory(error, bytes, "a long word");
        b->heap = heap;
        b->heap_capacity = capacity;
    }
    size_t at = b->heap_count++;
    for (size_t parent; at > 0 && is_before(pair, b->heap[parent = (at - 1) / 2]); at = parent)
        b->heap[at] = b->heap[parent];
    b->heap[at] = pair;
    return MOTE_OK;
}

static bpe_pair pop(bpe *b)
{
    bpe_pair *heap = b->heap;
    bpe_pair top = heap[0], last = heap[--b->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < b->heap_count; at = child) {
        if (child + 1 < b->heap_count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

/* ------------------------------------------------------------------------------------------------------------- pairs */

/* SentencePiece's order as HF tokenizers has it in lists of merges: the higher score first, and of the ways to put one
 * token together that with the longer left part. User-defined tokens precede everything. */
static uint64_t piece_priority(const vocabulary *v, mote_token token, size_t left_length)
{
    uint64_t by_left = VOCABULARY_LONGEST_TOKEN - left_length;
    if (vocabulary_kind(v, token) == TOKEN_USER)
        return by_left;
    uint32_t bits = f32_bits(vocabulary_score(v, token));
    uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u; /* floats in the order of integers */
    return ((uint64_t)~ascending + 1) << 12 | by_left;
}

/* Is it a token that BPE may join to others? A byte that stands for itself in a SentencePiece word is not. */
static bool is_piece(const vocabulary *v, mote_token token)
{
    return vocabulary_kind(v, token) == TOKEN_NORMAL || vocabulary_kind(v, token) == TOKEN_USER;
}

/* Sets what joining symbol `at` to the next would give, and offers it. */
static mote_status offer(bpe *b, int32_t at, const char *word, size_t length, mote_error *error)
{
    const vocabulary *v = b->v;
    bpe_symbol *left = &b->symbols[at];
    left->priority = NEVER;
    if (left->next == NOWHERE)
        return MOTE_OK;
    const bpe_symbol *right = &b->symbols[left->next];
    if (v->words != NULL) {
        uint32_t one = (uint32_t)left->token, other = (uint32_t)right->token, rank;
        hash_probe probe = hash_index_begin(&v->merge_index, merge_hash(one, other));
        mote_token joined = vocabulary_probe_merge(v, &probe, one, other, &rank);
        if (joined < 0)
            return MOTE_OK;
        left->joined = joined;
        left->priority = rank;
    } else {
        if (!is_piece(v, left->token) || !is_piece(v, right->token))
            return MOTE_OK;
        size_t end = right->next == NOWHERE ? length : (size_t)right->next;
        mote_token joined = vocabulary_find_piece(v, word + at, end - (size_t)at);
        if (joined < 0)
            return MOTE_OK;
        left->joined = joined;
        left->priority = piece_priority(v, joined, (size_t)(left->next - at));
    }
    return push(b, (bpe_pair){left->priority, at}, error);
}

/* ---------------------------------------------------------------------------------------------------------- encoding */

static void add_symbol(bpe *b, size_t at, mote_token token)
{
    b->symbols[at] = (bpe_symbol){.token = token, .before = b->last, .next = NOWHERE, .priority = NEVER};
    if (b->last == NOWHERE)
        b->first = (int32_t)at;
    else
        b->symbols[b->last].next = (int32_t)at;
    b->last = (int32_t)at;
}

/* A SentencePiece character: a token, or its bytes as tokens, or the unknown token, once for all that stand in a row. */
static void add_character(bpe *b, const char *word, size_t at, utf8_char c)
{
    const vocabulary *v = b->v;
    mote_token token = c.code < UTF8_INVALID ? vocabulary_find_piece(v, word + at, c.length) : -1;
    if (token >= 0) {
        add_symbol(b, at, token);
        return;
    }
    bool spelled = true;
    for (uint32_t i = 0; i < c.length; i++)
        spelled = spelled && v->facts.bytes[(unsigned char)word[at + i]] >= 0;
    if (spelled) {
        for (uint32_t i = 0; i < c.length; i++)
            add_symbol(b, at + i, v->facts.bytes[(unsigned char)word[at + i]]);
    } else if (v->facts.unknown >= 0 && (b->last == NOWHERE || b->symbols[b->last].token != v->facts.unknown)) {
        add_symbol(b, at, v->facts.unknown);
    }
}

/* The word as the smallest tokens there are. Bytes that a byte-level vocabulary lacks are left out, as HF tokenizers does;
 * the unknown token that some of those files name is their end of text, and no text may spell that. */
static void add_symbols(bpe *b, const char *word, size_t length)
{
    const vocabulary *v = b->v;
    b->first = b->last = NOWHERE;
    if (v->words == NULL) {
        for (size_t at = 0; at < length;) {
            utf8_char c = utf8_decode(word + at, length - at);
            add_character(b, word, at, c);
            at += c.length;
        }
        return;
    }
    for (size_t at = 0; at < length; at++) {
        mote_token token = v->facts.bytes[(unsigned char)word[at]];
        if (token >= 0)
            add_symbol(b, at, token);
    }
}

static mote_status reserve_symbols(bpe *b, size_t count, mote_error *error)
{
    size_t bytes;
    if (count <= b->symbol_capacity)
        return MOTE_OK;
    if (!checked_mul(count, sizeof *b->symbols, &bytes))
        return fail_memory(error, SIZE_MAX, "a long word");
    bpe_symbol *symbols = malloc(bytes);
    if (symbols == NULL)
        return fail_memory(error, bytes, "a long word");
    free(b->symbols);
    b->symbols = symbols;
    b->symbol_capacity = count;
    return MOTE_OK;
}

/* Joins a symbol to its right neighbour, which ceases to be. */
static mote_status join(bpe *b, int32_t at, const char *word, size_t length, mote_error *error)
{
    bpe_symbol *left = &b->symbols[at], *right = &b->symbols[left->next];
    left->token = left->joined;
    left->next = right->next;
    if (left->next != NOWHERE)
        b->symbols[left->next].before = at;
    right->priority = NEVER;
    mote_status status = offer(b, at, word, length, error);
    if (status == MOTE_OK && left->before != NOWHERE)
        status = offer(b, left->before, word, length, error);
    return status;
}

mote_status bpe_encode(bpe *b, const char *word, size_t length, mote_ids *ids, mote_error *error)
{
    if (length > BPE_LONGEST_WORD)
        return fail(error, MOTE_E_LIMIT, "a word of the text has %zu bytes, and mote encodes up to %d; split the text",
                    length, BPE_LONGEST_WORD);
    mote_status status = reserve_symbols(b, length, error);
    if (status != MOTE_OK)
        return status;
    add_symbols(b, word, length);
    b->heap_count = 0;
    for (int32_t at = b->first; at != NOWHERE && status == MOTE_OK; at = b->symbols[at].next)
        status = offer(b, at, word, length, error);
    while (b->heap_count > 0 && status == MOTE_OK) {
        bpe_pair pair = pop(b);
        if (b->symbols[pair.at].priority == pair.priority)
            status = join(b, pair.at, word, length, error);
    }
    for (int32_t at = b->first; at != NOWHERE && status == MOTE_OK; at = b->symbols[at].next)
        status = ids_append(ids, b->symbols[at].token, error);
    return status;
}
