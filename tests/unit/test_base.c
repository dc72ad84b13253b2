/* base: checked arithmetic, error sentences, number formats, the arena, the thread pool. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "assert_says.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/clock.h"

#undef fail /* the function, not cmocka's macro */

static void test_checked_arithmetic(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(checked_add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_true(checked_mul(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
    assert_true(checked_align(33, 32, &out) && out == 64);
    assert_true(checked_align(64, 32, &out) && out == 64);
    out = 7;
    assert_false(checked_add(SIZE_MAX, 1, &out));
    assert_false(checked_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(checked_align(SIZE_MAX - 3, 32, &out));
    assert_int_equal(out, 7);
    assert_true(checked_range(10, 5, 15) && checked_range(15, 0, 15));
    assert_false(checked_range(10, 6, 15) || checked_range(16, 0, 15) || checked_range(1, SIZE_MAX, 15));
    assert_int_equal(checked_size(UINT64_MAX, &out), sizeof(size_t) == 8);
}

/* A name from a file may hold anything: the sentence stays one printable line of whole characters. */
static void test_error_sentence(void **state)
{
    (void)state;
    mote_error error;
    assert_int_equal(fail(&error, MOTE_E_IO, "%s: gone", "a\nb\x1b[31m"), MOTE_E_IO);
    assert_int_equal(error.status, MOTE_E_IO);
    assert_string_equal(error.text, "a?b?[31m: gone");
    (void)fail(&error, MOTE_E_IO, "%s: gone", "\xc2\x9b[0m\xc2\xa0é\xc2\x85");
    assert_string_equal(error.text, "??[0m\xc2\xa0é??: gone");
    assert_int_equal(fail(NULL, MOTE_E_LIMIT, "nobody listens"), MOTE_E_LIMIT);

    char name[2000];
    for (size_t shift = 0; shift < 4; shift++) { /* 猫 is three bytes: the cut falls on each of them */
        size_t length = shift;
        memset(name, 'x', shift);
        for (; length + 3 < sizeof name; length += 3)
            memcpy(name + length, "\xe7\x8c\xab", 3);
        name[length] = '\0';
        fail(&error, MOTE_E_FORMAT, "%s", name);
        length = strlen(error.text);
        assert_true(length >= sizeof error.text - 4 && (length - shift) % 3 == 0);
        assert_memory_equal(error.text, name, length);
    }
}

static void test_status_texts(void **state)
{
    (void)state;
    assert_string_equal(mote_status_name(MOTE_E_FORMAT), "MOTE_E_FORMAT");
    assert_string_equal(mote_status_text(MOTE_OK), "success");
    assert_string_equal(mote_status_name((mote_status)-99), "MOTE_E_?");
}

/* All halves: the value by the definition of binary16, and back. */
static void test_half_precision(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        int exponent = (int)(h >> 10 & 31);
        double mantissa = h & 1023, want;
        if (exponent == 31)
            want = mantissa != 0 ? NAN : INFINITY;
        else
            want = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
        want = h & 0x8000 ? -want : want;
        float got = f16_to_f32((uint16_t)h);
        if (isnan(want)) {
            assert_true(isnan(got) && isnan(f16_to_f32(f16_from_f32(got))));
        } else {
            assert_true((double)got == want);
            assert_int_equal(f16_from_f32(got), h);
        }
    }
    assert_int_equal(f16_from_f32(65519.0f), 0x7bff); /* rounds down to the largest */
    assert_int_equal(f16_from_f32(65520.0f), 0x7c00);
    assert_int_equal(f16_from_f32(1.0f + 0x1p-11f), 0x3c00);     /* a tie, to even */
    assert_int_equal(f16_from_f32(1.0f + 3 * 0x1p-11f), 0x3c02); /* a tie, to even */
    assert_int_equal(f16_from_f32(0x1p-25f), 0);                 /* a tie, to even */
    assert_int_equal(f16_from_f32(0x1.8p-25f), 1);
    assert_int_equal(bf16_from_f32(1.0f + 0x1p-8f), 0x3f80); /* a tie, to even */
    assert_int_equal(bf16_from_f32(1.0f + 3 * 0x1p-8f), 0x3f82);
    assert_int_equal(bf16_from_f32(-INFINITY), 0xff80);
    assert_true(isnan(bf16_to_f32(bf16_from_f32(f32_from_bits(0x7f800001)))));
}

static void test_arena_counts_what_it_places(void **state)
{
    (void)state;
    arena plan = {0};
    assert_null(arena_take(&plan, 3, 5));
    assert_null(arena_take(&plan, 1, 65));
    assert_int_equal(plan.used, 64 + 128);
    arena memory;
    assert_true(arena_allocate(&memory, plan.used));
    unsigned char *a = arena_take(&memory, 3, 5), *b = arena_take(&memory, 1, 65);
    assert_true(b == a + 64 && (uintptr_t)a % ARENA_ALIGNMENT == 0 && b[64] == 0);
    assert_false(memory.overflowed);
    assert_null(arena_take(&memory, 1, 1));
    assert_true(memory.overflowed);
    arena_release(&memory);

    assert_null(arena_take(&plan, SIZE_MAX / 2, 3));
    assert_true(plan.overflowed);
    assert_false(arena_allocate(&memory, SIZE_MAX - 0xffff)); /* half of it fits where size_t has 32 bits */
}

static void test_clock_moves_forward(void **state)
{
    (void)state;
    double before = clock_seconds();
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    double passed = clock_seconds() - before;
    assert_true(passed >= 0.002 && passed < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checked_arithmetic),
        cmocka_unit_test(test_error_sentence),
        cmocka_unit_test(test_status_texts),
        cmocka_unit_test(test_half_precision),
        cmocka_unit_test(test_arena_counts_what_it_places),
        cmocka_unit_test(test_clock_moves_forward),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
