/* Vocabularies of the real sizes and kinds with made-up words: as many tokens, merges and special tokens as the published
 * tokenizers, at the published places, so that a file starts up and tokenizes at their cost. */
#ifndef MOTE_PREPARE_SYNTH_VOCABULARY_H
#define MOTE_PREPARE_SYNTH_VOCABULARY_H

#include "format/gguf_output.h"
#include "model/model_shapes.h"

/* Declares tokenizer and chat template of a shape. Errors: MEMORY; others are the output's to tell. */
mote_status synth_vocabulary_write(gguf_output *out, const model_shape *shape, mote_error *error);

#endif
