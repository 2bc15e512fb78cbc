/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of one party: from a file, brought into the order that both know, scaled. */
#include "daemon.h"

#include <cczoo/crypto.h>
#include <cczoo/psi.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST_SIZE = 32, NONCE_SIZE = 32 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
}

ccz_rc mpc_data_read(struct ccz_fedlr_table **out, const char *path, const struct mpc_opts *o,
                     const char *label, struct ccz_err *err)
{
    const struct ccz_fedlr_csv_cfg csv = {
        .label = label, .label_real = o->cfg.model == CCZ_MPCML_LINEAR, .id = o->id};
    return ccz_fedlr_csv_read(out, path, &csv, err);
}

/* ---------------------------------------------------------------------------- the common rows */

static ccz_rc span_ids(struct ccz_span **out, const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    *out = calloc(t->rows, sizeof(**out));
    if (!*out)
        return no_memory(err);
    for (size_t i = 0; i < t->rows; i++)
        (*out)[i] = ccz_span_str(t->id[i]);
    return CCZ_OK;
}

static ccz_rc intersect(struct ccz_psi_result **out, struct ccz_chan *chan,
                        const struct ccz_fedlr_table *t, const struct mpc_align *a,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_psi_ids) ids = NULL;
    struct ccz_span *names = NULL;
    const struct ccz_psi_ids_cfg ids_cfg = {.domain = "cczoo-mpc row"};
    const bool counts_first = a->minimum > 0 && !a->verified;
    const struct ccz_psi_cfg cfg = {.protocol = counts_first ? CCZ_PSI_ECDH : CCZ_PSI_VOLE,
                                    .role = a->role == 0 ? CCZ_PSI_RECEIVER : CCZ_PSI_SENDER,
                                    .learns = CCZ_PSI_BOTH,
                                    .min_intersection = a->minimum,
                                    .trusted_receiver = a->minimum > 0 && a->verified,
                                    .peer_len_max = CCZ_MPCML_ROWS_MAX,
                                    .session = ccz_span_str(a->kind)};
    ccz_rc rc = span_ids(&names, t, err);
    if (rc == CCZ_OK)
        rc = ccz_psi_ids_new(&ids, names, t->rows, &ids_cfg, err);
    free(names);
    *a->told = MPC_TOLD_COMMON;
    return rc == CCZ_OK ? ccz_psi_run(out, chan, ids, &cfg, err) : rc;
}

/* What the party of that role says of its rows. Of one run alone: worth nothing to compare with other runs or with tables of digests. */
static ccz_rc digest_ids(uint8_t out[DIGEST_SIZE], uint8_t nonce[2][NONCE_SIZE], unsigned role,
                         const struct ccz_fedlr_table *t, const char *kind, struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    static const char domain[] = "cczoo-mpc aligned rows";
    const uint8_t of = (uint8_t)role;
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(domain, sizeof(domain)));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(nonce, 2 * NONCE_SIZE));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(&of, 1));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(kind, strlen(kind) + 1));
    for (size_t i = 0; rc == CCZ_OK && i < t->rows; i++)
        rc = ccz_hasher_put(h, CCZ_SPAN(t->id[i], strlen(t->id[i]) + 1));
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(out, h);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "mpc:digest", 0, "cannot hash");
}

/* Rows that are said to be the same at both already: the digests of their names are. One's own, sent back, is none of the other's. */
static ccz_rc compare_ids(struct ccz_chan *chan, const struct ccz_fedlr_table *t,
                          const struct mpc_align *a, struct ccz_err *err)
{
    uint8_t nonce[2][NONCE_SIZE], mine[DIGEST_SIZE], theirs[DIGEST_SIZE], expected[DIGEST_SIZE];
    const unsigned peer = 1 - a->role;
    ccz_rc rc = ccz_random(nonce[a->role], NONCE_SIZE);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "mpc:random", 0, "no random numbers");
    rc = ccz_chan_send(chan, CCZ_SPAN(nonce[a->role], NONCE_SIZE), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(nonce[peer], NONCE_SIZE, chan, err);
    if (rc == CCZ_OK)
        rc = digest_ids(mine, nonce, a->role, t, a->kind, err);
    if (rc == CCZ_OK)
        rc = digest_ids(expected, nonce, peer, t, a->kind, err);
    *a->told = MPC_TOLD_DIGEST;
    if (rc == CCZ_OK)
        rc = ccz_chan_send(chan, CCZ_SPAN(mine, sizeof(mine)), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(theirs, sizeof(theirs), chan, err);
    if (rc == CCZ_OK && memcmp(expected, theirs, sizeof(theirs)) != 0)
        rc = ccz_hint(err,
                      ccz_refuse_bytes(err, CCZ_E_MISMATCH, "mpc:alignment", theirs, sizeof(theirs),
                                       expected, sizeof(expected)),
                      "without --aligned the common rows are found by private set intersection");
    return rc;
}

struct named_row {
    const char *id;
    size_t row;
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct named_row *)a)->id, ((const struct named_row *)b)->id);
}

