/* A Hugging Face folder → a GGUF file: everything is read and checked before the file is begun, then its weights pass
 * through a buffer of a few megabytes. What is written follows from the folder alone. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "prepare/convert_special.h"
#include "prepare/convert_tensors.h"

enum { MOST_CONFIG = 16 << 20, MOST_TOKENIZER = 128 << 20, QUANTIZATION_VERSION = 2 };

typedef struct converter {
    const char *folder;
    const mote_convert_options *options;
    const quant_format *format; /* NULL: as published */
    json *config_file, *tokenizer_file;
    safetensors *files;
    convert_config config;
    convert_tensors tensors;
    convert_vocabulary vocabulary;
    gguf_output *out;
    mote_error *error;
} converter;

void mote_convert_options_init(mote_convert_options *options)
{
    *options = (mote_convert_options){0};
}

static mote_status choose_format(converter *c)
{
    static const struct {
        const char *name;
        const quant_format *format;
    } types[] = {{"f32", &quant_format_F32}, {"f16", &quant_format_F16}, {"bf16", &quant_format_BF16}};
    if (c->options->type == NULL)
        return MOTE_OK;
    for (size_t i = 0; i < sizeof types / sizeof *types && c->format == NULL; i++)
        if (strcmp(c->options->type, types[i].name) == 0)
            c->format = types[i].format;
    return c->format != NULL
               ? MOTE_OK
               : fail(c->error, MOTE_E_ARGUMENT, "there is no type \"%.40s\" to convert to; choose f16, bf16 or f32",
                      c->options->type);
}

static mote_status read_json(converter *c, json **out, const char *name, size_t most)
{
    struct stat about;
    char *path = convert_path(c->folder, name);
    mote_status status = MOTE_OK;
    if (path == NULL)
        return fail_memory(c->error, strlen(c->folder), "a file's name");
    if (stat(c->folder, &about) != 0 || !S_ISDIR(about.st_mode))
        status = fail(c->error, MOTE_E_IO,
                      "%s: is no folder; name the one with config.json, tokenizer.json and the .safetensors files",
                      c->folder);
    else if (stat(path, &about) != 0)
        status = fail(c->error, MOTE_E_IO, "%s: cannot be opened (%m); fetch the folder again, whole", path);
    else
        status = json_read_file(out, path, most, c->error);
    free(path);
    return status;
}

static mote_status read_folder(converter *c)
{
    mote_status status;
    if ((status = choose_format(c)) || (status = read_json(c, &c->config_file, "config.json", MOST_CONFIG)) ||
        (status = convert_config_read(&c->config, c->config_file, c->error)) ||
        (status = read_json(c, &c->tokenizer_file, "tokenizer.json", MOST_TOKENIZER)) ||
        (status = safetensors_open(&c->files, c->folder, c->error)) ||
        (status = convert_tensors_find(&c->tensors, &c->config, c->files, c->format, c->error)))
        return status;
    return convert_vocabulary_read(&c->vocabulary, c->tokenizer_file, c->config.vocabulary, c->error);
}

/* The folder's own name, also of "." or "model/". */
static mote_status declare_name(converter *c)
{
    char *path = realpath(c->folder, NULL);
    if (path == NULL)
        return fail(c->error, MOTE_E_IO, "%s: cannot be found (%m); name a folder", c->folder);
    const char *slash = strrchr(path, '/');
    if (slash[1] != '\0')
        gguf_output_text(c->out, "general.name", slash + 1);
    free(path);
    return MOTE_OK;
}

static uint32_t file_type(const quant_format *format)
{
    return format == &quant_format_F32 ? 0 : format == &quant_format_F16 ? 1 : 32;
}

static mote_status declare(converter *c)
{
    mote_status status;
    gguf_output_text(c->out, "general.architecture", c->config.family->name);
    gguf_output_text(c->out, "general.type", "model");
    if ((status = declare_name(c)))
        return status;
    gguf_output_u32(c->out, "general.file_type", file_type(c->tensors.at[0].format)); /* the embedding's */
    gguf_output_u32(c->out, "general.quantization_version", QUANTIZATION_VERSION);
    convert_config_declare(&c->config, c->out);
    convert_vocabulary_declare(&c->vocabulary, c->out);
    if ((status = convert_special_declare(c->folder, c->config_file, &c->vocabulary, c->out, c->error)))
        return status;
    convert_tensors_declare(&c->tensors, c->out);
    return gguf_output_begin(c->out, c->error);
}

/* The vocabulary is in the file's head by then, and not needed twice. */
static void drop_vocabulary(converter *c)
{
    convert_vocabulary_free(&c->vocabulary);
    json_close(c->tokenizer_file);
    c->tokenizer_file = NULL;
}

static mote_status convert_to(converter *c, const char *to)
{
    const mote_convert_options *o = c->options;
    mote_status status;
    if ((status = read_folder(c)) || (status = gguf_output_open(&c->out, to, 32, o->overwrite, c->error)) ||
        (status = declare(c)))
        return status;
    drop_vocabulary(c);
    status = convert_tensors_write(&c->tensors, c->out, o->progress, o->user, c->error);
    return status == MOTE_OK ? gguf_output_finish(c->out, c->error) : status;
}

mote_status mote_convert(const char *folder, const char *to, const mote_convert_options *options, mote_error *error)
{
    const mote_convert_options defaults = {0};
    converter c = {.folder = folder, .options = options != NULL ? options : &defaults, .error = error};
    mote_status status = convert_to(&c, to);
    gguf_output_close(c.out);
    drop_vocabulary(&c);
    convert_tensors_free(&c.tensors);
    convert_config_free(&c.config);
    safetensors_close(c.files);
    json_close(c.config_file);
    return status;
}
