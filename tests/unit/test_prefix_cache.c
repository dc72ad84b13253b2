/* Sessions that share pages, and what is kept of earlier ones: whatever happened to a session and its neighbours, it computes
 * the bits of one that nothing ever happened to. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <mote/mote.h>

#include "engine/engine.h"
#include "kv_both.h"
#include "assert_says.h"
#include "engine_case.h"

#include <cmocka.h>

enum { PAGE = 256, CONTEXT = 700, BATCH = 48, SESSIONS = 4 };

static const tiny_model *const BOTH[] = {&LLAMA, &SLIDING};

/* ---- the books are right ---- */

/* Every page has as many holders as tables name it, and is free if there are none. Nobody sees what may be overwritten. */
static void check_books(const mote_engine *e)
{
    const kv_cache *kv = &e->kv;
    for (uint32_t kind = 0; kind < kv->kinds; kind++) {
        const kv_pool *pool = &kv->pool[kind];
        uint32_t *holders = calloc(pool->pages, sizeof *holders), free_pages = 0;
        assert_non_null(holders);
        for (size_t s = 0; s < kv->sequences; s++) {
            const kv_sequence *q = &kv->sequence[s];
            for (size_t chunk = 0; chunk < kv->view.chunks; chunk++) {
                uint32_t page = kv->table[kind][s * kv->view.chunks + chunk];
                if (page == KV_NO_PAGE) {
                    assert_true(kind == KV_SLIDING || q->length <= chunk * PAGE);
                    continue;
                }
                assert_true(page < pool->pages && q->length > chunk * PAGE);
                size_t seen = q->length - chunk * PAGE < PAGE ? q->length - chunk * PAGE : PAGE;
                assert_true(pool->filled[page] >= seen);
                holders[page]++;
            }
            if (q->length > 0)
                assert_int_equal(kv_continuable(kv, (uint32_t)s, q->length), q->length);
        }
        for (uint32_t page = 0; page < pool->pages; page++) {
            assert_int_equal(pool->holders[page], holders[page]);
            free_pages += holders[page] == 0;
        }
        assert_int_equal(pool->free_count, free_pages);
        free(holders);
    }
}

static size_t kept_sequences(const mote_engine *e)
{
    size_t count = 0;
    for (uint32_t s = e->kv.sessions; s < e->kv.sequences; s++)
        count += e->kv.sequence[s].length > 0;
    return count;
}

/* Without sessions and what was kept, all pages are free. */
static void check_nothing_leaks(mote_engine *e)
{
    check_books(e);
    for (uint32_t s = e->kv.sessions; s < e->kv.sequences; s++)
        kv_truncate(&e->kv, s, 0);
    for (uint32_t kind = 0; kind < e->kv.kinds; kind++)
        assert_int_equal(e->kv.pool[kind].free_count, e->kv.pool[kind].pages);
}

/* ---- a session, and what is expected of it ---- */

/* A conversation as a list of ids. */
typedef struct line {
    mote_session *session; /* NULL: closed */
    uint64_t scope;
    mote_token ids[CONTEXT];
    size_t count;
} line;

