/* SHA-256 (FIPS 180-4), and HMAC with it (RFC 2104). For names and tags of what lies on disk, some kilobytes at a time: plain
 * C, 0.3 GB/s. */
#ifndef MOTE_BASE_SHA256_H
#define MOTE_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK = 64 };

typedef struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    unsigned char block[SHA256_BLOCK];
} sha256;

void sha256_begin(sha256 *hash);
void sha256_update(sha256 *hash, const void *bytes, size_t count);
void sha256_end(sha256 *hash, unsigned char digest[SHA256_BYTES]);

/* A key that is used often is begun once, and the state copied. */
typedef struct hmac_sha256 {
    sha256 inner, outer;
} hmac_sha256;

void hmac_sha256_begin(hmac_sha256 *mac, const void *key, size_t key_bytes);
void hmac_sha256_update(hmac_sha256 *mac, const void *bytes, size_t count);
void hmac_sha256_end(hmac_sha256 *mac, unsigned char digest[SHA256_BYTES]);

#endif
