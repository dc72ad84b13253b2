/* UTF-8, character classes and Normalization Form C. */
#include "assert_says.h"
#include "text/byte_map.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

static void every_code_point_survives(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        char bytes[UTF8_LONGEST];
        size_t length = utf8_encode(code, bytes);
        utf8_char c = utf8_decode(bytes, length);
        assert_int_equal(c.code, code);
        assert_int_equal(c.length, length);
        for (size_t cut = 1; cut < length; cut++) {
            c = utf8_decode(bytes, cut);
            assert_int_equal(c.code, UTF8_PARTIAL);
            assert_int_equal(c.length, cut);
        }
    }
}

/* The maximal parts of Unicode's table 3-8 and around it. */
static void what_is_not_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t length;
    } rows[] = {
        {"\x80", 1},
        {"\xbf", 1},
        {"\xc0\xaf", 1},
        {"\xc1\xbf", 1},
        {"\xc2\x41", 1},
        {"\xe0\x80\xaf", 1},
        {"\xe0\x9f\xbf", 1},
        {"\xed\xa0\x80", 1},
        {"\xed\xbf\xbf", 1},
        {"\xe1\x80\xe2", 2},
        {"\xe1\x80\x41", 2},
        {"\xf0\x80\x80", 1},
        {"\xf0\x8f\xbf\xbf", 1},
        {"\xf4\x90\x80\x80", 1},
        {"\xf1\x80\x80\x41", 3},
        {"\xf1\x80\xc2", 2},
        {"\xf5\x80", 1},
        {"\xfe", 1},
        {"\xff", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        utf8_char c = utf8_decode(rows[i].bytes, strlen(rows[i].bytes));
        assert_int_equal(c.code, UTF8_INVALID);
        assert_int_equal(c.length, rows[i].length);
    }
    assert_int_equal(utf8_decode("\xe0\x9f", 2).code, UTF8_INVALID); /* can never become a character */
    assert_int_equal(utf8_decode("\xf4\x8f", 2).code, UTF8_PARTIAL);
}

