/* SPDX-License-Identifier: Apache-2.0 */
/* Split networks in TensorFlow; skipped (77) where the library or the exported networks are missing. */
#define _GNU_SOURCE
#include "engine/model_dir.h"
#include "temp_dir.h"
#include "vfl/kit.h"

enum { ROWS = 256, PARTIES = 2 };
static const size_t COLS[PARTIES] = {3, 4};

static void skip(const char *what, const char *how)
{
    fprintf(stderr, "skipped: %s is missing (%s)\n", what, how);
    exit(77);
}

static void check(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s (%s / %s)\n", err->where, err->msg, err->got, err->expected);
    CHECK(rc == CCZ_OK);
}

static struct ccz_model *load(struct ccz_engine *e, const char *name)
{
    char pattern[128], dir[MODEL_DIR_PATH_SIZE];
    struct model_dir files;
    struct ccz_model *m = NULL;
    struct ccz_err err = {0};
    (void)snprintf(pattern, sizeof(pattern), "models/split-*/%s", name);
    if (!cache_find(dir, pattern))
        skip("the exported network", "scripts/export-split");
    CHECK(model_dir_open(&files, dir));
    const struct ccz_model_cfg cfg = model_dir_cfg(&files);
    check(ccz_model_load(&m, e, &cfg, &err), &err);
    model_dir_close(&files);
    return m;
}

static struct ccz_engine *engine(void)
{
    char lib[MODEL_DIR_PATH_SIZE], dir[MODEL_DIR_PATH_SIZE];
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    if (!tf_library(lib))
        skip("TensorFlow", "scripts/fetch-tensorflow");
    if (!cache_find(dir, "models/split-*/tiny")) /* loading TensorFlow takes seconds */
        skip("the exported network", "scripts/export-split");
    setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);
    const struct ccz_engine_cfg cfg = {
        .backend = "tensorflow", .library = lib, .intra_threads = 1, .inter_threads = -1};
    check(ccz_engine_open(&e, &cfg, &err), &err);
    return e;
}

/* One training of a network that has three and four columns. */
struct scene {
    struct ccz_vfl_cfg cfg;
    struct ccz_model *model[3]; /* leader's bottom, follower's bottom, top */
    struct ccz_vfl_bottom *bottom[PARTIES];
    struct ccz_vfl_top *top;
    float *x[PARTIES];
    struct ccz_tensor in[PARTIES];
    struct ccz_vfl_table table[PARTIES];
    uint32_t label[ROWS];
    struct ccz_vfl_labels labels;
    struct ccz_secret *seal;
    const char *state[PARTIES];
    struct ccz_chan *chan[2];
    struct ccz_chan_fault_cfg fault;
    ccz_rc rc[2];
    struct ccz_err err[2];
    struct ccz_vfl_result out[2];
};

static void load_models(struct scene *s, struct ccz_engine *e)
{
    static const char *const names[] = {"tiny/leader/bottom", "tiny/follower-1/bottom",
                                        "tiny/leader/top"};
    struct ccz_err err = {0};
    for (size_t i = 0; i < 3; i++)
        s->model[i] = load(e, names[i]);
    for (size_t i = 0; i < PARTIES; i++)
        check(ccz_vfl_bottom_tf(&s->bottom[i], s->model[i], &err), &err);
    check(ccz_vfl_top_tf(&s->top, s->model[2], &err), &err);
    CHECK(s->top->parties == 2 && s->top->outputs == 1 && s->top->width[1] == s->bottom[1]->width);
}

static void unload(struct scene *s)
{
    for (size_t i = 0; i < PARTIES; i++)
        ccz_vfl_bottom_free(s->bottom[i]);
    ccz_vfl_top_free(s->top);
    for (size_t i = 0; i < 3; i++)
        ccz_model_free(s->model[i]);
}

