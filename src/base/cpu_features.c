/* Processor detection: CPUID on x86, the kernel's auxiliary vector on Arm and RISC-V. */
#include "base/cpu_features.h"

#include <stdio.h>
#include <string.h>

#include "base/processors.h"

const char *cpu_feature_name(unsigned index)
{
    static const char *const names[] = {
#define CPU_FEATURE_TEXT(name, text) text,
        CPU_FEATURE_LIST(CPU_FEATURE_TEXT)
#undef CPU_FEATURE_TEXT
    };
    return index < CPU_FEATURE_COUNT ? names[index] : "";
}

#if defined(__x86_64__)

#include <cpuid.h>

enum { FIRST_OF_OURS = CPU_INDEX_F16C, LAST_OF_OURS = CPU_INDEX_AVX512_BF16 };

const char *cpu_architecture(void)
{
    return "x86-64";
}

/* Which register files the system saves on a context switch: bits 1–2 are SSE and AVX, 5–7 AVX-512. */
static uint32_t saved_state(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Intel SDM volume 2, CPUID leaves 1 and 7. */
uint32_t cpu_features(void)
{
    unsigned a, b, c, d, leaf7_b, leaf7_c, leaf7_1a = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    uint32_t state = saved_state(), found = 0;
    unsigned leaf1_c = c;
    if (!__get_cpuid_count(7, 0, &a, &leaf7_b, &leaf7_c, &d))
        return 0;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        leaf7_1a = a;
    if ((state & 0x6) != 0x6)
        return 0;
    if ((leaf7_b & bit_AVX2) && (leaf1_c & bit_FMA))
        found |= CPU_AVX2;
    if (leaf1_c & bit_F16C)
        found |= CPU_F16C;
    if (leaf7_1a & (1u << 4))
        found |= CPU_AVX_VNNI;
    const unsigned base512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((state & 0xe0) == 0xe0 && (leaf7_b & base512) == base512) {
        found |= CPU_AVX512;
        if (leaf7_c & bit_AVX512VNNI)
            found |= CPU_AVX512_VNNI;
        if (leaf7_1a & (1u << 5))
            found |= CPU_AVX512_BF16;
    }
    return found;
}

#elif defined(__aarch64__) || defined(__arm__)

#include <sys/auxv.h>

enum { FIRST_OF_OURS = CPU_INDEX_NEON, LAST_OF_OURS = CPU_INDEX_BF16 };

/* Bit positions of the kernel's AT_HWCAP and AT_HWCAP2 (Linux, arch/arm64 and arch/arm, uapi/asm/hwcap.h). */
#if defined(__aarch64__)

const char *cpu_architecture(void)
{
    return "aarch64";
}

uint32_t cpu_features(void)
{
    unsigned long caps = getauxval(AT_HWCAP), caps2 = getauxval(AT_HWCAP2);
    uint32_t found = 0;
    if (caps & (1ul << 1))
        found |= CPU_NEON;
    if (caps & (1ul << 10))
        found |= CPU_FP16;
    if (caps & (1ul << 20))
        found |= CPU_DOTPROD;
    if (caps2 & (1ul << 13))
        found |= CPU_I8MM;
    if (caps2 & (1ul << 14))
        found |= CPU_BF16;
    return found;
}

#else

const char *cpu_architecture(void)
{
    return "arm";
}

uint32_t cpu_features(void)
{
    return getauxval(AT_HWCAP) & (1ul << 12) ? CPU_NEON : 0;
}

#endif

#elif defined(__riscv)

#include <sys/auxv.h>

enum { FIRST_OF_OURS = CPU_INDEX_RVV, LAST_OF_OURS = CPU_INDEX_RVV };

const char *cpu_architecture(void)
{
    return "riscv64";
}

/* Early boards have a draft of the vectors, 0.7.1, and some of their systems report it as V. It has no policy for tails:
 * `vsetvli t0, zero, e8, m1, ta, ma` makes its vtype invalid, which is the top bit. Both by number, for assemblers that
 * were not told of vectors. */
static int vectors_are_1_0(void)
{
    long vtype;
    __asm__ volatile(".4byte 0x0c0072d7\n\tcsrr %0, 0xc21" : "=r"(vtype) : : "t0");
    return vtype >= 0;
}

uint32_t cpu_features(void)
{
    return getauxval(AT_HWCAP) & (1ul << ('v' - 'a')) && vectors_are_1_0() ? CPU_RVV : 0;
}

#else

enum { FIRST_OF_OURS = CPU_FEATURE_COUNT, LAST_OF_OURS = CPU_FEATURE_COUNT };

const char *cpu_architecture(void)
{
    return "other";
}

uint32_t cpu_features(void)
{
    return 0;
}

#endif

uint32_t cpu_count(void)
{
    processor_set allowed = processors_allowed();
    return processors_usable(&allowed, "");
}

/* Is the name `length` bytes of text? */
static bool is_named(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

/* The feature of this architecture with that name; CPU_FEATURE_COUNT if none. */
static unsigned find_feature(const char *text, size_t length)
{
    for (unsigned i = FIRST_OF_OURS; i <= LAST_OF_OURS && i < CPU_FEATURE_COUNT; i++)
        if (is_named(cpu_feature_name(i), text, length))
            return i;
    return CPU_FEATURE_COUNT;
}

mote_status cpu_features_choose(uint32_t *features, const char *wanted, mote_error *error)
{
    uint32_t allowed = 0;
    *features = cpu_features();
    if (wanted == NULL || *wanted == '\0')
        return MOTE_OK;
    bool alone = strchr(wanted, ',') == NULL;
    for (const char *word = wanted;; word++) {
        size_t length = strcspn(word, ",");
        unsigned index = find_feature(word, length);
        if (index < CPU_FEATURE_COUNT) {
            allowed |= alone ? (2u << index) - 1 : 1u << index;
        } else if (!is_named("generic", word, length)) {
            char names[256];
            cpu_feature_names(UINT32_MAX, names, sizeof names);
            return fail(error, MOTE_E_ARGUMENT, "'%.*s' is no processor feature; choose from: generic %s",
                        length < 64 ? (int)length : 64, word, names);
        }
        word += length;
        if (*word == '\0')
            break;
    }
    *features &= allowed;
    return MOTE_OK;
}

void cpu_feature_names(uint32_t set, char *text, size_t capacity)
{
    size_t length = 0;
    text[0] = '\0';
    for (unsigned i = FIRST_OF_OURS; i <= LAST_OF_OURS && i < CPU_FEATURE_COUNT && length < capacity; i++)
        if (set >> i & 1)
            length +=
                (size_t)snprintf(text + length, capacity - length, "%s%s", length == 0 ? "" : " ", cpu_feature_name(i));
}
