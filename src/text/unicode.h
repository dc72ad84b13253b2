/* Unicode as tokenizers see it: strict UTF-8, the character classes of their regular expressions, and NFC.
 *
 * Categories and decompositions are utf8proc's; what it knows of Unicode is all that mote knows. */
#ifndef MOTE_TEXT_UNICODE_H
#define MOTE_TEXT_UNICODE_H

#include <mote/mote.h>

/* ------------------------------------------------------------------------------------------------------------- UTF-8 */

enum {
    UTF8_LONGEST = 4,
    UTF8_INVALID = 0x110000, /* bytes that are part of no character */
    UTF8_PARTIAL = 0x110001  /* the text ends inside what may become a character */
};

typedef struct utf8_char {
    uint32_t code;   /* a code point, UTF8_INVALID or UTF8_PARTIAL */
    uint32_t length; /* in bytes, at least 1; if not valid: of the maximal part (Unicode 15, §3.9) */
} utf8_char;

/* The character at the start of `left` > 0 bytes. Overlong forms, surrogates and codes past U+10FFFF are invalid. */
utf8_char utf8_decode(const char *at, size_t left);

/* Writes a code point, returns its length. */
size_t utf8_encode(uint32_t code, char at[UTF8_LONGEST]);

/* ----------------------------------------------------------------------------------------------------------- classes */

enum {
    CHAR_SPACE = 1,   /* \s: White_Space */
    CHAR_NEWLINE = 2, /* [\r\n], spaces too */
    CHAR_LETTER = 4,  /* \p{L} */
    CHAR_NUMBER = 8,  /* \p{N} */
    CHAR_UPPER = 16,  /* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]: may stand where a capital stands */
    CHAR_LOWER = 32,  /* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
    CHAR_PUNCT = 64   /* [\p{P}$+<=>^~|] */
};

/* The classes of a code point; none for what is not valid. */
unsigned char_class(uint32_t code);

/* --------------------------------------------------------------------------------------------------------------- NFC */

/* Is the text in Normalization Form C for certain? False means only that unicode_nfc must be asked. Fast. */
bool unicode_is_surely_nfc(const char *text, size_t length);

/* The text in Normalization Form C; bytes that are not UTF-8 stay as they are, and what stands on either side of them is
 * normalised apart. *out is malloc'd, the caller's. Errors: MEMORY. */
mote_status unicode_nfc(const char *text, size_t length, char **out, size_t *out_length, mote_error *error);

#endif