static void step_well(mote_engine *engine, mote_session *session, const mote_token *ids, size_t count, float *last)
{
    mote_error error = {0};
    mote_work work = {session, ids, count, last, 1};
    if (mote_engine_step(engine, &work, 1, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

/* The logits after these ids in a session that nothing has happened to. */
static void expected_logits(mote_session *plain, const mote_token *ids, size_t count, float *logits)
{
    size_t common = 0, held = mote_session_length(plain);
    while (common < held && common < count - 1 && kv_id(&plain->engine->kv, plain->index, common) == ids[common])
        common++;
    if (plain->engine->kv.window != 0)
        common = 0;
    common = mote_session_rewind(plain, common);
    step_well(plain->engine, plain, ids + common, count - common, logits);
}

static void expect_bits(mote_session *plain, const line *l, const float *got)
{
    float expected[VOCABULARY];
    expected_logits(plain, l->ids, l->count, expected);
    if (memcmp(expected, got, sizeof expected) != 0)
        fail_msg("other bits after %zu ids", l->count);
    assert_int_equal(mote_session_length(l->session), l->count);
    for (size_t i = 0; i < l->count; i++)
        assert_int_equal(kv_id(&l->session->engine->kv, l->session->index, i), l->ids[i]);
}

/* Makes the session hold the line's ids, and returns how many were known. */
static size_t prompt(mote_engine *engine, mote_session *plain, line *l)
{
    float got[VOCABULARY];
    size_t cached = mote_session_hold(l->session, l->ids, l->count);
    check_books(engine);
    assert_true(cached < l->count);
    step_well(engine, l->session, l->ids + cached, l->count - cached, got);
    expect_bits(plain, l, got);
    check_books(engine);
    return cached;
}

static void append(mote_engine *engine, mote_session *plain, line *l, const mote_token *ids, size_t count)
{
    float got[VOCABULARY];
    step_well(engine, l->session, ids, count, got);
    memcpy(l->ids + l->count, ids, count * sizeof *ids);
    l->count += count;
    expect_bits(plain, l, got);
    check_books(engine);
}

/* `count` ids of conversation `which`; ids of different conversations differ from the first on. */
static void words(mote_token *ids, size_t count, size_t which)
{
    for (size_t i = 0; i < count; i++)
        ids[i] = (mote_token)((which * 7 + i * (5 + which) + i / 9 + 1) % VOCABULARY);
}

static void line_open(line *l, mote_engine *engine, uint64_t scope)
{
    l->session = session_open(engine);
    l->scope = scope;
    l->count = 0;
    mote_session_set_scope(l->session, scope);
}

typedef struct pair {
    machine tested, plain; /* the same model twice; the second engine keeps nothing */
    mote_session *reference;
} pair;

static pair pair_open(const tiny_model *spec, mote_kv_type kv, uint32_t sessions, uint64_t prefix_bytes)
{
    mote_engine_options options = {.context = CONTEXT,
                                   .sessions = sessions,
                                   .batch = BATCH,
                                   .threads = 2,
                                   .prefix_cache_bytes = prefix_bytes,
                                   KV_BOTH(kv)};
    pair p = {.tested = machine_open(spec, options)};
    options.forgetful = true;
    options.sessions = 1;
    p.plain = machine_open(spec, options);
    p.reference = session_open(p.plain.engine);
    return p;
}

static void pair_close(pair *p)
{
    mote_session_close(p->reference);
    machine_close(&p->plain);
    machine_close(&p->tested);
}

/* ---- anything, in any order ---- */

static size_t draw(uint64_t *state, size_t below)
{
    return (size_t)(random_unit(state) * (double)below);
}

static void random_prompt(line *l, uint64_t *state, pair *p)
{
    static const size_t BEGINNINGS[] = {0, 30, 200, 256, 300, 460};
    size_t shared = BEGINNINGS[draw(state, 6)], own = 1 + draw(state, 150);
    words(l->ids, shared, draw(state, 2));
    words(l->ids + shared, own, 2 + draw(state, 20));
    l->count = shared + own;
    prompt(p->tested.engine, p->reference, l);
}

static void random_step(line *lines, uint64_t *state, pair *p)
{
    mote_engine *engine = p->tested.engine;
    line *l = &lines[draw(state, SESSIONS)], *other = &lines[draw(state, SESSIONS)];
    mote_token more[100];
    size_t count = 1 + draw(state, draw(state, 2) == 0 ? 3 : 100);
    if (l->session == NULL) {
        line_open(l, engine, draw(state, 3) == 0);
        return;
    }
    switch (draw(state, 9)) {
    case 0:
        mote_session_close(l->session);
        l->session = NULL;
        break;
    case 1:
        mote_session_clear(l->session);
        l->count = 0;
        break;
    case 2:
        if (other->session != NULL)
            break;
        assert_int_equal(mote_session_fork(&other->session, l->session, NULL), MOTE_OK);
        memcpy(other->ids, l->ids, l->count * sizeof *l->ids);
        other->count = l->count;
        other->scope = l->scope;
        break;
    case 3: l->count = mote_session_rewind(l->session, draw(state, l->count + 1)); break;
    case 4:
    case 5: random_prompt(l, state, p); break;
    default:
        words(more, count, draw(state, 30));
        if (l->count + count <= CONTEXT)
            append(engine, p->reference, l, more, count);
    }
    check_books(engine);
}

static void anything_in_any_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        uint64_t random = 77 + i, prefix_bytes = i % 3 == 0 ? 0 : i * 100000;
        pair p = pair_open(BOTH[i % 2], (mote_kv_type)(MOTE_KV_F16 + i / 2), SESSIONS, prefix_bytes);
        static line lines[SESSIONS];
        size_t used = p.tested.engine->memory.used;
        memset(lines, 0, sizeof lines);
        for (size_t k = 0; k < 150; k++)
            random_step(lines, &random, &p);
        for (size_t k = 0; k < SESSIONS; k++)
            mote_session_close(lines[k].session);
        assert_int_equal(p.tested.engine->memory.used, used);
        check_nothing_leaks(p.tested.engine);
        pair_close(&p);
    }
}

/* All sessions fill their contexts at once, whatever is kept and shared. */
static void every_session_can_be_filled(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        pair p = pair_open(BOTH[i % 2], MOTE_KV_F16, SESSIONS, i < 2 ? 0 : 300000);
        mote_engine *engine = p.tested.engine;
        static line lines[SESSIONS];
        for (size_t round = 0; round < 2; round++) {
            for (size_t k = 0; k < SESSIONS; k++) {
                if (k % 2 == 0) {
                    line_open(&lines[k], engine, 0);
                    words(lines[k].ids, 290, round);
                    lines[k].count = 290;
                    prompt(engine, p.reference, &lines[k]);
                } else {
                    assert_int_equal(mote_session_fork(&lines[k].session, lines[k - 1].session, NULL), MOTE_OK);
                    memcpy(&lines[k].ids, lines[k - 1].ids, sizeof lines[k].ids);
                    lines[k].count = 290;
                }
            }
            for (size_t turn = 0; lines[0].count < CONTEXT; turn++) {
                mote_token more[41];
                for (size_t k = 0; k < SESSIONS; k++) {
                    words(more, 41, 3 + turn * 7 + k);
                    append(engine, p.reference, &lines[k], more, 41);
                }
            }
            for (size_t k = 0; k < SESSIONS; k++)
                mote_session_close(lines[k].session);
        }
        check_nothing_leaks(engine);
        pair_close(&p);
    }
}

