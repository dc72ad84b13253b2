/* The hash index: everything is found again, and a table cannot be made slow. */
#include "assert_says.h"
#include "text/hash_index.h"

#include <stdio.h>
#include <string.h>

static bool finds(const hash_index *index, uint64_t hash, uint32_t wanted)
{
    hash_probe probe = hash_index_begin(index, hash);
    for (uint32_t number; hash_index_next(index, &probe, &number);)
        if (number == wanted)
            return true;
    return false;
}

static void everything_is_found(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    hash_index index;
    assert_true(hash_index_open(&index, COUNT));
    assert_true(hash_index_bytes(COUNT) >= 4 * COUNT && hash_index_bytes(COUNT) <= 16 * COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_true(hash_index_add(&index, hash_mix(i), i));
    size_t others = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(finds(&index, hash_mix(i), i));
        hash_probe probe = hash_index_begin(&index, hash_mix(i + COUNT)); /* one that is not there */
        for (uint32_t number; hash_index_next(&index, &probe, &number);)
            others++;
    }
    assert_true(others < COUNT / 20); /* the tag spares nearly every look */
    hash_index_close(&index);
}

static void the_smallest(void **state)
{
    (void)state;
    hash_index index;
    assert_true(hash_index_open(&index, 0));
    assert_false(finds(&index, 0, 0));
    assert_true(hash_index_add(&index, UINT64_MAX, 0)); /* in the last slot, and on from the first */
    assert_true(hash_index_add(&index, UINT64_MAX, HASH_INDEX_MOST - 1));
    assert_true(finds(&index, UINT64_MAX, 0));
    assert_true(finds(&index, UINT64_MAX, HASH_INDEX_MOST - 1));
    hash_index_close(&index);
}

static void crafted_collisions_are_refused(void **state)
{
    (void)state;
    hash_index index;
    assert_true(hash_index_open(&index, 2000));
    for (uint32_t i = 0; i < HASH_INDEX_LONGEST_PROBE; i++)
        assert_true(hash_index_add(&index, (uint64_t)i << 56 | 5, i));
    assert_false(hash_index_add(&index, 5, 2000));
    assert_true(hash_index_add(&index, 4, 2000)); /* elsewhere there is room */
    hash_index_close(&index);
}

static void texts_of_every_length_differ(void **state)
{
    (void)state;
    static const char zeros[64];
    uint64_t hashes[64];
    for (size_t length = 0; length < 64; length++) {
        hashes[length] = hash_bytes(zeros, length);
        for (size_t other = 0; other < length; other++)
            assert_true(hashes[other] != hashes[length]);
    }
    assert_true(hash_bytes("12345678a", 9) != hash_bytes("12345678b", 9));
    assert_true(hash_bytes("a23456781", 9) != hash_bytes("b23456781", 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_found),
        cmocka_unit_test(the_smallest),
        cmocka_unit_test(crafted_collisions_are_refused),
        cmocka_unit_test(texts_of_every_length_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
