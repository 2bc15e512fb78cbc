/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attackers for break.sh: members that the server lets in, and that do not do what they should. They need neither data nor
 * TensorFlow, only the layout of the model.
 *   poison  trains nothing: its update is --size in the first half of the model and -size in the second
 *   replay  is such a member, too, and sends its offer of the first round again in the second
 */
#include "../options.h"

#include <cczoo/codec.h>
#include <cczoo/fl.h>
#include <cczoo/party.h>
#include <cczoo/rpc_chan.h>

#include <stdlib.h>

enum { OFFER = 5, VERDICT = 7, WHERE = 4, GOT, EXPECTED }; /* fields in proto/fl.proto */

/* ---- a trainer that only pretends */

struct liar {
    struct ccz_fl_layout *layout;
    float *params;
    float size;
};

static const struct ccz_fl_layout *layout(void *self)
{
    return ((struct liar *)self)->layout;
}

static ccz_rc get(void *self, float *params, struct ccz_err *err)
{
    const struct liar *l = self;
    (void)err;
    memcpy(params, l->params, (size_t)l->layout->len * sizeof(*params));
    return CCZ_OK;
}

static ccz_rc set(void *self, const float *params, struct ccz_err *err)
{
    struct liar *l = self;
    (void)err;
    memcpy(l->params, params, (size_t)l->layout->len * sizeof(*params));
    return CCZ_OK;
}

static ccz_rc train(struct ccz_fl_metrics *out, void *self, const struct ccz_fl_train_cfg *cfg,
                    struct ccz_err *err)
{
    struct liar *l = self;
    (void)cfg, (void)err;
    for (uint64_t i = 0; i < l->layout->len; i++)
        l->params[i] += i < l->layout->len / 2 ? l->size : -l->size;
    *out = (struct ccz_fl_metrics){.samples = 1000, .loss = 0.1, .accuracy = 0.99, .steps = 32};
    return CCZ_OK;
}

static ccz_rc evaluate(struct ccz_fl_metrics *out, void *self, struct ccz_err *err)
{
    (void)self, (void)err;
    *out = (struct ccz_fl_metrics){0};
    return CCZ_OK;
}

static const struct ccz_fl_trainer_ops LIES = {layout, get, set, train, evaluate, NULL};

/* ---- a channel that remembers the first offer */

struct tap {
    struct ccz_chan *inner;
    struct ccz_buf first;
    bool replay, replayed;
    struct ccz_err *refusal;
};

/* The one field that a message has. */
static struct ccz_span field(uint32_t number, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == number)
            return f.bytes;
    return CCZ_SPAN(NULL, 0);
}

static ccz_rc tap_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                       struct ccz_err *err)
{
    struct tap *t = self;
    CCZ_AUTO_BUF msg;
    (void)timeout_ms;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < len; i++)
        ccz_buf_put_span(&msg, parts[i]);
    if (t->replay && field(OFFER, ccz_buf_span(&msg)).size > 0) {
        t->replayed = t->first.size > 0;
        if (t->replayed)
            return ccz_chan_send(t->inner, ccz_buf_span(&t->first), err);
        ccz_buf_put_span(&t->first, ccz_buf_span(&msg));
    }
    return ccz_chan_send(t->inner, ccz_buf_span(&msg), err);
}

static ccz_rc tap_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    struct tap *t = self;
    ccz_rc rc = ccz_chan_recv_within(msg, t->inner, timeout_ms, err);
    struct ccz_span v = rc == CCZ_OK ? field(VERDICT, ccz_buf_span(msg)) : CCZ_SPAN(NULL, 0);
    if (!t->replayed || v.size == 0)
        return rc;
    /* A client does not listen to verdicts about rounds of the past. */
    t->refusal->rc = CCZ_E_EXPIRED;
    ccz_escape(t->refusal->where, sizeof(t->refusal->where), field(WHERE, v));
    ccz_escape(t->refusal->got, sizeof(t->refusal->got), field(GOT, v));
    ccz_escape(t->refusal->expected, sizeof(t->refusal->expected), field(EXPECTED, v));
    return ccz_fail(err, CCZ_E_CLOSED, "attack:answer", 0, "that is all");
}