/* ---- forks ---- */

static void forks_share_until_they_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pair p = pair_open(BOTH[i], i == 0 ? MOTE_KV_Q8 : MOTE_KV_Q4, SESSIONS, 0);
        mote_engine *engine = p.tested.engine;
        static line lines[SESSIONS];
        line_open(&lines[0], engine, 0);
        words(lines[0].ids, 300, 0);
        lines[0].count = 300;
        prompt(engine, p.reference, &lines[0]);
        uint32_t taken = engine->kv.pool[0].pages - engine->kv.pool[0].free_count;
        assert_int_equal(taken, 2);
        for (size_t k = 1; k < SESSIONS; k++) {
            lines[k] = lines[0];
            assert_int_equal(mote_session_fork(&lines[k].session, lines[0].session, NULL), MOTE_OK);
            assert_int_equal(mote_session_length(lines[k].session), 300);
        }
        assert_int_equal(engine->kv.pool[0].pages - engine->kv.pool[0].free_count, taken);
        mote_session *more = (mote_session *)&more;
        mote_error error = {0};
        assert_int_equal(mote_session_fork(&more, lines[0].session, &error), MOTE_E_LIMIT);
        expect_sentence(&error, MOTE_E_LIMIT, "4 sessions");
        assert_null(more);
        for (size_t turn = 0; turn < 3; turn++) {
            for (size_t k = 0; k < SESSIONS; k++) {
                mote_token one[2];
                words(one, 2, k + turn);
                append(engine, p.reference, &lines[k], one, 2);
            }
        }
        /* The page that they ended in is there once for each of them now; the one before it still once for all. */
        assert_int_equal(engine->kv.pool[0].pages - engine->kv.pool[0].free_count, 1 + SESSIONS);
        mote_session_close(lines[0].session); /* the others live on */
        mote_token rest[20];
        words(rest, 20, 9);
        for (size_t k = 1; k < SESSIONS; k++) {
            append(engine, p.reference, &lines[k], rest, 20);
            mote_session_close(lines[k].session);
        }
        check_nothing_leaks(engine);
        pair_close(&p);
    }
}

