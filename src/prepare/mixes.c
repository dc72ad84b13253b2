/* A table: of each type the common format, and rules for the tensors that are finer, of which the first that applies holds.
 * The rules are facts about llama.cpp 0.5.0 (llama_tensor_get_type in llama-quant.cpp), as far as models without experts go. */
#include "prepare/mixes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum mix_role { ROLE_OTHER, ROLE_HEAD, ROLE_VALUES, ROLE_OUTPUT, ROLE_FUSED, ROLE_DOWN } mix_role;

/* Which layers, or which models. */
typedef enum mix_where {
    EVERYWHERE,
    SPREAD,       /* the first and the last eighth of the layers, and every third between them */
    EIGHTH,       /* the first eighth */
    SIXTEENTH,    /* the first sixteenth */
    FIRST_2,      /* layers */
    FIRST_4,      /* layers */
    SHARED_HEADS, /* see mix_model */
    IF_GUIDED,    /* the first eighth, with an importance matrix */
    IF_UNGUIDED   /* the same without one */
} mix_where;

typedef struct mix_rule {
    mix_role role;
    mix_where where;
    quant_type type;
} mix_rule;

enum { MOST_RULES = 7 };

struct mix {
    const char *name;
    uint32_t number;
    quant_type body;
    mix_rule rules[MOST_RULES]; /* those of ROLE_OTHER are none */
};

/* clang-format off */
static const mix mixes[] = {
    {"f32",     0, QUANT_F32,    {{0}}},
    {"f16",     1, QUANT_F16,    {{0}}},
    {"bf16",   32, QUANT_BF16,   {{0}}},
    {"q8_0",    7, QUANT_Q8_0,   {{0}}},
    {"q6_k",   18, QUANT_Q6_K,   {{0}}},
    {"q5_k_m", 17, QUANT_Q5_K,   {{ROLE_VALUES, SPREAD, QUANT_Q6_K}, {ROLE_DOWN, SPREAD, QUANT_Q6_K},
                                  {ROLE_FUSED, EVERYWHERE, QUANT_Q6_K}}},
    {"q5_k_s", 16, QUANT_Q5_K,   {{0}}},
    {"q5_1",    9, QUANT_Q5_1,   {{0}}},
    {"q5_0",    8, QUANT_Q5_0,   {{ROLE_DOWN, IF_GUIDED, QUANT_Q5_1}}},
    {"q4_k_m", 15, QUANT_Q4_K,   {{ROLE_VALUES, SPREAD, QUANT_Q6_K}, {ROLE_DOWN, SPREAD, QUANT_Q6_K},
                                  {ROLE_FUSED, EVERYWHERE, QUANT_Q5_K}}},
    {"q4_k_s", 14, QUANT_Q4_K,   {{ROLE_VALUES, FIRST_4, QUANT_Q5_K}, {ROLE_DOWN, EIGHTH, QUANT_Q5_K}}},
    {"q4_1",    3, QUANT_Q4_1,   {{0}}},
    {"q4_0",    2, QUANT_Q4_0,   {{ROLE_DOWN, IF_GUIDED, QUANT_Q4_1}}},
    {"iq4_nl", 25, QUANT_IQ4_NL, {{ROLE_VALUES, SHARED_HEADS, QUANT_Q5_K}, {ROLE_DOWN, IF_UNGUIDED, QUANT_Q5_K}}},
    {"iq4_xs", 30, QUANT_IQ4_XS, {{ROLE_VALUES, SHARED_HEADS, QUANT_Q5_K}, {ROLE_DOWN, IF_UNGUIDED, QUANT_Q5_K}}},
    {"q3_k_l", 13, QUANT_Q3_K,   {{ROLE_VALUES, EVERYWHERE, QUANT_Q5_K}, {ROLE_DOWN, EVERYWHERE, QUANT_Q5_K},
                                  {ROLE_OUTPUT, EVERYWHERE, QUANT_Q5_K}, {ROLE_FUSED, EVERYWHERE, QUANT_Q4_K}}},
    {"q3_k_m", 12, QUANT_Q3_K,   {{ROLE_VALUES, FIRST_2, QUANT_Q5_K}, {ROLE_VALUES, EVERYWHERE, QUANT_Q4_K},
                                  {ROLE_DOWN, SIXTEENTH, QUANT_Q5_K}, {ROLE_DOWN, EVERYWHERE, QUANT_Q4_K},
                                  {ROLE_OUTPUT, EVERYWHERE, QUANT_Q4_K}, {ROLE_FUSED, EVERYWHERE, QUANT_Q4_K}}},
    {"q3_k_s", 11, QUANT_Q3_K,   {{0}}},
    {"q2_k",   10, QUANT_Q2_K,   {{ROLE_VALUES, SHARED_HEADS, QUANT_Q4_K}, {ROLE_VALUES, EVERYWHERE, QUANT_Q3_K},
                                  {ROLE_DOWN, EVERYWHERE, QUANT_Q3_K}, {ROLE_OUTPUT, EVERYWHERE, QUANT_Q3_K}}},
};

/* Other names of the same. */
static const struct { const char *name, *same; } others[] = {
    {"q5_k", "q5_k_m"}, {"q4_k", "q4_k_m"}, {"q3_k", "q3_k_m"},
};
/* clang-format on */

/* --------------------------------------------------------------------------------------------------------------- names */

const mix *mix_at(size_t index)
{
    return index < sizeof mixes / sizeof *mixes ? &mixes[index] : NULL;
}

