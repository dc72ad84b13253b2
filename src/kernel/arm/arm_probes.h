/* Probes of Arm's instruction sets for 8-bit dot products. */
#ifndef MOTE_KERNEL_ARM_ARM_PROBES_H
#define MOTE_KERNEL_ARM_ARM_PROBES_H

#include "kernel/machine_probe.h"

extern const dot_probe dot_probe_neon;
extern const dot_probe dot_probe_dotprod; /* aarch64 alone, as the next */
extern const dot_probe dot_probe_i8mm;

#endif
