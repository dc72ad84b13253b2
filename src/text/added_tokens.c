/* Finding added tokens: their texts sorted, and the range of those that agree with the text narrowed byte by byte. */
#include "text/added_tokens.h"

#include <stdlib.h>

static int compare_texts(gguf_string a, gguf_string b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.at, b.at, common);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* Heap sort: there is no qsort in C11 that hands the vocabulary to the comparison. */
static void sift_down(const vocabulary *v, mote_token *at, size_t root, size_t count)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && compare_texts(vocabulary_text(v, at[child]), vocabulary_text(v, at[child + 1])) < 0)
            child++;
        if (compare_texts(vocabulary_text(v, at[root]), vocabulary_text(v, at[child])) >= 0)
            return;
        mote_token swap = at[root];
        at[root] = at[child];
        at[child] = swap;
    }
}

static void sort_by_text(const vocabulary *v, mote_token *at, size_t count)
{
    for (size_t root = count / 2; root-- > 0;)
        sift_down(v, at, root, count);
    while (count > 1) {
        mote_token greatest = at[0];
        at[0] = at[--count];
        at[count] = greatest;
        sift_down(v, at, 0, count);
    }
}

static bool is_space_run(const vocabulary *v, mote_token token)
{
    size_t length = v->text_lengths[token];
    return length <= VOCABULARY_LONGEST_SPACES && v->space_runs[length] == token;
}

/* The unknown token written out is as much a forgery as a control token. */
static bool is_control(const vocabulary *v, mote_token token)
{
    return vocabulary_kind(v, token) == TOKEN_CONTROL || vocabulary_kind(v, token) == TOKEN_UNKNOWN;
}

static bool is_added(const vocabulary *v, mote_token token)
{
    bool user = vocabulary_kind(v, token) == TOKEN_USER && !is_space_run(v, token);
    return v->text_lengths[token] > 0 && (user || is_control(v, token));
}

mote_status added_tokens_open(added_tokens *added, const vocabulary *v, const char *file_name, mote_error *error)
{
    *added = (added_tokens){.space_marks = v->has_space_runs};
    size_t count = 0;
    for (mote_token token = 0; token < (mote_token)v->count; token++) {
        if (!is_added(v, token))
            continue;
        if (v->text_lengths[token] > ADDED_TOKENS_LONGEST)
            return fail(error, MOTE_E_LIMIT,
                        "%s: token %d stands outside BPE and has %d bytes, of up to %d; fetch or convert it again",
                        file_name, token, v->text_lengths[token], ADDED_TOKENS_LONGEST);
        count++;
    }
    added->sorted = malloc((count + 1) * sizeof *added->sorted);
    if (added->sorted == NULL)
        return fail_memory(error, (count + 1) * sizeof *added->sorted, "the vocabulary's added tokens");
    for (mote_token token = 0; token < (mote_token)v->count; token++)
        if (is_added(v, token))
            added->sorted[added->count++] = token;
    sort_by_text(v, added->sorted, added->count);

    uint32_t at = 0;
    for (unsigned byte = 0; byte <= 256; byte++) {
        while (at < added->count && (unsigned char)vocabulary_text(v, added->sorted[at]).at[0] < byte)
            at++;
        added->first[byte] = at;
    }
    return MOTE_OK;
}

void added_tokens_close(added_tokens *added)
{
    free(added->sorted);
    *added = (added_tokens){0};
}

/* The first in [low, high) whose byte `depth` is at least `byte`; texts that end before come first. */
static uint32_t lower_bound(const added_tokens *added, const vocabulary *v, uint32_t low, uint32_t high, size_t depth,
                            unsigned byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        gguf_string text = vocabulary_text(v, added->sorted[middle]);
        if (text.length <= depth || (unsigned char)text.at[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token at text[0], of those that may be taken: control tokens of up to `control_most` bytes, any other. */
static added_match longest_at(const added_tokens *added, const vocabulary *v, const char *text, size_t length,
                              size_t control_most)
{
    added_match best = {0, 0, -1};
    unsigned byte = (unsigned char)text[0];
    uint32_t low = added->first[byte], high = added->first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        /* The texts in [low, high) agree with the first `depth` bytes; one that ends here is the first of them. */
        mote_token token = added->sorted[low];
        if (v->text_lengths[token] == depth && (!is_control(v, token) || depth <= control_most))
            best = (added_match){0, depth, token};
        if (depth == length)
            break;
        byte = (unsigned char)text[depth];
        low = lower_bound(added, v, low, high, depth, byte);
        high = lower_bound(added, v, low, high, depth, byte + 1);
    }
    return best;
}

/* The longest token that is a run of "▁" written out. (Runs of spaces are BPE's to join.) */
static added_match marks_at(const vocabulary *v, const char *text, size_t length)
{
    added_match best = {0, 0, -1};
    size_t count = 0;
    while (count < VOCABULARY_LONGEST_SPACES && length >= SPACE_MARK_LENGTH &&
           memcmp(text, SPACE_MARK, SPACE_MARK_LENGTH) == 0) {
        count++;
        text += SPACE_MARK_LENGTH;
        length -= SPACE_MARK_LENGTH;
        if (v->space_runs[count] >= 0)
            best = (added_match){0, count * SPACE_MARK_LENGTH, v->space_runs[count]};
    }
    return best;
}

added_match added_tokens_find(const added_tokens *added, const vocabulary *v, const char *text, size_t length,
                              size_t from, size_t until, size_t control_end)
{
    for (size_t at = from; at < until; at++) {
        unsigned char byte = (unsigned char)text[at];
        added_match found = {at, 0, -1};
        if (added->first[byte] < added->first[byte + 1])
            found = longest_at(added, v, text + at, length - at, at < control_end ? control_end - at : 0);
        if (found.token < 0 && added->space_marks && byte == (unsigned char)SPACE_MARK[0])
            found = marks_at(v, text + at, length - at);
        if (found.token >= 0) {
            found.at = at;
            return found;
        }
    }
    return (added_match){until, 0, -1};
}
