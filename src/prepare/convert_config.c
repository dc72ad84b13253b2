/* The keys of config.json are those of transformers: of version 5, which keeps what concerns rotation in rope_parameters,
 * and of those before, which had rope_theta, rope_scaling and rope_local_base_freq. Whatever changes the computation and is
 * not among what mote computes is refused: a model that runs and answers nonsense helps nobody. */
#include "prepare/convert_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "text/vocabulary.h"

#define AGAIN "fetch the file again"

enum { MOST_LAYERS = 1024, MOST_WIDTH = 65536, MOST_FFN = 1 << 20, MOST_HEADS = 256, MOST_HEAD_DIM = 1024 };

typedef struct architecture {
    const char *name; /* in "architectures" */
    const model_family *family;
    double epsilon, rope_base; /* where the file does not say */
    uint32_t head_dim;         /* the same; 0: width ÷ heads */
    const char *activation;
} architecture;

static const architecture architectures[] = {
    {"LlamaForCausalLM", &family_llama, 1e-6, 1e4, 0, "silu"},
    {"Qwen2ForCausalLM", &family_qwen2, 1e-6, 1e4, 0, "silu"},
    {"Qwen3ForCausalLM", &family_qwen3, 1e-6, 1e4, 128, "silu"},
    {"Gemma3ForCausalLM", &family_gemma3, 1e-6, 1e6, 256, "gelu_pytorch_tanh"},
    {"Phi3ForCausalLM", &family_phi3, 1e-5, 1e4, 0, "silu"},
};

/* ------------------------------------------------------------------------------------------------------------ values */

/* Keeps its first failure; reading after it does nothing. */
typedef struct reader {
    convert_config *c;
    const json *document;
    json_value root;
    json_value rope; /* rope_parameters, or rope_scaling */
    mote_error *error;
    mote_status status;
} reader;

static bool is_set(json_value value)
{
    return json_kind_of(value) > JSON_NULL;
}

static void count(reader *r, json_value from, const char *key, uint32_t min, uint32_t max, bool needed, uint32_t *out)
{
    json_value value = json_get(from, key);
    uint64_t number;
    if (r->status != MOTE_OK || (!is_set(value) && !needed))
        return;
    if (json_u64(value, &number) && number >= min && number <= max)
        *out = (uint32_t)number;
    else
        r->status =
            fail(r->error, MOTE_E_FORMAT, "%s: %s is %s, and not a whole number from %u to %u; " AGAIN,
                 json_name(r->document), key,
                 json_kind_of(value) == JSON_NUMBER ? "another number" : json_kind_name(json_kind_of(value)), min, max);
}

static void real(reader *r, json_value from, const char *key, double min, double max, double *out)
{
    json_value value = json_get(from, key);
    double number;
    if (r->status != MOTE_OK || !is_set(value))
        return;
    if (json_double(value, &number) && number >= min && number <= max)
        *out = number;
    else
        r->status = fail(
            r->error, MOTE_E_FORMAT, "%s: %s is %s, and not a number from %g to %g; " AGAIN, json_name(r->document),
            key, json_kind_of(value) == JSON_NUMBER ? "another number" : json_kind_name(json_kind_of(value)), min, max);
}

static void refuse(reader *r, bool wrong, const char *what)
{
    if (r->status == MOTE_OK && wrong)
        r->status = fail(r->error, MOTE_E_UNSUPPORTED, "%s: %s, which mote does not compute; choose another model",
                         json_name(r->document), what);
}

/* ------------------------------------------------------------------------------------------------------------- shape */

static const architecture *find_architecture(reader *r)
{
    json_value named = json_first(json_get(r->root, "architectures"));
    gguf_string name = json_text(named);
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (gguf_string_is(name, architectures[i].name))
            return &architectures[i];
    r->status = fail(r->error, MOTE_E_UNSUPPORTED,
                     "%s: its architecture is \"%.*s\", and mote converts LlamaForCausalLM, Qwen2ForCausalLM, "
                     "Qwen3ForCausalLM, Gemma3ForCausalLM and Phi3ForCausalLM; choose another model",
                     json_name(r->document), name.length < 60 ? (int)name.length : 60, name.at);
    return NULL;
}

