/* An engine's options for a cache whose keys and values are of one type: {.context = 64, KV_BOTH(MOTE_KV_F32)}. */
#ifndef MOTE_TESTS_KV_BOTH_H
#define MOTE_TESTS_KV_BOTH_H

#define KV_BOTH(type) .kv_keys = (type), .kv_values = (type)

#endif
