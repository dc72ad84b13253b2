/* mote.h: run small language models on small devices. The one public header of libmote.
 *
 *     mote_model *model;            immutable after opening, shared by threads and engines
 *     mote_engine *engine;          threads, scratch memory and KV cache for one model
 *     mote_session *session;        one line of conversation; one thread at a time
 *
 *     mote_error error;
 *     if (mote_model_open(&model, "qwen3-0.6b.gguf", NULL, &error) || mote_engine_open(&engine, model, NULL, &error) ||
 *         mote_session_open(&session, engine, &error))
 *         fprintf(stderr, "%s\n", error.text);
 *
 * Conventions
 *   - A function that can fail returns a mote_status: MOTE_OK (0) or a negative value. Where there is a mote_error
 *     argument it may be NULL; on failure it receives one sentence for a person.
 *   - `open` makes a thing and stores it in *out; on failure *out is NULL and nothing is left behind. `close` takes NULL.
 *     A thing keeps what it was made from alive: a model may be closed while an engine still uses it.
 *   - Options are optional (NULL) and have an `_init` function; zero means "choose for me" where a field does not say
 *     otherwise.
 *   - Text is UTF-8 with an explicit length. Invalid UTF-8 is accepted and kept byte for byte where the vocabulary can.
 *   - A mapped file that goes away raises SIGBUS; the library's handler makes an error of it. A program that installs its
 *     own after the first model is opened must pass on what is not its own.
 *   - Times are seconds, sizes are bytes, token ids are int32_t and never negative. */
#ifndef MOTE_MOTE_H
#define MOTE_MOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOTE_VERSION "0.1.0"

#if defined(__GNUC__)
#define MOTE_API __attribute__((visibility("default")))
#else
#define MOTE_API
#endif

/* ------------------------------------------------------------------------------------------------ status and errors */

/* clang-format off */
#define MOTE_STATUS_LIST(X)                                                  \
    X(OK,             0, "success")                                          \
    X(E_ARGUMENT,    -1, "a wrong argument")                                 \
    X(E_MEMORY,      -2, "out of memory")                                    \
    X(E_IO,          -3, "reading or writing failed")                        \
    X(E_FORMAT,      -4, "the file is malformed")                            \
    X(E_UNSUPPORTED, -5, "the file is sound but asks for what mote lacks")   \
    X(E_LIMIT,       -6, "a limit was reached")                              \
    X(E_CANCELLED,   -7, "cancelled")
/* clang-format on */

typedef enum mote_status {
#define MOTE_STATUS_MEMBER(name, value, text) MOTE_##name = value,
    MOTE_STATUS_LIST(MOTE_STATUS_MEMBER)
#undef MOTE_STATUS_MEMBER
} mote_status;

typedef struct mote_error {
    mote_status status;
    char text[512]; /* one sentence, no line break, NUL-terminated */
} mote_error;

MOTE_API const char *mote_status_name(mote_status status); /* "MOTE_E_IO" */
MOTE_API const char *mote_status_text(mote_status status); /* "reading or writing failed" */
MOTE_API const char *mote_version(void);

/* ------------------------------------------------------------------------------------------------------------ model */

typedef struct mote_model mote_model;

typedef enum mote_parts {
    MOTE_PARTS_ALL,        /* ready to run */
    MOTE_PARTS_VOCABULARY, /* tokenizer and chat format; the file may hold no weights */
    MOTE_PARTS_DIRECTORY   /* metadata and the list of weights, of any architecture */
} mote_parts;

typedef struct mote_model_options {
    mote_parts parts;
    const void *data; /* a GGUF file in memory, read instead of a path; stays the caller's and must outlive the model */
    size_t size;
    /* Called while weights are laid out for the kernels, or, where they are mapped and not in memory yet, read ahead; false
     * stops with MOTE_E_CANCELLED. NULL: mapped weights are read when they are first used. `done` runs from 0 to 1. */
    bool (*progress)(void *user, double done);
    void *user;
    /* Which features of the processor kernels may use, to compare or to rule one out: NULL: all; "generic": none; the name
     * of one: that and all before it in mote_cpu_info's `names`; several with commas between them: those. The model's
     * engines compute with them, too. */
    const char *cpu;
} mote_model_options;

MOTE_API void mote_model_options_init(mote_model_options *options);