static void read_shape(reader *r, const architecture *a)
{
    convert_config *c = r->c;
    count(r, r->root, "num_hidden_layers", 1, MOST_LAYERS, true, &c->layers);
    count(r, r->root, "hidden_size", 1, MOST_WIDTH, true, &c->width);
    count(r, r->root, "intermediate_size", 1, MOST_FFN, true, &c->ffn);
    count(r, r->root, "num_attention_heads", 1, MOST_HEADS, true, &c->heads);
    count(r, r->root, "vocab_size", 1, VOCABULARY_MOST, true, &c->vocabulary);
    count(r, r->root, "max_position_embeddings", 1, UINT32_MAX, true, &c->context);
    if (r->status != MOTE_OK)
        return;
    c->kv_heads = c->heads;
    c->head_dim = a->head_dim != 0 ? a->head_dim : c->width / c->heads;
    c->norm_epsilon = a->epsilon;
    count(r, r->root, "num_key_value_heads", 1, c->heads, false, &c->kv_heads);
    count(r, r->root, "head_dim", 2, MOST_HEAD_DIM, false, &c->head_dim);
    real(r, r->root, "rms_norm_eps", 0, 1, &c->norm_epsilon);
    json_value tied = json_get(r->root, "tie_word_embeddings");
    c->head = !is_set(tied) ? HEAD_UNSAID : json_kind_of(tied) == JSON_TRUE ? HEAD_TIED : HEAD_OWN;
    if (r->status == MOTE_OK && (c->heads % c->kv_heads != 0 || c->head_dim < 2 || c->head_dim % 2 != 0))
        r->status = fail(r->error, MOTE_E_FORMAT, "%s: %u query heads of %u values do not fit %u key heads; " AGAIN,
                         json_name(r->document), c->heads, c->head_dim, c->kv_heads);
}

static void check_activation(reader *r, const architecture *a)
{
    static const char *const keys[] = {"hidden_act", "hidden_activation"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_value named = json_get(r->root, keys[i]);
        bool same = json_is_text(named, a->activation);
        if (a->family == &family_gemma3 && i == 0) /* an older key, which Gemma's own code does not look at */
            continue;
        refuse(r, is_set(named) && !same, "its activation is another than its family's");
    }
}

/* ----------------------------------------------------------------------------------------------------------- windows */

/* Gemma 3: of each `window_period` layers the last sees everything. */
static void read_layer_types(reader *r)
{
    json_value types = json_get(r->root, "layer_types");
    convert_config *c = r->c;
    uint32_t index = 0, period = 0;
    if (json_kind_of(types) != JSON_ARRAY) {
        count(r, r->root, "sliding_window_pattern", 1, 1024, false, &c->window_period);
        return;
    }
    if (json_count(types) != c->layers)
        r->status = fail(r->error, MOTE_E_FORMAT, "%s: layer_types has %zu entries for %u layers; " AGAIN,
                         json_name(r->document), json_count(types), c->layers);
    for (json_value type = json_first(types); json_is(type) && r->status == MOTE_OK; type = json_next(types, type)) {
        bool full = json_is_text(type, "full_attention");
        index++;
        if (full && period == 0)
            period = index;
        refuse(r, !full && !json_is_text(type, "sliding_attention"), "it has layers of a kind of its own");
        refuse(r, full != (period != 0 && index % period == 0), "its layers with windows follow no pattern");
    }
    if (period != 0)
        c->window_period = period;
    else if (c->layers < c->window_period)
        return; /* too few for the usual pattern to show */
    else
        c->window_period = c->layers + 1;
}

static void read_windows(reader *r)
{
    convert_config *c = r->c;
    if (c->family == &family_gemma3) {
        c->window_period = 6;
        count(r, r->root, "sliding_window", 1, 1 << 20, true, &c->window);
        if (r->status == MOTE_OK)
            read_layer_types(r);
        return;
    }
    if (c->family == &family_phi3)
        count(r, r->root, "sliding_window", 0, UINT32_MAX, false, &c->window);
    else
        refuse(r, json_kind_of(json_get(r->root, "use_sliding_window")) == JSON_TRUE, "it uses sliding windows");
}

/* ------------------------------------------------------------------------------------------------------------- rope */

static float *new_factors(reader *r)
{
    float *factors = calloc(r->c->rope_dims / 2, sizeof *factors);
    if (factors == NULL)
        r->status = fail_memory(r->error, r->c->rope_dims / 2 * sizeof *factors, "rope factors");
    return factors;
}