static void tap_close(void *self, const char *reason)
{
    ccz_chan_close(((struct tap *)self)->inner, reason);
}

static void tap_free(void *self)
{
    struct tap *t = self;
    ccz_chan_free(t->inner);
    ccz_buf_free(&t->first);
}

static const struct ccz_chan_ops TAP = {
    .send = tap_send, .recv = tap_recv, .close = tap_close, .free = tap_free};

/* ---- a member like any other, but for these two */

static const char *o_attack, *o_server, *o_name, *o_model, *o_size, *o_sim, *o_trust, *o_policy;

static void on_round(void *arg, const struct ccz_fl_client_record *r)
{
    if (r->accepted)
        (void)printf("round %llu accepted\n", (unsigned long long)r->round);
    else
        *(struct ccz_err *)arg = r->refusal;
}

static ccz_rc take_part(struct liar *l, struct ccz_err *refusal, struct ccz_err *err)
{
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) rpc = NULL;
    CCZ_AUTO(ccz_fl_client) client = NULL;
    CCZ_AUTO(ccz_chan) chan = NULL;
    struct tap tap = {.replay = strcmp(o_attack, "replay") == 0, .refusal = refusal};
    const struct ccz_party_cfg who = {.tee = {.provider = "sim-sgx", .sim_dir = o_sim},
                                      .trust_sim_dir = o_trust,
                                      .policy_file = o_policy};
    const struct ccz_fl_client_cfg cfg = {
        .name = o_name, .layout = l->layout, .on_round = on_round, .arg = refusal};
    const struct ccz_rpc_chan_cfg open = {
        .channel = "fl",
        .party = o_name,
        .limits = {.message_size_max = CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX}};
    ccz_buf_init(&tap.first, CCZ_FL_MESSAGE_SIZE_MAX);
    ccz_rc rc = ccz_party_new(&party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg c = {.target = o_server, .ratls = ccz_party_ratls(party)};
    rc = ccz_rpc_client_new(&rpc, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_connect(&tap.inner, rpc, &open, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_new(&chan, &TAP, &tap, "tap", err);
    if (rc == CCZ_OK)
        rc = ccz_fl_client_new(&client, &cfg, err);
    const struct ccz_fl_trainer t = {.ops = &LIES, .self = l};
    return rc == CCZ_OK ? ccz_fl_client_run(client, chan, &t, 0, err) : rc;
}

int main(int argc, char **argv)
{
    const struct option opts[] = {{"--attack", &o_attack},   {"--server", &o_server},
                                  {"--name", &o_name},       {"--model", &o_model},
                                  {"--size", &o_size},       {"--sim-dir", &o_sim},
                                  {"--trust-sim", &o_trust}, {"--policy", &o_policy}};
    struct ccz_err err = {0}, refusal = {0};
    uint64_t round;
    struct liar l = {0};
    if (!options(opts, sizeof(opts) / sizeof(*opts), argc, argv) || !o_attack || !o_server ||
        !o_name || !o_model || !o_sim || !o_trust || !o_policy)
        return usage(
            "cczoo-fl-attack --attack poison|replay --server ADDR --name NAME --model FILE "
            "--sim-dir DIR --trust-sim DIR --policy FILE [--size X]");
    l.size = o_size ? strtof(o_size, NULL) : 0.001F;
    ccz_rc rc = ccz_fl_model_load(&l.layout, &l.params, &round, o_model, NULL, &err);
    if (rc == CCZ_OK)
        rc = take_part(&l, &refusal, &err);
    ccz_fl_layout_free(l.layout);
    free(l.params);
    if (refusal.rc != CCZ_OK) /* what the server said comes before how it ended */
        return verdict(refusal.rc, &refusal);
    return verdict(rc, &err);
}
