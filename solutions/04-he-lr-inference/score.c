/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client: rows of a CSV file are encrypted, scored by the server and decrypted, a few thousand at a time, so that
 * memory does not grow with the length of the file.
 * usage: cczoo-he-score --target ADDR --data FILE [--label COLUMN] [--compare MODEL] [--own-model MODEL] [--rows N]
 *        [--limit N] [--per-ct N] [--policy FILE --trust-sim DIR] [--attack other-key|transparent|residue]
 *        --rows, --limit: of a request, of all; --compare: the model in the clear, to hold the scores against
 */
#include "../options.h"

#include <cczoo/helr.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static const char *o_target, *o_data, *o_label, *o_compare, *o_own_model, *o_rows, *o_limit,
    *o_per_ct, *o_policy, *o_trust_sim, *o_attack;

static struct {
    struct ccz_party *party;
    struct ccz_rpc_client *rpc;
    struct ccz_helr_remote *helr;
    struct ccz_helr_model *model; /* --compare or --own-model */
    struct ccz_csv *csv;
    struct ccz_helr_table *table;
    size_t features_len, chunk, rows, right, right_clear, equal;
    double worst;
} g;

/* Who the server is, is judged here: before anything is sent, also nothing encrypted. */
static ccz_rc connect_to_server(struct ccz_err *err)
{
    const struct ccz_party_cfg who = {.policy_file = o_policy,
                                      .trust_sim_dir = o_trust_sim,
                                      .peer_evidence_optional = o_policy == NULL};
    ccz_rc rc = ccz_party_new(&g.party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg where = {.target = o_target, .ratls = ccz_party_ratls(g.party)};
    rc = ccz_rpc_client_new(&g.rpc, &where, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, g.rpc, err);
    if (rc == CCZ_OK && o_policy)
        (void)printf("server attested%s\n", ccz_party_simulated(g.party) ? " (SIMULATED)" : "");
    return rc;
}

static ccz_rc call(void *arg, struct ccz_buf *reply, const char *method, struct ccz_span msg,
                   struct ccz_err *err)
{
    const struct ccz_rpc_call_cfg cfg = {.timeout_ms = 60000};
    char path[32];
    (void)arg;
    (void)snprintf(path, sizeof(path), "/cczoo.Helr/%s", method);
    return ccz_rpc_unary(reply, NULL, g.rpc, path, msg, &cfg, err);
}

/* ------------------------------------------------------------------------------ a hostile client */

/* Another key's row in the session of @p request. */
static ccz_rc use_other_key(struct ccz_buf *request, const double *x, struct ccz_err *err)
{
    CCZ_AUTO(ccz_helr_remote) other = NULL;
    CCZ_AUTO_BUF theirs;
    ccz_buf_init(&theirs, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_rc rc = ccz_helr_remote_new(&other, &(struct ccz_helr_remote_cfg){.call = call}, err);
    if (rc == CCZ_OK)
        rc = ccz_helr_encrypt(&theirs, ccz_helr_remote_client(other), x, 1, err);
    if (rc == CCZ_OK)
        memcpy(request->ptr + CCZ_HELR_CT_AT, theirs.ptr + CCZ_HELR_CT_AT,
               theirs.size - CCZ_HELR_CT_AT);
    return rc;
}

/* A "ciphertext" that holds its message in the clear: the key has no part in it. */
static ccz_rc make_transparent(struct ccz_buf *request, struct ccz_err *err)
{
    CCZ_AUTO(ccz_ckks) ckks = NULL;
    CCZ_AUTO(ccz_ckks_eval) eval = NULL;
    CCZ_AUTO(ccz_ckks_ct) ct = NULL;
    const struct ccz_ckks_cfg cfg = {
        .ring = ccz_helr_client_info(ccz_helr_remote_client(g.helr))->ring};
    struct ccz_span body = {request->ptr + CCZ_HELR_CT_AT, request->size - CCZ_HELR_CT_AT};
    ccz_rc rc = ccz_ckks_new(&ckks, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_eval_new(&eval, ckks, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_ct_new(&ct, ckks, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_ct_read(ct, eval, body, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    ct->ct.seeded = false;
    memset(ct->ct.c[1], 0, ct->ct.limbs * cfg.ring.n * sizeof(uint64_t));
    request->size = CCZ_HELR_CT_AT;
    rc = ccz_ckks_ct_write(request, ct, err);
    for (unsigned i = 0; i < 4; i++) /* its size stands in front of it */
        request->ptr[CCZ_HELR_CT_AT - 4 + i] = (uint8_t)((request->size - CCZ_HELR_CT_AT) >> 8 * i);
    return rc;
}

static ccz_rc attack(const double *x, struct ccz_err *err)
{
    CCZ_AUTO_BUF request, reply;
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
    ccz_rc rc = ccz_helr_encrypt(&request, ccz_helr_remote_client(g.helr), x, 1, err);
    if (rc == CCZ_OK && strcmp(o_attack, "other-key") == 0)
        rc = use_other_key(&request, x, err);
    else if (rc == CCZ_OK && strcmp(o_attack, "transparent") == 0)
        rc = make_transparent(&request, err);
    else if (rc == CCZ_OK) /* residue: above every prime */
        memset(request.ptr + request.size / 2, 0xff, 64);
    return rc == CCZ_OK ? call(NULL, &reply, "Score", ccz_buf_span(&request), err) : rc;
}

/* -------------------------------------------------------------------------------------- scoring */

static void tally(const double *x, const double *label, const double *score, size_t rows)
{
    const struct ccz_helr_info *info = ccz_helr_client_info(ccz_helr_remote_client(g.helr));
    double c[4];
    ccz_helr_sigmoid(c, info->degree, o_own_model ? g.model->radius : info->radius);
    for (size_t i = 0; i < rows; i++) {
        bool one = score[i] >= 0.5, truth = label[i] >= 0.5;
        g.right += one == truth;
        if (!g.model)
            continue;
        double t = ccz_helr_model_linear(g.model, x + i * g.features_len);
        g.worst = fmax(g.worst, fabs(score[i] - ccz_helr_sigmoid_at(c, info->degree, t)));
        g.right_clear += (t >= 0) == truth;
        g.equal += (t >= 0) == one;
    }
    g.rows += rows;
}

static ccz_rc score_all(double *x, double *label, double *score, struct ccz_err *err)
{
    size_t rows = 1, limit = o_limit ? strtoul(o_limit, NULL, 10) : SIZE_MAX;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && rows > 0 && g.rows < limit) {
        size_t want = limit - g.rows < g.chunk ? limit - g.rows : g.chunk;
        rc = ccz_helr_table_read(&rows, x, label, g.table, want, err);
        if (rc == CCZ_OK && rows > 0)
            rc = o_attack ? attack(x, err) : ccz_helr_remote_score(score, g.helr, x, rows, err);
        if (rc == CCZ_OK)
            tally(x, label, score, rows);
    }
    return rc;
}

static void report(void)
{
    struct ccz_helr_stats st = ccz_helr_remote_stats(g.helr);
    size_t in_one = g.rows < g.chunk ? g.rows : g.chunk;
    struct ccz_helr_layout l = ccz_helr_client_layout(ccz_helr_remote_client(g.helr), in_one);
    double requests = (double)st.requests, ms = 1e6 * requests, rows = (double)g.rows;
    double total_ns = (double)(st.encrypt_ns + st.call_ns + st.decrypt_ns);
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    (void)printf("%zu rows x %zu features, %.0f requests, %zu features per ciphertext\n", g.rows,
                 g.features_len, requests, l.per_ct);
    (void)printf("a request: %.2f ms: encrypt %.2f, server and network %.2f, decrypt %.2f\n",
                 total_ns / ms, (double)st.encrypt_ns / ms, (double)st.call_ns / ms,
                 (double)st.decrypt_ns / ms);
    (void)printf("a request: %.0f bytes, reply %.0f; keys, once: %.0f; peak memory %ld MB\n",
                 (double)st.sent_size / requests, (double)st.received_size / requests,
                 (double)st.once_size, used.ru_maxrss / 1024);
    if (o_label)
        (void)printf("accuracy %.2f %% (%zu of %zu)\n", 100 * (double)g.right / rows, g.right,
                     g.rows);
    if (g.model)
        (void)printf("in the clear %.2f %%; equal classes: %zu of %zu; largest error 2^%.1f\n",
                     100 * (double)g.right_clear / rows, g.equal, g.rows, log2(g.worst));
}

static ccz_rc open_all(FILE *data, struct ccz_err *err)
{
    const char *path = o_own_model ? o_own_model : o_compare;
    g.chunk = o_rows ? strtoul(o_rows, NULL, 10) : 4096;
    ccz_rc rc = path ? ccz_helr_model_read(&g.model, path, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = connect_to_server(err);
    const struct ccz_helr_remote_cfg cfg = {
        .client = {.model = o_own_model ? g.model : NULL,
                   .per_ct_max = o_per_ct ? strtoul(o_per_ct, NULL, 10) : 0},
        .model_rows = g.chunk,
        .call = call};
    if (rc == CCZ_OK) /* the server's parameters are judged, keys made and sent */
        rc = ccz_helr_remote_new(&g.helr, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_csv_new(&g.csv, ccz_csv_from_file, data, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_helr_feature *features =
        ccz_helr_client_features(&g.features_len, ccz_helr_remote_client(g.helr));
    return ccz_helr_table_new(&g.table, g.csv, features, g.features_len, o_label, err);
}

int main(int argc, char **argv)
{
    const struct option opts[] = {
        {"--target", &o_target},   {"--data", &o_data},           {"--label", &o_label},
        {"--compare", &o_compare}, {"--own-model", &o_own_model}, {"--rows", &o_rows},
        {"--limit", &o_limit},     {"--per-ct", &o_per_ct},       {"--policy", &o_policy},
        {"--attack", &o_attack},   {"--trust-sim", &o_trust_sim}};
    if (!options(opts, sizeof(opts) / sizeof(*opts), argc, argv) || !o_target || !o_data)
        return usage("cczoo-he-score --target ADDR --data FILE ..");
    struct ccz_err err = {0};
    FILE *data = fopen(o_data, "r");
    ccz_rc rc = data ? open_all(data, &err)
                     : ccz_fail(&err, CCZ_E_IO, "score:data", 0, "%s cannot be read", o_data);
    double *x = calloc(g.chunk * g.features_len + 1, sizeof(*x));
    double *label = calloc(g.chunk + 1, sizeof(*label)),
           *score = calloc(g.chunk + 1, sizeof(*score));
    if (rc == CCZ_OK)
        rc = x && label && score ? score_all(x, label, score, &err)
                                 : ccz_fail(&err, CCZ_E_NOMEM, "score:memory", 0, "out of memory");
    if (rc == CCZ_OK && g.rows > 0 && !o_attack)
        report();
    int status = verdict(rc, &err);
    free(x), free(label), free(score);
    ccz_helr_table_free(g.table);
    ccz_csv_free(g.csv);
    ccz_helr_remote_free(g.helr);
    ccz_rpc_client_free(g.rpc);
    ccz_party_free(g.party);
    ccz_helr_model_free(g.model);
    if (data)
        (void)fclose(data);
    return status;
}
