/* From settings to something that can run: a model, an engine for it and a session. */
#ifndef MOTE_CLI_LOADING_H
#define MOTE_CLI_LOADING_H

#include "options.h"

struct loaded {
    mote_model *model;
    mote_engine *engine;
    mote_session *session;
    mote_model_info info;
    mote_engine_info limits;
    double seconds; /* that loading took */
};

/* Opens all three, showing progress, and lets Ctrl-C cancel the session's work from then on. False after complaining,
 * with nothing left behind. */
bool loaded_open(struct loaded *loaded, const struct settings *settings);
void loaded_close(struct loaded *loaded);

/* Why what mote tune kept is not used: it is another machine's, or damaged. */
struct tunings;
void complain_of_tunings(const struct tunings *tunings);

/* Only parts of a model: no weights are touched. NULL after complaining. */
mote_model *load_parts(const struct settings *settings, mote_parts parts);

/* The sampling that was asked for, with the default of this model where the user said nothing. */
mote_sampling chosen_sampling(const struct settings *settings);

/* The model as a person would call it. */
const char *model_name(const struct settings *settings, const mote_model_info *info);

#endif
