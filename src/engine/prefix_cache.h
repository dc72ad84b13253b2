/* What is kept of earlier sequences, so that a prompt is computed only from where it differs from all that is known.
 *
 * A session that is closed, cleared, cut back or given another prompt leaves a kept sequence behind, which is no more than
 * references to pages. Where there are sliding layers, that one can only be continued near its end, so that further ones end
 * at places where others are likely to go on: at the end of a prompt, and where two prompts parted.
 *
 * Sequences of different scopes know nothing of each other. Callers hold the engine's lock. */
#ifndef MOTE_ENGINE_PREFIX_CACHE_H
#define MOTE_ENGINE_PREFIX_CACHE_H

#include "engine/kv_sequence.h"

enum { PREFIX_LEAST = 32 }; /* tokens that are worth remembering */

/* Keeps the first `length` tokens of `s`, unless that is done already or not worth it. */
void prefix_keep(kv_cache *kv, uint32_t s, size_t length);

/* Cuts a sequence back to `length` tokens, or to none where it cannot be continued there, and keeps what is lost. */
void prefix_cut(kv_cache *kv, uint32_t s, size_t length);

/* Makes `s` hold as many of the tokens as any sequence of its scope can be continued at; what it held is kept. Returns how
 * many tokens are known, which may be more. */
size_t prefix_reuse(kv_cache *kv, uint32_t s, const int32_t *ids, size_t count);

#endif
