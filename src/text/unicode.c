/* UTF-8, character classes and NFC over utf8proc's tables. */
#include "text/unicode.h"

#include "base/checked.h"
#include "base/status.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ------------------------------------------------------------------------------------------------------------- UTF-8 */

/* Table 3-7 of the Unicode standard: the lead byte fixes the length and the range of the second byte, which is where
 * overlong forms, surrogates and codes past U+10FFFF are told apart. The rest are 80..BF. */
utf8_char utf8_decode(const char *at, size_t left)
{
    const unsigned char *byte = (const unsigned char *)at;
    unsigned lead = byte[0];
    if (lead < 0x80)
        return (utf8_char){lead, 1};
    if (lead < 0xc2 || lead > 0xf4)
        return (utf8_char){UTF8_INVALID, 1};

    uint32_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    uint32_t code = lead & (0x7fu >> length);
    for (uint32_t i = 1; i < length; i++) {
        if (i == left)
            return (utf8_char){UTF8_PARTIAL, i};
        if (byte[i] < low || byte[i] > high)
            return (utf8_char){UTF8_INVALID, i};
        code = code << 6 | (byte[i] & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    return (utf8_char){code, length};
}

size_t utf8_encode(uint32_t code, char at[UTF8_LONGEST])
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)at);
}

/* ----------------------------------------------------------------------------------------------------------- classes */

enum {
    CASELESS = CHAR_LETTER | CHAR_UPPER | CHAR_LOWER, /* letters of scripts without case */
    MARK = CHAR_UPPER | CHAR_LOWER
};

/* clang-format off */
static const unsigned char classes_of_category[] = {
    [UTF8PROC_CATEGORY_LU] = CHAR_LETTER | CHAR_UPPER,
    [UTF8PROC_CATEGORY_LL] = CHAR_LETTER | CHAR_LOWER,
    [UTF8PROC_CATEGORY_LT] = CHAR_LETTER | CHAR_UPPER,
    [UTF8PROC_CATEGORY_LM] = CASELESS, [UTF8PROC_CATEGORY_LO] = CASELESS,
    [UTF8PROC_CATEGORY_MN] = MARK, [UTF8PROC_CATEGORY_MC] = MARK, [UTF8PROC_CATEGORY_ME] = MARK,
    [UTF8PROC_CATEGORY_ND] = CHAR_NUMBER, [UTF8PROC_CATEGORY_NL] = CHAR_NUMBER, [UTF8PROC_CATEGORY_NO] = CHAR_NUMBER,
    [UTF8PROC_CATEGORY_PC] = CHAR_PUNCT, [UTF8PROC_CATEGORY_PD] = CHAR_PUNCT, [UTF8PROC_CATEGORY_PS] = CHAR_PUNCT,
    [UTF8PROC_CATEGORY_PE] = CHAR_PUNCT, [UTF8PROC_CATEGORY_PI] = CHAR_PUNCT, [UTF8PROC_CATEGORY_PF] = CHAR_PUNCT,
    [UTF8PROC_CATEGORY_PO] = CHAR_PUNCT,
    [UTF8PROC_CATEGORY_ZS] = CHAR_SPACE, [UTF8PROC_CATEGORY_ZL] = CHAR_SPACE, [UTF8PROC_CATEGORY_ZP] = CHAR_SPACE,
    [UTF8PROC_CATEGORY_CO] = 0, /* the last category: the others have no class */
};

/* Most text is ASCII, and there white space and the symbols that count as punctuation are not what the category says. */
#define NL  (CHAR_SPACE | CHAR_NEWLINE)
#define SP  CHAR_SPACE
#define PU  CHAR_PUNCT
#define NU  CHAR_NUMBER
#define UP  (CHAR_LETTER | CHAR_UPPER)
#define LO  (CHAR_LETTER | CHAR_LOWER)
static const unsigned char classes_of_ascii[128] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  SP, NL, SP, SP, NL, 0,  0,   0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    SP, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU,  NU, NU, NU, NU, NU, NU, NU, NU, NU, NU, PU, PU, PU, PU, PU, PU,
    PU, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP,  UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, PU, PU, PU, PU, PU,
    0,  LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO,  LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, PU, PU, PU, PU, 0,
};
#undef NL
#undef SP
#undef PU
#undef NU
#undef UP
#undef LO
/* clang-format on */

unsigned char_class(uint32_t code)
{
    if (code < 0x80)
        return classes_of_ascii[code];
    if (code == 0x85) /* NEXT LINE, the one White_Space beyond ASCII that is not a separator by category */
        return CHAR_SPACE;
    if (code >= UTF8_INVALID)
        return 0;
    return classes_of_category[utf8proc_category((utf8proc_int32_t)code)];
}

/* --------------------------------------------------------------------------------------------------------------- NFC */

/* Characters that NFC leaves alone and that never join the one before: text may be cut in front of them. The ranges are
 * those of everyday text, not all there are. */
static bool is_stable(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x0000, 0x02ff},   /* Latin */
        {0x0400, 0x0482},   /* Cyrillic */
        {0x05d0, 0x05ea},   /* Hebrew letters */
        {0x0620, 0x064a},   /* Arabic letters */
        {0x0e01, 0x0e37},   /* Thai */
        {0x2010, 0x2027},   /* dashes, quotes */
        {0x3041, 0x3096},   /* Hiragana */
        {0x30a1, 0x30fa},   /* Katakana */
        {0x4e00, 0x9fff},   /* Chinese characters */
        {0xac00, 0xd7a3},   /* Hangul syllables */
        {0x1f300, 0x1faff}, /* emoji */
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && code >= ranges[i].first; i++)
        if (code <= ranges[i].last)
            return true;
    return false;
}

