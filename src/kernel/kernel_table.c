/* Fills the kernel tables: generic first, then better entries in ascending order of instruction sets. */
#include "kernel/kernels.h"

void kernel_table_init(kernel_table *table, uint32_t features)
{
    (void)features; /* every entry so far runs anywhere; those of an instruction set overwrite them here */
    kernel_generic_init(table);
}
