/* The hashes of base: SHA-256 and HMAC against their standards' examples, and the keyed hash against its definition. */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/keyed_hash.h"

#include "assert_says.h"

static void assert_digest(const unsigned char digest[SHA256_BYTES], const char *hex)
{
    char text[2 * SHA256_BYTES + 1];
    for (size_t i = 0; i < SHA256_BYTES; i++)
        sprintf(text + 2 * i, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

/* In pieces of `piece` bytes. */
static void assert_sha256(const char *message, size_t length, size_t piece, const char *hex)
{
    sha256 hash;
    unsigned char digest[SHA256_BYTES];
    sha256_begin(&hash);
    for (size_t at = 0; at < length; at += piece)
        sha256_update(&hash, message + at, length - at < piece ? length - at : piece);
    sha256_end(&hash, digest);
    assert_digest(digest, hex);
}

/* FIPS 180-2, appendix B, and lengths about the padding's edge. */
static void sha256_is_the_standards(void **state)
{
    (void)state;
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    for (size_t piece = 1; piece < 70; piece += 23) {
        assert_sha256("", 0, piece, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_sha256("abc", 3, piece, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_sha256(two_blocks, 56, piece, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
    assert_sha256(million, 1000000, 1000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_sha256(million, 55, 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    assert_sha256(million, 64, 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    free(million);
}

static void assert_hmac(const void *key, size_t key_bytes, const char *message, const char *hex)
{
    hmac_sha256 mac;
    unsigned char digest[SHA256_BYTES];
    hmac_sha256_begin(&mac, key, key_bytes);
    hmac_sha256_update(&mac, message, strlen(message));
    hmac_sha256_end(&mac, digest);
    assert_digest(digest, hex);
}

/* RFC 4231, cases 1, 2 and 6. */
static void hmac_is_the_standards(void **state)
{
    (void)state;
    unsigned char key[131];
    memset(key, 0x0b, 20);
    assert_hmac(key, 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_hmac("Jefe", 4, "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    assert_hmac(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* 128 bits of a × b + sum, by halves: the definition, written the long way. */
static void add_product(uint64_t sum[2], uint64_t a, uint64_t b)
{
    for (unsigned i = 0; i < 128; i++) { /* shift and add */
        uint64_t low = i < 64 ? a << i : 0, high = i == 0 ? 0 : i < 64 ? a >> (64 - i) : a << (i - 64);
        if (i >= 64 || (b >> i & 1) == 0)
            continue;
        sum[0] += low;
        sum[1] += high + (sum[0] < low);
    }
}

static void keyed_by_definition(const keyed_hash_key *key, const char *label, const unsigned char *message,
                                size_t length, unsigned char tag[SHA256_BYTES])
{
    hmac_sha256 mac = key->mac;
    uint64_t total = length;
    hmac_sha256_update(&mac, label, KEYED_HASH_LABEL);
    for (size_t at = 0; at < length; at += KEYED_HASH_BLOCK) {
        unsigned char block[KEYED_HASH_BLOCK] = {0};
        uint64_t sum[2] = {0, 0};
        memcpy(block, message + at, length - at < sizeof block ? length - at : sizeof block);
        for (size_t i = 0; i < KEYED_HASH_BLOCK / 8; i += 2)
            add_product(sum, load_u64(block + 8 * i) + key->words[i], load_u64(block + 8 * i + 8) + key->words[i + 1]);
        hmac_sha256_update(&mac, sum, sizeof sum);
    }
    hmac_sha256_update(&mac, &total, sizeof total);
    hmac_sha256_end(&mac, tag);
}

static void a_keyed_hash_is_its_definition_however_it_is_cut(void **state)
{
    (void)state;
    static keyed_hash_key key, other;
    enum { MOST = 3 * KEYED_HASH_BLOCK + 100 };
    unsigned char *message = malloc(MOST), expected[SHA256_BYTES], tag[SHA256_BYTES];
    static const size_t length[] = {0, 1, 15, 16, 4095, 4096, 4097, MOST}, piece[] = {1, 777, 4096, MOST};
    keyed_hash_prepare(&key, (const unsigned char *)"0123456789abcdef0123456789abcdef");
    keyed_hash_prepare(&other, (const unsigned char *)"0123456789abcdef0123456789abcdeg");
    for (size_t i = 0; i < MOST; i++)
        message[i] = (unsigned char)(i * i * 0x9d + (i >> 7));
    for (size_t i = 0; i < 32; i++) {
        size_t bytes = length[i / 4], step = piece[i % 4];
        keyed_hash hash;
        keyed_hash_begin(&hash, &key, "test");
        for (size_t at = 0; at < bytes; at += step)
            keyed_hash_update(&hash, message + at, bytes - at < step ? bytes - at : step);
        keyed_hash_end(&hash, tag);
        keyed_by_definition(&key, "test", message, bytes, expected);
        assert_memory_equal(tag, expected, sizeof tag);
        keyed_by_definition(&key, "tess", message, bytes, expected);
        assert_memory_not_equal(tag, expected, sizeof tag);
        keyed_by_definition(&other, "test", message, bytes, expected);
        assert_memory_not_equal(tag, expected, sizeof tag);
    }
    free(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_the_standards),
        cmocka_unit_test(hmac_is_the_standards),
        cmocka_unit_test(a_keyed_hash_is_its_definition_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