/* Opens a GGUF file (v2 or v3; any part of a split file names the whole). The weights of a packed file (mote_pack) are
 * mapped, not copied; those of another are laid out for the kernels in memory, whichever have such a layout, and the pages
 * of the file let go behind. With neither a path nor options->data: the model built into the library.
 * Errors: IO, FORMAT, UNSUPPORTED, LIMIT (parts, keys or tensors past any real model's), MEMORY, CANCELLED, ARGUMENT. */
MOTE_API mote_status mote_model_open(mote_model **out, const char *path, const mote_model_options *options,
                                     mote_error *error);
MOTE_API void mote_model_close(mote_model *model);

/* What a model is. Strings belong to the model. Zero or "" where the file does not say. */
typedef struct mote_model_info {
    const char *name;         /* general.name */
    const char *description;  /* general.description */
    const char *license;      /* general.license */
    const char *architecture; /* "qwen3" */
    const char *tokenizer;    /* "byte-level BPE, qwen2 pre-tokenizer" */
    const char *chat_format;  /* "chatml", "gemma", "phi", "llama3" or "" */
    const char *types;        /* weight formats, by share of bytes: "Q4_0 62%, Q8_0 37%, F32 1%" */
    uint64_t parameters;
    uint64_t file_bytes;   /* all parts */
    uint64_t weight_bytes; /* tensor data alone */
    uint32_t layers;
    uint32_t width;
    uint32_t ffn;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t vocabulary;
    uint32_t context; /* the longest the model was trained for */
    uint32_t window;  /* of its sliding-window layers; 0: it has none */
    size_t metadata_count;
    size_t weight_count;
} mote_model_info;

MOTE_API void mote_model_describe(const mote_model *model, mote_model_info *info);

/* One metadata entry as text: `value` receives at most `capacity` bytes, NUL included; long strings and arrays are
 * abbreviated. `key` and `type` belong to the model. Errors: ARGUMENT (index). */
MOTE_API mote_status mote_model_metadata(const mote_model *model, size_t index, const char **key, const char **type,
                                         char *value, size_t capacity);

/* One entry of the file's weight list; a packed file's tokenizer is not in it. Shape: shape[0] is the row length,
 * contiguous in memory. */
typedef struct mote_weight_info {
    const char *name;
    const char *type; /* "Q4_K" */
    uint32_t dimensions;
    uint64_t shape[4]; /* 1 past `dimensions` */
    uint64_t bytes;
} mote_weight_info;

MOTE_API mote_status mote_model_weight(const mote_model *model, size_t index, mote_weight_info *info);

/* Decodes one weight to float32, row by row, in file order, to check a format or to convert a file. `sink` returns false
 * to stop (MOTE_E_CANCELLED). Errors: ARGUMENT (no such name), UNSUPPORTED (its type), IO, CANCELLED, MEMORY. */
MOTE_API mote_status mote_model_dequantize(const mote_model *model, const char *name,
                                           bool (*sink)(void *user, const float *values, size_t count), void *user,
                                           mote_error *error);

/* Writing a packed model: the same model in a GGUF file whose weights lie as the kernels read them and whose tokenizer is
 * ready, to be mapped without copying or rebuilding anything. Weights and answers are those of the source, bit for bit.
 * Only mote reads it. The file appears whole or not at all, and the same source gives the same bytes. */
typedef struct mote_pack_options {
    uint32_t threads; /* 0: all that the process may use */
    bool overwrite;
    bool (*progress)(void *user, double done); /* 0 … 1; false: stop */
    void *user;
} mote_pack_options;

MOTE_API void mote_pack_options_init(mote_pack_options *options);

/* Errors: those of opening `from`; ARGUMENT (it is packed already; `to` exists, and not `overwrite`), IO, CANCELLED. */
MOTE_API mote_status mote_pack(const char *from, const char *to, const mote_pack_options *options, mote_error *error);

/* Writing a quantised model: the same GGUF file with its matrices in smaller formats. Norms, biases and metadata stay as
 * they are. Levels and scales are searched for the least squared error, weighted by an importance matrix if there is one.
 * The file appears whole or not at all, and the same source gives the same bytes, from any number of threads. */
