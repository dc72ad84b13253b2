/* The pre-tokenizers' regular expressions as scanners.
 *
 * Above each scanner stands the expression it follows. Alternatives are tried in order and quantifiers are greedy; where
 * an engine would step back, the place it would step back to is computed instead:
 *
 *     \s*[\r\n]+     up to and with the last line break of the white space
 *     \s+(?!\S)      white space without its last character, unless the text ends there
 *     U*L+           see cased_letters */
#include "text/pretokenizer.h"
#include "text/unicode.h"

#include <string.h>

enum { CHAR_OTHER = 128 }; /* [^\s\p{L}\p{N}]: symbols, marks, what is not UTF-8 */

/* A text to scan; it ends early in front of a character of a class in `stop`. */
typedef struct scan {
    const char *text;
    size_t length;
    unsigned stop;
} scan;

typedef struct glyph {
    unsigned class;
    size_t length;
} glyph;

/* The character at `at`; at the end one of no class and no length. */
static glyph peek(const scan *s, size_t at)
{
    if (at >= s->length)
        return (glyph){0, 0};
    utf8_char c = utf8_decode(s->text + at, s->length - at);
    unsigned class = char_class(c.code);
    if (class & s->stop)
        return (glyph){0, 0};
    if (!(class & (CHAR_SPACE | CHAR_LETTER | CHAR_NUMBER)))
        class |= CHAR_OTHER;
    return (glyph){class, c.length};
}

/* The end of the characters of `classes` from `at`, at most `most` of them. */
static size_t skip_some(const scan *s, size_t at, unsigned classes, size_t most)
{
    while (most-- > 0) {
        glyph c = peek(s, at);
        if (!(c.class & classes))
            break;
        at += c.length;
    }
    return at;
}

static size_t skip(const scan *s, size_t at, unsigned classes)
{
    return skip_some(s, at, classes, SIZE_MAX);
}

static bool is_at(const scan *s, size_t at, char byte)
{
    return at < s->length && s->text[at] == byte;
}

/* 's|'t|'re|'ve|'m|'ll|'d: its length at `at`, or 0. Caseless as Unicode has it: U+017F LONG S is an s. */
static size_t contraction(const scan *s, size_t at, bool caseless)
{
    size_t left = s->length - at;
    if (left < 2 || s->text[at] != '\'')
        return 0;
    char letters[2] = {s->text[at + 1], left > 2 ? s->text[at + 2] : '\0'};
    if (caseless) {
        if (memcmp(letters, "\xc5\xbf", 2) == 0)
            return 3;
        for (int i = 0; i < 2; i++)
            if (letters[i] >= 'A' && letters[i] <= 'Z')
                letters[i] = (char)(letters[i] | 0x20);
    }
    if (strchr("stmd", letters[0]) != NULL && letters[0] != '\0')
        return 2;
    static const char pairs[3][2] = {{'r', 'e'}, {'v', 'e'}, {'l', 'l'}};
    for (int i = 0; i < 3; i++)
        if (memcmp(letters, pairs[i], 2) == 0)
            return 3;
    return 0;
}

