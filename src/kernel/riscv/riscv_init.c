/* Puts the RISC-V kernels into the tables. */
#include "base/cpu_features.h"
#include "kernel/riscv/riscv_kernels.h"

void kernel_riscv_init(kernel_table *table, uint32_t features)
{
    if (!(features & CPU_RVV))
        return;
    for (size_t type = 0; type < KERNEL_FORMATS; type++)
        if (panels_rvv[type].run != NULL)
            table->panels[type] = &panels_rvv[type];
    table->to_int8 = int8_tokens_store_rvv;
}