typedef struct mote_quantize_options {
    const char *type; /* "q4_k_m": see mote_quantize_type; NULL with a size */
    /* In place of a type, the bytes of the file at most: every matrix gets the format that lets the file keep to it and the
     * expected divergence from the source be least. Of a model that mote runs; without rules for tensors. */
    uint64_t size;
    bool standard; /* with a size: only formats that llama.cpp reads, too */
    /* With a size: a calibration text, by which it is measured how much each matrix counts; that takes minutes. NULL: all
     * count alike. */
    const char *text;
    size_t length;
    /* "PATTERN=FORMAT" each, the last that matches counts: matrices whose name, with or without ".weight", is like the
     * pattern ('*': any characters, '?': any one) get this format instead: "blk.*.ffn_down=q6_k". */
    const char *const *tensors;
    size_t tensor_count;
    const char *importance; /* a file of mote_imatrix or llama.cpp's imatrix tool, of the same model; NULL: none */
    uint32_t threads;       /* 0: all that the process may use */
    bool overwrite;
    bool (*progress)(void *user, double done);      /* 0 … 1; false: stop */
    void (*note)(void *user, const char *sentence); /* what may surprise about the result; before any progress */
    void *user;
} mote_quantize_options;

MOTE_API void mote_quantize_options_init(mote_quantize_options *options);

/* The names of the types, finest first; NULL past the last. */
MOTE_API const char *mote_quantize_type(size_t index);

/* Any GGUF file of plain or quantised weights will do, whatever its architecture. Errors: those of opening `from` and the
 * importance; ARGUMENT (no such type or format, or both a type and a size; a text too short to calibrate with; a pattern
 * that no matrix is like, or whose format does not fit one; `from` is packed; `to` exists, and not `overwrite`), LIMIT (no
 * formats make the file as small as the size: says how small they do), FORMAT (a weight that is no finite number),
 * UNSUPPORTED (a format that cannot be decoded), IO, MEMORY, CANCELLED. */
MOTE_API mote_status mote_quantize(const char *from, const char *to, const mote_quantize_options *options,
                                   mote_error *error);

/* Making an importance matrix: of every weight matrix the mean square of each of its input columns, over a calibration text,
 * for a quantiser to know which values of a row count. The file is GGUF, as llama.cpp's imatrix tools write it; its names are
 * those of the model's tensors. A tied embedding is in it as the head that it is. */
typedef struct mote_imatrix_options {
    uint32_t chunk;      /* tokens that are read at a time, the first of them the one that begins a text; 0: 512 */
    uint32_t chunks;     /* at most; 0: all that the text has. A last one that is not whole is left out */
    const char *dataset; /* the text's name, for the file; NULL: none */
    uint32_t threads;    /* 0: as mote_engine_options */
    bool overwrite;
    bool (*progress)(void *user, double done); /* 0 … 1; false: stop */
    void *user;
} mote_imatrix_options;

MOTE_API void mote_imatrix_options_init(mote_imatrix_options *options);

/* Reads `text` with the model `from` (NULL: the built-in one) and writes `to`, which appears whole or not at all. The same
 * model, text and options make the same bytes.
 * Errors: those of opening `from` and an engine for it; ARGUMENT (the text is shorter than a chunk; `to` exists, and not
 * `overwrite`), FORMAT (the model computes what is no number), IO, CANCELLED. */
MOTE_API mote_status mote_imatrix(const char *from, const char *text, size_t length, const char *to,
                                  const mote_imatrix_options *options, mote_error *error);

/* Writing a model file from a folder as Hugging Face publishes models: config.json, tokenizer.json, the weights in
 * model.safetensors or several files that model.safetensors.index.json names, and where they are there
 * tokenizer_config.json, generation_config.json and chat_template.jinja. Of LlamaForCausalLM, Qwen2ForCausalLM,
 * Qwen3ForCausalLM, Gemma3ForCausalLM and Phi3ForCausalLM. The file appears whole or not at all, and the same folder gives
 * the same bytes. Memory holds the tokenizer or a few megabytes of weights, never a whole tensor. */
typedef struct mote_convert_options {
    const char *type; /* of matrices: "f16", "bf16" or "f32"; NULL: as the embedding is published. Vectors are f32 */
    bool overwrite;
    bool (*progress)(void *user, double done); /* 0 … 1; false: stop */
    void *user;
} mote_convert_options;

MOTE_API void mote_convert_options_init(mote_convert_options *options);

/* Errors: FORMAT, UNSUPPORTED (an architecture, or a part of one, that mote does not compute; a kind of tokenizer that it
 * lacks), LIMIT (a weight past the largest of f16 or bf16), ARGUMENT (type; `to` exists, and not `overwrite`), IO, MEMORY,
 * CANCELLED. */
MOTE_API mote_status mote_convert(const char *folder, const char *to, const mote_convert_options *options,
                                  mote_error *error);

