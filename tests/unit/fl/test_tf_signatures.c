/* SPDX-License-Identifier: Apache-2.0 */
/* What the trainer asks of a model, without TensorFlow. */
#define _DEFAULT_SOURCE
#include "engine/model_build.h"
#include "fl/tf_model.h"
#include "fl/trainer_tf.h"

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

enum { TENSORS = 6 };
struct kit { /* good signatures, to be spoiled */
    struct ccz_tensor_info in[6][TENSORS], out[6][TENSORS];
    struct ccz_signature sig[6];
    struct cczi_fl_tf_signatures all;
};
enum { TRAIN, EVAL, BEGIN, CORRECT, GET, SET };

static const int64_t kit_dims[][2] = {{-1, 6}, {3, 2}, {2, 0}, {4, 2}, {0, 2}, {-1, 2}};

static void put(struct kit *k, int sig, bool out, const char *name, enum ccz_dtype type, int rank,
                const int64_t *dims)
{
    struct ccz_signature *s = &k->sig[sig];
    size_t *len = out ? &s->out_len : &s->in_len;
    struct ccz_tensor_info *t = out ? k->out[sig] : k->in[sig];
    t[(*len)++] = (struct ccz_tensor_info){.name = name, .dtype = type, .rank = rank, .dims = dims};
    s->in = k->in[sig];
    s->out = k->out[sig];
}

static void good(struct kit *k)
{
    *k = (struct kit){0};
    for (int sig = TRAIN; sig <= EVAL; sig++) {
        put(k, sig, false, "x", CCZ_DT_FLOAT, 2, kit_dims[0]);
        put(k, sig, false, "y", CCZ_DT_INT32, 1, kit_dims[0]);
        put(k, sig, true, "correct", CCZ_DT_INT32, 0, NULL);
        put(k, sig, true, "loss", CCZ_DT_FLOAT, 0, NULL);
    }
    put(k, TRAIN, false, "lr", CCZ_DT_FLOAT, 0, NULL);
    put(k, TRAIN, false, "momentum", CCZ_DT_FLOAT, 0, NULL);
    put(k, TRAIN, false, "prox_mu", CCZ_DT_FLOAT, 0, NULL);
    put(k, BEGIN, false, "seed", CCZ_DT_INT64, 0, NULL);
    for (int sig = BEGIN; sig <= SET; sig++)
        if (sig != GET)
            put(k, sig, true, "ok", CCZ_DT_INT32, 0, NULL);
    put(k, GET, true, "w0", CCZ_DT_FLOAT, 2, kit_dims[1]);
    put(k, GET, true, "w1", CCZ_DT_FLOAT, 1, kit_dims[2]);
    put(k, SET, false, "w0", CCZ_DT_FLOAT, 2, kit_dims[1]);
    put(k, SET, false, "w1", CCZ_DT_FLOAT, 1, kit_dims[2]);
    put(k, CORRECT, false, "w1", CCZ_DT_FLOAT, 1, kit_dims[2]);
    k->all = (struct cczi_fl_tf_signatures){&k->sig[TRAIN],   &k->sig[EVAL], &k->sig[BEGIN],
                                            &k->sig[CORRECT], &k->sig[GET],  &k->sig[SET]};
}

/* One fault in input or output @p i of a signature. */
static void spoiled(int sig, bool out, size_t i, struct ccz_tensor_info with, const char *says)
{
    struct kit k;
    struct ccz_err err = {0};
    good(&k);
    CHECK(cczi_fl_tf_check(&k.all, &err) == CCZ_OK);
    (out ? k.out : k.in)[sig][i] = with;
    CHECK(cczi_fl_tf_check(&k.all, &err) == CCZ_E_FORMAT && WHERE(err, "fl:tf-signature"));
    if (!strstr(err.msg, says))
        fprintf(stderr, "%s, not %s\n", err.msg, says);
    CHECK(strstr(err.msg, says) && err.hint[0]);
}

