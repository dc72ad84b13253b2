/* What tells one model from another in a cache on disk: a hash that costs milliseconds.
 *
 * Hashed are the metadata (of a long text or array its size, its beginning and its end), the directory of tensors, and of each
 * tensor the 2 KiB in its middle. Not hashed is the rest of the weights: reading 2 GB at every start is what a cache is to
 * spare. So two files whose weights differ only where nobody looked count as one model. A training step, a merged adapter or
 * another quantisation changes almost every block, and shows; an edit by hand of a few weights does not. */
#ifndef MOTE_ENGINE_MODEL_IDENTITY_H
#define MOTE_ENGINE_MODEL_IDENTITY_H

#include "format/gguf.h"

/* The same for the same bytes under another name. A packed file is another model than its source.
 * Errors: IO (a page of the file could not be read). */
mote_status model_identity(const gguf *file, unsigned char identity[32], mote_error *error);

#endif
