/* Fills the kernel tables: generic first, then better entries in ascending order of instruction sets. */
#include "kernel/kernels.h"

#if defined(__x86_64__)
#include "kernel/x86/x86_kernels.h"
#elif defined(__riscv)
#include "kernel/riscv/riscv_kernels.h"
#elif defined(__aarch64__) || defined(__arm__)
#include "kernel/arm/arm_kernels.h"
#endif

void kernel_table_init(kernel_table *table, uint32_t features)
{
    kernel_generic_init(table);
#if defined(__x86_64__)
    kernel_x86_init(table, features);
#elif defined(__riscv)
    kernel_riscv_init(table, features);
#elif defined(__aarch64__) || defined(__arm__)
    kernel_arm_init(table, features);
#else
    (void)features; /* no entries of an instruction set yet: the generic ones serve */
#endif
}
