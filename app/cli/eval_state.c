#include "eval_state.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "input.h"
#include "output_file.h"

enum { VERSION = 1, STATE_MAX = 1 << 30 };

/* A file is known by its path, size and time, as make knows it. */
static json_t *identity_of_file(const char *path)
{
    struct stat about = {0};
    if (path == NULL)
        return json_string(mote_version()); /* the model built into the program */
    if (stat(path, &about) != 0)
        return json_null();
    return json_pack("{s:o, s:I, s:I}", "path", json_text(path, strlen(path)), "bytes", (json_int_t)about.st_size,
                     "modified", (json_int_t)about.st_mtime);
}

/* FNV-1a (Fowler, Noll and Vo): enough to tell a text from its next version. */
static json_t *digest_of(const struct textbuf *text)
{
    uint64_t digest = 0xcbf29ce484222325u;
    char written[17];
    for (size_t i = 0; i < text->length; i++)
        digest = (digest ^ (unsigned char)text->at[i]) * 0x100000001b3u;
    snprintf(written, sizeof written, "%016llx", (unsigned long long)digest);
    return json_string(written);
}

/* Everything that figures depend on. */
static json_t *identity_of(const struct eval *eval)
{
    const struct settings *settings = eval->settings;
    const mote_engine_info *engine = &eval->model.limits;
    json_t *stops = json_array();
    for (size_t i = 0; i < settings->stop_count; i++)
        json_array_append_new(stops, json_text(settings->stops[i], strlen(settings->stops[i])));
    const char *system = settings->system != NULL ? settings->system : "";
    const char *reference_kv = eval->reference.model != NULL ? mote_kv_type_name(eval->reference.limits.kv_keys) : "";
    return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:s, s:s, s:s, s:I, s:b, s:o, s:o}", "task", eval->task->name,
                     "text", digest_of(&eval->text), "model", identity_of_file(settings->model), "reference",
                     eval->reference.model != NULL ? identity_of_file(eval_reference_path(settings)) : json_null(),
                     "units", (json_int_t)eval->units, "context", (json_int_t)engine->context, "keys",
                     mote_kv_type_name(engine->kv_keys), "values", mote_kv_type_name(engine->kv_values), "reference_kv",
                     reference_kv, "tokens", (json_int_t)settings->max_tokens, "raw", settings->raw, "stop", stops,
                     "system", json_text(system, strlen(system)));
}

static bool load_column(struct series *column, const json_t *numbers, size_t count)
{
    if (!json_is_array(numbers) || json_array_size(numbers) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(numbers, i);
        if (!json_is_number(number) || !isfinite(json_number_value(number)) ||
            !series_add(column, json_number_value(number)))
            return false;
    }
    return true;
}

/* NULL, or what is wrong. */
static const char *load_root(struct eval *eval, json_t *root)
{
    json_int_t version, done;
    json_t *of, *columns;
    if (json_unpack(root, "{s:I, s:o, s:I, s:o}", "version", &version, "of", &of, "done", &done, "columns", &columns) !=
            0 ||
        !json_is_array(columns))
        return "is damaged, or no state of mote eval";
    if (version != VERSION || !json_equal(of, eval->identity))
        return "belongs to another evaluation";
    if (done < 0 || (uint64_t)done > eval->units || json_array_size(columns) != eval->columns)
        return "is damaged";
    for (size_t i = 0; i < eval->columns; i++)
        if (!load_column(&eval->column[i], json_array_get(columns, i), (size_t)done * eval->per_unit))
            return "is damaged";
    eval->done = (size_t)done;
    return NULL;
}

bool eval_state_load(struct eval *eval, const char *path)
{
    struct stat about;
    struct textbuf text = {0};
    eval->identity = identity_of(eval);
    if (stat(path, &about) != 0 && errno == ENOENT)
        return true;
    if (!input_read(path, STATE_MAX, &text))
        return false;
    json_t *root = json_loadb(text.at, text.length, JSON_REJECT_DUPLICATES, NULL);
    textbuf_free(&text);
    const char *wrong = load_root(eval, root);
    json_decref(root);
    if (wrong != NULL)
        complain("%s %s; name another file, or remove it", path, wrong);
    return wrong == NULL;
}

static json_t *column_json(const struct series *column)
{
    json_t *numbers = json_array();
    for (size_t i = 0; i < column->count; i++) {
        if (json_array_append_new(numbers, json_real(column->at[i])) != 0) {
            json_decref(numbers);
            return NULL;
        }
    }
    return numbers;
}

bool eval_state_save(const struct eval *eval, const char *path)
{
    struct output_file file;
    json_t *columns = json_array();
    for (size_t i = 0; i < eval->columns && columns != NULL; i++) {
        if (json_array_append_new(columns, column_json(&eval->column[i])) != 0) {
            json_decref(columns);
            columns = NULL;
        }
    }
    json_t *root = json_pack("{s:i, s:o, s:I, s:o}", "version", VERSION, "of", json_incref(eval->identity), "done",
                             (json_int_t)eval->done, "columns", columns);
    if (!output_file_open(&file, path, eval->path)) {
        json_decref(root);
        return false;
    }
    int status = output_json(&file.out, root, JSON_COMPACT | JSON_REAL_PRECISION(17));
    return output_file_close(&file, status) == EXIT_SUCCESS;
}
