/* NH by blocks, then HMAC. */
#include "base/keyed_hash.h"

#include <string.h>

#include "base/bytes.h"

typedef struct wide {
    uint64_t low, high;
} wide;

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 uint128;

static inline wide add_product(wide sum, uint64_t a, uint64_t b)
{
    uint128 total = ((uint128)sum.high << 64 | sum.low) + (uint128)a * b;
    return (wide){(uint64_t)total, (uint64_t)(total >> 64)};
}
#else /* machines of 32 bits: four products of halves */
static inline wide add_product(wide sum, uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    low = other << 32 | (uint32_t)low;
    sum.low += low;
    sum.high += a1 * b1 + (middle >> 32) + (other >> 32) + (sum.low < low);
    return sum;
}
#endif

/* Two sums side by side, since each waits for its own carry. */
static void add_block(keyed_hash *hash, const unsigned char *block)
{
    const uint64_t *key = hash->key->words;
    wide even = {0, 0}, odd = {0, 0};
    for (size_t i = 0; i < KEYED_HASH_BLOCK / sizeof *key; i += 4) {
        const unsigned char *at = block + i * sizeof *key;
        even = add_product(even, load_u64(at) + key[i], load_u64(at + 8) + key[i + 1]);
        odd = add_product(odd, load_u64(at + 16) + key[i + 2], load_u64(at + 24) + key[i + 3]);
    }
    wide sum = add_product(even, odd.low, 1);
    sum.high += odd.high;
    hmac_sha256_update(&hash->mac, &sum, sizeof sum);
}

void keyed_hash_prepare(keyed_hash_key *key, const unsigned char secret[KEYED_HASH_SECRET])
{
    unsigned char *words = (unsigned char *)key->words;
    hmac_sha256_begin(&key->mac, secret, KEYED_HASH_SECRET);
    for (uint32_t i = 0; i < sizeof key->words / SHA256_BYTES; i++) {
        hmac_sha256 mac = key->mac;
        hmac_sha256_update(&mac, "NH  ", KEYED_HASH_LABEL);
        hmac_sha256_update(&mac, &i, sizeof i);
        hmac_sha256_end(&mac, words + i * SHA256_BYTES);
    }
}

void keyed_hash_begin(keyed_hash *hash, const keyed_hash_key *key, const char *label)
{
    hash->key = key;
    hash->mac = key->mac;
    hash->length = 0;
    hmac_sha256_update(&hash->mac, label, KEYED_HASH_LABEL);
}

void keyed_hash_update(keyed_hash *hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    size_t held = (size_t)(hash->length % KEYED_HASH_BLOCK);
    if (count == 0)
        return;
    hash->length += count;
    if (held > 0) {
        size_t part = count < KEYED_HASH_BLOCK - held ? count : KEYED_HASH_BLOCK - held;
        memcpy(hash->block + held, at, part);
        if (held + part < KEYED_HASH_BLOCK)
            return;
        add_block(hash, hash->block);
        at += part;
        count -= part;
    }
    for (; count >= KEYED_HASH_BLOCK; at += KEYED_HASH_BLOCK, count -= KEYED_HASH_BLOCK)
        add_block(hash, at);
    memcpy(hash->block, at, count);
}

void keyed_hash_end(keyed_hash *hash, unsigned char tag[SHA256_BYTES])
{
    size_t held = (size_t)(hash->length % KEYED_HASH_BLOCK);
    if (held > 0) {
        memset(hash->block + held, 0, KEYED_HASH_BLOCK - held);
        add_block(hash, hash->block);
    }
    hmac_sha256_update(&hash->mac, &hash->length, sizeof hash->length);
    hmac_sha256_end(&hash->mac, tag);
}
