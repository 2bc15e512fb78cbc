/* SPDX-License-Identifier: Apache-2.0 */
/* A party of a session: see tee_priv.h. */
#include "tee_priv.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE_MIN = 16 };

struct join {
    const struct ccz_psi_tee_join_cfg *cfg;
    const struct ccz_psi_ids *ids;
    struct ccz_chan *chan;
    uint8_t key[32], nonce[32];
    size_t len;          /* uploaded: padded */
    uint8_t (*tags)[16]; /* [len] */
    uint64_t *rows;      /* [len]; UINT64_MAX: padding */
};

static void join_deinit(struct join *j)
{
    ccz_wipe(j->key, sizeof(j->key));
    if (j->tags)
        ccz_wipe(j->tags, j->len * sizeof(*j->tags));
    if (j->rows)
        ccz_wipe(j->rows, j->len * sizeof(*j->rows));
    free(j->tags);
    free(j->rows);
}

static ccz_rc join_init(struct join *j, struct ccz_err *err)
{
    static const uint8_t zero[32];
    uint64_t p = 1;
    while (p < j->ids->len)
        p *= 2;
    j->len = (size_t)(j->cfg->pad ? p : j->ids->len);
    if (j->cfg->key && ccz_secret_size(j->cfg->key) < KEY_SIZE_MIN)
        return ccz_fail(err, CCZ_E_ARG, "psi:config", (int64_t)ccz_secret_size(j->cfg->key),
                        "a key of less than 16 bytes");
    struct ccz_span key = j->cfg->key
                              ? CCZ_SPAN(ccz_secret_view(j->cfg->key), ccz_secret_size(j->cfg->key))
                              : CCZ_SPAN(NULL, 0);
    cczi_psi_derive(j->key, "cczoo psi tee key", zero, key);
    j->tags = malloc(j->len * sizeof(*j->tags) + 1);
    j->rows = malloc(j->len * sizeof(*j->rows) + 1);
    if (!j->tags || !j->rows)
        return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)j->len, "no memory for entries");
    return ccz_random(j->tags, j->len * sizeof(*j->tags)) == CCZ_OK /* what is padding stays so */
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
}

static ccz_rc greet(struct join *j, struct ccz_err *err)
{
    const struct ccz_psi_tee_terms *t = &j->cfg->terms;
    struct cczi_tee_hello h = {.output = (uint8_t)t->output,
                               .parties = t->parties,
                               .len = j->len,
                               .min_intersection = t->min_intersection};
    uint8_t out[CCZI_TEE_HELLO_SIZE];
    memcpy(h.prepared, j->ids->prepared, 32);
    cczi_tee_session(h.session, t->session);
    cczi_psi_derive(h.key, "cczoo psi tee key name", j->key, CCZ_SPAN(NULL, 0));
    cczi_tee_hello_put(out, &h);
    ccz_rc rc = ccz_chan_send(j->chan, CCZ_SPAN(out, sizeof(out)), err);
    return rc == CCZ_OK ? ccz_chan_recv_exact(j->nonce, sizeof(j->nonce), j->chan, err) : rc;
}

/* Tags of the ids, part by part as they lie there; rows beside them. */
static ccz_rc make_tags(struct join *j, struct ccz_err *err)
{
    struct cczi_ro ro;
    uint8_t key[32], in[64][32] = {{0}};
    struct cczi_digest out[64];
    size_t at = 0;
    ccz_rc rc = CCZ_OK;
    cczi_psi_derive(key, "cczoo psi tee tags", j->key, CCZ_SPAN(j->nonce, sizeof(j->nonce)));
    cczi_ro_init(&ro, "cczoo psi tee tag", key);
    for (size_t part = 0; rc == CCZ_OK && part < CCZI_PSI_PARTS; part++) {
        struct cczi_psi_rec *recs;
        size_t len;
        rc = cczi_psi_ids_parts(&recs, &len, 0, j->ids, part, 1, err);
        for (size_t i = 0; rc == CCZ_OK && i < len; i += 64) {
            size_t n = len - i < 64 ? len - i : 64;
            for (size_t k = 0; k < n; k++)
                memcpy(in[k], recs[i + k].b, 16);
            cczi_ro_hash(out, &ro, (const uint8_t(*)[32])in, n);
            for (size_t k = 0; k < n; k++, at++) {
                memcpy(j->tags[at], out[k].w, 16);
                j->rows[at] = recs[i + k].row;
            }
        }
        cczi_psi_recs_free(recs, len);
    }
    for (; rc == CCZ_OK && at < j->len; at++)
        j->rows[at] = UINT64_MAX;
    ccz_wipe(key, sizeof(key));
    return rc;
}

static ccz_rc upload(struct join *j, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t at = 0; rc == CCZ_OK && at < j->len; at += CCZI_TEE_BLOCK) {
        size_t n = j->len - at < CCZI_TEE_BLOCK ? j->len - at : CCZI_TEE_BLOCK;
        rc = ccz_chan_send(j->chan, CCZ_SPAN(j->tags + at, n * sizeof(*j->tags)), err);
    }
    return rc;
}

