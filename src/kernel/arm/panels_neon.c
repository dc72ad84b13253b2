/* Products of packed weights for any 64-bit Arm: Cortex-A53, A72 and their like (panels_smull.h). */
#include "base/cpu_features.h"
#include "kernel/arm/panels_smull.h"

#define ENTRY_NAME  "neon"
#define ENTRY_NEEDS CPU_NEON
PANEL_LAYOUT_LIST(PANEL_FUNCTIONS)
const matmul_kernel panels_neon[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
