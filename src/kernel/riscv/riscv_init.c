/* Puts the RISC-V kernels into the tables. */
#include "base/cpu_features.h"
#include "kernel/riscv/riscv_kernels.h"
#include "kernel/table_entries.h"

void kernel_riscv_init(kernel_table *table, uint32_t features)
{
    if (!(features & CPU_RVV))
        return;
    put_matmul(table->panels, panels_rvv, features);
    table->to_int8 = int8_tokens_store_rvv;
}