/* ------------------------------------------------------------------------------------------------------------- text */

typedef int32_t mote_token;

/* A growing list of ids. Start from {0}; functions append; free with mote_ids_free. */
typedef struct mote_ids {
    mote_token *at;
    size_t count;
    size_t capacity;
} mote_ids;

MOTE_API void mote_ids_free(mote_ids *ids);

enum {
    MOTE_TOKENIZE_SPECIAL = 1, /* control tokens written out in the text become those tokens: never for users' text */
    MOTE_TOKENIZE_BOS = 2      /* begin as the model wants a text to begin, if it wants anything */
};

/* Appends the ids of `text`. Errors: MEMORY, UNSUPPORTED (a file without a tokenizer), LIMIT (text over 1 GiB), IO (the
 * mapped file went away). */
MOTE_API mote_status mote_tokenize(const mote_model *model, const char *text, size_t length, unsigned flags,
                                   mote_ids *ids, mote_error *error);

/* True if `token` ends an answer (end of text, end of turn). */
MOTE_API bool mote_token_is_end(const mote_model *model, mote_token token);

/* Turns ids into text as they come, never part of a character. The returned bytes belong to the detokenizer until its
 * next call. `show_special` writes control tokens out; otherwise they are silent. */
typedef struct mote_detokenizer mote_detokenizer;
MOTE_API mote_status mote_detokenizer_open(mote_detokenizer **out, mote_model *model, bool show_special,
                                           mote_error *error);
MOTE_API void mote_detokenizer_close(mote_detokenizer *detokenizer);
MOTE_API const char *mote_detokenizer_push(mote_detokenizer *detokenizer, mote_token token, size_t *length);
/* What is still held back, with U+FFFD for what never became a character; ready for a new text afterwards. */
MOTE_API const char *mote_detokenizer_finish(mote_detokenizer *detokenizer, size_t *length);

typedef struct mote_message {
    const char *role; /* "system", "user" or "assistant" */
    const char *content;
    size_t length;
} mote_message;

/* Appends a conversation in the model's chat format, with the opening of an answer if `open_answer`. Content is plain
 * text: control tokens in it stay text.
 * Errors: ARGUMENT (role), UNSUPPORTED (the model has no chat format), and as mote_tokenize. */
MOTE_API mote_status mote_chat_encode(const mote_model *model, const mote_message *messages, size_t count,
                                      bool open_answer, mote_ids *ids, mote_error *error);

/* ----------------------------------------------------------------------------------------------- engine and session */

typedef struct mote_engine mote_engine;
typedef struct mote_session mote_session;

/* Numbers that keep what was read, chosen for keys and for values. F32 is exact; F16 takes half of its space, Q8 (rotated
 * vectors in integers of eight bits, with a scale each) little more than a quarter, Q4 (in four bits) little more than an
 * eighth. docs/memory.md says what each loses. */
typedef enum mote_kv_type { MOTE_KV_AUTO, MOTE_KV_F16, MOTE_KV_F32, MOTE_KV_Q8, MOTE_KV_Q4 } mote_kv_type;

MOTE_API const char *mote_kv_type_name(mote_kv_type type); /* "q8"; "auto"; "?" for no type */

/* Memory is a promise: an engine is planned before it is made, so that the process stays within a budget. Of what fits, the
 * first in this order is taken: the context as it is wished, with KV in F16, or else in Q8, keys in Q4, or all in Q4; and of each,
 * the largest batch. A context that was not wished gives way last, 256 tokens at a time. Results do not depend on the
 * batch. */