/* Llama 3.1 (Dubey et al. 2024): long waves are stretched by `factor`, short ones not, those between in part. */
static void read_llama3(reader *r)
{
    convert_config *c = r->c;
    double factor = 8, low = 1, high = 4;
    uint32_t original = 8192;
    real(r, r->rope, "factor", 1e-3, 1e6, &factor);
    real(r, r->rope, "low_freq_factor", 1e-3, 1e6, &low);
    real(r, r->rope, "high_freq_factor", 1e-3, 1e6, &high);
    count(r, r->rope, "original_max_position_embeddings", 1, UINT32_MAX, true, &original);
    refuse(r, high <= low, "its rope factors overlap");
    if (r->status != MOTE_OK || (c->rope_factors = new_factors(r)) == NULL)
        return;
    for (uint32_t i = 0; i < c->rope_dims / 2; i++) {
        double wave = 2 * 3.14159265358979323846 * pow(c->rope_base, 2.0 * i / c->rope_dims);
        double smooth = (original / wave - low) / (high - low);
        smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        c->rope_factors[i] = (float)(1 / ((1 - smooth) / factor + smooth));
    }
}

static float *read_factors(reader *r, const char *key)
{
    json_value list = json_get(r->rope, key);
    if (r->status == MOTE_OK && (json_kind_of(list) != JSON_ARRAY || json_count(list) != r->c->rope_dims / 2))
        r->status =
            fail(r->error, MOTE_E_FORMAT, "%s: %s is %s of %zu, and not %u numbers; " AGAIN, json_name(r->document),
                 key, json_kind_name(json_kind_of(list)), json_count(list), r->c->rope_dims / 2);
    float *factors = r->status == MOTE_OK ? new_factors(r) : NULL;
    json_value item = json_first(list);
    for (uint32_t i = 0; factors != NULL && i < r->c->rope_dims / 2; i++, item = json_next(list, item)) {
        double factor = 0;
        if (r->status == MOTE_OK && !(json_double(item, &factor) && factor >= 1e-3 && factor <= 1e6))
            r->status = fail(r->error, MOTE_E_FORMAT, "%s: %s: entry %u is no number from 0.001 to 1000000; " AGAIN,
                             json_name(r->document), key, i);
        factors[i] = (float)factor;
    }
    return factors;
}

/* LongRoPE (Ding et al. 2024); the attention's temperature follows from how far the context was stretched. */
static void read_long_rope(reader *r)
{
    convert_config *c = r->c;
    refuse(r, c->family != &family_phi3, "it has LongRoPE and is no Phi-3");
    c->original_context = 0;
    count(r, r->root, "original_max_position_embeddings", 2, UINT32_MAX, false, &c->original_context);
    count(r, r->rope, "original_max_position_embeddings", 2, UINT32_MAX, c->original_context == 0,
          &c->original_context);
    c->rope_factors = read_factors(r, "long_factor");
    c->rope_factors_short = read_factors(r, "short_factor");
    if (r->status != MOTE_OK)
        return;
    double stretch = (double)c->context / c->original_context;
    c->attention_factor = stretch > 1 ? sqrt(1 + log(stretch) / log(c->original_context)) : 1;
    real(r, r->rope, "attention_factor", 0.01, 100, &c->attention_factor);
}

/* In transformers 5 models with windows have parameters for each kind of layer. */
static void find_rope(reader *r)
{
    json_value all = json_get(r->root, "rope_parameters"), full = json_get(all, "full_attention");
    double *window = &r->c->rope_base_window;
    r->rope = json_kind_of(full) == JSON_OBJECT  ? full
              : json_kind_of(all) == JSON_OBJECT ? all
                                                 : json_get(r->root, "rope_scaling");
    real(r, r->root, "rope_theta", 1, 1e12, &r->c->rope_base);
    real(r, r->rope, "rope_theta", 1, 1e12, &r->c->rope_base);
    *window = 1e4;
    real(r, r->root, "rope_local_base_freq", 1, 1e12, window);
    real(r, json_get(all, "sliding_attention"), "rope_theta", 1, 1e12, window);
}

static void read_rope(reader *r, const architecture *a)
{
    convert_config *c = r->c;
    double part = 1;
    c->rope_base = a->rope_base;
    c->rope_stretch = 1;
    find_rope(r);
    if (c->family == &family_phi3) {
        real(r, r->root, "partial_rotary_factor", 0.01, 1, &part);
        real(r, r->rope, "partial_rotary_factor", 0.01, 1, &part);
        count(r, r->root, "original_max_position_embeddings", 2, UINT32_MAX, false, &c->original_context);
    }
    c->rope_dims = (uint32_t)(part * c->head_dim);
    refuse(r, c->rope_dims < 2 || c->rope_dims % 2 != 0, "an odd number of values in each head rotates");
    json_value type = json_get(r->rope, "rope_type");
    if (!is_set(type))
        type = json_get(r->rope, "type");
    if (r->status != MOTE_OK || !is_set(type) || json_is_text(type, "default"))
        return;
    if (json_is_text(type, "linear"))
        real(r, r->rope, "factor", 1e-3, 1e6, &c->rope_stretch);
    else if (json_is_text(type, "llama3") && c->family == &family_llama)
        read_llama3(r);
    else if (json_is_text(type, "longrope") || json_is_text(type, "su"))
        read_long_rope(r);
    else
        refuse(r, true, "its rotary embedding is scaled in a way of its own");
}

