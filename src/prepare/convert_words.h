/* Which tokenizer a tokenizer.json describes: its normalizer, pre-tokenizer and post-processor, each of which must be one
 * that mote's tokenizers do the same as. */
#ifndef MOTE_PREPARE_CONVERT_WORDS_H
#define MOTE_PREPARE_CONVERT_WORDS_H

#include "prepare/convert_vocabulary.h"

/* Sets words, space_prefix, begins and ends of a vocabulary whose model is set. Errors: UNSUPPORTED, FORMAT. */
mote_status convert_words_read(convert_vocabulary *v, mote_error *error);

#endif