typedef struct mote_engine_options {
    uint32_t context;  /* tokens a session can hold; 0: the model's, at most 4096, and less where memory is short */
    uint32_t sessions; /* sessions open at once; 0: 1 */
    uint32_t batch;    /* tokens of one forward pass at most; 0: 256. Where memory is short 256, 128 … down to 16 */
    uint32_t threads;  /* at most as many as processors this process may use; 0: the fast ones of those */
    mote_kv_type kv_keys;     /* AUTO: F16, or Q8 or Q4 where memory is short */
    mote_kv_type kv_values;   /* the same */
    uint32_t decode_threads;  /* for steps of up to 8 tokens; 0: `threads` */
    uint32_t prefill_threads; /* for longer ones; 0: `threads` */
    uint64_t memory;          /* bytes the whole process may have resident; 0: what is free, see mote_plan_memory */
    /* What sessions have held is kept after them, so that a prompt that begins alike is computed only from there, as long
     * as the memory is not needed for open sessions. So many bytes are reserved for it alone, and used when there is
     * something to keep; 0: none. */
    uint64_t prefix_cache_bytes;
    /* Keep nothing, and let sessions share nothing that they have not been told to: for measuring. Not with a cache
     * directory. */
    bool forgetful;
    /* A directory that keeps what prompts have left in the KV cache beyond the engine's life, so that they need not be
     * computed after a restart; NULL: none. It is made if it is not there, for its owner alone. Who can read it can read
     * the prompts. What is torn, foreign or of another model is not used. */
    const char *cache_directory;
    uint64_t cache_bytes;       /* of the directory; 0: 1 GiB. What was used longest ago goes first */
    uint64_t cache_daily_bytes; /* written in any 24 hours, for disks that wear; 0: 2 GiB; UINT64_MAX: no limit */
    /* What a person should know though nothing fails, as of a file in it that is torn, or a disk that is full: a sentence each. NULL: nobody
     * hears it. From the thread whose call it is, which must not call the engine from there. */
    void (*say)(void *user, const char *sentence);
    void *user;
} mote_engine_options;

MOTE_API void mote_engine_options_init(mote_engine_options *options);

/* What the process will have resident at the most, mapped pages counted (what mote_peak_memory tells), with every session
 * full, and what was chosen for that. `peak` is the sum of the five parts, or `loading` if that is more. */
typedef struct mote_memory_plan {
    uint32_t context;
    uint32_t sessions;
    uint32_t batch;
    uint32_t threads;
    mote_kv_type kv_keys;
    mote_kv_type kv_values;
    uint64_t weights;     /* pages of the file that a run touches; of a file that is not packed, its weights packed */
    uint64_t kv_bytes;    /* all sessions, and the prefix cache */
    uint64_t activations; /* scratch memory, logits, and what sampling and a prompt's text take */
    uint64_t tokenizer;   /* its tables, where the file does not hold them ready */
    uint64_t program;     /* code, libraries, stacks, and what the process had before, a file in memory included */
    uint64_t loading;     /* the peak while a model is loaded: with a piece of the file beside the weights packed */
    uint64_t peak;
    uint64_t budget;          /* options->memory, or the default; UINT64_MAX: the system knows no limit */
    uint64_t address_space;   /* that is taken at the most, touched or not; a limit on it (RLIMIT_AS) is kept, too, */
    uint64_t data;            /* and on the part of it that is the process's own (RLIMIT_DATA) */
    bool fits;                /* false: nothing does, and this is the least there is for the context that was wished */
    mote_kv_type kv_keys_fit; /* if not: other KV types with which it would; AUTO: none do, */
    mote_kv_type kv_values_fit;
    uint32_t context_fits; /* but with this smaller context; 0: not even then */
} mote_memory_plan;

/* Plans an engine before its model is opened: of the model nothing is read but the head of the file, and no weight. As
 * mote_engine_open chooses for the same options once the model is open.
 *
 * The default budget is what the process has of its own now and what its machine (MemAvailable) and its control groups
 * leave free, less 1/32, the error that predictions may have. `path` and `model_options` are as for mote_model_open, except that
 * `parts` and `progress` do not count.
 * Errors: those of opening; ARGUMENT (options); MEMORY: nothing fits, as the sentence says with all figures, and *plan
 * holds the least there is. */
MOTE_API mote_status mote_plan_memory(mote_memory_plan *plan, const char *path, const mote_model_options *model_options,
                                      const mote_engine_options *options, mote_error *error);

/* Allocates everything running will need; nothing is allocated per token afterwards.
 * Errors: ARGUMENT (context past the model's; a model opened without weights), MEMORY (nothing fits the budget; see
 * mote_plan_memory for asking before a model is loaded), LIMIT (the system has no more threads), IO (the
 * cache directory is none that can be used). */
MOTE_API mote_status mote_engine_open(mote_engine **out, mote_model *model, const mote_engine_options *options,
                                      mote_error *error);
MOTE_API void mote_engine_close(mote_engine *engine);

typedef struct mote_engine_info {
    uint32_t context;
    uint32_t sessions;
    uint32_t batch;
    uint32_t threads; /* the caller's included; the most that can be set below */
    mote_kv_type kv_keys;
    mote_kv_type kv_values;
    uint64_t kv_bytes;      /* all sessions, and the prefix cache */
    uint64_t scratch_bytes; /* activations */
    uint32_t decode_threads;
    uint32_t prefill_threads;
    uint64_t prefix_cache_bytes; /* what was wished for, in whole pages of the KV cache */
    bool forgetful;
} mote_engine_info;

