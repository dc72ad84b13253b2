/* A tag that only who knows a secret can make, at the speed of memory: for hundreds of megabytes that are checked before use.
 *
 *     message ─ blocks of 4 KiB ─ NH under 4 KiB of key ─ 16 bytes a block ─┐
 *     label, length in bytes ───────────────────────────────────────────────┴─ HMAC-SHA-256 under the secret ─ tag [32]
 *
 * NH is the hash of UMAC (Black, Halevi, Krawczyk, Krovetz and Rogaway 1999) over 64-bit words: Σ (m₂ᵢ + k₂ᵢ)(m₂ᵢ₊₁ + k₂ᵢ₊₁) modulo
 * 2¹²⁸, one multiplication for 16 bytes. Two different messages of the same length have the same sums for one key in 2⁶⁴ at
 * most, be they chosen by chance or by an adversary who does not know the key, and HMAC lets nothing of the sums be seen. So
 * a forgery succeeds with 2⁻⁶⁴ a try. Against somebody who knows the secret it is worth nothing. */
#ifndef MOTE_BASE_KEYED_HASH_H
#define MOTE_BASE_KEYED_HASH_H

#include "base/sha256.h"

enum {
    KEYED_HASH_SECRET = 32,
    KEYED_HASH_LABEL = 4, /* bytes of the word that keeps tags of different things apart */
    KEYED_HASH_BLOCK = 4096
};

typedef struct keyed_hash_key {
    hmac_sha256 mac;                                     /* begun with the secret */
    uint64_t words[KEYED_HASH_BLOCK / sizeof(uint64_t)]; /* of NH */
} keyed_hash_key;

typedef struct keyed_hash {
    const keyed_hash_key *key;
    hmac_sha256 mac;
    uint64_t length;
    unsigned char block[KEYED_HASH_BLOCK]; /* the first length % KEYED_HASH_BLOCK bytes are of the message */
} keyed_hash;

void keyed_hash_prepare(keyed_hash_key *key, const unsigned char secret[KEYED_HASH_SECRET]);

/* The key must outlive the hash. `label`: KEYED_HASH_LABEL bytes. */
void keyed_hash_begin(keyed_hash *hash, const keyed_hash_key *key, const char *label);
void keyed_hash_update(keyed_hash *hash, const void *bytes, size_t count);
void keyed_hash_end(keyed_hash *hash, unsigned char tag[SHA256_BYTES]);

#endif
