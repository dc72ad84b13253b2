/* Reading JSON: exact numbers, whole Unicode, one meaning for every text; and what is refused, with the byte. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/json.h"

#include "assert_says.h"
#include "temporary_folder.h"

static json *document;

static json_value of(const char *text)
{
    mote_error error;
    json_close(document);
    if (json_read(&document, text, strlen(text), "test", &error) != MOTE_OK)
        fail_msg("%s: %s", text, error.text);
    return json_root(document);
}

static int close_document(void **state)
{
    (void)state;
    json_close(document);
    document = NULL;
    return 0;
}

static void assert_refused(const char *text, size_t length, mote_status status, const char *words)
{
    mote_error error;
    json *none;
    if (json_read(&none, text, length, "test", &error) != status)
        fail_msg("%.60s is not refused as it should be", text);
    assert_null(none);
    assert_says(error, words);
}

static void assert_text(json_value value, const char *text)
{
    if (!json_is_text(value, text))
        fail_msg("\"%.*s\" is not \"%s\"", (int)json_text(value).length, json_text(value).at, text);
}

/* ------------------------------------------------------------------------------------------------------------- values */

static void values_are_found_by_key_and_in_order(void **state)
{
    (void)state;
    json_value root = of(" { \"a\" : [ 1 , [ ] , { \"b\" : true } , null ] , \"c\" : { } , \"\" : false } ");
    assert_int_equal(json_count(root), 3);
    json_value list = json_get(root, "a"), item = json_first(list);
    json_kind kinds[] = {JSON_NUMBER, JSON_ARRAY, JSON_OBJECT, JSON_NULL};
    assert_int_equal(json_count(list), 4);
    for (size_t i = 0; i < 4; i++, item = json_next(list, item))
        assert_int_equal(json_kind_of(item), kinds[i]);
    assert_false(json_is(item));
    assert_text(json_next(root, json_first(root)), "c");
    assert_int_equal(json_kind_of(json_get(root, "")), JSON_FALSE);
}

static void what_is_not_there_is_absent_all_the_way(void **state)
{
    (void)state;
    uint64_t whole;
    double real;
    json_value none = json_get(json_get(of("{\"a\": 1}"), "x"), "y");
    assert_false(json_is(none));
    assert_false(json_is(json_first(none)));
    assert_false(json_is(json_get(json_get(json_root(document), "a"), "b")));
    assert_int_equal(json_text(none).length, 0);
    assert_false(json_u64(none, &whole));
    assert_false(json_double(none, &real));
}

static void many_keys_are_found(void **state)
{
    (void)state;
    enum { KEYS = 20000 };
    char *text = malloc(KEYS * 20), key[16], *at = text;
    assert_non_null(text);
    for (int i = 0; i < KEYS; i++)
        at += sprintf(at, "%s\"k%d\":%d", i == 0 ? "{" : ",", i, i);
    strcpy(at, "}");
    json_value root = of(text);
    free(text);
    for (uint64_t i = 0, number; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%d", (int)i);
        assert_true(json_u64(json_get(root, key), &number) && number == i);
    }
    assert_false(json_is(json_get(root, "k20000")));
}

static void strings_are_unescaped(void **state)
{
    (void)state;
    assert_text(of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t");
    assert_text(of("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude80\""), "A\u00e9\u20ac\U0001f680");
    assert_text(of("\"\u00e9\u20ac\U0001f680\uffff\""), "\u00e9\u20ac\U0001f680\uffff");
    gguf_string zero = json_text(of("\"a\\u0000b\""));
    assert_int_equal(zero.length, 3);
    assert_memory_equal(zero.at, "a\0b", 3);
    assert_text(json_get(of("{\"\\u0061\": \"x\"}"), "a"), "x");
}

static void numbers_are_exact(void **state)
{
    (void)state;
    uint64_t whole;
    double real;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0.1", 0.1},
        {"-0", -0.0},
        {"1E+2", 100},
        {"1.5e-3", 0.0015},
        {"123456789012345678", 123456789012345678.0},
        {"1e-400", 0},
        {"1e308", 1e308},
        {"5e-324", 5e-324},
        {"0.30000000000000004", 0.30000000000000004},
        {"9007199254740993", 9007199254740992.0},
    };
    assert_true(json_u64(of("18446744073709551615"), &whole) && whole == UINT64_MAX);
    assert_false(json_u64(of("18446744073709551616"), &whole));
    assert_false(json_u64(of("-1"), &whole));
    assert_false(json_u64(of("1.0"), &whole));
    assert_false(json_u64(of("\"1\""), &whole));
    assert_false(json_double(of("1e309"), &real));
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is one, it has another decimal point */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!json_double(of(cases[i].text), &real) || real != cases[i].value)
            fail_msg("%s is read as %.17g", cases[i].text, real);
    setlocale(LC_ALL, "C");
}