/* The verdict, past the messages that say that others are awaited. */
static ccz_rc verdict(struct ccz_psi_result *out, struct join *j, struct ccz_err *err)
{
    CCZ_AUTO_BUF in;
    ccz_buf_init(&in, CCZI_TEE_ANSWER_SIZE);
    do {
        ccz_buf_clear(&in);
        ccz_rc rc = ccz_chan_recv(&in, j->chan, err);
        if (rc != CCZ_OK)
            return rc;
    } while (in.size == 1 && in.ptr[0] == CCZI_TEE_WAIT);
    if (in.size == 1 && in.ptr[0] == CCZI_TEE_FEW && j->cfg->terms.min_intersection > 0)
        return ccz_fail(err, CCZ_E_POLICY, "psi:minimum", (int64_t)j->cfg->terms.min_intersection,
                        "fewer common ids than the minimum");
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&in));
    uint8_t said = ccz_rd_u8(&r);
    out->len = ccz_rd_le64(&r);
    ccz_rd_copy(&r, out->digest, sizeof(out->digest));
    if (!ccz_rd_done(&r) || said != CCZI_TEE_OK || out->len > j->ids->len ||
        out->len < j->cfg->terms.min_intersection)
        return ccz_fail(err, CCZ_E_PEER, "psi:matches", (int64_t)in.size, "a malformed answer");
    return CCZ_OK;
}

/* Places to rows. The digest is that of our own tags in the order we are told. */
static ccz_rc take_rows(struct ccz_psi_result *out, struct join *j, struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    uint8_t d[32];
    uint32_t *places = malloc(CCZI_TEE_BLOCK * sizeof(*places));
    uint8_t *seen = calloc(j->len / 8 + 1, 1);
    out->rows = malloc(out->len * sizeof(*out->rows) + 1);
    ccz_rc rc = places && seen && out->rows
                    ? cczi_tee_digest_new(&h, j->nonce, err)
                    : ccz_fail(err, CCZ_E_NOMEM, "psi:memory", 0, "no memory for rows");
    for (size_t at = 0; rc == CCZ_OK && at < out->len; at += CCZI_TEE_BLOCK) {
        size_t n = out->len - at < CCZI_TEE_BLOCK ? (size_t)out->len - at : CCZI_TEE_BLOCK;
        rc = ccz_chan_recv_exact(places, n * sizeof(*places), j->chan, err);
        for (size_t i = 0; rc == CCZ_OK && i < n; i++) {
            size_t p = places[i];
            if (p >= j->len || j->rows[p] == UINT64_MAX || seen[p / 8] >> p % 8 & 1) {
                rc = ccz_fail(err, CCZ_E_PEER, "psi:matches", (int64_t)p,
                              "place %zu is none of ours, or came before", p);
                break;
            }
            seen[p / 8] |= (uint8_t)(1u << p % 8);
            out->rows[at + i] = j->rows[p];
            if (ccz_hasher_put(h, CCZ_SPAN(j->tags[p], 16)) != CCZ_OK)
                rc = ccz_fail(err, CCZ_E_INTERNAL, "psi:digest", 0, "cannot hash");
        }
    }
    free(places);
    free(seen);
    if (rc == CCZ_OK && ccz_hasher_done(d, h) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "psi:digest", 0, "cannot hash");
    if (rc == CCZ_OK && !ccz_ct_eq(d, out->digest, sizeof(d)))
        rc = ccz_fail(err, CCZ_E_SIG, "psi:alignment", 0, "the rows do not belong to the digest");
    return rc;
}

static ccz_rc join_all(struct ccz_psi_result *out, struct join *j, struct ccz_err *err)
{
    struct ccz_chan_stats before = ccz_chan_stats(j->chan);
    ccz_rc rc = cczi_tee_terms_check(&j->cfg->terms, err);
    if (rc == CCZ_OK)
        rc = join_init(j, err);
    if (rc == CCZ_OK)
        rc = greet(j, err);
    if (rc == CCZ_OK)
        rc = make_tags(j, err);
    if (rc == CCZ_OK)
        rc = upload(j, err);
    if (rc == CCZ_OK)
        rc = verdict(out, j, err);
    if (rc == CCZ_OK && j->cfg->terms.output == CCZ_PSI_ROWS)
        rc = take_rows(out, j, err);
    else if (rc == CCZ_OK)
        memset(out->digest, 0, sizeof(out->digest)); /* nothing to check it with */
    struct ccz_chan_stats after = ccz_chan_stats(j->chan);
    memcpy(out->session, j->nonce, sizeof(out->session));
    out->learned = true;
    out->buckets = 1;
    out->sent_size = after.sent_size - before.sent_size;
    out->received_size = after.received_size - before.received_size;
    return rc;
}

ccz_rc ccz_psi_tee_join(struct ccz_psi_result **out, struct ccz_chan *chan,
                        const struct ccz_psi_ids *ids, const struct ccz_psi_tee_join_cfg *cfg,
                        struct ccz_err *err)
{
    struct join j = {.cfg = cfg, .ids = ids, .chan = chan};
    struct ccz_err local = {0};
    *out = NULL;
    CCZ_AUTO(ccz_psi_result) result = calloc(1, sizeof(*result));
    ccz_rc rc = result ? join_all(result, &j, &local)
                       : ccz_fail(&local, CCZ_E_NOMEM, "psi:memory", 0, "no memory");
    join_deinit(&j);
    if (rc != CCZ_OK) {
        ccz_chan_close(chan, local.where);
        if (err)
            *err = local;
        return rc;
    }
    *out = ccz_psi_result_take(&result);
    return CCZ_OK;
}
