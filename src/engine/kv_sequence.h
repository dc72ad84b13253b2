/* Sequences of tokens over the pages of the KV cache: what sessions hold, and what is kept of earlier ones.
 *
 * Pages are shared by reference. A sequence writes into a page that others hold only behind everything that they see of it,
 * and otherwise into a copy of its own:
 *
 *     page     [t0 t1 t2 t3 t4 t5          ]     filled: 6
 *     a holds   t0 t1 t2 t3 t4 t5                ends at 6: goes on in this page
 *     b holds   t0 t1 t2 t3                      ends at 4: copies four positions first
 *
 * Sliding pages behind a sequence's window stay in its table until somebody needs a page. So a sequence can be continued at
 * any length for which the pages of that window are still there.
 *
 * A page is had by letting go, in this order, of the sliding page that no window needs and that was used least recently, and
 * of the kept sequence that was used least recently. There always is one: if sequences are not kept any more, sessions
 * need no more pages than there are (engine/kv_cache.h).
 *
 * `s` is a sequence's place in kv->sequence. Callers hold the engine's lock. */
#ifndef MOTE_ENGINE_KV_SEQUENCE_H
#define MOTE_ENGINE_KV_SEQUENCE_H

#include "engine/kv_cache.h"

/* Appends tokens, at most a batch of them, with cells that are then to be computed. */
void kv_extend(kv_cache *kv, uint32_t s, const int32_t *ids, size_t count);

/* Appends tokens up to `length` whose cells come from elsewhere. They are to be filled in pages of the sequence's own: of whole
 * pages from the chunk on that is returned, of sliding ones all that the next token sees. */
size_t kv_adopt(kv_cache *kv, uint32_t s, const int32_t *ids, size_t length);

/* The first position that the token behind `length` others sees in a sliding layer. */
size_t kv_first_seen(const kv_cache *kv, size_t length);

/* The longest that `s` can be continued at, up to `length`: the next token's windows are there. */
size_t kv_continuable(const kv_cache *kv, uint32_t s, size_t length);

/* Forgets what follows the first `length` tokens; all, where it cannot be continued there. */
void kv_truncate(kv_cache *kv, uint32_t s, size_t length);

/* `to`, which is empty, holds the first `length` tokens of `from`. */
void kv_share(kv_cache *kv, uint32_t from, size_t length, uint32_t to);

/* Of so many tokens, the first that `s` holds too. */
size_t kv_common(const kv_cache *kv, uint32_t s, const int32_t *ids, size_t count);

/* Are the first `length` tokens of two sequences, which hold as many, the same? */
bool kv_same(const kv_cache *kv, uint32_t a, uint32_t b, size_t length);

/* The token at a position that `s` holds. */
int32_t kv_id(const kv_cache *kv, uint32_t s, size_t position);

#endif