/* ----------------------------------------------------------------------------------------------------------- refusals */

static void texts_that_are_no_json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "byte 0: the text ends too early"},
        {"   ", "ends too early"},
        {"[1,", "ends too early"},
        {"[1", "ends too early"},
        {"{\"a\":1", "ends too early"},
        {"[1 2]", "byte 3: a comma is missing"},
        {"[1,]", "neither a value"},
        {"[,1]", "neither a value"},
        {"{\"a\" 1}", "a colon is missing"},
        {"{\"a\":}", "neither a value"},
        {"{1:2}", "a key is missing"},
        {"{\"a\":1,}", "a key is missing"},
        {"[1}", "comma is missing"},
        {"]", "neither a value"},
        {"1 2", "more text behind"},
        {"nul", "neither a value"},
        {"True", "neither a value"},
        {"NaN", "neither a value"},
        {"01", "neither a value"},
        {"1.", "neither a value"},
        {".5", "neither a value"},
        {"+1", "neither a value"},
        {"-", "neither a value"},
        {"1e", "neither a value"},
        {"0x10", "more text behind"},
        {"'a'", "neither a value"},
        {"// c\n1", "neither a value"},
        {"\"a", "ends inside a string"},
        {"\"a\\\"", "ends inside a string"},
        {"\"\\x\"", "an escape"},
        {"\"\\u12g4\"", "an escape"},
        {"\"\\u12", "an escape"},
        {"\"\\", "an escape"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\ud800\\u0041\"", "surrogate"},
        {"\"\\udc00\"", "surrogate"},
        {"\"a\nb\"", "control character"},
        {"\"\xff\"", "not UTF-8"},
        {"\"\xc0\x80\"", "not UTF-8"},
        {"\"\xe0\x80\x80\"", "not UTF-8"},
        {"\"\xed\xa0\x80\"", "not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "not UTF-8"},
        {"\"\xe2\x82\"", "not UTF-8"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "\"a\" is given twice"},
        {"{\"a\":1,\"\\u0061\":3}", "given twice"},
        {"\xef\xbb\xbf{}", "neither a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].text, strlen(cases[i].text), MOTE_E_FORMAT, cases[i].words);
    assert_refused("1\0", 2, MOTE_E_FORMAT, "more text behind");
}

static void bounds_are_kept(void **state)
{
    (void)state;
    char text[2 * JSON_DEEPEST + 4], number[JSON_LONGEST_NUMBER + 2];
    memset(text, '[', JSON_DEEPEST);
    memset(text + JSON_DEEPEST, ']', JSON_DEEPEST);
    text[2 * (size_t)JSON_DEEPEST] = '\0';
    assert_int_equal(json_count(of(text)), 1);
    memset(text, '[', JSON_DEEPEST + 1);
    assert_refused(text, JSON_DEEPEST + 1, MOTE_E_LIMIT, "nested more than 64 deep");
    memset(number, '1', sizeof number);
    assert_refused(number, JSON_LONGEST_NUMBER + 1, MOTE_E_FORMAT, "more than 64 characters");
}

static void files_are_bounded(void **state)
{
    (void)state;
    mote_error error;
    json *none;
    FILE *file = fopen(in_folder("a.json"), "w");
    assert_non_null(file);
    fputs("[1, 2, 3]", file);
    fclose(file);
    assert_int_equal(json_read_file(&none, in_folder("a.json"), 8, &error), MOTE_E_LIMIT);
    assert_null(none);
    assert_int_equal(json_read_file(&none, in_folder("b.json"), 8, &error), MOTE_E_IO);
    assert_null(none);
    assert_int_equal(json_read_file(&none, in_folder("."), 8, &error), MOTE_E_IO);
    assert_int_equal(json_read_file(&document, in_folder("a.json"), 9, &error), MOTE_OK);
    assert_int_equal(json_count(json_root(document)), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(values_are_found_by_key_and_in_order, close_document),
        cmocka_unit_test_teardown(what_is_not_there_is_absent_all_the_way, close_document),
        cmocka_unit_test_teardown(many_keys_are_found, close_document),
        cmocka_unit_test_teardown(strings_are_unescaped, close_document),
        cmocka_unit_test_teardown(numbers_are_exact, close_document),
        cmocka_unit_test(texts_that_are_no_json),
        cmocka_unit_test_teardown(bounds_are_kept, close_document),
        cmocka_unit_test_setup_teardown(files_are_bounded, make_folder, remove_folder),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_document(NULL);
    return failed;
}
