/* A token is named by its text in tokenizer_config.json, or by its number in config.json and generation_config.json, which
 * may list several that end an answer: GGUF has three keys for these. */
#include "prepare/convert_special.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mapped_file.h"

#define AGAIN "fetch the file again"
enum { MOST_SMALL_FILE = 16 << 20, MOST_ENDS = 3 };

typedef struct special {
    const char *folder;
    json_value config; /* config.json */
    json *tokenizer;   /* tokenizer_config.json; NULL: none */
    json *generation;  /* generation_config.json; NULL: none */
    const convert_vocabulary *v;
    gguf_output *out;
    mote_error *error;
} special;

char *convert_path(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static json_value root_of(const json *document)
{
    return document != NULL ? json_root(document) : (json_value){NULL, 0};
}

/* NULL, and no failure, if there is none. */
static mote_status open_optional(json **out, const char *folder, const char *name, mote_error *error)
{
    struct stat about;
    char *path = convert_path(folder, name);
    mote_status status = MOTE_OK;
    *out = NULL;
    if (path == NULL)
        return fail_memory(error, strlen(folder), "a file's name");
    if (stat(path, &about) == 0)
        status = json_read_file(out, path, MOST_SMALL_FILE, error);
    free(path);
    return status;
}

/* ------------------------------------------------------------------------------------------------------------- tokens */

/* A token by its text, or by {"content": text}; -1: none. */
static mote_token named(const special *s, const char *key)
{
    json_value value = json_get(root_of(s->tokenizer), key);
    if (json_kind_of(value) == JSON_OBJECT)
        value = json_get(value, "content");
    return json_kind_of(value) == JSON_STRING ? convert_vocabulary_find(s->v, json_text(value)) : -1;
}

static mote_status read_id(const special *s, json_value value, const char *key, mote_token *out)
{
    uint64_t id;
    if (json_kind_of(value) <= JSON_NULL)
        return MOTE_OK;
    if (!json_u64(value, &id) || id >= s->v->count)
        return fail(s->error, MOTE_E_FORMAT, "%s: %s names no token of the vocabulary's %zu; " AGAIN,
                    json_name(value.document), key, s->v->count);
    *out = (mote_token)id;
    return MOTE_OK;
}

/* A single token, by name first. */
static mote_status declare_token(const special *s, const char *name, const char *id, const char *key)
{
    mote_token token = named(s, name);
    mote_status status = MOTE_OK;
    if (token < 0 && json_kind_of(json_get(s->config, id)) != JSON_ARRAY)
        status = read_id(s, json_get(s->config, id), id, &token);
    if (status == MOTE_OK && token >= 0)
        gguf_output_u32(s->out, key, (uint32_t)token);
    return status;
}

static void add_end(mote_token ends[MOST_ENDS], size_t *count, mote_token token)
{
    for (size_t i = 0; i < *count; i++)
        if (ends[i] == token)
            return;
    if (token >= 0 && *count < MOST_ENDS)
        ends[(*count)++] = token;
}

/* The tokenizer's first, then those of generation_config.json. config.json's count where these say nothing: it may have
 * been made for another vocabulary. */
static mote_status declare_ends(const special *s)
{
    static const char *const keys[MOST_ENDS] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                                "tokenizer.ggml.eom_token_id"};
    static const char from[] = "eos_token_id";
    const json_value lists[] = {json_get(root_of(s->generation), from), json_get(s->config, from)};
    mote_token ends[MOST_ENDS];
    size_t count = 0;
    add_end(ends, &count, named(s, "eos_token"));
    for (size_t i = 0; i < sizeof lists / sizeof *lists && (i == 0 || count == 0); i++) {
        bool many = json_kind_of(lists[i]) == JSON_ARRAY;
        json_value item = many ? json_first(lists[i]) : lists[i];
        while (json_is(item)) {
            mote_token token = -1;
            mote_status status = read_id(s, item, from, &token);
            if (status != MOTE_OK)
                return status;
            add_end(ends, &count, token);
            item = many ? json_next(lists[i], item) : (json_value){NULL, 0};
        }
    }
    for (size_t i = 0; i < count; i++)
        gguf_output_u32(s->out, keys[i], (uint32_t)ends[i]);
    return MOTE_OK;
}