/* \s+(?!\S)|\s+ */
static size_t spaces(const scan *s)
{
    size_t at = 0, last = 0;
    for (glyph c; (c = peek(s, at)).class & CHAR_SPACE; at += c.length)
        last = at;
    bool more = peek(s, at).class != 0;
    return more && last > 0 ? last : at;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t spaces_and_lines(const scan *s)
{
    size_t at = 0, line_end = 0;
    for (glyph c; (c = peek(s, at)).class & CHAR_SPACE;) {
        at += c.length;
        if (c.class & CHAR_NEWLINE)
            line_end = at;
    }
    return line_end > 0 ? line_end : spaces(s);
}

/* ------------------------------------------------------------------------------------------------------------- GPT-2 */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t gpt2_word(const scan *s)
{
    size_t length = contraction(s, 0, false);
    if (length > 0)
        return length;
    size_t start = is_at(s, 0, ' ') ? 1 : 0;
    static const unsigned kinds[] = {CHAR_LETTER, CHAR_NUMBER, CHAR_OTHER};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (peek(s, start).class & kinds[i])
            return skip(s, start, kinds[i]);
    return spaces(s);
}

static size_t next_gpt2(const char *text, size_t length)
{
    return gpt2_word(&(scan){text, length, 0});
}

/* First each \p{N} apart, then GPT-2's expression on what is between. */
static size_t next_smollm(const char *text, size_t length)
{
    scan all = {text, length, 0};
    glyph first = peek(&all, 0);
    return first.class & CHAR_NUMBER ? first.length : gpt2_word(&(scan){text, length, CHAR_NUMBER});
}

static bool is_three_digits(const char *text, size_t left)
{
    if (left < 3)
        return false;
    for (int i = 0; i < 3; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

/* The default of llama.cpp, for files that name none. Four expressions, each cutting what the one before has left:
 * [\p{P}$+<=>^~|]+, then GPT-2's, then \p{N}+, then [0-9][0-9][0-9]. */
static size_t next_default(const char *text, size_t length)
{
    scan s = {text, length, 0};
    glyph first = peek(&s, 0);
    if (first.class & CHAR_PUNCT)
        return skip(&s, 0, CHAR_PUNCT);
    if (first.class & CHAR_NUMBER) {
        if (is_three_digits(text, length))
            return 3;
        size_t at = first.length;
        while (!is_three_digits(text + at, length - at) && (peek(&s, at).class & CHAR_NUMBER))
            at += peek(&s, at).length;
        return at;
    }
    if (text[0] == ' ' && (peek(&s, 1).class & CHAR_NUMBER))
        return 1;
    s.stop = CHAR_PUNCT;
    return gpt2_word(&s);
}

/* -------------------------------------------------------------------------------------------------- Llama 3 and Qwen */

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t llama3_word(const char *text, size_t length, size_t digits)
{
    scan s = {text, length, 0};
    size_t end = contraction(&s, 0, true);
    if (end > 0)
        return end;
    glyph first = peek(&s, 0);
    if (first.class & CHAR_NUMBER)
        return skip_some(&s, 0, CHAR_NUMBER, digits);
    size_t start = first.class & (CHAR_NEWLINE | CHAR_LETTER) ? 0 : first.length;
    if (peek(&s, start).class & CHAR_LETTER)
        return skip(&s, start, CHAR_LETTER);
    start = text[0] == ' ' ? 1 : 0;
    if (peek(&s, start).class & CHAR_OTHER)
        return skip(&s, skip(&s, start, CHAR_OTHER), CHAR_NEWLINE);
    return spaces_and_lines(&s);
}

static size_t next_llama3(const char *text, size_t length)
{
    return llama3_word(text, length, 3);
}

static size_t next_qwen2(const char *text, size_t length)
{
    return llama3_word(text, length, 1);
}

/* ------------------------------------------------------------------------------------------------------------- o200k */

/* U*L+ with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and L = [\p{Ll}\p{Lm}\p{Lo}\p{M}]: the end, or 0.
 *
 * U* takes all it can. If an L follows, that is a lower-case letter and the rest is L+. If not, U* has to give back up to
 * the last of its characters that is an L too; what stands behind that one is capitals, where L+ ends. */
static size_t cased_letters(const scan *s, size_t at)
{
    size_t last_common = 0;
    for (glyph c; (c = peek(s, at)).class & CHAR_UPPER;) {
        at += c.length;
        if (c.class & CHAR_LOWER)
            last_common = at;
    }
    return peek(s, at).class & CHAR_LOWER ? skip(s, at, CHAR_LOWER) : last_common;
}

/* [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L*: the end, or 0. Where the second is reached no L follows U+. A mark can be
 * both the character in front and a letter: each part is tried with it in front first. */
static size_t o200k_letters(const scan *s)
{
    glyph first = peek(s, 0);
    bool in_front = !(first.class & (CHAR_NEWLINE | CHAR_LETTER | CHAR_NUMBER));
    size_t end = 0;
    if (in_front)
        end = cased_letters(s, first.length);
    if (end == 0)
        end = cased_letters(s, 0);
    if (end > 0)
        return end;
    size_t start = in_front ? first.length : 0;
    end = skip(s, start, CHAR_UPPER);
    return end > start ? end : 0;
}

/* U*L+ and U+L* as above, each with (?i:'s|'t|'re|'ve|'m|'ll|'d)? behind it
 * |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t next_o200k(const char *text, size_t length)
{
    scan s = {text, length, 0};
    size_t end = o200k_letters(&s);
    if (end > 0)
        return end + contraction(&s, end, true);
    if (peek(&s, 0).class & CHAR_NUMBER)
        return skip_some(&s, 0, CHAR_NUMBER, 3);
    size_t start = text[0] == ' ' ? 1 : 0;
    if (peek(&s, start).class & CHAR_OTHER) {
        end = skip(&s, start, CHAR_OTHER);
        while (end < length && (text[end] == '\r' || text[end] == '\n' || text[end] == '/'))
            end++;
        return end;
    }
    return spaces_and_lines(&s);
}

/* ------------------------------------------------------------------------------------------------------------- names */

const pretokenizer *pretokenizer_find(const char *name, size_t length)
{
    static const pretokenizer gpt2 = {.name = "gpt-2", .next = next_gpt2};
    static const pretokenizer smollm = {.name = "smollm", .next = next_smollm};
    static const pretokenizer fallback = {.name = "default", .next = next_default};
    static const pretokenizer qwen2 = {.name = "qwen2", .next = next_qwen2, .nfc = true};
    static const pretokenizer o200k = {.name = "gpt-4o", .next = next_o200k};
    static const pretokenizer llama3 = {.name = "llama-bpe", .next = next_llama3, .whole_words = true, .begins = true};
    static const struct {
        const char *name;
        const pretokenizer *it;
    } names[] = {
        {"default", &fallback}, {"gpt-2", &gpt2},       {"smollm", &smollm},
        {"qwen2", &qwen2},      {"llama-bpe", &llama3}, {"gpt-4o", &o200k},
        {"llama3", &llama3},    {"llama-v3", &llama3},  {"deepseek-r1-qwen", &qwen2},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == length && memcmp(names[i].name, name, length) == 0)
            return names[i].it;
    return NULL;
}
