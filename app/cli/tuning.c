#include "tuning.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json_output.h"
#include "output_file.h"

enum { FILE_BYTES_MAX = 64 << 10, THREADS_MAX = 256, VERSION = 1 };

static const uint64_t SIZE_RATIO_MAX = 4; /* between models that count as alike */

/* Reads a small regular file whole; its length, -1 if it cannot be read or is larger than such a file gets. */
static ssize_t read_file(const char *path, char *text, size_t capacity)
{
    struct stat about;
    size_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return -1;
    bool good = fstat(file, &about) == 0 && S_ISREG(about.st_mode);
    while (good && length < capacity) {
        ssize_t got = read(file, text + length, capacity - length);
        good = got >= 0;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    close(file);
    return good && length < capacity ? (ssize_t)length : -1;
}

static bool copy_name(char out[TUNING_NAME_BYTES], const char *name)
{
    size_t length = strlen(name);
    if (length >= TUNING_NAME_BYTES)
        return false;
    memcpy(out, name, length + 1);
    return true;
}

static bool read_entry(struct tuning *entry, json_t *object)
{
    const char *model;
    json_int_t bytes, prefill, decode;
    /* clang-format off */
    if (json_unpack(object, "{s:s, s:I, s:I, s:I, s:F, s:F}", "model", &model, "weight_bytes", &bytes,
                    "prefill_threads", &prefill, "decode_threads", &decode, "prefill_tokens_per_second",
                    &entry->prefill_rate, "decode_tokens_per_second", &entry->decode_rate) != 0)
        return false;
    /* clang-format on */
    if (bytes <= 0 || prefill < 1 || prefill > THREADS_MAX || decode < 1 || decode > THREADS_MAX)
        return false;
    entry->weight_bytes = (uint64_t)bytes;
    entry->prefill_threads = (uint32_t)prefill;
    entry->decode_threads = (uint32_t)decode;
    return copy_name(entry->model, model);
}

static bool read_root(struct tunings *tunings, json_t *root)
{
    const char *machine;
    json_int_t version, processors;
    json_t *models;
    if (json_unpack(root, "{s:I, s:s, s:I, s:o}", "version", &version, "machine", &machine, "processors", &processors,
                    "models", &models) != 0)
        return false;
    if (version != VERSION || processors < 1 || processors > UINT32_MAX || !json_is_array(models) ||
        json_array_size(models) > TUNINGS_MAX || !copy_name(tunings->machine, machine))
        return false;
    tunings->processors = (uint32_t)processors;
    for (size_t i = 0; i < json_array_size(models); i++)
        if (!read_entry(&tunings->at[i], json_array_get(models, i)))
            return false;
    tunings->count = json_array_size(models);
    return true;
}

void tunings_load(struct tunings *tunings)
{
    *tunings = (struct tunings){.state = TUNING_NONE};
    struct stat about;
    if (!state_path(tunings->path, "tuning.json", false)) {
        tunings->path[0] = '\0';
        return;
    }
    if (stat(tunings->path, &about) != 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
        return;
    tunings->state = TUNING_DAMAGED;
    char *text = malloc(FILE_BYTES_MAX);
    ssize_t length = text != NULL ? read_file(tunings->path, text, FILE_BYTES_MAX) : -1;
    json_t *root = length >= 0 ? json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(text);
    mote_cpu_info cpu;
    if (root != NULL && read_root(tunings, root)) {
        mote_cpu_describe(&cpu, NULL, NULL);
        bool ours = strcmp(cpu.name, tunings->machine) == 0 && cpu.processors == tunings->processors;
        tunings->state = ours ? TUNING_HERE : TUNING_FOREIGN;
    }
    json_decref(root);
    if (tunings->state != TUNING_HERE)
        tunings->count = 0;
}

const struct tuning *tunings_find(const struct tunings *tunings, uint64_t weight_bytes)
{
    const struct tuning *nearest = NULL;
    double best = (double)SIZE_RATIO_MAX;
    for (size_t i = 0; i < tunings->count && weight_bytes > 0; i++) {
        double ratio = (double)tunings->at[i].weight_bytes / (double)weight_bytes;
        ratio = ratio < 1 ? 1 / ratio : ratio;
        if (ratio <= best) {
            best = ratio;
            nearest = &tunings->at[i];
        }
    }
    return nearest;
}

json_t *tunings_json(const struct tunings *tunings)
{
    json_t *models = json_array();
    for (size_t i = 0; i < tunings->count; i++) {
        const struct tuning *entry = &tunings->at[i];
        /* clang-format off */
        json_t *object = json_pack("{s:o, s:I, s:I, s:I, s:f, s:f}",
            "model", json_text(entry->model, strlen(entry->model)),
            "weight_bytes", (json_int_t)entry->weight_bytes,
            "prefill_threads", (json_int_t)entry->prefill_threads,
            "decode_threads", (json_int_t)entry->decode_threads,
            "prefill_tokens_per_second", entry->prefill_rate,
            "decode_tokens_per_second", entry->decode_rate);
        /* clang-format on */
        if (json_array_append_new(models, object) != 0) {
            json_decref(models);
            return NULL;
        }
    }
    return json_pack("{s:i, s:o, s:I, s:o}", "version", VERSION, "machine",
                     json_text(tunings->machine, strlen(tunings->machine)), "processors",
                     (json_int_t)tunings->processors, "models", models);
}

/* Makes room for an entry at the end. */
static void put(struct tunings *tunings, const struct tuning *entry)
{
    size_t gone = tunings->count < TUNINGS_MAX ? tunings->count : 0;
    for (size_t i = 0; i < tunings->count; i++)
        if (strcmp(tunings->at[i].model, entry->model) == 0 && tunings->at[i].weight_bytes == entry->weight_bytes)
            gone = i;
    if (gone < tunings->count) {
        tunings->count--;
        memmove(&tunings->at[gone], &tunings->at[gone + 1], (tunings->count - gone) * sizeof *tunings->at);
    }
    tunings->at[tunings->count++] = *entry;
}

int tunings_keep(struct tunings *tunings, const struct tuning *entry)
{
    struct output_file file;
    mote_cpu_info cpu;
    mote_cpu_describe(&cpu, NULL, NULL);
    copy_name(tunings->machine, cpu.name);
    tunings->processors = cpu.processors;
    put(tunings, entry);
    if (!state_path(tunings->path, "tuning.json", true)) {
        complain("no place to keep the result: set HOME or XDG_STATE_HOME to a folder that can be written");
        return EXIT_FAILURE;
    }
    struct stat about; /* writing to a pipe would wait for a reader */
    if (stat(tunings->path, &about) == 0 && !S_ISREG(about.st_mode)) {
        complain("%s is no regular file and the result is not kept; delete it and run again", tunings->path);
        return EXIT_FAILURE;
    }
    json_t *root = tunings_json(tunings);
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    if (text == NULL) {
        complain("no memory to keep the result; free some and run again");
        return EXIT_FAILURE;
    }
    int status = EXIT_FAILURE;
    if (output_file_open(&file, tunings->path, NULL)) {
        output_print(&file.out, "%s\n", text);
        status = output_file_close(&file, EXIT_SUCCESS);
    }
    free(text);
    return status;
}
