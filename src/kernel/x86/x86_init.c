/* Puts the x86-64 kernels into the tables, in ascending order of instruction sets. */
#include "kernel/x86/x86_kernels.h"

void kernel_x86_init(kernel_table *table, uint32_t features)
{
    const matmul_kernel *const ascending[] = {&matmul_decoded_avx2, &matmul_decoded_avx512};
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++)
        for (size_t type = 0; type < KERNEL_FORMATS; type++)
            if (table->matmul[type] != NULL && (ascending[i]->needs & ~features) == 0)
                table->matmul[type] = ascending[i];
}