MOTE_API void mote_engine_describe(const mote_engine *engine, mote_engine_info *info);

/* Changes how many of the engine's threads compute, from the next forward pass on: to find the best counts, or to keep a
 * device cool. 0 leaves a count as it is; more than `threads` means all. Threads without work sleep. */
MOTE_API void mote_engine_set_threads(mote_engine *engine, uint32_t decode_threads, uint32_t prefill_threads);

/* What computing cannot go below: bytes read from memory and operations (a product and its addition are two). */
typedef struct mote_engine_cost {
    uint64_t weight_bytes;     /* of a forward pass, whatever its tokens: every matrix but the embedding's rows */
    uint64_t kv_bytes;         /* of a token: keys and values of the positions it sees, its own included */
    uint64_t layer_operations; /* of a token: with the weights of the layers */
    uint64_t head_operations;  /* of a row of logits */
} mote_engine_cost;

/* The cost for a session that holds `depth` tokens before the pass. */
MOTE_API void mote_engine_cost_at(const mote_engine *engine, size_t depth, mote_engine_cost *cost);

/* What sessions have in common lies in memory once: a page of it is copied when one of them goes on differently. The
 * functions below wait while a step of the engine runs.
 * Errors: LIMIT (as many sessions as the engine has are open). */
MOTE_API mote_status mote_session_open(mote_session **out, mote_engine *engine, mote_error *error);
MOTE_API void mote_session_close(mote_session *session);

/* Opens a session that holds what `from` holds, and shares it: for several answers to one prompt. Nothing is computed.
 * Errors: as mote_session_open. */
MOTE_API mote_status mote_session_fork(mote_session **out, mote_session *from, mote_error *error);

/* Tokens the session holds, and beginning anew. */
MOTE_API size_t mote_session_length(const mote_session *session);
MOTE_API void mote_session_clear(mote_session *session);

/* Shortens the session to its first `length` tokens, or to none where sliding windows no longer hold what continuing
 * there would need. Returns how many the session holds then. */
MOTE_API size_t mote_session_rewind(mote_session *session, size_t length);

/* Makes the session hold the beginning of `prompt` as far as it is known, from what this session and others hold or held
 * before, but never its last token. Returns how many tokens that is: the others are to be computed with mote_engine_step.
 * mote_generate does both. Nothing else of what the session held stays in it. */
MOTE_API size_t mote_session_hold(mote_session *session, const mote_token *prompt, size_t count);

/* Writes what the first `length` tokens of the session left in the cache to the engine's cache directory, unless it is there.
 * Takes as long as the disk does, and other sessions can go on between one page and the next: for when nobody waits.
 * mote_session_cancel ends it there too. mote_generate does it with its prompt, after the answer. Without such a directory, or
 * for less than 64 tokens, nothing. */
MOTE_API void mote_session_save(mote_session *session, size_t length);

/* Begins anew in another scope, 0 being that of a new session. Sessions of different scopes, as of different users, never
 * share what they hold, so that nobody can find out by the time an answer takes what others have asked. In a cache directory
 * a scope is known by the same number again. */
MOTE_API void mote_session_set_scope(mote_session *session, uint64_t scope);

/* Makes the work in progress of this session stop soon with MOTE_E_CANCELLED. From any thread or signal handler. The
 * request is forgotten when the next call on the session begins. */
MOTE_API void mote_session_cancel(mote_session *session);

/* One session's part of a step: `count` tokens to append and, if `logits` is not NULL, where the logits of the last
 * `rows` of them go (rows × vocabulary floats, in order). */
typedef struct mote_work {
    mote_session *session;
    const mote_token *ids;
    size_t count;
    float *logits;
    size_t rows;
} mote_work;

/* Appends tokens to one or many sessions of an engine in common forward passes. A session may appear once. On failure
 * the sessions named are left as they were before the call, or cleared where that cannot be had.
 * One thread at a time for each engine: others wait.
 * Errors: ARGUMENT, LIMIT (past the context), IO (the mapped file went away), CANCELLED. */
MOTE_API mote_status mote_engine_step(mote_engine *engine, const mote_work *work, size_t count, mote_error *error);

/* -------------------------------------------------------------------------------------------------------- generation */

typedef struct mote_logit_bias {
    mote_token token;
    float bias;
} mote_logit_bias;

