/* Stop texts in a stream: what passes is the text up to the first of them, however the stream is cut. */
#include <stdlib.h>

#include "assert_says.h"
#include "engine/stop_filter.h"

typedef struct passed {
    char text[8192];
    size_t length;
    size_t calls_left; /* the sink says no when they are used up */
} passed;

static bool keep(void *user, const char *text, size_t length)
{
    passed *p = user;
    assert_true(p->length + length <= sizeof p->text);
    assert_true(length > 0 && ((unsigned char)text[0] & 0xc0) != 0x80); /* a character is never split */
    memcpy(p->text + p->length, text, length);
    p->length += length;
    return p->calls_left-- > 1;
}

/* Pushes the text in pieces of `piece` characters' bytes; says whether a stop text ended it. */
static bool stream(const char *const *stop, size_t count, const char *text, size_t length, size_t piece, passed *p)
{
    stop_filter filter;
    *p = (passed){.calls_left = SIZE_MAX};
    assert_int_equal(stop_filter_init(&filter, stop, count, keep, p, NULL), MOTE_OK);
    for (size_t at = 0, end; at < length; at = end) {
        end = at + piece < length ? at + piece : length;
        while (end < length && ((unsigned char)text[end] & 0xc0) == 0x80)
            end++;
        if (!stop_filter_push(&filter, text + at, end - at))
            return filter.stopped;
    }
    assert_true(stop_filter_finish(&filter));
    return false;
}

/* Length of what should pass: up to the first place where any stop text stands. */
static size_t before_stop(const char *const *stop, size_t count, const char *text, size_t length)
{
    for (size_t at = 0; at < length; at++)
        for (size_t i = 0; i < count; i++)
            if (length - at >= strlen(stop[i]) && memcmp(text + at, stop[i], strlen(stop[i])) == 0)
                return at;
    return length;
}

static void check(const char *const *stop, size_t count, const char *text)
{
    size_t length = strlen(text), want = before_stop(stop, count, text, length);
    for (size_t piece = 1; piece <= length + 1; piece = piece * 2 + 1) {
        passed p;
        assert_int_equal(stream(stop, count, text, length, piece, &p), want < length);
        assert_int_equal(p.length, want);
        assert_memory_equal(p.text, text, want);
    }
}

static void test_stops_at_the_first(void **state)
{
    (void)state;
    const char *stop[] = {"\nUser:", "END", "。終"};
    check(stop, 3, "an answer\nUser: more");
    check(stop, 3, "an answer\nUse of it, EN and a rest");
    check(stop, 3, "EEEND");
    check(stop, 3, "温かい。終わり");
    check(stop, 3, "温かい。おわり");
    check(stop, 3, "\n\nUser:");
    check(stop, 3, "");
    check(stop, 0, "without any stop text");
    const char *nested[] = {"abcabd", "bcabd"};
    check(nested, 2, "xxabcabcabdyy");
}

/* Over an alphabet of two letters nearly everything is the beginning of something. */
static void test_random_streams(void **state)
{
    (void)state;
    uint32_t bits = 1;
    for (int round = 0; round < 3000; round++) {
        char words[3][8] = {{0}}, text[65] = {0};
        const char *stop[3] = {words[0], words[1], words[2]};
        for (int i = 0; i < 64 + 3 * 7; i++) {
            bits = bits * 1664525 + 1013904223;
            char letter = bits >> 31 ? 'a' : 'b';
            if (i < 64)
                text[i] = letter;
            else
                words[(i - 64) / 7][(i - 64) % 7] = letter;
        }
        check(stop, 1 + (size_t)round % 3, text);
    }
}

/* Tokens and stop texts of any length: nothing is lost at the filter's own boundaries. */
static void test_long_pieces(void **state)
{
    (void)state;
    static char stop_text[STOP_LONGEST + 1], text[4000];
    const char *stop[] = {stop_text};
    memset(stop_text, 'x', STOP_LONGEST);
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, i % 900 < 600 ? "xxx" : "\xe7\x8c\xab", 3);
    check(stop, 1, text);
    memset(text, 'x', STOP_LONGEST - 1);
    memcpy(text + STOP_LONGEST - 1, "y", 2);
    check(stop, 1, text);
}

static void test_sink_may_cancel(void **state)
{
    (void)state;
    const char *stop[] = {"!"};
    stop_filter filter;
    passed p = {.calls_left = 2};
    assert_int_equal(stop_filter_init(&filter, stop, 1, keep, &p, NULL), MOTE_OK);
    assert_true(stop_filter_push(&filter, "one", 3));
    assert_false(stop_filter_push(&filter, "two", 3));
    assert_true(filter.cancelled && !filter.stopped);
}

static void test_refuses_nonsense(void **state)
{
    (void)state;
    char endless[STOP_LONGEST + 2];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    const char *const bad[] = {"", endless, "\x8c\xab"};
    const char *const words[] = {"is empty", "longer than 256", "inside a character"};
    const char *many[STOP_MOST + 1];
    stop_filter filter;
    mote_error error;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stop_filter_init(&filter, &bad[i], 1, keep, NULL, &error), MOTE_E_ARGUMENT);
        assert_says(error, words[i]);
    }
    for (size_t i = 0; i < STOP_MOST + 1; i++)
        many[i] = "x";
    assert_int_equal(stop_filter_init(&filter, many, STOP_MOST + 1, keep, NULL, &error), MOTE_E_ARGUMENT);
    assert_says(error, "17 stop texts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops_at_the_first), cmocka_unit_test(test_random_streams),
        cmocka_unit_test(test_long_pieces),        cmocka_unit_test(test_sink_may_cancel),
        cmocka_unit_test(test_refuses_nonsense),
    };
    return cmocka_run_group_tests_name("stop filter", tests, NULL, NULL);
}
