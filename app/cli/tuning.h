/* What mote tune has measured, kept in the state directory:
 *
 *     {"version": 1, "machine": "Raspberry Pi 5 Model B Rev 1.0", "processors": 4,
 *      "models": [{"model": "Qwen3 0.6B", "weight_bytes": 382000000, "prefill_threads": 4, "decode_threads": 3,
 *                  "prefill_tokens_per_second": 120.5, "decode_tokens_per_second": 21.3}]}
 *
 * A file of another machine is no guide, and a damaged one is no reason to stop: both count as none. */
#ifndef MOTE_CLI_TUNING_H
#define MOTE_CLI_TUNING_H

#include <jansson.h>
#include <mote/mote.h>

#include "state_path.h"

enum { TUNINGS_MAX = 16, TUNING_NAME_BYTES = 128 };

struct tuning {
    char model[TUNING_NAME_BYTES];
    uint64_t weight_bytes;
    uint32_t prefill_threads;
    uint32_t decode_threads;
    double prefill_rate; /* tokens a second */
    double decode_rate;
};

enum tuning_state {
    TUNING_NONE,
    TUNING_HERE,
    TUNING_FOREIGN, /* measured on another machine, or with other processors allowed */
    TUNING_DAMAGED
};

struct tunings {
    enum tuning_state state;
    char path[STATE_PATH_CAPACITY];
    char machine[TUNING_NAME_BYTES];
    uint32_t processors;
    size_t count;
    struct tuning at[TUNINGS_MAX];
};

/* Reads the file. Only where the state is TUNING_HERE there is anything in it. */
void tunings_load(struct tunings *tunings);

/* The entry measured with a model most like one of that many bytes of weights; NULL if none is within four times of it. */
const struct tuning *tunings_find(const struct tunings *tunings, uint64_t weight_bytes);

/* Adds an entry, in place of the one of the same model, or of the oldest where there is no room, and writes the file. The
 * exit status; a failure has been complained about. */
int tunings_keep(struct tunings *tunings, const struct tuning *entry);

/* NULL without memory. */
json_t *tunings_json(const struct tunings *tunings);

#endif
