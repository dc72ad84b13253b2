/* How many bytes a prefix store has written in the last 24 hours: kept in its directory, since a program that is restarted
 * every minute wears a disk as well. Hours are counted, so that the sum is of 24 to 25 hours.
 *
 * Clocks jump. One that went back, as on a board without a battery until the network tells the time, forgets nothing, neither
 * when it goes back nor when it returns; and one that was far ahead once does not hold the count for ever, since hours also
 * pass while it is behind. One that jumps ahead by a day forgets the day. */
#ifndef MOTE_ENGINE_PREFIX_QUOTA_H
#define MOTE_ENGINE_PREFIX_QUOTA_H

#include "base/keyed_hash.h"

#define PREFIX_QUOTA_NAME "mote-written"

enum { PREFIX_QUOTA_HOURS = 25 }; /* the running one, and 24 before */

typedef struct prefix_quota {
    int64_t latest;                       /* hour since 1970 that any clock has shown */
    int64_t seen;                         /* the last that was shown */
    uint64_t written[PREFIX_QUOTA_HOURS]; /* [0]: in the running one */
} prefix_quota;

/* Lets time pass. `now`: seconds since 1970. */
void prefix_quota_advance(prefix_quota *quota, int64_t now);

uint64_t prefix_quota_sum(const prefix_quota *quota);
void prefix_quota_add(prefix_quota *quota, uint64_t bytes);

/* From and to the directory. A file that is missing or was tampered with says nothing. 0, or an error number; EPERM: somebody's
 * file has the name. */
int prefix_quota_read(prefix_quota *quota, int directory, const keyed_hash_key *secret);
int prefix_quota_write(const prefix_quota *quota, int directory, const keyed_hash_key *secret);

#endif
