/* What a command accepts, as tables: one line for each option drives parsing, usage errors and help.
 *
 *     command ── groups ── options        "mote run": [its own][model][machine][sampling]
 *
 * Every option stores its value at an offset of one plain structure, `settings`, that starts with the defaults. */
#ifndef MOTE_CLI_OPTIONS_H
#define MOTE_CLI_OPTIONS_H

#include <mote/mote.h>

/* Exit statuses: EXIT_SUCCESS, EXIT_FAILURE (the run failed) and this one. */
enum { EXIT_USAGE = 2 };

enum {
    STOPS_MAX = 16, /* the library's bound */
    TENSORS_MAX = 64,
    STOP_BYTES_MAX = 256,
    BIASES_MAX = 256,
    OPERANDS_MAX = 16,
    LIST_MAX = 16
};

/* The words of --kv: a mote_kv_type each, in their order, after MOTE_KV_AUTO. */
#define KV_TYPES "f16|f32|q8|q4"

/* The words of --on-full, each 1 + a mote_on_full. */
#define ON_FULL "error|shift"

/* A list of numbers, "512,1024" in one word or in several. */
struct counts {
    uint32_t at[LIST_MAX];
    size_t count;
};

/* mote bench; see its table of options. An empty list has not been given. */
struct bench_settings {
    struct counts prompts;
    struct counts gens;
    struct counts pairs; /* prompt, gen, prompt, gen, … */
    struct counts depths;
    struct counts parallels;
    struct counts threads;
    uint32_t repetitions;
    uint32_t format; /* 1 + a bench_format; 0: not given */
    bool no_warmup;
    bool cold;
};

struct settings {
    /* what the model is given and where its answer goes */
    const char *model; /* NULL: the one built into the library */
    const char *system;
    uint32_t max_tokens;
    bool raw;
    bool special;
    bool json;
    bool quiet;

    mote_engine_options engine; /* except the types of keys and values */
    uint32_t kv;                /* a mote_kv_type */
    uint32_t kv_values;         /* the same; MOTE_KV_AUTO: as kv */
    uint32_t on_full;           /* 1 + a mote_on_full; 0: not given, an error */

    mote_sampling sampling; /* except bias; a temperature below 0 has not been given */
    mote_logit_bias biases[BIASES_MAX];
    size_t bias_count;
    const char *stops[STOPS_MAX];
    size_t stop_count;

    const char *file;   /* tokenize */
    const char *ids;    /* debug logits */
    const char *tensor; /* debug dequant */
    const char *out;    /* both, and synth */
    bool metadata;      /* info */
    bool weights;
    const char *type; /* synth, quantize */
    const char *imatrix;
    uint64_t size; /* quantize: bytes of the file at most */
    bool standard; /* quantize: formats that llama.cpp reads, too */
    const char *tensors[TENSORS_MAX];
    size_t tensor_count;
    uint32_t layers;
    uint64_t weights_seed;
    bool force;
    uint32_t chunks;     /* imatrix, eval */
    const char *choices; /* eval, and what follows */
    const char *exact;
    const char *reference;
    uint32_t reference_kv; /* a mote_kv_type; 0: as kv */
    const char *resume;
    bool list;
    bool show; /* tune */
    bool forget;
    bool verbose;    /* machine */
    const char *cpu; /* MOTE_CPU, or NULL */
    struct bench_settings bench;

    const char *operands[OPERANDS_MAX];
    size_t operand_count;
};

typedef enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_TEXT,   /* const char *; a length from low to high */
    OPTION_COUNT,  /* uint32_t from low to high */
    OPTION_COUNTS, /* adds such numbers, commas between them, to a struct counts */
    OPTION_NUMBER, /* uint64_t up to what JSON readers take for a whole number, 2^63 - 1 */
    OPTION_SIZE,   /* uint64_t bytes: "256M", "1.5GiB" */
    OPTION_REAL,   /* float from low to high */
    OPTION_CHOICE, /* uint32_t: which of the words of `argument`, "f16|f32", from 1 */
    OPTION_STOP,   /* adds to settings.stops */
    OPTION_TENSOR, /* adds to settings.tensors */
    OPTION_BIAS,   /* adds to settings.biases */
    OPTION_OPERAND /* another way to write an operand */
} option_kind;

struct option {
    const char *name; /* without dashes; NULL ends a table */
    char letter;      /* the short form, or 0 */
    option_kind kind;
    const char *argument; /* its name in help: "N", "FILE"; NULL for a flag */
    double low;
    double high;
    size_t offset; /* in settings */
    const char *help;
};

struct option_group {
    const char *title;
    const struct option *options;
};

struct command {
    const char *name;     /* "run", "debug logits" */
    const char *operands; /* "[PROMPT]", or "" */
    const char *summary;  /* one line */
    const char *text;     /* paragraphs, a line break between two */
    const char *examples; /* lines, or NULL */
    const struct option_group *groups[6];
    size_t operands_max;
    bool operand_is_model; /* FILE is another way to write --model FILE */
    int (*run)(const struct settings *settings);
};

/* Groups that several commands share (option_groups.c). */
extern const struct option_group model_options;
extern const struct option_group machine_options;
extern const struct option_group sampling_options;
extern const struct option_group context_options;

/* All commands, in the order of help; ends in NULL (main.c). */
extern const struct command *const commands[];

/* The command named by one or two words; `used` receives how many. */
const struct command *command_find(const char *const *words, size_t count, size_t *used);
/* The command whose name is nearest to a mistyped word; NULL if none is near. */
const struct command *command_nearest(const char *word);

typedef enum parse_result {
    PARSE_DONE,
    PARSE_HELP,  /* --help was among them */
    PARSE_FAILED /* and a usage error has been printed */
} parse_result;

void settings_init(struct settings *settings);
/* `words` are what follows the command's name. */
parse_result options_parse(const struct command *command, const char *const *words, size_t count,
                           struct settings *settings);

/* A usage error in one line, ending in where to read more. Returns EXIT_USAGE. */
int usage_error(const char *command_name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A whole number in decimal digits and nothing else. */
bool parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *out);

static inline mote_kv_type kv_keys_of(const struct settings *settings)
{
    return (mote_kv_type)settings->kv;
}

static inline mote_kv_type kv_values_of(const struct settings *settings)
{
    return settings->kv_values != 0 ? (mote_kv_type)settings->kv_values : kv_keys_of(settings);
}

static inline mote_on_full on_full_of(const struct settings *settings)
{
    return settings->on_full != 0 ? (mote_on_full)(settings->on_full - 1) : MOTE_FULL_STOP;
}

/* A size in bytes, from 1 to 2^63 - 1: "262144", "256M", "1.5G", "300MiB" in powers of 1024, "256MB" in powers of 1000. */
bool parse_size(const char *text, uint64_t *out);

#endif
