/* From the configurations published with the models: the config.json of HuggingFaceTB/SmolLM2-{135M,360M,1.7B}-Instruct,
 * google/gemma-3-{270m,1b}-it, Qwen/Qwen2.5-{0.5B,1.5B}-Instruct, Qwen/Qwen3-{0.6B,1.7B,4B} and
 * microsoft/Phi-4-mini-instruct. */
#include "model/model_shapes.h"

/* clang-format off */
static const model_shape shapes[] = {
    /* name          published       family          vocabulary          layers width   ffn  heads    dim tokens  context  window  rope  from  base    epsilon */
    {"smollm2-135m", "SmolLM2-135M", &family_llama,  VOCABULARY_SMOLLM2, 30,   576,  1536,  9,  3,  64,  49152,   8192,      0,  64,    0, 1e5f,   1e-5f},
    {"smollm2-360m", "SmolLM2-360M", &family_llama,  VOCABULARY_SMOLLM2, 32,   960,  2560, 15,  5,  64,  49152,   8192,      0,  64,    0, 1e5f,   1e-5f},
    {"smollm2-1.7b", "SmolLM2-1.7B", &family_llama,  VOCABULARY_SMOLLM2, 24,  2048,  8192, 32, 32,  64,  49152,   8192,      0,  64,    0, 1.3e5f, 1e-5f},
    {"gemma3-270m",  "Gemma 3 270M", &family_gemma3, VOCABULARY_GEMMA3,  18,   640,  2048,  4,  1, 256, 262144,  32768,    512, 256,    0, 1e6f,   1e-6f},
    {"gemma3-1b",    "Gemma 3 1B",   &family_gemma3, VOCABULARY_GEMMA3,  26,  1152,  6912,  4,  1, 256, 262144,  32768,    512, 256,    0, 1e6f,   1e-6f},
    {"qwen2.5-0.5b", "Qwen2.5-0.5B", &family_qwen2,  VOCABULARY_QWEN2,   24,   896,  4864, 14,  2,  64, 151936,  32768,      0,  64,    0, 1e6f,   1e-6f},
    {"qwen2.5-1.5b", "Qwen2.5-1.5B", &family_qwen2,  VOCABULARY_QWEN2,   28,  1536,  8960, 12,  2, 128, 151936,  32768,      0, 128,    0, 1e6f,   1e-6f},
    {"qwen3-0.6b",   "Qwen3-0.6B",   &family_qwen3,  VOCABULARY_QWEN3,   28,  1024,  3072, 16,  8, 128, 151936,  40960,      0, 128,    0, 1e6f,   1e-6f},
    {"qwen3-1.7b",   "Qwen3-1.7B",   &family_qwen3,  VOCABULARY_QWEN3,   28,  2048,  6144, 16,  8, 128, 151936,  40960,      0, 128,    0, 1e6f,   1e-6f},
    {"qwen3-4b",     "Qwen3-4B",     &family_qwen3,  VOCABULARY_QWEN3,   36,  2560,  9728, 32,  8, 128, 151936,  40960,      0, 128,    0, 1e6f,   1e-6f},
    {"phi4-mini",    "Phi-4-mini",   &family_phi3,   VOCABULARY_PHI4,    32,  3072,  8192, 24,  8, 128, 200064, 131072, 262144,  96, 4096, 1e4f,   1e-5f},
};
/* clang-format on */

const model_shape *model_shape_at(size_t index)
{
    return index < sizeof shapes / sizeof *shapes ? &shapes[index] : NULL;
}

const model_shape *model_shape_find(const char *name)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    return NULL;
}
