/* Names are those of FIPS 180-4, section 6.2. */
#include "base/sha256.h"

#include <string.h>

enum { LENGTH_AT = SHA256_BLOCK - 8 }; /* of the last block */

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t load_big(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void store_big(unsigned char *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void compress(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64];
    for (size_t t = 0; t < 16; t++)
        w[t] = load_big(block + 4 * t);
    for (size_t t = 16; t < 64; t++) {
        uint32_t s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (size_t t = 0; t < 64; t++) {
        uint32_t t1 = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[t] + w[t];
        uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256_begin(sha256 *hash)
{
    *hash = (sha256){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_update(sha256 *hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    size_t held = (size_t)(hash->length % SHA256_BLOCK);
    if (count == 0) /* memcpy wants an address even for nothing */
        return;
    hash->length += count;
    if (held > 0) {
        size_t part = count < SHA256_BLOCK - held ? count : SHA256_BLOCK - held;
        memcpy(hash->block + held, at, part);
        if (held + part < SHA256_BLOCK)
            return;
        compress(hash->state, hash->block);
        at += part;
        count -= part;
    }
    for (; count >= SHA256_BLOCK; at += SHA256_BLOCK, count -= SHA256_BLOCK)
        compress(hash->state, at);
    memcpy(hash->block, at, count);
}

void sha256_end(sha256 *hash, unsigned char digest[SHA256_BYTES])
{
    static const unsigned char padding[SHA256_BLOCK] = {0x80};
    uint64_t bits = hash->length * 8;
    size_t held = (size_t)(hash->length % SHA256_BLOCK);
    unsigned char length[8];
    store_big(length, (uint32_t)(bits >> 32));
    store_big(length + 4, (uint32_t)bits);
    sha256_update(hash, padding, held < LENGTH_AT ? LENGTH_AT - held : LENGTH_AT + SHA256_BLOCK - held);
    sha256_update(hash, length, sizeof length);
    for (size_t i = 0; i < 8; i++)
        store_big(digest + 4 * i, hash->state[i]);
}

void hmac_sha256_begin(hmac_sha256 *mac, const void *key, size_t key_bytes)
{
    unsigned char block[SHA256_BLOCK] = {0};
    if (key_bytes > SHA256_BLOCK) {
        sha256_begin(&mac->inner);
        sha256_update(&mac->inner, key, key_bytes);
        sha256_end(&mac->inner, block);
    } else {
        memcpy(block, key, key_bytes);
    }
    for (size_t i = 0; i < SHA256_BLOCK; i++)
        block[i] ^= 0x36;
    sha256_begin(&mac->inner);
    sha256_update(&mac->inner, block, sizeof block);
    for (size_t i = 0; i < SHA256_BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    sha256_begin(&mac->outer);
    sha256_update(&mac->outer, block, sizeof block);
}

void hmac_sha256_update(hmac_sha256 *mac, const void *bytes, size_t count)
{
    sha256_update(&mac->inner, bytes, count);
}

void hmac_sha256_end(hmac_sha256 *mac, unsigned char digest[SHA256_BYTES])
{
    unsigned char inner[SHA256_BYTES];
    sha256_end(&mac->inner, inner);
    sha256_update(&mac->outer, inner, sizeof inner);
    sha256_end(&mac->outer, digest);
}
