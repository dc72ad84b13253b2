/* mote_ids, the growing list of token ids of mote.h: how it grows. Freed with the public mote_ids_free. */
#ifndef MOTE_BASE_IDS_H
#define MOTE_BASE_IDS_H

#include <mote/mote.h>

/* Makes room for `extra` more ids; the list is unchanged on failure. Errors: MEMORY. */
mote_status ids_reserve(mote_ids *ids, size_t extra, mote_error *error);

/* Appends one id. Errors: MEMORY. */
mote_status ids_append(mote_ids *ids, mote_token token, mote_error *error);

#endif