static mote_status declare_tokens(const special *s)
{
    mote_status status;
    if ((status = declare_token(s, "bos_token", "bos_token_id", "tokenizer.ggml.bos_token_id")) ||
        (status = declare_ends(s)) ||
        (status = declare_token(s, "pad_token", "pad_token_id", "tokenizer.ggml.padding_token_id")))
        return status;
    if (s->v->unknown >= 0)
        gguf_output_u32(s->out, "tokenizer.ggml.unknown_token_id", (uint32_t)s->v->unknown);
    return MOTE_OK;
}

/* ----------------------------------------------------------------------------------------------------------- template */

/* A string, or a list of {name, template} with a default. */
static json_value find_template(json_value value)
{
    if (json_kind_of(value) != JSON_ARRAY)
        return value;
    json_value item = json_first(value);
    while (json_is(item) && !json_is_text(json_get(item, "name"), "default"))
        item = json_next(value, item);
    return json_get(item, "template");
}

/* A file of its own comes before the entry in tokenizer_config.json. */
static mote_status declare_template(const special *s)
{
    static const char key[] = "tokenizer.chat_template";
    struct stat about;
    mapped_file file;
    json_value value = find_template(json_get(root_of(s->tokenizer), "chat_template"));
    char *path = convert_path(s->folder, "chat_template.jinja");
    mote_status status = MOTE_OK;
    if (path == NULL)
        return fail_memory(s->error, strlen(s->folder), "a file's name");
    if (stat(path, &about) == 0) {
        status = mapped_file_open(&file, path, s->error);
        if (status == MOTE_OK && file.size > MOST_SMALL_FILE)
            status = fail(s->error, MOTE_E_LIMIT, "%s: has %zu bytes, and a template up to %d; " AGAIN, path, file.size,
                          MOST_SMALL_FILE);
        if (status == MOTE_OK)
            gguf_output_string(s->out, key, (gguf_string){(const char *)file.data, file.size});
        if (status == MOTE_OK && mapped_file_failed(&file))
            status = fail(s->error, MOTE_E_IO, "%s: could not be read to its end; check the disk", path);
        mapped_file_close(&file);
    } else if (json_kind_of(value) == JSON_STRING) {
        gguf_output_string(s->out, key, json_text(value));
    }
    free(path);
    return status;
}

/* ----------------------------------------------------------------------------------------------------------- sampling */

static void declare_sampling(const special *s)
{
    static const struct {
        const char *from, *key;
    } reals[] = {
        {"temperature", "general.sampling.temp"},
        {"top_p", "general.sampling.top_p"},
        {"min_p", "general.sampling.min_p"},
        {"repetition_penalty", "general.sampling.penalty_repeat"},
    };
    json_value root = root_of(s->generation);
    uint64_t top_k;
    if (json_kind_of(json_get(root, "do_sample")) != JSON_TRUE)
        return;
    if (json_u64(json_get(root, "top_k"), &top_k) && top_k <= INT32_MAX)
        gguf_output_u32(s->out, "general.sampling.top_k", (uint32_t)top_k);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        double value;
        if (json_double(json_get(root, reals[i].from), &value) && value >= 0 && value <= 1e6)
            gguf_output_f32(s->out, reals[i].key, (float)value);
    }
}

mote_status convert_special_declare(const char *folder, const json *config, const convert_vocabulary *v,
                                    gguf_output *out, mote_error *error)
{
    special s = {.folder = folder, .config = json_root(config), .v = v, .out = out, .error = error};
    mote_status status;
    if ((status = open_optional(&s.tokenizer, folder, "tokenizer_config.json", error)) == MOTE_OK &&
        (status = open_optional(&s.generation, folder, "generation_config.json", error)) == MOTE_OK &&
        (status = declare_tokens(&s)) == MOTE_OK && (status = declare_template(&s)) == MOTE_OK)
        declare_sampling(&s);
    json_close(s.tokenizer);
    json_close(s.generation);
    return status;
}
