/* Products of packed weights for 32-bit Arm with NEON: ARMv7, and 32-bit systems on later processors (panels_smull.h). */
#include "base/cpu_features.h"
#include "kernel/arm/panels_smull.h"

#define ENTRY_NAME  "neon32"
#define ENTRY_NEEDS CPU_NEON
PANEL_LAYOUT_LIST(PANEL_FUNCTIONS)
const matmul_kernel panels_neon32[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
