/* mote info: what a model file is. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json_output.h"
#include "loading.h"

enum { VALUE_MAX = 4096 };

static const struct option table[] = {
    {"metadata", 0, OPTION_FLAG, NULL, 0, 0, offsetof(struct settings, metadata),
     "Also list every metadata entry of the file."},
    {"weights", 0, OPTION_FLAG, NULL, 0, 0, offsetof(struct settings, weights),
     "Also list every weight: name, format, shape (row length first) and bytes."},
    {"json", 'j', OPTION_FLAG, NULL, 0, 0, offsetof(struct settings, json), "Print one JSON object."},
    {0},
};
static const struct option_group own_options = {"Options", table};

/* ----------------------------------------------------------------------------------------------------- for a person */

static void print_text(struct output *out, const char *name, const char *value)
{
    if (*value == '\0')
        return;
    output_print(out, "%-14s", name);
    output_escaped(out, value, strlen(value));
    output_print(out, "\n");
}

static void print_count(struct output *out, const char *name, uint64_t value)
{
    if (value > 0)
        output_print(out, "%-14s%llu\n", name, (unsigned long long)value);
}

static void print_summary(struct output *out, const struct settings *settings, const mote_model_info *info)
{
    print_text(out, "file", settings->model != NULL ? settings->model : "built into mote");
    print_text(out, "name", info->name);
    print_text(out, "description", info->description);
    print_text(out, "license", info->license);
    print_text(out, "architecture", info->architecture);
    print_text(out, "tokenizer", info->tokenizer);
    print_text(out, "chat format", *info->chat_format != '\0' ? info->chat_format : "none");
    print_text(out, "weights", info->types);
    if (info->parameters > 0)
        output_print(out, "%-14s%s\n", "parameters", human_count(info->parameters).text);
    output_print(out, "%-14s%s, %s of it weights\n", "size", human_bytes(info->file_bytes).text,
                 human_bytes(info->weight_bytes).text);
    print_count(out, "layers", info->layers);
    print_count(out, "width", info->width);
    print_count(out, "ffn width", info->ffn);
    if (info->heads > 0)
        output_print(out, "%-14s%u, %u for keys and values, %u wide\n", "heads", info->heads, info->kv_heads,
                     info->head_dim);
    print_count(out, "vocabulary", info->vocabulary);
    print_count(out, "context", info->context);
    print_count(out, "window", info->window);
}

static void print_metadata(struct output *out, const mote_model *model, size_t count)
{
    const char *key, *type;
    char value[VALUE_MAX];
    output_print(out, "\nMetadata, %zu entries\n", count);
    for (size_t i = 0; i < count && out->error == 0; i++) {
        if (mote_model_metadata(model, i, &key, &type, value, sizeof value) != MOTE_OK)
            continue;
        output_print(out, "  ");
        output_escaped(out, key, strlen(key));
        output_print(out, " (%s) = ", type);
        output_escaped(out, value, strlen(value));
        output_print(out, "\n");
    }
}

static void print_weights(struct output *out, const mote_model *model, size_t count)
{
    mote_weight_info weight;
    output_print(out, "\nWeights, %zu\n", count);
    for (size_t i = 0; i < count && out->error == 0; i++) {
        if (mote_model_weight(model, i, &weight) != MOTE_OK)
            continue;
        output_print(out, "  ");
        output_escaped(out, weight.name, strlen(weight.name));
        output_print(out, "  %s  ", weight.type);
        for (uint32_t d = 0; d < weight.dimensions && d < 4; d++)
            output_print(out, "%s%llu", d > 0 ? " x " : "", (unsigned long long)weight.shape[d]);
        output_print(out, "  %s\n", human_bytes(weight.bytes).text);
    }
}

/* ---------------------------------------------------------------------------------------------------- for a program */

static json_t *text_of(const char *text)
{
    return json_text(text, strlen(text));
}

