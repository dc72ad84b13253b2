/* What a machine is doing besides: its clock, its heat, and who else is running. A figure measured on a machine that is
 * held back is not the machine's. */
#ifndef MOTE_CLI_MACHINE_STATE_H
#define MOTE_CLI_MACHINE_STATE_H

#include <stdint.h>

#include "output.h"

/* Zero or "" where the system does not tell. */
struct machine_state {
    char governor[32];    /* of the first processor's frequency */
    uint64_t frequency;   /* of the processor that runs fastest at this moment, in kHz: the others may be idle */
    uint64_t limit;       /* the highest that any processor has, in kHz */
    uint64_t throttles;   /* by heat, counted since the machine's start */
    uint64_t quota_waits; /* periods in which this control group had used up its CPU quota, since its start */
    bool cooling;         /* the kernel or the firmware holds frequencies down now */
    int hottest;          /* of the thermal zones, °C */
    double load;          /* programs that run or want to, mean of the last minute */
};

/* `root` is where the system's /proc and /sys are: "" but in tests. */
struct machine_state machine_state_read(const char *root);

/* One line without its end: "governor performance, 3.60 of 3.70 GHz, 54 °C, not throttled". */
void machine_state_print(struct output *out, const struct machine_state *before, const struct machine_state *after);

/* Complains about what makes figures worse than the machine's: before the run, and once it is over. */
void machine_state_warn_before(const struct machine_state *before);
void machine_state_warn_after(const struct machine_state *before, const struct machine_state *after);

/* Was anything held back between the two? */
bool machine_state_throttled(const struct machine_state *before, const struct machine_state *after);

#endif