#define INFO(n, type, r, d)                                                                        \
    ((struct ccz_tensor_info){.name = (n), .dtype = CCZ_DT_##type, .rank = (r), .dims = (d)})

static void test_signatures(void)
{
    struct ccz_tensor_info any = INFO("w0", FLOAT, 2, kit_dims[1]);
    spoiled(TRAIN, false, 1, INFO("y", INT64, 1, kit_dims[0]), "train has other");
    spoiled(TRAIN, false, 1, INFO("z", INT32, 1, kit_dims[0]), "train has other");
    spoiled(TRAIN, false, 2, INFO("lr", FLOAT, 1, kit_dims[0]), "train has other");
    spoiled(TRAIN, true, 1, INFO("loss", DOUBLE, 0, NULL), "train has other");
    spoiled(EVAL, false, 0, INFO("x", DOUBLE, 2, kit_dims[0]), "eval has other");
    spoiled(EVAL, true, 0, INFO("right", INT32, 0, NULL), "eval has other");
    spoiled(BEGIN, false, 0, INFO("seed", INT32, 0, NULL), "begin has other");
    spoiled(GET, true, 0, INFO("w0", HALF, 2, kit_dims[1]), "get_weights has");
    spoiled(GET, true, 0, INFO("w0", FLOAT, 2, kit_dims[5]), "get_weights has");
    spoiled(GET, true, 0, INFO("w0", FLOAT, 2, kit_dims[4]), "get_weights has");
    spoiled(GET, true, 0, INFO("w0", FLOAT, 9, kit_dims[1]), "get_weights has");
    spoiled(SET, false, 0, INFO("w0", FLOAT, 2, kit_dims[3]), "set_weights does not");
    spoiled(SET, false, 1, INFO("w2", FLOAT, 1, kit_dims[2]), "set_weights does not");
    spoiled(SET, false, 1, INFO("w1", DOUBLE, 1, kit_dims[2]), "set_weights does not");
    spoiled(CORRECT, false, 0, INFO("w2", FLOAT, 1, kit_dims[2]), "set_correction takes");
    spoiled(CORRECT, false, 0, INFO("w1", FLOAT, 1, kit_dims[3]), "set_correction takes");
    any.unknown_rank = true;
    spoiled(GET, true, 0, any, "get_weights has");
    spoiled(SET, false, 0, any, "set_weights does not");
    struct kit k;
    for (int fault = 0; fault < 4; fault++) { /* one more than there is to be, or none */
        good(&k);
        if (fault == 0)
            put(&k, TRAIN, false, "more", CCZ_DT_FLOAT, 0, NULL);
        else if (fault == 1)
            put(&k, GET, false, "w0", CCZ_DT_FLOAT, 2, kit_dims[1]);
        else if (fault == 2)
            k.sig[SET].in_len--;
        else
            k.sig[GET].out_len = 0;
        CHECK(cczi_fl_tf_check(&k.all, NULL) == CCZ_E_FORMAT);
    }
}

/* A model for something else. */
static void test_other_model(void)
{
    static const int64_t one[] = {1};
    CCZ_AUTO(ccz_engine) e = NULL;
    CCZ_AUTO(ccz_model) m = NULL;
    struct ccz_err err = {0};
    struct ccz_fl_trainer t;
    struct model_build b;
    tf_check(ccz_engine_open(&e, &(struct ccz_engine_cfg){.backend = "echo"}, &err), &err);
    mb_begin(&b);
    mb_signature(&b, "serving_default");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 1, one);
    mb_signature_end(&b, "");
    const struct ccz_model_cfg cfg = mb_end(&b);
    tf_check(ccz_model_load(&m, e, &cfg, &err), &err);
    ccz_buf_free(&b.pb);
    CHECK(ccz_fl_tf_trainer(&t, &(struct ccz_fl_tf_cfg){.model = m}, &err) == CCZ_E_FORMAT);
    CHECK(WHERE(err, "fl:tf-signature") && strstr(err.msg, "train is missing") && !t.ops);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"fl.tf_signatures", test_signatures},
                                            {"fl.tf_other_model", test_other_model}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