static json_t *summary_json(const mote_model_info *info)
{
    /* clang-format off */
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "name", text_of(info->name),
        "description", text_of(info->description),
        "license", text_of(info->license),
        "architecture", text_of(info->architecture),
        "tokenizer", text_of(info->tokenizer),
        "chat_format", text_of(info->chat_format),
        "types", text_of(info->types),
        "parameters", (json_int_t)info->parameters,
        "file_bytes", (json_int_t)info->file_bytes,
        "weight_bytes", (json_int_t)info->weight_bytes,
        "layers", (json_int_t)info->layers,
        "width", (json_int_t)info->width,
        "ffn", (json_int_t)info->ffn,
        "heads", (json_int_t)info->heads,
        "kv_heads", (json_int_t)info->kv_heads,
        "head_dim", (json_int_t)info->head_dim,
        "vocabulary", (json_int_t)info->vocabulary,
        "context", (json_int_t)info->context,
        "window", (json_int_t)info->window);
    /* clang-format on */
}

/* Appends to a list that may be NULL, as may the item: then nothing more can be had from memory, and the list is
 * gone. */
static json_t *append(json_t *list, json_t *item)
{
    if (list != NULL && json_array_append_new(list, item) == 0)
        return list;
    if (list == NULL)
        json_decref(item);
    json_decref(list);
    return NULL;
}

static json_t *metadata_json(const mote_model *model, size_t count)
{
    const char *key, *type;
    char value[VALUE_MAX];
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (mote_model_metadata(model, i, &key, &type, value, sizeof value) == MOTE_OK)
            list =
                append(list, json_pack("{s:o, s:s, s:o}", "key", text_of(key), "type", type, "value", text_of(value)));
    }
    return list;
}

static json_t *weights_json(const mote_model *model, size_t count)
{
    mote_weight_info weight;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (mote_model_weight(model, i, &weight) != MOTE_OK)
            continue;
        json_t *shape = json_array();
        for (uint32_t d = 0; d < weight.dimensions && d < 4; d++)
            shape = append(shape, json_integer((json_int_t)weight.shape[d]));
        list = append(list, json_pack("{s:o, s:s, s:o, s:I}", "name", text_of(weight.name), "type", weight.type,
                                      "shape", shape, "bytes", (json_int_t)weight.bytes));
    }
    return list;
}

/* The summary, with the lists that were asked for; NULL without memory. */
static json_t *whole_json(const struct settings *settings, const mote_model *model, const mote_model_info *info)
{
    json_t *root = summary_json(info);
    bool good = root != NULL;
    if (good && settings->metadata)
        good = json_object_set_new(root, "metadata", metadata_json(model, info->metadata_count)) == 0;
    if (good && settings->weights)
        good = json_object_set_new(root, "weights", weights_json(model, info->weight_count)) == 0;
    if (good)
        return root;
    json_decref(root);
    return NULL;
}

static int run(const struct settings *settings)
{
    mote_model_info info;
    mote_model *model = load_parts(settings, MOTE_PARTS_DIRECTORY);
    if (model == NULL)
        return EXIT_FAILURE;
    struct output out = output_to(stdout, "standard output");
    int status = EXIT_SUCCESS;
    mote_model_describe(model, &info);
    if (settings->json) {
        status = output_json(&out, whole_json(settings, model, &info), JSON_INDENT(2));
    } else {
        print_summary(&out, settings, &info);
        if (settings->metadata)
            print_metadata(&out, model, info.metadata_count);
        if (settings->weights)
            print_weights(&out, model, info.weight_count);
        status = output_finish(&out, EXIT_SUCCESS);
    }
    mote_model_close(model);
    return status;
}

const struct command command_info = {
    .name = "info",
    .operands = "[FILE]",
    .summary = "what a model is",
    .text =
        "Describes FILE, or the model built into mote: name, family, tokenizer, weight formats, sizes. Reads the head "
        "of the file alone, so it is quick for any size, and works for families that mote cannot run.",
    .examples = "mote info qwen3-0.6b.gguf\n"
                "mote info -m qwen3-0.6b.gguf --weights --json",
    .groups = {&own_options, &model_options},
    .operands_max = 1,
    .operand_is_model = true,
    .run = run,
};
