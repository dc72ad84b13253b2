/* Finding added tokens: their texts sorted, and the range of those that agree with the text narrowed byte by byte. In an
 * image whose order is wrong the range still shrinks, and what is found still has the length it was found with. */
#include "text/added_tokens.h"

static bool is_space_run(const vocabulary *v, mote_token token)
{
    size_t length = vocabulary_text(v, token).length;
    return length <= VOCABULARY_LONGEST_SPACES && v->facts.space_runs[length] == token;
}

/* The unknown token written out is as much a forgery as a control token. */
static bool is_control(const vocabulary *v, mote_token token)
{
    return vocabulary_kind(v, token) == TOKEN_CONTROL || vocabulary_kind(v, token) == TOKEN_UNKNOWN;
}

bool added_tokens_has(const vocabulary *v, mote_token token)
{
    if (vocabulary_kind(v, token) == TOKEN_USER)
        return vocabulary_text(v, token).length > 0 && !is_space_run(v, token);
    return is_control(v, token) && vocabulary_text(v, token).length > 0;
}

/* The token in v->added[index], or any other if that is none. */
static mote_token added_at(const vocabulary *v, uint32_t index)
{
    uint32_t token = look_u32(v->added + index * sizeof token);
    return token < v->count ? (mote_token)token : 0;
}

/* The first in [low, high) whose byte `depth` is at least `byte`; texts that end before come first. */
static uint32_t lower_bound(const vocabulary *v, uint32_t low, uint32_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        gguf_string text = vocabulary_text(v, added_at(v, middle));
        if (text.length <= depth || (unsigned char)text.at[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token at text[0], of those that may be taken: control tokens of up to `control_most` bytes, any other. */
static added_match longest_at(const vocabulary *v, const char *text, size_t length, size_t control_most)
{
    added_match best = {0, 0, -1};
    unsigned byte = (unsigned char)text[0];
    uint32_t low = v->facts.added_first[byte], high = v->facts.added_first[byte + 1];
    for (size_t depth = 1; low < high && depth <= ADDED_TOKENS_LONGEST; depth++) {
        /* The texts in [low, high) agree with the first `depth` bytes; one that ends here is the first of them. */
        mote_token token = added_at(v, low);
        if (vocabulary_text(v, token).length == depth && (!is_control(v, token) || depth <= control_most))
            best = (added_match){0, depth, token};
        if (depth == length)
            break;
        byte = (unsigned char)text[depth];
        low = lower_bound(v, low, high, depth, byte);
        high = lower_bound(v, low, high, depth, byte + 1);
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
        if (v->facts.space_runs[count] >= 0)
            best = (added_match){0, count * SPACE_MARK_LENGTH, v->facts.space_runs[count]};
    }
    return best;
}

added_match added_tokens_find(const vocabulary *v, const char *text, size_t length, size_t from, size_t until,
                              size_t control_end)
{
    const uint32_t *first = v->facts.added_first;
    for (size_t at = from; at < until; at++) {
        unsigned char byte = (unsigned char)text[at];
        added_match found = {at, 0, -1};
        if (first[byte] < first[byte + 1])
            found = longest_at(v, text + at, length - at, at < control_end ? control_end - at : 0);
        if (found.token < 0 && v->has_space_runs && byte == (unsigned char)SPACE_MARK[0])
            found = marks_at(v, text + at, length - at);
        if (found.token >= 0) {
            found.at = at;
            return found;
        }
    }
    return (added_match){until, 0, -1};
}
