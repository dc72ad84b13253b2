/* Which files count as the same model for a cache on disk: copies do; other metadata, shapes, names or weights do not. */
#include <stdlib.h>

#include "engine/model_identity.h"

#include "gguf_writer.h"

#include "assert_says.h"

enum { ROWS = 64, COLUMNS = 256, MANY = 3000 };

typedef struct variant {
    const char *key, *text, *tensor;
    uint32_t number;
    size_t rows;
    size_t changed;       /* which weight is another; SIZE_MAX: none */
    int32_t middle, last; /* of a long array */
} variant;

static const variant plain = {"general.name", "one", "token_embd.weight", 5, ROWS, SIZE_MAX, 1, 1};

static void identity_of(variant v, const char *name, unsigned char identity[32])
{
    gguf_writer w = {0};
    gguf *file;
    mote_error error;
    float *weights = calloc(2 * ROWS * COLUMNS, sizeof *weights);
    int32_t *numbers = calloc(MANY, sizeof *numbers);
    if (v.changed != SIZE_MAX)
        weights[v.changed] = 1;
    numbers[MANY / 2] = v.middle;
    numbers[MANY - 1] = v.last;
    gguf_begin(&w, 3);
    gguf_add_text(&w, v.key, v.text);
    gguf_add_u32(&w, "a.number", v.number);
    gguf_add_numbers(&w, "a.long", GGUF_I32, MANY, numbers);
    gguf_add_tensor(&w, v.tensor, QUANT_F32, 2, (size_t[]){COLUMNS, v.rows}, weights);
    gguf_finish(&w);
    if (gguf_open_memory(&file, w.at, w.size, name, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_int_equal(model_identity(file, identity, &error), MOTE_OK);
    gguf_close(file);
    gguf_writer_free(&w);
    free(weights);
    free(numbers);
}

static void assert_same(variant v, bool same)
{
    unsigned char one[32], other[32];
    identity_of(plain, "a", one);
    identity_of(v, "b", other);
    assert_int_equal(memcmp(one, other, sizeof one) == 0, same);
}

static void copies_are_one_model(void **state)
{
    (void)state;
    assert_same(plain, true);
}

static void what_differs_is_another_model(void **state)
{
    (void)state;
    variant v = plain;
    assert_same((v.key = "general.namf", v), false);
    assert_same((v = plain, v.text = "onf", v), false);
    assert_same((v = plain, v.key = "general.nam", v.text = "eone", v), false);
    assert_same((v = plain, v.tensor = "output.weight", v), false);
    assert_same((v = plain, v.number = 6, v), false);
    assert_same((v = plain, v.rows = 2 * ROWS, v), false);
    assert_same((v = plain, v.last = 2, v), false);
    assert_same((v = plain, v.changed = ROWS * COLUMNS / 2, v), false);
}

/* The header says what it does not see: were it to change, the header would have to. */
static void what_is_not_looked_at_goes_unseen(void **state)
{
    (void)state;
    variant v = plain;
    assert_same((v.changed = 0, v), true);
    assert_same((v = plain, v.middle = 2, v), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_one_model),
        cmocka_unit_test(what_differs_is_another_model),
        cmocka_unit_test(what_is_not_looked_at_goes_unseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
