/* What a process occupies, as the system counts it. */
#ifndef MOTE_METER_MEMORY_METER_H
#define MOTE_METER_MEMORY_METER_H

#include <stdbool.h>
#include <stdint.h>

/* Peak resident bytes of this process, mapped file pages included (VmHWM); 0 where the system does not tell. */
uint64_t memory_peak(void);

/* Begins a new peak with what is resident now. False: the system cannot. */
bool memory_peak_restart(void);

#endif