/* ---- prompts that begin alike ---- */

/* One request in a session of its own: a system prompt, then a question. Returns how much was known. */
static size_t ask(pair *p, uint64_t scope, size_t system, size_t system_length, size_t question, size_t length)
{
    static line l;
    line_open(&l, p->tested.engine, scope);
    words(l.ids, system_length, system);
    words(l.ids + system_length, length, question);
    l.count = system_length + length;
    size_t cached = prompt(p->tested.engine, p->reference, &l);
    mote_session_close(l.session);
    check_books(p->tested.engine);
    return cached;
}

/* Where every layer sees everything, a beginning is known from the second request on; where windows slide, from the third,
 * or, while nobody needs the room, from the second as well. */
static void a_system_prompt_is_computed_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bool tight = i >= 2;
        pair p = pair_open(BOTH[i % 2], MOTE_KV_F16, 1, tight ? 0 : 1 << 20);
        assert_int_equal(ask(&p, 0, 0, 350, 10, 300), 0);
        size_t second = ask(&p, 0, 0, 350, 11, 300);
        if (!tight || i % 2 == 0)
            assert_int_equal(second, 350);
        else
            assert_true(second <= 350);
        if (!tight)
            for (size_t question = 12; question < 15; question++)
                assert_int_equal(ask(&p, 0, 0, 350, question, 300), 350);
        pair_close(&p);
    }
}

static void the_place_where_prompts_parted_is_kept(void **state)
{
    (void)state;
    pair p = pair_open(&SLIDING, MOTE_KV_F16, 1, 0);
    assert_int_equal(ask(&p, 0, 0, 350, 10, 100), 0);
    assert_int_equal(kept_sequences(p.tested.engine), 1); /* its end is the prompt's */
    assert_int_equal(ask(&p, 0, 0, 350, 11, 100), 350);
    assert_int_equal(kept_sequences(p.tested.engine), 3); /* both ends, and the place between them */
    assert_int_equal(ask(&p, 0, 0, 350, 11, 100), 449);
    pair_close(&p);
}

/* What a session turns away from is found again, by itself and by others. */
static void what_was_left_is_found_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pair p = pair_open(BOTH[i], MOTE_KV_F32, 2, 1 << 20);
        static line a, b;
        line_open(&a, p.tested.engine, 0);
        line_open(&b, p.tested.engine, 0);
        words(a.ids, 400, 0);
        a.count = 400;
        assert_int_equal(prompt(p.tested.engine, p.reference, &a), 0);
        words(b.ids, 400, 0); /* while the other session holds it */
        b.count = 400;
        assert_int_equal(prompt(p.tested.engine, p.reference, &b), 399);
        words(a.ids, 300, 1);
        a.count = 300;
        assert_int_equal(prompt(p.tested.engine, p.reference, &a), 0);
        words(a.ids, 400, 0);
        a.count = 400;
        assert_int_equal(prompt(p.tested.engine, p.reference, &a), 399);
        words(b.ids, 300, 1);
        b.count = 300;
        assert_int_equal(prompt(p.tested.engine, p.reference, &b), 299);
        mote_session_close(a.session);
        mote_session_close(b.session);
        check_nothing_leaks(p.tested.engine);
        pair_close(&p);
    }
}