static void scene_init(struct scene *s, struct ccz_engine *e)
{
    uint64_t seed = 1;
    uint8_t seal[32] = {7};
    *s = (struct scene){.cfg = {.epochs = 2,
                                .batch = 30,
                                .checkpoint_steps = 4,
                                .staleness = 1,
                                .alignment = {1},
                                .test_alignment = {1}}};
    for (size_t p = 0; p < PARTIES; p++) {
        s->x[p] = calloc(ROWS * COLS[p], sizeof(float));
        CHECK(s->x[p]);
        s->in[p] = (struct ccz_tensor){.name = "x",
                                       .dtype = CCZ_DT_FLOAT,
                                       .rank = 2,
                                       .dims = {ROWS, (int64_t)COLS[p]},
                                       .len = ROWS * COLS[p],
                                       .data = CCZ_SPAN(s->x[p], ROWS * COLS[p] * sizeof(float))};
        s->table[p] = (struct ccz_vfl_table){.rows = ROWS, .in = &s->in[p], .in_len = 1};
    }
    for (size_t i = 0; i < ROWS; i++) {
        double sum = 0;
        for (size_t p = 0; p < PARTIES; p++)
            for (size_t j = 0; j < COLS[p]; j++)
                sum += (double)(s->x[p][i * COLS[p] + j] = (float)(2 * kit_uniform(&seed) - 1));
        s->label[i] = sum > 0.5;
    }
    s->labels = (struct ccz_vfl_labels){.rows = ROWS, .classes = 2, .label = s->label};
    CHECK(ccz_secret_from(&s->seal, seal, 32) == CCZ_OK);
    load_models(s, e);
}

static void scene_free(struct scene *s)
{
    unload(s);
    for (size_t p = 0; p < PARTIES; p++)
        free(s->x[p]);
    ccz_secret_free(s->seal);
}

static struct ccz_vfl_run run_of(struct scene *s, size_t p)
{
    return (struct ccz_vfl_run){.cfg = &s->cfg,
                                .train = &s->table[p],
                                .test = &s->table[p],
                                .timeout_ms = 60000,
                                .checkpoint = s->state[p],
                                .seal = s->seal};
}

static void *follower_main(void *arg)
{
    struct scene *s = arg;
    const struct ccz_vfl_run run = run_of(s, 1);
    s->rc[1] = ccz_vfl_follow(&s->out[1], s->chan[1], s->bottom[1], &run, &s->err[1]);
    ccz_chan_free(s->chan[1]);
    return NULL;
}