bool unicode_is_surely_nfc(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        utf8_char c = utf8_decode(text + i, length - i);
        if (c.code < UTF8_INVALID && !is_stable(c.code))
            return false;
        i += c.length;
    }
    return true;
}

/* Where the normalised text goes, and the code points of the stretch at hand. */
typedef struct nfc_work {
    char *out;
    size_t length, capacity;
    utf8proc_int32_t *codes;
    utf8proc_int32_t *sorted; /* as large as `codes` */
    size_t code_count, code_capacity;
    mote_error *error;
} nfc_work;

static mote_status append_bytes(nfc_work *work, const char *bytes, size_t count)
{
    if (count > work->capacity - work->length) {
        size_t needed;
        if (!checked_add(work->length, count, &needed) || !checked_mul(needed, 2, &needed))
            return fail_memory(work->error, count, "text in Normalization Form C");
        char *out = realloc(work->out, needed);
        if (out == NULL)
            return fail_memory(work->error, needed, "text in Normalization Form C");
        work->out = out;
        work->capacity = needed;
    }
    memcpy(work->out + work->length, bytes, count);
    work->length += count;
    return MOTE_OK;
}

static mote_status append_code(nfc_work *work, uint32_t code)
{
    enum { LONGEST_DECOMPOSITION = 8 }; /* Unicode's canonical ones have at most 4 */
    if (work->code_capacity - work->code_count < LONGEST_DECOMPOSITION) {
        size_t count = work->code_capacity * 2 + 64, bytes;
        if (!checked_mul(count, sizeof *work->codes, &bytes))
            return fail_memory(work->error, count, "text in Normalization Form C");
        utf8proc_int32_t *codes = realloc(work->codes, bytes);
        if (codes != NULL)
            work->codes = codes;
        utf8proc_int32_t *sorted = realloc(work->sorted, bytes);
        if (sorted != NULL)
            work->sorted = sorted;
        if (codes == NULL || sorted == NULL)
            return fail_memory(work->error, bytes, "text in Normalization Form C");
        work->code_capacity = count;
    }
    int boundary = 0; /* wanted by utf8proc for grapheme breaks only */
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code, work->codes + work->code_count,
                                                     LONGEST_DECOMPOSITION, UTF8PROC_DECOMPOSE, &boundary);
    work->code_count += (size_t)count;
    return MOTE_OK;
}

static unsigned combining_class(utf8proc_int32_t code)
{
    return (unsigned)utf8proc_get_property(code)->combining_class & 0xff;
}

/* Canonical order: each run of marks sorted by combining class, marks of one class in the order they came. A counting
 * sort, because sorting by exchange takes hours for a megabyte of marks. */
static void order_marks(nfc_work *work)
{
    size_t end;
    for (size_t start = 0; start < work->code_count; start = end) {
        end = start + 1;
        if (combining_class(work->codes[start]) == 0)
            continue;
        while (end < work->code_count && combining_class(work->codes[end]) != 0)
            end++;
        if (end - start == 1)
            continue;

        size_t place[257] = {0};
        for (size_t i = start; i < end; i++)
            place[combining_class(work->codes[i]) + 1]++;
        for (size_t class = 1; class < 257; class ++)
            place[class] += place[class - 1];
        for (size_t i = start; i < end; i++)
            work->sorted[place[combining_class(work->codes[i])]++] = work->codes[i];
        memcpy(work->codes + start, work->sorted, (end - start) * sizeof *work->codes);
    }
}

/* Composes the stretch and writes it out. */
static mote_status flush_stretch(nfc_work *work)
{
    if (work->code_count == 0)
        return MOTE_OK;
    order_marks(work);
    utf8proc_ssize_t count =
        utf8proc_normalize_utf32(work->codes, (utf8proc_ssize_t)work->code_count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    work->code_count = 0;
    mote_status status = MOTE_OK;
    for (utf8proc_ssize_t i = 0; i < count && status == MOTE_OK; i++) {
        char bytes[UTF8_LONGEST];
        size_t length = utf8_encode((uint32_t)work->codes[i], bytes);
        status = append_bytes(work, bytes, length);
    }
    return status;
}

static mote_status normalise(nfc_work *work, const char *text, size_t length)
{
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < length && status == MOTE_OK;) {
        utf8_char c = utf8_decode(text + i, length - i);
        bool valid = c.code < UTF8_INVALID;
        if (!valid || is_stable(c.code))
            status = flush_stretch(work);
        if (status == MOTE_OK)
            status = valid ? append_code(work, c.code) : append_bytes(work, text + i, c.length);
        i += c.length;
    }
    return status == MOTE_OK ? flush_stretch(work) : status;
}

mote_status unicode_nfc(const char *text, size_t length, char **out, size_t *out_length, mote_error *error)
{
    nfc_work work = {.error = error};
    mote_status status = normalise(&work, text, length);
    free(work.codes);
    free(work.sorted);
    if (status != MOTE_OK) {
        free(work.out);
        work.out = NULL;
        work.length = 0;
    }
    *out = work.out;
    *out_length = work.length;
    return status;
}