/* The chain: bias, penalties, top-k, typical-p, top-p, min-p, temperature, draw. */
typedef struct mote_sampling {
    float temperature;           /* 0: greedy */
    uint32_t top_k;              /* 0: off */
    float top_p;                 /* 1: off */
    float min_p;                 /* 0: off */
    float typical_p;             /* 1: off */
    float repeat_penalty;        /* 1: off */
    float presence_penalty;      /* 0: off */
    float frequency_penalty;     /* 0: off */
    uint32_t penalty_window;     /* how many last tokens are penalised; at most 4096 */
    const mote_logit_bias *bias; /* borrowed until the sampler or the call is done */
    size_t bias_count;
    uint64_t seed;
} mote_sampling;

MOTE_API void mote_sampling_init(mote_sampling *sampling); /* temperature 0.7, top-k 40, top-p 0.95, min-p 0.05 */

typedef struct mote_sampler mote_sampler;
/* Errors: ARGUMENT (names the field that is out of range), MEMORY. */
MOTE_API mote_status mote_sampler_open(mote_sampler **out, const mote_model *model, const mote_sampling *sampling,
                                       mote_error *error);
MOTE_API void mote_sampler_close(mote_sampler *sampler);
/* Remembers a token for the penalties (a prompt's tokens, or one forced by the caller). */
MOTE_API void mote_sampler_accept(mote_sampler *sampler, mote_token token);
/* Picks the next token from one row of logits, which it overwrites, and accepts it. */
MOTE_API mote_token mote_sampler_pick(mote_sampler *sampler, float *logits);

typedef enum mote_finish {
    MOTE_FINISH_END,      /* the model ended its answer */
    MOTE_FINISH_LENGTH,   /* max_tokens */
    MOTE_FINISH_CONTEXT,  /* the session is full, and on_full did not make room */
    MOTE_FINISH_STOP,     /* a stop text appeared */
    MOTE_FINISH_CANCELLED /* the callback or mote_session_cancel said so */
} mote_finish;

MOTE_API const char *mote_finish_name(mote_finish finish); /* "end", "length", … */

/* What becomes of an answer that the context has no more room for. */
typedef enum mote_on_full {
    MOTE_FULL_STOP, /* it ends: MOTE_FINISH_CONTEXT */
    /* It goes on: the session keeps the first `keep` tokens and the later half of the others. Keys are turned by their
     * positions, so that this half is computed anew where it comes to lie: a pause, and then it is as if the session had
     * never held anything else. */
    MOTE_FULL_SHIFT
} mote_on_full;

typedef struct mote_generation_options {
    const mote_sampling *sampling; /* NULL: the defaults */
    uint32_t max_tokens;           /* 0: until the context is full */
    const char *const *stop;       /* texts that end the answer; not part of it */
    size_t stop_count;             /* at most 16, each at most 256 bytes */
    bool show_special;             /* write control tokens out */
    /* Text as it comes, whole characters only; false ends with MOTE_FINISH_CANCELLED. */
    bool (*on_text)(void *user, const char *text, size_t length);
    void *user;
    mote_on_full on_full;
    /* Of the prompt, where the context shifts: its system message, say; at most three quarters of the context. */
    size_t keep;
} mote_generation_options;

MOTE_API void mote_generation_options_init(mote_generation_options *options);

typedef struct mote_generation {
    mote_finish finish;
    size_t prompt_tokens;
    size_t cached_tokens; /* of the prompt, known before */
    size_t tokens;        /* generated, end token included */
    double prefill_seconds;
    double first_token_seconds; /* from the call to the first token */
    double decode_seconds;      /* for the tokens after the first, shifts included */
    size_t shifted_tokens;      /* that the session let go of to make room (on_full) */
} mote_generation;

/* Makes the session hold `prompt` — computing only what follows the part that is known (mote_session_hold) — and generates
 * from there.
 * `result` is filled as far as things went on failure too.
 * Errors: as mote_engine_step and mote_sampler_open; LIMIT when the prompt alone does not fit the context; ARGUMENT when
 * `keep` leaves no room to shift. */
MOTE_API mote_status mote_generate(mote_session *session, const mote_token *prompt, size_t count,
                                   const mote_generation_options *options, mote_generation *result, mote_error *error);

/* --------------------------------------------------------------------------------------------------- synthetic models */

/* Files in the published shapes of known models with random weights and a made-up vocabulary of the real size: they load,
 * tokenize and compute at the real cost and say nothing. For measurements and tests. */