static void scopes_share_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pair p = pair_open(BOTH[i], MOTE_KV_F16, 2, 1 << 20);
        assert_int_equal(ask(&p, 1, 0, 300, 10, 20), 0);
        assert_int_equal(ask(&p, 2, 0, 300, 10, 20), 0);
        assert_int_equal(ask(&p, 0, 0, 300, 10, 20), 0);
        assert_int_equal(ask(&p, 1, 0, 300, 10, 20), 319);
        assert_int_equal(ask(&p, 2, 0, 300, 11, 20), 300);
        /* A session that changes its scope leaves what it held behind, and a new one begins in scope 0. */
        static line l;
        line_open(&l, p.tested.engine, 1);
        words(l.ids, 100, 5);
        l.count = 100;
        prompt(p.tested.engine, p.reference, &l);
        mote_session_set_scope(l.session, 3);
        assert_int_equal(mote_session_length(l.session), 0);
        assert_int_equal(prompt(p.tested.engine, p.reference, &l), 0);
        mote_session_close(l.session);
        l.session = session_open(p.tested.engine);
        assert_int_equal(prompt(p.tested.engine, p.reference, &l), 0);
        mote_session_close(l.session);
        pair_close(&p);
    }
}

/* When pages run out, what was used longest ago is forgotten first. A session that goes on from what is kept takes a page for
 * its copy. */
static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    pair p = pair_open(&LLAMA, MOTE_KV_F16, 2, 0);
    assert_int_equal(p.tested.engine->kv.pool[0].pages, 6);
    for (size_t which = 0; which < 5; which++)
        assert_int_equal(ask(&p, 0, which, 100, 30 + which, 100), 0);
    assert_int_equal(ask(&p, 0, 0, 100, 30, 100), 199); /* used again */
    assert_int_equal(ask(&p, 0, 7, 100, 37, 100), 0);   /* in the last free page */
    assert_int_equal(ask(&p, 0, 0, 100, 30, 100), 199); /* in place of 1 */
    assert_int_equal(ask(&p, 0, 2, 100, 32, 100), 199);
    assert_int_equal(ask(&p, 0, 1, 100, 31, 100), 0);
    assert_int_equal(ask(&p, 0, 4, 100, 34, 100), 199); /* in place of 3 */
    assert_int_equal(ask(&p, 0, 3, 100, 33, 100), 0);
    check_nothing_leaks(p.tested.engine);
    pair_close(&p);
}

static void forgetful_engines_keep_nothing(void **state)
{
    (void)state;
    machine m = machine_open(&LLAMA, (mote_engine_options){.context = CONTEXT, .sessions = 2, .forgetful = true});
    mote_token ids[300];
    words(ids, 300, 0);
    mote_session *a = session_open(m.engine), *b = session_open(m.engine);
    float logits[VOCABULARY];
    step_well(m.engine, a, ids, 300, logits);
    assert_int_equal(mote_session_hold(b, ids, 300), 0);
    assert_int_equal(mote_session_hold(a, ids, 300), 299);
    mote_session_clear(a);
    assert_int_equal(mote_session_hold(a, ids, 300), 0);
    mote_session_close(a);
    mote_session_close(b);
    check_nothing_leaks(m.engine);
    mote_error error;
    mote_engine *both;
    mote_engine_options options = {.context = CONTEXT, .forgetful = true, .cache_directory = "/nonexistent/cache"};
    assert_int_equal(mote_engine_open(&both, m.model, &options, &error), MOTE_E_ARGUMENT);
    assert_says(error, "choose one of them");
    machine_close(&m);
}

/* ---- threads ---- */

typedef struct asker {
    mote_engine *engine;
    size_t number;
    float logits[VOCABULARY];
} asker;

