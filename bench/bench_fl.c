/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a federated training that compute nothing, for bench/fl_round.sh: what is left is the round itself.
 *   bench_fl model LEN FILE                             a first model of LEN parameters
 *   bench_fl client ADDR NAME LEN POLICY SIM_DIR        a member; prints its peak memory
 */
#define _DEFAULT_SOURCE
#include <cczoo/fl.h>
#include <cczoo/party.h>
#include <cczoo/rpc_chan.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct nothing {
    struct ccz_fl_layout *layout;
    const float *params; /* set last */
};

static const struct ccz_fl_layout *no_layout(void *self)
{
    return ((struct nothing *)self)->layout;
}

static ccz_rc no_get(void *self, float *params, struct ccz_err *err)
{
    const struct nothing *n = self;
    (void)err;
    memcpy(params, n->params, (size_t)n->layout->len * sizeof(float));
    return CCZ_OK;
}

static ccz_rc no_set(void *self, const float *params, struct ccz_err *err)
{
    (void)err;
    ((struct nothing *)self)->params = params;
    return CCZ_OK;
}

static ccz_rc no_train(struct ccz_fl_metrics *out, void *self, const struct ccz_fl_train_cfg *cfg,
                       struct ccz_err *err)
{
    (void)self;
    (void)cfg;
    (void)err;
    *out = (struct ccz_fl_metrics){.samples = 1, .steps = 1};
    return CCZ_OK;
}

static ccz_rc no_evaluate(struct ccz_fl_metrics *out, void *self, struct ccz_err *err)
{
    (void)self;
    (void)err;
    *out = (struct ccz_fl_metrics){0};
    return CCZ_OK;
}

static const struct ccz_fl_trainer_ops no_ops = {
    .layout = no_layout, .get = no_get, .set = no_set, .train = no_train, .evaluate = no_evaluate};

static ccz_rc make_layout(struct ccz_fl_layout **out, const char *len, struct ccz_err *err)
{
    const struct ccz_fl_tensor t = {.name = "w", .rank = 1, .dims = {strtoull(len, NULL, 10)}};
    return ccz_fl_layout_new(out, &t, 1, err);
}

static ccz_rc model(const char *len, const char *path, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fl_layout) l = NULL;
    ccz_rc rc = make_layout(&l, len, err);
    if (rc != CCZ_OK)
        return rc;
    float *x = malloc((size_t)l->len * sizeof(*x));
    if (!x)
        return ccz_fail(err, CCZ_E_NOMEM, "bench:memory", 0, "out of memory");
    for (uint64_t i = 0; i < l->len; i++)
        x[i] = (float)(i % 1000) / 1000;
    rc = ccz_fl_model_save(path, l, 0, x, NULL, err);
    free(x);
    return rc;
}

static ccz_rc visit(struct ccz_fl_client *c, const struct ccz_fl_trainer *t,
                    struct ccz_party *party, const char *address, const char *name,
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_rpc_client) rpc = NULL;
    CCZ_AUTO(ccz_chan) chan = NULL;
    const struct ccz_rpc_client_cfg cfg = {.target = address, .ratls = ccz_party_ratls(party)};
    const struct ccz_rpc_chan_cfg open = {
        .channel = "fl",
        .party = name,
        .limits = {.message_size_max = CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX,
                   .queue_size_max = (size_t)512 << 10,
                   .send_size_max = (size_t)256 << 10}};
    ccz_rc rc = ccz_rpc_client_new(&rpc, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, rpc, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_connect(&chan, rpc, &open, err);
    return rc == CCZ_OK ? ccz_fl_client_run(c, chan, t, 0, err) : rc;
}

static ccz_rc client(char **arg, struct ccz_err *err)
{
    struct nothing n = {0};
    struct ccz_fl_client *c = NULL;
    struct ccz_party *party = NULL;
    struct rusage use;
    char trust[4096];
    (void)snprintf(trust, sizeof(trust), "%s/trust", arg[4]);
    const struct ccz_party_cfg cfg = {.tee = {.provider = "sim-sgx", .sim_dir = arg[4]},
                                      .trust_sim_dir = trust,
                                      .policy_file = arg[3]};
    ccz_rc rc = make_layout(&n.layout, arg[2], err);
    if (rc == CCZ_OK)
        rc = ccz_party_new(&party, &cfg, err);
    const struct ccz_fl_client_cfg client_cfg = {.name = arg[1], .layout = n.layout};
    const struct ccz_fl_trainer t = {&no_ops, &n};
    if (rc == CCZ_OK)
        rc = ccz_fl_client_new(&c, &client_cfg, err);
    if (rc == CCZ_OK)
        rc = visit(c, &t, party, arg[0], arg[1], err);
    if (rc == CCZ_OK && getrusage(RUSAGE_SELF, &use) == 0)
        printf("%s\t%ld\n", arg[1], use.ru_maxrss);
    ccz_fl_client_free(c);
    ccz_party_free(party);
    ccz_fl_layout_free(n.layout);
    return rc;
}

int main(int argc, char **argv)
{
    struct ccz_err err = {0};
    ccz_rc rc = CCZ_E_ARG;
    (void)mallopt(M_TRIM_THRESHOLD, 16 << 20); /* as the daemons: fld_tune_memory() */
    (void)mallopt(M_MMAP_THRESHOLD, 16 << 20);
    (void)mallopt(M_TOP_PAD, 256 << 10);
    if (argc == 4 && strcmp(argv[1], "model") == 0)
        rc = model(argv[2], argv[3], &err);
    else if (argc == 7 && strcmp(argv[1], "client") == 0)
        rc = client(argv + 2, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg[0] ? err.msg : "usage: see the source");
    return rc == CCZ_OK ? 0 : 1;
}