static void play(struct scene *s)
{
    pthread_t thread;
    const struct ccz_vfl_run run = run_of(s, 0);
    const struct ccz_vfl_lead lead = {.top = s->top,
                                      .bottom = s->bottom[0],
                                      .labels = &s->labels,
                                      .test_labels = &s->labels,
                                      .noise_seed = s->seal};
    CHECK(ccz_chan_pair(&s->chan[0], &s->chan[1], NULL, NULL) == CCZ_OK);
    CHECK(ccz_chan_fault_new(&s->chan[0], s->chan[0], &s->fault, NULL) == CCZ_OK);
    CHECK(pthread_create(&thread, NULL, follower_main, s) == 0);
    s->rc[0] = ccz_vfl_lead(&s->out[0], &s->chan[0], 1, &lead, &run, &s->err[0]);
    ccz_chan_free(s->chan[0]);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void states(struct ccz_buf *out, const struct scene *s)
{
    ccz_buf_init(out, 1 << 20);
    CHECK(s->top->ops->save(out, s->top->self, NULL) == CCZ_OK);
    for (size_t p = 0; p < PARTIES; p++)
        CHECK(s->bottom[p]->ops->save(out, s->bottom[p]->self, NULL) == CCZ_OK);
    CHECK(out->size > 500);
}

/* The same bits each time, also when the channel breaks on the way; the network has dropout, so random state too. */
static void reproducible(void)
{
    struct ccz_engine *e = engine();
    struct scene s;
    struct ccz_buf first, again;
    temp_setup();
    scene_init(&s, e);
    play(&s);
    check(s.rc[0], &s.err[0]);
    check(s.rc[1], &s.err[1]);
    CHECK(s.out[0].steps == 18 && isfinite(s.out[0].last.loss) && s.out[0].last.accuracy > 0.4);
    states(&first, &s);
    char leader[64], follower[64];
    for (uint64_t cut = 0; cut < 20; cut += 8) {
        unload(&s);
        load_models(&s, e);
        (void)snprintf(leader, sizeof(leader), "%s/l%u", temp_base, (unsigned)cut);
        (void)snprintf(follower, sizeof(follower), "%s/f%u", temp_base, (unsigned)cut);
        s.state[0] = leader;
        s.state[1] = follower;
        s.fault.recv_cut_after = cut;
        play(&s);
        if (cut) {
            CHECK(s.rc[0] != CCZ_OK);
            unload(&s);
            load_models(&s, e);
            s.fault.recv_cut_after = 0;
            play(&s);
            CHECK(cut < 8 || s.out[0].resumed > 0);
        }
        check(s.rc[0], &s.err[0]);
        states(&again, &s);
        CHECK(ccz_span_eq(ccz_buf_span(&first), ccz_buf_span(&again)));
        ccz_buf_free(&again);
    }
    ccz_buf_free(&first);
    scene_free(&s);
    ccz_engine_free(e);
}

/* What workers of a party average, compare and keep to themselves: all of a state, and generators of those that have dropout. */
static void parts(void)
{
    struct ccz_engine *e = engine();
    struct ccz_err err = {0};
    struct scene s = {0};
    load_models(&s, e);
    for (int i = 0; i < 3; i++) {
        const struct ccz_vfl_part *part;
        size_t len, size[4] = {0};
        struct ccz_buf state;
        ccz_buf_init(&state, 1 << 20);
        if (i < 2) {
            s.bottom[i]->ops->parts(&part, &len, s.bottom[i]->self);
            check(s.bottom[i]->ops->save(&state, s.bottom[i]->self, &err), &err);
        } else {
            s.top->ops->parts(&part, &len, s.top->self);
            check(s.top->ops->save(&state, s.top->self, &err), &err);
        }
        for (size_t k = 0; k < len; k++)
            size[part[k].kind] += part[k].size;
        CHECK(size[CCZ_VFL_PART_OWN] == (i < 2 ? 16 : 0)); /* int64: seed, counter */
        /* Adam: weights twice more, and powers of two decay rates. */
        size_t in = i < 2 ? COLS[i] * 8 + 8 + 8 * 4 + 4 : 8 + 1;
        CHECK(size[CCZ_VFL_PART_MEAN] == (3 * in + 2) * sizeof(float));
        CHECK(size[0] == 0 && state.size == size[1] + size[2] + size[3]);
        ccz_buf_free(&state);
    }
    unload(&s);
    ccz_engine_free(e);
}

/* A state that was loaded is TensorFlow's own, wherever the bytes lay: what becomes of them does not matter. */
static void state_copied(void)
{
    struct ccz_engine *e = engine();
    struct ccz_err err = {0};
    struct scene s = {0};
    struct ccz_buf first, again;
    load_models(&s, e);
    struct ccz_vfl_bottom *b = s.bottom[0];
    ccz_buf_init(&first, 1 << 20);
    check(b->ops->save(&first, b->self, &err), &err);
    uint8_t *memory = cczi_vfl_alloc(first.size + 64, 1);
    CHECK(memory);
    for (size_t shift = 0; shift < 64; shift += 4) {
        memcpy(memory + shift, first.ptr, first.size);
        check(b->ops->load(b->self, CCZ_SPAN(memory + shift, first.size), &err), &err);
        memset(memory, 0x55, first.size + 64);
        ccz_buf_init(&again, 1 << 20);
        check(b->ops->save(&again, b->self, &err), &err);
        CHECK(ccz_span_eq(ccz_buf_span(&first), ccz_buf_span(&again)));
        ccz_buf_free(&again);
    }
    free(memory);
    ccz_buf_free(&first);
    unload(&s);
    ccz_engine_free(e);
}

/* Handing over what the forward pass has computed gives what computing it again gives. */
static void no_recompute(void)
{
    static const char *const names[] = {"fashion-mnist-conv/follower-1/bottom",
                                        "fashion-mnist-kept/follower-1/bottom"};
    enum { BATCH = 16, SIZE = 28 * 14, WIDE = 32 };
    struct ccz_engine *e = engine();
    struct ccz_buf state[2];
    float act[2][BATCH * WIDE], grad[BATCH * WIDE];
    for (int i = 0; i < 2; i++) {
        struct ccz_model *m = load(e, names[i]);
        struct ccz_vfl_bottom *b;
        struct ccz_err err = {0};
        uint64_t seed = 3;
        uint8_t *image = cczi_vfl_alloc(BATCH, SIZE);
        CHECK(image);
        check(ccz_vfl_bottom_tf(&b, m, &err), &err);
        CHECK(b->width == WIDE);
        for (int step = 0; step < 3; step++) {
            for (size_t k = 0; k < BATCH * SIZE; k++)
                image[k] = (uint8_t)(256 * kit_uniform(&seed));
            for (size_t k = 0; k < BATCH * WIDE; k++)
                grad[k] = (float)(kit_uniform(&seed) - 0.5);
            const struct ccz_tensor in = {.name = "image",
                                          .dtype = CCZ_DT_UINT8,
                                          .rank = 4,
                                          .dims = {BATCH, 28, 14, 1},
                                          .len = BATCH * SIZE,
                                          .data = CCZ_SPAN(image, BATCH * SIZE)};
            check(b->ops->forward(act[i], b->self, 0, &in, 1, &err), &err);
            check(b->ops->backward(b->self, 0, grad, &err), &err);
            CHECK(b->ops->backward(b->self, 0, grad, &err) == CCZ_E_ARG && WHERE(err, "vfl:slot"));
        }
        ccz_buf_init(&state[i], 1 << 24);
        check(b->ops->save(&state[i], b->self, &err), &err);
        ccz_vfl_bottom_free(b);
        ccz_model_free(m);
        free(image);
    }
    CHECK(memcmp(act[0], act[1], sizeof(act[0])) == 0);
    CHECK(ccz_span_eq(ccz_buf_span(&state[0]), ccz_buf_span(&state[1])));
    ccz_buf_free(&state[0]);
    ccz_buf_free(&state[1]);
    ccz_engine_free(e);
}

static void refuses(void)
{
    struct ccz_engine *e = engine();
    struct scene s;
    struct ccz_vfl_bottom *b;
    struct ccz_vfl_top *t;
    struct ccz_err err;
    struct ccz_buf state;
    scene_init(&s, e);
    CHECK(ccz_vfl_bottom_tf(&b, s.model[2], &err) == CCZ_E_MISMATCH && !b &&
          WHERE(err, "vfl:signature"));
    CHECK(ccz_vfl_top_tf(&t, s.model[0], &err) == CCZ_E_MISMATCH && !t &&
          WHERE(err, "vfl:signature"));
    ccz_buf_init(&state, 1 << 20);
    CHECK(s.bottom[0]->ops->save(&state, s.bottom[0]->self, NULL) == CCZ_OK);
    CHECK(s.bottom[1]->ops->load(s.bottom[1]->self, ccz_buf_span(&state), &err) == CCZ_E_FORMAT &&
          WHERE(err, "vfl:state"));
    for (size_t cut = 0; cut < state.size; cut += 13)
        CHECK(s.bottom[0]->ops->load(s.bottom[0]->self, CCZ_SPAN(state.ptr, cut), NULL) ==
              CCZ_E_FORMAT);
    check(s.bottom[0]->ops->load(s.bottom[0]->self, ccz_buf_span(&state), &err), &err);
    ccz_buf_free(&state);
    scene_free(&s);
    ccz_engine_free(e);
}

static const struct ccz_test tests[] = {{"vfl.tf_reproducible", reproducible},
                                        {"vfl.tf_no_recompute", no_recompute},
                                        {"vfl.tf_parts", parts},
                                        {"vfl.tf_state_copied", state_copied},
                                        {"vfl.tf_refuses", refuses}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
