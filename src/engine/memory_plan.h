/* The memory planner: what a process will have resident at the most, before any of it is taken, and the largest engine that
 * fits a budget.
 *
 *     peak = weights + KV(context, type, sessions) + activations(batch) + tokenizer + program
 *
 * KV and activations are what engine_lay_out counts, which is what the engine will take: the planner knows no sizes of its
 * own but those of what lies outside of the engine's memory. Predictions are upper bounds, and are to be within 3% or 4 MB
 * of what is measured (tests/e2e/test_plan.py). */
#ifndef MOTE_ENGINE_MEMORY_PLAN_H
#define MOTE_ENGINE_MEMORY_PLAN_H

#include "engine/engine.h"

/* Sets context, batch and KV type of e->info, which come as wished, to the first that fits, in the order of mote.h. The
 * model may be an outline. On failure the plan holds the least there is. Errors: MEMORY. */
mote_status memory_plan_choose(mote_engine *e, const mote_engine_options *wish, mote_memory_plan *plan,
                               mote_error *error);

#endif
