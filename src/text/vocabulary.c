/* Looking things up in a vocabulary. */
#include "text/vocabulary.h"

#include "text/byte_map.h"

mote_token vocabulary_probe(const vocabulary *v, hash_probe *probe, const char *text, size_t length)
{
    for (uint32_t token; hash_index_next(&v->text_index, probe, &token);) {
        gguf_string found = vocabulary_text(v, (mote_token)token);
        if (found.length == length && memcmp(found.at, text, length) == 0)
            return (mote_token)token;
    }
    return -1;
}

mote_token vocabulary_find(const vocabulary *v, const char *text, size_t length)
{
    if (length > v->longest)
        return -1;
    hash_probe probe = hash_index_begin(&v->text_index, hash_bytes(text, length));
    return vocabulary_probe(v, &probe, text, length);
}

/* The user-defined token of spaces that stands for a text of nothing but "▁". */
static mote_token find_space_run(const vocabulary *v, const char *text, size_t length)
{
    size_t count = length / SPACE_MARK_LENGTH;
    if (length % SPACE_MARK_LENGTH != 0 || count > VOCABULARY_LONGEST_SPACES || v->facts.space_runs[count] < 0)
        return -1;
    for (size_t i = 0; i < length; i += SPACE_MARK_LENGTH)
        if (memcmp(text + i, SPACE_MARK, SPACE_MARK_LENGTH) != 0)
            return -1;
    return v->facts.space_runs[count];
}

mote_token vocabulary_find_piece(const vocabulary *v, const char *text, size_t length)
{
    mote_token token = vocabulary_find(v, text, length);
    if (token >= 0 && (vocabulary_kind(v, token) == TOKEN_NORMAL || vocabulary_kind(v, token) == TOKEN_USER))
        return token;
    return v->has_space_runs ? find_space_run(v, text, length) : -1;
}

mote_token vocabulary_find_bytes(const vocabulary *v, const char *bytes, size_t length)
{
    char text[2 * VOCABULARY_LONGEST_TOKEN];
    if (length > v->longest)
        return -1;
    mote_token token = vocabulary_find(v, text, byte_map_write(bytes, length, text));
    return token >= 0 && vocabulary_kind(v, token) == TOKEN_NORMAL ? token : -1;
}
