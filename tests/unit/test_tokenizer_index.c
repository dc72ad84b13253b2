/* The hash index: everything is found again, and a table cannot be made slow. */
#include "assert_says.h"
#include "text/hash_index.h"

#include <stdlib.h>

typedef struct filled {
    uint32_t *slots;
    hash_index index;
} filled;

static filled fill_begin(size_t count)
{
    uint32_t *slots = calloc(hash_index_slots(count), sizeof *slots);
    assert_non_null(slots);
    return (filled){slots, hash_index_over(slots, count)};
}

static bool add(const filled *it, uint64_t hash, uint32_t number)
{
    hash_probe probe = hash_index_begin(&it->index, hash);
    for (uint32_t other; hash_index_next(&it->index, &probe, &other);)
        ;
    return hash_index_put(it->slots, &probe, number);
}

static bool finds(const filled *it, uint64_t hash, uint32_t wanted)
{
    hash_probe probe = hash_index_begin(&it->index, hash);
    for (uint32_t number; hash_index_next(&it->index, &probe, &number);)
        if (number == wanted)
            return true;
    return false;
}

static void everything_is_found(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    assert_true(hash_index_slots(COUNT) >= COUNT && hash_index_slots(COUNT) <= 4 * COUNT);
    filled it = fill_begin(COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_true(add(&it, hash_mix(i), i));
    size_t others = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(finds(&it, hash_mix(i), i));
        hash_probe probe = hash_index_begin(&it.index, hash_mix(i + COUNT)); /* one that is not there */
        for (uint32_t number; hash_index_next(&it.index, &probe, &number);)
            others++;
    }
    assert_true(others < COUNT / 20); /* the tag spares nearly every look */
    free(it.slots);
}

static void the_smallest(void **state)
{
    (void)state;
    filled none = fill_begin(0), two = fill_begin(2);
    assert_false(finds(&none, 0, 0));
    assert_true(add(&two, UINT64_MAX, 0)); /* in the last slot, and on from the first */
    assert_true(add(&two, UINT64_MAX, 1));
    assert_true(finds(&two, UINT64_MAX, 0));
    assert_true(finds(&two, UINT64_MAX, 1));
    free(none.slots);
    free(two.slots);
}

static void crafted_collisions_are_refused(void **state)
{
    (void)state;
    filled it = fill_begin(2001);
    for (uint32_t i = 0; i < HASH_INDEX_LONGEST_PROBE; i++)
        assert_true(add(&it, (uint64_t)i << 56 | 5, i));
    assert_false(add(&it, 5, 2000));
    assert_true(add(&it, 4, 2000)); /* elsewhere there is room */
    free(it.slots);
}

/* Slots that anybody may have written: no number past the count, and an end. */
static void any_slots_will_do(void **state)
{
    (void)state;
    filled it = fill_begin(1000);
    for (uint32_t pattern = 0; pattern < 1000; pattern++) {
        for (size_t i = 0; i <= it.index.mask; i++)
            it.slots[i] = pattern == 0 ? UINT32_MAX : (uint32_t)hash_mix(pattern << 16 | i) | 1;
        hash_probe probe = hash_index_begin(&it.index, (uint64_t)0xff << 56 | pattern);
        size_t steps = 0;
        for (uint32_t number; hash_index_next(&it.index, &probe, &number); steps++)
            assert_true(number < 1000);
        assert_true(steps <= HASH_INDEX_LONGEST_PROBE);
        assert_int_equal(probe.left, 0);
    }
    free(it.slots);
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
        cmocka_unit_test(any_slots_will_do),
        cmocka_unit_test(texts_of_every_length_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
