/* A growing list of token ids. Capacity doubles, so that appending one by one costs a constant time each. */
#include "base/ids.h"

#include "base/checked.h"
#include "base/status.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

mote_status ids_reserve(mote_ids *ids, size_t extra, mote_error *error)
{
    size_t needed, bytes;
    if (!checked_add(ids->count, extra, &needed))
        return fail_memory(error, SIZE_MAX, "a list of token ids");
    if (needed <= ids->capacity)
        return MOTE_OK;
    size_t capacity = ids->capacity > FIRST_CAPACITY ? ids->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    if (!checked_mul(capacity, sizeof *ids->at, &bytes))
        return fail_memory(error, SIZE_MAX, "a list of token ids");
    mote_token *at = realloc(ids->at, bytes);
    if (at == NULL)
        return fail_memory(error, bytes, "a list of token ids");
    ids->at = at;
    ids->capacity = capacity;
    return MOTE_OK;
}

mote_status ids_append(mote_ids *ids, mote_token token, mote_error *error)
{
    if (ids->count == ids->capacity) {
        mote_status status = ids_reserve(ids, 1, error);
        if (status != MOTE_OK)
            return status;
    }
    ids->at[ids->count++] = token;
    return MOTE_OK;
}

void mote_ids_free(mote_ids *ids)
{
    if (ids == NULL)
        return;
    free(ids->at);
    *ids = (mote_ids){0};
}