/* The order of an intersection is another one in each run; that of the ids is the same, and both know those of common rows. */
static ccz_rc take_sorted(struct ccz_fedlr_table **out, const struct ccz_fedlr_table *t,
                          const struct ccz_psi_result *common, struct ccz_err *err)
{
    size_t len = (size_t)common->len;
    struct named_row *named = calloc(len, sizeof(*named));
    size_t *row = calloc(len, sizeof(*row));
    ccz_rc rc = named && row ? CCZ_OK : no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        named[i] = (struct named_row){t->id[common->rows[i]], (size_t)common->rows[i]};
    if (rc == CCZ_OK)
        qsort(named, len, sizeof(*named), by_id);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        row[i] = named[i].row;
    if (rc == CCZ_OK)
        rc = ccz_fedlr_table_rows(out, t, row, len, err);
    free(named);
    free(row);
    return rc;
}

/* All rows, in their order. */
static ccz_rc take_all(struct ccz_fedlr_table **out, const struct ccz_fedlr_table *t,
                       struct ccz_err *err)
{
    size_t *row = calloc(t->rows, sizeof(*row));
    if (!row)
        return no_memory(err);
    for (size_t i = 0; i < t->rows; i++)
        row[i] = i;
    ccz_rc rc = ccz_fedlr_table_rows(out, t, row, t->rows, err);
    free(row);
    return rc;
}

ccz_rc mpc_check_minimum(uint64_t rows, const struct mpc_align *a, struct ccz_err *err)
{
    if (rows >= a->minimum)
        return CCZ_OK;
    return ccz_refuse_num(err, CCZ_E_POLICY, "mpc:minimum", (int64_t)rows, (int64_t)a->minimum);
}

ccz_rc mpc_align(struct ccz_fedlr_table **out, struct ccz_chan *chan,
                 const struct ccz_fedlr_table *t, const struct mpc_align *a, struct ccz_err *err)
{
    CCZ_AUTO(ccz_psi_result) common = NULL;
    int64_t start_ms = ccz_mono_ms();
    ccz_rc rc = a->aligned ? mpc_check_minimum(t->rows, a, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = a->aligned ? compare_ids(chan, t, a, err) : intersect(&common, chan, t, a, err);
    if (rc == CCZ_OK && common && common->len == 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "mpc:no-rows", 0, "%s: no row is common", a->kind);
    if (rc == CCZ_OK)
        rc = common ? take_sorted(out, t, common, err) : take_all(out, t, err);
    if (rc != CCZ_OK)
        return rc;
    if (common)
        ui_out("%s: %zu of %zu rows are common, found by private set intersection, %.2f s, %.1f "
               "kB\n",
               a->kind, (*out)->rows, t->rows, (double)(ccz_mono_ms() - start_ms) / 1e3,
               (double)(common->sent_size + common->received_size) / 1e3);
    else
        ui_out("%s: %zu rows, the same at both\n", a->kind, t->rows);
    return rc;
}

ccz_rc mpc_join(struct ccz_fedlr_table *out[2], struct ccz_fedlr_table *const t[2],
                struct ccz_err *err)
{
    size_t most = t[0]->rows < t[1]->rows ? t[0]->rows : t[1]->rows, len = 0;
    size_t *row[2] = {calloc(most, sizeof(size_t)), calloc(most, sizeof(size_t))};
    ccz_rc rc =
        row[0] && row[1] ? ccz_fedlr_align(row[0], row[1], &len, t[0], t[1], err) : no_memory(err);
    if (rc == CCZ_OK && len == 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "mpc:no-rows", 0, "no row is common");
    for (int i = 0; rc == CCZ_OK && i < 2; i++)
        rc = ccz_fedlr_table_rows(&out[i], t[i], row[i], len, err);
    free(row[0]);
    free(row[1]);
    return rc;
}

/* ------------------------------------------------------------------------------------ scaling */

ccz_rc mpc_scaling_fit(struct mpc_scaling *s, const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    s->len = t->cols;
    s->mean = calloc(t->cols + 1, sizeof(*s->mean));
    s->sd = calloc(t->cols + 1, sizeof(*s->sd));
    if (!s->mean || !s->sd)
        return no_memory(err);
    ccz_fedlr_scale_fit(s->mean, s->sd, t);
    return CCZ_OK;
}

void mpc_scaling_deinit(struct mpc_scaling *s)
{
    if (s->mean)
        ccz_wipe(s->mean, s->len * sizeof(*s->mean));
    if (s->sd)
        ccz_wipe(s->sd, s->len * sizeof(*s->sd));
    free(s->mean);
    free(s->sd);
    *s = (struct mpc_scaling){0};
}

/* Whether two parties mean the same columns: not a secret, and not for security. */
void mpc_names_hash(uint64_t *out, const struct ccz_fedlr_table *t)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t j = 0; j < t->cols; j++)
        for (const char *c = t->name[j];; c++) {
            h = (h ^ (uint8_t)*c) * UINT64_C(1099511628211);
            if (!*c)
                break;
        }
    *out = h;
}
