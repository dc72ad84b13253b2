/* The entries of the products in panels_rvv.inc, which are a function for each format and number of tokens, twice: for
 * vector registers of 128 bits, and of 256 and more. */
#include "base/cpu_features.h"
#include "kernel/panel_product.h"
#include "kernel/riscv/riscv_kernels.h"

#define EIGHT(name) name##1, name##2, name##3, name##4, name##5, name##6, name##7, name##8
#define DECLARE(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                        \
    panel_tile EIGHT(panel_rvv128_##name##_), EIGHT(panel_rvv256_##name##_);
#define TILES_128(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                      \
    [KERNEL_SLOT(QUANT_##format)] = {EIGHT(panel_rvv128_##name##_)},
#define TILES_256(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                      \
    [KERNEL_SLOT(QUANT_##format)] = {EIGHT(panel_rvv256_##name##_)},

PANEL_LAYOUT_LIST(DECLARE)

/* Bits of a vector register. CSR vlenb goes by its number, as this file is compiled without vectors. */
static unsigned long register_bits(void)
{
    unsigned long bytes;
    __asm__("csrr %0, 0xc22" : "=r"(bytes));
    return 8 * bytes;
}

static void run(const matmul_job *job, size_t begin, size_t end, void *scratch)
{
    static panel_tile *const tiles[][KERNEL_FORMATS][TOKEN_TILE] = {{PANEL_LAYOUT_LIST(TILES_128)},
                                                                    {PANEL_LAYOUT_LIST(TILES_256)}};
    (void)scratch;
    panel_product(job, begin, end, tiles[register_bits() >= 256][KERNEL_SLOT(job->format->type)], false);
}

#define ENTRY(format, name_, level_bits, high_bits, scale_bytes, header_bytes)                                         \
    [KERNEL_SLOT(QUANT_##format)] = {.name = "rvv", .needs = CPU_RVV, .scratch_bytes = panel_scratch_bytes, .run = run},

const matmul_kernel panels_rvv[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(ENTRY)};