static void classes(void **state)
{
    (void)state;
    enum { CASELESS = CHAR_LETTER | CHAR_UPPER | CHAR_LOWER, MARK = CHAR_UPPER | CHAR_LOWER };
    static const struct {
        uint32_t code;
        unsigned class;
    } rows[] = {
        {'a', CHAR_LETTER | CHAR_LOWER},
        {'Z', CHAR_LETTER | CHAR_UPPER},
        {'7', CHAR_NUMBER},
        {' ', CHAR_SPACE},
        {'\t', CHAR_SPACE},
        {'\n', CHAR_SPACE | CHAR_NEWLINE},
        {'\r', CHAR_SPACE | CHAR_NEWLINE},
        {0x0b, CHAR_SPACE},
        {0x1c, 0},
        {0x7f, 0},
        {'`', 0},
        {'$', CHAR_PUNCT},
        {'|', CHAR_PUNCT},
        {'_', CHAR_PUNCT},
        {0x85, CHAR_SPACE},
        {0xa0, CHAR_SPACE},
        {0xaa, CASELESS},
        {0xb2, CHAR_NUMBER},
        {0xd7, 0},
        {0x180e, 0},
        {0x200b, 0},
        {0x2028, CHAR_SPACE},
        {0x3000, CHAR_SPACE},
        {0x01c5, CHAR_LETTER | CHAR_UPPER},
        {0x02b0, CASELESS},
        {0x0301, MARK},
        {0x0903, MARK},
        {0x20dd, MARK},
        {0x0661, CHAR_NUMBER},
        {0x2167, CHAR_NUMBER},
        {0x6f22, CASELESS},
        {0x3001, CHAR_PUNCT},
        {0x2019, CHAR_PUNCT},
        {0x1f600, 0},
        {0xe000, 0},
        {0x10ffff, 0},
        {UTF8_INVALID, 0},
        {UTF8_PARTIAL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (char_class(rows[i].code) != rows[i].class)
            fail_msg("U+%04X has class %u, not %u", rows[i].code, char_class(rows[i].code), rows[i].class);
}

static void check_nfc(const char *text, size_t length, const char *expected, size_t expected_length)
{
    char *out;
    size_t out_length;
    mote_error error;
    assert_int_equal(unicode_nfc(text, length, &out, &out_length, &error), MOTE_OK);
    assert_int_equal(out_length, expected_length);
    assert_memory_equal(out, expected, expected_length);
    bool same = out_length == length && memcmp(text, out, length) == 0;
    assert_true(same || !unicode_is_surely_nfc(text, length));
    free(out);
}

static void nfc(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"plain", "plain"},
        {"e\xcc\x81", "\xc3\xa9"},                                /* e + acute */
        {"caf\xc3\xa9", "caf\xc3\xa9"},                           /* composed already */
        {"s\xcc\x87\xcc\xa3", "\xe1\xb9\xa9"},                    /* marks in either order */
        {"s\xcc\xa3\xcc\x87", "\xe1\xb9\xa9"},                    /* … */
        {"q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"},               /* sorted, nothing to compose */
        {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"}, /* jamo */
        {"\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81"},             /* a syllable and a final */
        {"\xe3\x81\x8b\xe3\x82\x99", "\xe3\x81\x8c"},             /* ka + voiced mark */
        {"\xe2\x84\xab\xe2\x84\xa6", "\xc3\x85\xce\xa9"},         /* Angstrom, Ohm */
        {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"},             /* excluded from composition */
        {"\xef\xac\x9d", "\xd7\x99\xd6\xb4"},                     /* … */
        {"\xf0\x9d\x85\x9e", "\xf0\x9d\x85\x97\xf0\x9d\x85\xa5"}, /* … beyond the BMP */
        {"\xf0\xaf\xa0\x80", "\xe4\xb8\xbd"},                     /* compatibility ideograph */
        {"\xcd\x84", "\xcc\x88\xcc\x81"},                         /* a mark that is two */
        {"\xe0\xbd\xb1\xe0\xbd\xb2\xe0\xbd\xb4",
         "\xe0\xbd\xb1\xe0\xbd\xb2\xe0\xbd\xb4"}, /* non-starters compose with nothing */
        {"\xcc\x81", "\xcc\x81"},                 /* a mark alone */
        {"e\xff\xcc\x81", "e\xff\xcc\x81"},       /* a byte that is not UTF-8 parts them */
        {"\xffo\xcc\x88\xe2\x82", "\xff\xc3\xb6\xe2\x82"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_nfc(rows[i][0], strlen(rows[i][0]), rows[i][1], strlen(rows[i][1]));
    check_nfc("a\0e\xcc\x81", 5, "a\0\xc3\xa9", 4);
}

/* Marks by turns of two classes, which sorting by exchange would take hours for. */
static void a_mebibyte_of_marks(void **state)
{
    (void)state;
    enum { PAIRS = 1 << 18 };
    char *text = malloc(4 * PAIRS), *expected = malloc(4 * PAIRS);
    assert_non_null(text);
    assert_non_null(expected);
    for (size_t i = 0; i < PAIRS; i++) {
        memcpy(text + 4 * i, "\xcc\x80\xcc\xa3", 4); /* above (230), below (220) */
        memcpy(expected + 2 * i, "\xcc\xa3", 2);
        memcpy(expected + 2 * (PAIRS + i), "\xcc\x80", 2);
    }
    check_nfc(text, 4 * PAIRS, expected, 4 * PAIRS);
    free(text);
    free(expected);
}

static void bytes_as_characters(void **state)
{
    (void)state;
    bool seen[0x144] = {false};
    for (int byte = 0; byte < 256; byte++) {
        uint32_t code = byte_map_code((unsigned char)byte);
        assert_true(code < 0x144 && !seen[code]);
        seen[code] = true;
        assert_int_equal(byte_map_byte(code), byte);
    }
    for (uint32_t code = 0; code < 0x200; code++)
        if (code >= 0x144 || !seen[code])
            assert_int_equal(byte_map_byte(code), -1);
    assert_int_equal(byte_map_code(' '), 0x120);
    assert_int_equal(byte_map_code('\n'), 0x10a);
    assert_int_equal(byte_map_code(0x7f), 0x121);
    assert_int_equal(byte_map_code(0xad), 0x143);
    assert_int_equal(byte_map_byte(UTF8_INVALID), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_survives),
        cmocka_unit_test(what_is_not_utf8),
        cmocka_unit_test(classes),
        cmocka_unit_test(nfc),
        cmocka_unit_test(a_mebibyte_of_marks),
        cmocka_unit_test(bytes_as_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
