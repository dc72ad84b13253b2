/* mote debug logits: what the model says after each of a list of ids, to compare with another engine. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "input.h"
#include "interrupt.h"
#include "loading.h"
#include "output_file.h"

enum {
    IDS_TEXT_MAX = 64 << 20,
    ROWS_BYTES = 64 << 20 /* of logits held at once */
};

static const struct option table[] = {
    {"ids", 0, OPTION_TEXT, "FILE", 1, 4096, offsetof(struct settings, ids),
     "Token ids: decimal numbers with white space between them."},
    {"out", 'o', OPTION_TEXT, "FILE", 1, 4096, offsetof(struct settings, out), "Where the logits go."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static bool add_id(mote_ids *ids, uint64_t id)
{
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity > 0 ? ids->capacity * 2 : 64;
        mote_token *at = realloc(ids->at, capacity * sizeof *at);
        if (at == NULL) {
            complain("no memory for the ids; give fewer");
            return false;
        }
        ids->at = at;
        ids->capacity = capacity;
    }
    ids->at[ids->count++] = (mote_token)id;
    return true;
}

static bool parse_ids(const char *path, char *text, mote_ids *ids)
{
    static const char spaces[] = " \t\r\n\f\v";
    char *rest = text;
    for (char *word = strtok_r(text, spaces, &rest); word != NULL; word = strtok_r(NULL, spaces, &rest)) {
        uint64_t id;
        if (!parse_number(word, 0, INT32_MAX, &id)) {
            complain("%s: '%.40s' at byte %zu is no token id; write decimal numbers with white space between", path,
                     word, (size_t)(word - text));
            return false;
        }
        if (!add_id(ids, id))
            return false;
    }
    if (ids->count == 0)
        complain("%s holds no ids; write decimal numbers with white space between", path);
    return ids->count > 0;
}

static bool read_ids(const char *path, mote_ids *ids)
{
    struct textbuf text = {0};
    bool done = input_read(path, IDS_TEXT_MAX, &text);
    if (done && memchr(text.at, '\0', text.length) != NULL) {
        complain("%s holds a zero byte and so is no text; write decimal numbers with white space between", path);
        done = false;
    }
    done = done && textbuf_append(&text, "", 1) && parse_ids(path, text.at, ids);
    textbuf_free(&text);
    return done;
}

static bool check_ids(const struct loaded *loaded, const mote_ids *ids)
{
    uint32_t vocabulary = loaded->info.vocabulary;
    for (size_t i = 0; i < ids->count; i++) {
        if ((uint32_t)ids->at[i] >= vocabulary) {
            complain("id %d, number %zu of the list, is not in the vocabulary; give ids from 0 to %u", ids->at[i],
                     i + 1, vocabulary - 1);
            return false;
        }
    }
    if (ids->count <= loaded->limits.context)
        return true;
    complain("there are %zu ids and the context holds %u; make it larger with --ctx N or give fewer", ids->count,
             loaded->limits.context);
    return false;
}

/* All rows of the list, a chunk at a time. */
static bool write_logits(const struct loaded *loaded, const mote_ids *ids, struct output *out)
{
    mote_error error;
    size_t width = loaded->info.vocabulary;
    size_t rows = ROWS_BYTES / sizeof(float) / width;
    if (rows < 1)
        rows = 1;
    if (rows > loaded->limits.batch)
        rows = loaded->limits.batch;
    float *logits = calloc(rows * width, sizeof *logits);
    if (logits == NULL) {
        complain("no memory for %zu rows of logits; give a smaller --batch", rows);
        return false;
    }
    bool good = true;
    for (size_t at = 0; at < ids->count && good && out->error == 0; at += rows) {
        size_t count = ids->count - at < rows ? ids->count - at : rows;
        mote_work work = {loaded->session, ids->at + at, count, logits, count};
        if (interrupted() || mote_engine_step(loaded->engine, &work, 1, &error) != MOTE_OK) {
            complain("%s", interrupted() ? "cancelled; nothing is written" : error.text);
            good = false;
        } else {
            output_write(out, (const char *)logits, count * width * sizeof *logits);
        }
    }
    free(logits);
    return good;
}

static int run(const struct settings *settings)
{
    if (settings->ids == NULL || settings->out == NULL)
        return usage_error("debug logits", "--%s FILE is missing", settings->ids == NULL ? "ids" : "out");
    mote_ids ids = {0};
    struct loaded loaded;
    struct output_file file;
    struct settings sized = *settings;
    int status = EXIT_FAILURE;
    if (read_ids(settings->ids, &ids)) {
        if (sized.engine.context == 0)
            sized.engine.context = (uint32_t)ids.count;
        if (sized.kv == 0)
            sized.kv = MOTE_KV_F32;
        if (loaded_open(&loaded, &sized)) {
            if (check_ids(&loaded, &ids) && output_file_open(&file, settings->out, settings->ids)) {
                status = write_logits(&loaded, &ids, &file.out) ? EXIT_SUCCESS : EXIT_FAILURE;
                status = output_file_close(&file, status);
            }
            loaded_close(&loaded);
        }
    }
    free(ids.at);
    return status;
}

const struct command command_logits = {
    .name = "debug logits",
    .operands = "",
    .summary = "write the logits after each of a list of token ids",
    .text =
        "Runs the model over the ids of a file and writes its logits after each: for every id a row of as many "
        "float32 numbers, little-endian, as the vocabulary has tokens. Here --ctx defaults to the number of ids and "
        "--kv to f32, the exact one. The output file appears when it is complete.",
    .examples = "mote debug logits -m qwen3-0.6b.gguf --ids ids.txt --out logits.f32",
    .groups = {&own_options, &model_options, &machine_options},
    .run = run,
};