/* The same prompts in another order in each thread; the last is the same in all. */
static void *ask_often(void *user)
{
    asker *a = user;
    for (size_t round = 0; round < 8; round++) {
        mote_session *session = NULL, *twin = NULL;
        mote_token ids[330];
        size_t question = round == 7 ? 0 : (round * 3 + a->number) % 5;
        words(ids, 300, 0);
        words(ids + 300, 30, 10 + question);
        if (mote_session_open(&session, a->engine, NULL) != MOTE_OK)
            return "no session";
        size_t known = mote_session_hold(session, ids, 330);
        mote_work work = {session, ids + known, 330 - known, a->logits, 1};
        mote_status status = mote_engine_step(a->engine, &work, 1, NULL);
        if (status == MOTE_OK && mote_session_fork(&twin, session, NULL) == MOTE_OK)
            status = mote_engine_step(a->engine, &(mote_work){twin, ids, 20, NULL, 0}, 1, NULL);
        mote_session_rewind(session, 310);
        mote_session_close(twin);
        mote_session_close(session);
        if (status != MOTE_OK)
            return "a step failed";
    }
    return NULL;
}

static void threads_share_an_engine(void **state)
{
    (void)state;
    enum { ASKERS = 3 };
    for (size_t i = 0; i < 2; i++) {
        pair p = pair_open(BOTH[i], MOTE_KV_F16, 2 * ASKERS, 100000);
        pthread_t threads[ASKERS];
        static asker askers[ASKERS];
        for (size_t k = 0; k < ASKERS; k++) {
            askers[k] = (asker){.engine = p.tested.engine, .number = k};
            assert_int_equal(pthread_create(&threads[k], NULL, ask_often, &askers[k]), 0);
        }
        mote_token ids[330];
        float expected[VOCABULARY];
        words(ids, 300, 0);
        words(ids + 300, 30, 10);
        expected_logits(p.reference, ids, 330, expected);
        for (size_t k = 0; k < ASKERS; k++) {
            void *problem;
            pthread_join(threads[k], &problem);
            if (problem != NULL)
                fail_msg("%s", (const char *)problem);
            assert_memory_equal(expected, askers[k].logits, sizeof expected);
        }
        check_nothing_leaks(p.tested.engine);
        pair_close(&p);
    }
}

/* ---- memory ---- */

static void the_reserve_is_as_asked_for(void **state)
{
    (void)state;
    static const uint64_t BYTES[] = {0, 1, 1 << 16, 3 << 20, 100 << 20};
    for (size_t i = 0; i < 2; i++) {
        uint64_t without = 0, before = 0;
        for (size_t k = 0; k < 5; k++) {
            mote_engine_options options = {.context = CONTEXT, .prefix_cache_bytes = BYTES[k], .threads = 1};
            machine m = machine_open(BOTH[i], options);
            mote_engine_info info;
            mote_engine_describe(m.engine, &info);
            assert_true(info.prefix_cache_bytes <= BYTES[k] && info.prefix_cache_bytes >= before);
            if (BYTES[k] >= 1 << 20)
                assert_true(info.prefix_cache_bytes > BYTES[k] - BYTES[k] / 3);
            without = k == 0 ? info.kv_bytes : without;
            uint64_t books = info.prefix_cache_bytes / 16 + 16384;
            assert_in_range(info.kv_bytes, without + info.prefix_cache_bytes,
                            without + info.prefix_cache_bytes + books);
            before = info.prefix_cache_bytes;
            machine_close(&m);
        }
    }
    mote_engine *engine;
    mote_error error = {0};
    void *data;
    mote_model *opened = tiny_model_open(&LLAMA, &data);
    mote_engine_options options = {.prefix_cache_bytes = UINT64_MAX};
    assert_int_equal(mote_engine_open(&engine, opened, &options, &error), MOTE_E_MEMORY);
    assert_null(engine);
    mote_model_close(opened);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anything_in_any_order),
        cmocka_unit_test(every_session_can_be_filled),
        cmocka_unit_test(forks_share_until_they_differ),
        cmocka_unit_test(a_system_prompt_is_computed_once),
        cmocka_unit_test(the_place_where_prompts_parted_is_kept),
        cmocka_unit_test(what_was_left_is_found_again),
        cmocka_unit_test(scopes_share_nothing),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(forgetful_engines_keep_nothing),
        cmocka_unit_test(threads_share_an_engine),
        cmocka_unit_test(the_reserve_is_as_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