/* ------------------------------------------------------------------------------------------------------------- whole */

static void check_gemma(reader *r)
{
    double scale = r->c->head_dim;
    real(r, r->root, "query_pre_attn_scalar", 1e-6, 1e6, &scale);
    refuse(r, (uint32_t)scale != r->c->head_dim, "its attention is scaled by more than the size of a head");
    refuse(r,
           is_set(json_get(r->root, "final_logit_softcapping")) || is_set(json_get(r->root, "attn_logit_softcapping")),
           "it caps its logits");
    refuse(r, json_kind_of(json_get(r->root, "use_bidirectional_attention")) == JSON_TRUE, "it looks ahead");
}

mote_status convert_config_read(convert_config *config, const json *document, mote_error *error)
{
    *config = (convert_config){0};
    reader r = {.c = config, .document = document, .root = json_root(document), .error = error};
    if (json_kind_of(r.root) != JSON_OBJECT)
        return fail(error, MOTE_E_FORMAT, "%s: is %s, and not an object; " AGAIN, json_name(document),
                    json_kind_name(json_kind_of(r.root)));
    const architecture *a = find_architecture(&r);
    if (a == NULL)
        return r.status;
    config->family = a->family;
    refuse(&r, is_set(json_get(r.root, "quantization_config")), "its weights are quantized already");
    read_shape(&r, a);
    if (r.status == MOTE_OK)
        check_activation(&r, a);
    if (r.status == MOTE_OK)
        read_rope(&r, a);
    if (r.status == MOTE_OK)
        read_windows(&r);
    if (r.status == MOTE_OK && a->family == &family_gemma3)
        check_gemma(&r);
    return r.status;
}

void convert_config_free(convert_config *config)
{
    free(config->rope_factors);
    free(config->rope_factors_short);
    *config = (convert_config){0};
}

/* ---------------------------------------------------------------------------------------------------------- metadata */

typedef struct key_text {
    char text[96];
} key_text;

static key_text key_of(const convert_config *c, const char *suffix)
{
    key_text key;
    snprintf(key.text, sizeof key.text, "%s.%s", c->family->name, suffix);
    return key;
}

#define KEY(suffix) key_of(c, suffix).text

static void declare_windows(const convert_config *c, gguf_output *out)
{
    if (c->family == &family_phi3 || c->window != 0) /* 0 says that there is none, where others assume one */
        gguf_output_u32(out, KEY("attention.sliding_window"), c->window);
    if (c->family == &family_gemma3) {
        gguf_output_u32(out, KEY("attention.sliding_window_pattern"), c->window_period);
        gguf_output_f32(out, KEY("rope.freq_base_swa"), (float)c->rope_base_window);
    }
}

static void declare_rope(const convert_config *c, gguf_output *out)
{
    gguf_output_u32(out, KEY("rope.dimension_count"), c->rope_dims);
    gguf_output_f32(out, KEY("rope.freq_base"), (float)c->rope_base);
    if (c->rope_stretch != 1) {
        gguf_output_text(out, KEY("rope.scaling.type"), "linear");
        gguf_output_f32(out, KEY("rope.scaling.factor"), (float)c->rope_stretch);
    }
    if (c->original_context != 0)
        gguf_output_u32(out, KEY("rope.scaling.original_context_length"), c->original_context);
    if (c->rope_factors_short != NULL)
        gguf_output_f32(out, KEY("rope.scaling.attn_factor"), (float)c->attention_factor);
}

void convert_config_declare(const convert_config *c, gguf_output *out)
{
    const struct {
        const char *suffix;
        uint32_t value;
    } numbers[] = {
        {"block_count", c->layers},
        {"context_length", c->context},
        {"embedding_length", c->width},
        {"feed_forward_length", c->ffn},
        {"attention.head_count", c->heads},
        {"attention.head_count_kv", c->kv_heads},
        {"attention.key_length", c->head_dim},
        {"attention.value_length", c->head_dim},
        {"vocab_size", c->vocabulary},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        gguf_output_u32(out, KEY(numbers[i].suffix), numbers[i].value);
    gguf_output_f32(out, KEY("attention.layer_norm_rms_epsilon"), (float)c->norm_epsilon);
    declare_rope(c, out);
    declare_windows(c, out);
}
