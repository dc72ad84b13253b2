/* What a mote_model is inside: the open file, its tokenizer, and the bound weights. */
#ifndef MOTE_ENGINE_MODEL_HANDLE_H
#define MOTE_ENGINE_MODEL_HANDLE_H

#include <stdatomic.h>

#include "format/gguf.h"
#include "meter/memory_limits.h"
#include "model/model.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

struct mote_model {
    atomic_uint references; /* the caller's, and one for each engine */
    gguf *file;
    tokenizer *tokenizer;    /* NULL: the file has none that mote can use, */
    mote_error no_tokenizer; /* for this reason */
    chat_format chat;
    model_config config; /* zero for a family that mote does not know */
    model weights;
    bool loaded;         /* `weights` is bound: the model can run */
    bool outline;        /* `weights` has sizes but no values: to plan with */
    bool callers_memory; /* holds the file, */
    bool built_in;       /* or the library does */
    bool keep_unpacked;  /* weights stay as they lie in the file */
    uint32_t features;   /* CPU_… flags that its engines' kernels may use */
    char *name;          /* texts of the metadata, NUL-terminated */
    char *description;
    char *license;
    char *architecture;
    char types[128]; /* weight formats by share of bytes */
    uint64_t parameters;
    uint64_t weight_bytes;
    size_t tokenizer_bytes;   /* that the tokenizer takes, or would take, beside the file */
    memory_figures before;    /* what the process had when opening began, */
    uint64_t own_when_loaded; /* and of its own when it ended */
};

void model_handle_retain(mote_model *model);

/* A model whose weights are to be looked at, not computed with. */
mote_status model_handle_open_unpacked(mote_model **out, const char *path, mote_error *error);

/* A model to plan with: the directory of its file and the sizes that follow, without a look at a weight or a token. */
mote_status model_handle_open_outline(mote_model **out, const char *path, const mote_model_options *options,
                                      mote_error *error);

#endif