static bool same_name(const char *a, const char *b)
{
    while (*a != '\0' && tolower((unsigned char)*a) == tolower((unsigned char)*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

const mix *mix_find(const char *name)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (same_name(name, others[i].name))
            name = others[i].same;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        if (same_name(name, mixes[i].name))
            return &mixes[i];
    return NULL;
}

const char *mix_name(const mix *m)
{
    return m->name;
}

uint32_t mix_number(const mix *m)
{
    return m->number;
}

/* --------------------------------------------------------------------------------------------------------------- model */

/* A number of the model's architecture; `otherwise` where the file has none, or one for each layer. */
static uint32_t number_of(const gguf *file, const char *suffix, uint32_t otherwise)
{
    char key[128];
    gguf_string family = {"", 0};
    if (gguf_get_string(file, "general.architecture", &family, NULL) != MOTE_OK || family.length > 60)
        return otherwise;
    snprintf(key, sizeof key, "%.*s.%s", (int)family.length, family.at, suffix);
    (void)gguf_get_u32(file, key, 1, UINT32_MAX, &otherwise, NULL); /* what is wrong stays the default */
    return otherwise;
}

mix_model mix_model_of(const gguf *file, bool guided)
{
    uint32_t heads = number_of(file, "attention.head_count", 1);
    return (mix_model){
        .layers = number_of(file, "block_count", 0),
        .tied = gguf_find_tensor(file, "output.weight") == NULL,
        .shared_heads = heads / number_of(file, "attention.head_count_kv", heads) >= 4,
        .guided = guided,
    };
}

/* ------------------------------------------------------------------------------------------------------------- tensors */

bool mix_takes(const gguf_tensor *tensor)
{
    /* small matrices that a few numbers would spoil: routing, convolutions over time, positions, state mixing */
    static const char *const kept[] = {"_norm.weight",  "ffn_gate_inp", "ssm_conv1d", "shortconv.conv",
                                       "position_embd", "token_types",  "attn_rel_b", "time_mix_",
                                       "altup",         "laurel",       "patch_embd", "per_layer_model_proj"};
    size_t length = strlen(tensor->name);
    if (tensor->dimensions < 2 || length < 7 || strcmp(tensor->name + length - 7, ".weight") != 0)
        return false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strstr(tensor->name, kept[i]) != NULL)
            return false;
    return true;
}

/* What a tensor is, and in which layer. */
static mix_role role_of(const mix_model *model, const char *name, uint32_t *layer)
{
    static const struct {
        const char *end;
        mix_role role;
    } roles[] = {{"attn_v.weight", ROLE_VALUES},
                 {"attn_output.weight", ROLE_OUTPUT},
                 {"attn_qkv.weight", ROLE_FUSED},
                 {"ffn_down.weight", ROLE_DOWN}};
    *layer = 0;
    if (strcmp(name, "output.weight") == 0 || (model->tied && strcmp(name, "token_embd.weight") == 0))
        return ROLE_HEAD;
    if (strncmp(name, "blk.", 4) != 0)
        return ROLE_OTHER;
    char *end;
    *layer = (uint32_t)strtoul(name + 4, &end, 10);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (*end == '.' && strcmp(end + 1, roles[i].end) == 0)
            return roles[i].role;
    return ROLE_OTHER;
}

static bool applies(mix_where where, const mix_model *model, uint32_t layer)
{
    uint32_t layers = model->layers, eighth = layers / 8;
    switch (where) {
    case EVERYWHERE: return true;
    case SPREAD: return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
    case EIGHTH: return layer < eighth;
    case SIXTEENTH: return layer < layers / 16;
    case FIRST_2: return layer < 2;
    case FIRST_4: return layer < 4;
    case SHARED_HEADS: return model->shared_heads;
    case IF_GUIDED: return layer < eighth && model->guided;
    case IF_UNGUIDED: return layer < eighth && !model->guided;
    }
    return false;
}

static quant_type wanted(const mix *m, const mix_model *model, const gguf_tensor *tensor)
{
    uint32_t layer;
    mix_role role = role_of(model, tensor->name, &layer);
    if (role == ROLE_HEAD) /* what every token meets last: fine in the coarsest file */
        return m->body == QUANT_Q8_0 || tensor->shape[0] % quant_find(m->body)->block != 0 ? QUANT_Q8_0 : QUANT_Q6_K;
    for (size_t i = 0; i < MOST_RULES && m->rules[i].role != ROLE_OTHER; i++)
        if (m->rules[i].role == role && applies(m->rules[i].where, model, layer))
            return m->rules[i].type;
    return m->body;
}

static quant_type in_small_blocks(quant_type type)
{
    switch (type) {
    case QUANT_IQ3_XXS:
    case QUANT_IQ3_S:
    case QUANT_IQ4_XS: return QUANT_IQ4_NL;
    case QUANT_Q2_K:
    case QUANT_Q3_K:
    case QUANT_TQ1_0:
    case QUANT_TQ2_0: return QUANT_Q4_0;
    case QUANT_Q4_K: return QUANT_Q5_0;
    case QUANT_Q5_K: return QUANT_Q5_1;
    case QUANT_Q6_K: return QUANT_Q8_0;
    default: return QUANT_F16;
    }
}

const quant_format *mix_fitting(const quant_format *format, size_t columns)
{
    if (columns % format->block != 0)
        format = quant_find(in_small_blocks(format->type));
    return columns % format->block == 0 ? format : &quant_format_F16;
}

const quant_format *mix_format(const mix *m, const mix_model *model, const gguf_tensor *tensor, bool *smaller_blocks)
{
    const quant_format *format = quant_find(m->body);
    if (format->block == 1)
        return format;
    format = quant_find(wanted(m, model, tensor));
    const quant_format *fitting = mix_fitting(format, tensor->shape[0]);
    if (fitting != format)
        *smaller_blocks = true;
    return fitting;
}