typedef struct mote_synth_options {
    const char *model; /* a name that mote_synth_model gives */
    const char *type;  /* a name that mote_synth_type gives; NULL: "q4_0" */
    uint32_t layers;   /* 0: all of the model's; fewer make a small file */
    uint64_t seed;     /* the same seed and options make the same file, byte for byte, on any machine */
    uint32_t threads;  /* 0: the processors this process may use */
    bool overwrite;    /* a file that is there already */
    bool (*progress)(void *user, double done); /* from 0 to 1; false stops with MOTE_E_CANCELLED */
    void *user;
} mote_synth_options;

MOTE_API void mote_synth_options_init(mote_synth_options *options);

/* Writes the file, which appears when it is complete.
 * Errors: ARGUMENT (a name that is none, more layers than the model's, the file exists), IO, MEMORY, LIMIT (threads),
 * CANCELLED. */
MOTE_API mote_status mote_synth(const char *path, const mote_synth_options *options, mote_error *error);

typedef struct mote_synth_info {
    const char *name;      /* "qwen3-0.6b" */
    const char *published; /* "Qwen3-0.6B" */
    uint64_t parameters;
    uint64_t weight_bytes; /* of a file of these options; its vocabulary adds some megabytes */
    uint32_t layers;
} mote_synth_info;

/* What mote_synth would write. Errors: as there, of names and layers; MEMORY. */
MOTE_API mote_status mote_synth_plan(const mote_synth_options *options, mote_synth_info *info, mote_error *error);

MOTE_API const char *mote_synth_model(size_t index); /* NULL past the last */
MOTE_API const char *mote_synth_type(size_t index);  /* "q4_0"; NULL past the last */

/* ---------------------------------------------------------------------------------------------------------- machine */

typedef struct mote_cpu_info {
    const char *architecture; /* "x86-64" */
    char name[128];      /* as the processor or board calls itself: "Raspberry Pi 5 Model B Rev 1.0"; "": unknown */
    char features[128];  /* that kernels may use: "f16c avx2 avx512" */
    char masked[128];    /* that are there and were ruled out */
    char names[128];     /* of all features of this architecture that mote knows, in ascending order */
    uint32_t processors; /* that can run threads of this process at once, CPU quota considered */
    uint32_t threads;    /* what an engine chooses: the fast ones of these, one for each core */
} mote_cpu_info;

/* `cpu` as in mote_model_options. Errors: ARGUMENT (a name that is none of `names`). */
MOTE_API mote_status mote_cpu_describe(mote_cpu_info *info, const char *cpu, mote_error *error);

typedef struct mote_kernel_info {
    const char *operation; /* "matmul", "keys" and "values" of attention, "softmax" between them, or "vectors" */
    const char *format;    /* of weights "Q4_0", of the KV cache "f16"; "f32" */
    const char *kernel;    /* "avx512" */
    const char *packed;    /* of a product with weights packed at load; "": this format is not packed, or no product */
} mote_kernel_info;

/* The kernels chosen where a model is opened with this `cpu`, index from 0. Errors: ARGUMENT past the last, and as above. */
MOTE_API mote_status mote_cpu_kernel(mote_kernel_info *info, size_t index, const char *cpu, mote_error *error);

/* Peak resident memory of this process, mapped files included (VmHWM); 0 where the system does not tell. */
MOTE_API uint64_t mote_peak_memory(void);
/* Begins a new peak with what is resident now. False: the system cannot, and the old one stays. */
MOTE_API bool mote_peak_memory_restart(void);

/* The limits of a machine, measured with all the threads at once. */
typedef struct mote_machine {
    uint32_t threads;
    uint64_t cache_bytes;    /* the largest cache; 0: the system does not tell */
    double read_rate;        /* bytes a second from memory */
    double int8_rate;        /* 8-bit dot products: operations a second, a product and its addition being two */
    const char *int8_kernel; /* the instruction that reached it: "vpdpbusd zmm" */
} mote_machine;

/* Takes about a quarter of a second and, for that time, four times the largest cache of memory (at least 32 MiB, at most
 * 1 GiB). `threads` 0: the processors this process may use. Errors: ARGUMENT (too many threads), LIMIT (the system has no
 * more), MEMORY. */
MOTE_API mote_status mote_machine_measure(mote_machine *out, uint32_t threads, mote_error *error);

#ifdef __cplusplus
}
#endif

#endif
