/* Mapped files that go away: a SIGBUS inside them becomes a flag, not the end of the process.
 *
 * A page of a mapped file that can no longer be read — the file was shortened, the card was pulled, a block is bad —
 * raises SIGBUS in whichever thread touches it. The handler here replaces the whole region by zeros, sets its flag and
 * returns: the thread reads on, and whoever owns the work asks for the flag when it is done and throws the result away.
 *
 * Why not siglongjmp out of the fault: the reader is a worker of a pool in the middle of a shared loop, possibly in
 * somebody else's code, and jumping would leave counters, locks and the loop's other workers behind. Why the whole region
 * and not the page: the work is void from the first bad page on, every further page of a dying card may cost seconds of
 * retries, and a page at a time may use up the process's mappings.
 *
 * The handler is installed with the first region and stays. A SIGBUS anywhere else goes to the handler that was there
 * before, or ends the process as it would have without us. A program that installs its own later must hand on what is
 * not its own. A thread that blocks SIGBUS is not protected: the system then ends the process. */
#ifndef MOTE_BASE_FAULT_GUARD_H
#define MOTE_BASE_FAULT_GUARD_H

#include <stddef.h>

#include "base/status.h"

enum { FAULT_GUARD_MOST = 2048 }; /* regions at a time, in the whole process */

typedef struct fault_region fault_region;

/* Guards the pages of [start, start + length), which begin at a page boundary and are mapped readable and private.
 * Errors: LIMIT (all regions taken), IO (no signal handler could be installed). */
mote_status fault_guard_add(fault_region **out, const void *start, size_t length, mote_error *error);

/* Before the region is unmapped, and with nobody reading it any more. NULL is fine. */
void fault_guard_remove(fault_region *region);

/* Has a page been replaced since the region was added? From any thread. */
bool fault_guard_failed(const fault_region *region);

#endif
