/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows all parties have, and in which order.
 *
 * offer (both ways):  "CCZVoffr", digest of the stored alignment (32, zeros = none)
 * decision (leader):  "CCZVkeep" or "CCZVfind"
 * result (leader):    "CCZVrows", digest (32), positions in the alignment of the pair (8 each) in the common order
 * file:               "CCZV-aln", digest (32), rows (8 each), protected (pf.h)
 */
#include "vfl/vfl_priv.h"

#include <cczoo/pf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC_SIZE = 8, HEAD_SIZE = MAGIC_SIZE + CCZ_VFL_DIGEST_SIZE, KIND_SIZE_MAX = 32 };
static const char OFFER[] = "CCZVoffr", KEEP[] = "CCZVkeep", FIND[] = "CCZVfind",
                  ROWS[] = "CCZVrows", STORED[] = "CCZV-aln";

void ccz_vfl_rows_free(struct ccz_vfl_rows *r)
{
    if (!r)
        return;
    if (r->row)
        ccz_wipe(r->row, r->len * sizeof(*r->row));
    free(r->row);
    free(r);
}

static struct ccz_vfl_rows *rows_new(size_t len)
{
    struct ccz_vfl_rows *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->len = len;
    r->row = calloc(len ? len : 1, sizeof(*r->row));
    if (!r->row) {
        free(r);
        return NULL;
    }
    return r;
}

/* ------------------------------------------------------------------------------ the file */

static ccz_rc file_key(struct ccz_secret **out, char bound[64], const struct ccz_vfl_align_cfg *cfg,
                       struct ccz_err *err)
{
    (void)snprintf(bound, 64, "vfl/alignment/%s", cfg->kind);
    ccz_rc rc = ccz_secret_derive(out, CCZ_PF_KEY_SIZE, cfg->seal, "cczoo vfl alignment");
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:align-stored", 0, "no key");
}

static bool parse(struct ccz_vfl_rows **out, struct ccz_span in, const char *magic)
{
    struct ccz_rd r = ccz_rd_from(in);
    *out = NULL;
    if (in.size < HEAD_SIZE || (in.size - HEAD_SIZE) % 8 != 0 ||
        !ccz_span_eq(ccz_rd_take(&r, MAGIC_SIZE), ccz_span_str(magic)))
        return false;
    CCZ_AUTO(ccz_vfl_rows) rows = rows_new((in.size - HEAD_SIZE) / 8);
    if (!rows)
        return false;
    ccz_rd_copy(&r, rows->digest, sizeof(rows->digest));
    for (size_t i = 0; i < rows->len; i++)
        rows->row[i] = (size_t)ccz_rd_le64(&r);
    if (!ccz_rd_done(&r))
        return false;
    *out = ccz_vfl_rows_take(&rows);
    return true;
}

static void put(struct ccz_buf *out, const char *magic, const struct ccz_vfl_rows *r)
{
    ccz_buf_init(out, HEAD_SIZE + 8 * r->len);
    ccz_buf_put_str(out, magic);
    ccz_buf_put(out, r->digest, sizeof(r->digest));
    for (size_t i = 0; i < r->len; i++)
        ccz_buf_le64(out, r->row[i]);
}

/* NULL: there is none. */
static ccz_rc read_stored(struct ccz_vfl_rows **out, const struct ccz_vfl_align_cfg *cfg,
                          struct ccz_err *err)
{
    char bound[64];
    CCZ_AUTO_BUF b = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    struct ccz_pf_cfg pf = {.path = bound};
    struct ccz_err why = {0};
    *out = NULL;
    if (!cfg->stored)
        return CCZ_OK;
    ccz_rc rc = file_key(&key, bound, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_init(&b, HEAD_SIZE + 8 * CCZ_VFL_ROWS_MAX);
    b.wipe = true;
    rc = ccz_pf_decrypt_to_buf(&b, cfg->stored, key, &pf, &why);
    if (rc == CCZ_E_NOT_FOUND)
        return CCZ_OK;
    if (rc != CCZ_OK) {
        if (err)
            *err = why;
        return rc;
    }
    if (!parse(out, ccz_buf_span(&b), STORED))
        return ccz_fail(err, CCZ_E_FORMAT, "vfl:align-stored", (int64_t)b.size,
                        "%.120s holds no alignment", cfg->stored);
    (*out)->stored = true;
    return CCZ_OK;
}

static ccz_rc store(const struct ccz_vfl_rows *r, const struct ccz_vfl_align_cfg *cfg,
                    struct ccz_err *err)
{
    char bound[64];
    CCZ_AUTO_BUF plain = {0};
    CCZ_AUTO_BUF image = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    const struct ccz_pf_cfg pf = {.path = bound};
    if (!cfg->stored)
        return CCZ_OK;
    ccz_rc rc = file_key(&key, bound, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    put(&plain, STORED, r);
    plain.wipe = true;
    if (plain.bad)
        return cczi_vfl_no_memory(err);
    ccz_buf_init(&image, 2 * plain.size + 65536);
    const struct ccz_pf_io io = ccz_pf_io_buf(&image);
    rc = ccz_pf_writer_new(&w, &io, plain.size, key, &pf, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, ccz_buf_span(&plain), err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_finish(w, err);
    if (rc == CCZ_OK)
        rc = ccz_file_write(cfg->stored, ccz_buf_span(&image), 0600, CCZ_FILE_REPLACE, err);
    return rc;
}

/* ------------------------------------------------------------------------------ messages */

static ccz_rc malformed(struct ccz_err *err, size_t size)
{
    return ccz_fail(err, CCZ_E_PEER, "vfl:align", (int64_t)size, "malformed message of %zu bytes",
                    size);
}

static ccz_rc send_offer(struct ccz_chan *chan, const struct ccz_vfl_rows *stored,
                         struct ccz_err *err)
{
    static const uint8_t none[CCZ_VFL_DIGEST_SIZE] = {0};
    const struct ccz_span parts[] = {ccz_span_str(OFFER),
                                     CCZ_SPAN(stored ? stored->digest : none, sizeof(none))};
    return ccz_chan_send_parts(chan, parts, 2, err);
}

/* *same: the peer has the alignment that we have. */
static ccz_rc recv_offer(bool *same, struct ccz_chan *chan, const struct ccz_vfl_rows *stored,
                         struct ccz_err *err)
{
    uint8_t offer[HEAD_SIZE];
    *same = false;
    ccz_rc rc = ccz_chan_recv_exact(offer, sizeof(offer), chan, err);
    if (rc == CCZ_OK && memcmp(offer, OFFER, MAGIC_SIZE) != 0)
        rc = malformed(err, sizeof(offer));
    if (rc == CCZ_OK)
        *same = stored && memcmp(offer + MAGIC_SIZE, stored->digest, sizeof(stored->digest)) == 0;
    return rc;
}

static struct ccz_psi_cfg psi_cfg(const struct ccz_vfl_align_cfg *cfg, enum ccz_psi_role role)
{
    return (struct ccz_psi_cfg){.role = role,
                                .protocol = cfg->protocol,
                                .learns = CCZ_PSI_BOTH,
                                .min_intersection = cfg->min_intersection,
                                .trusted_receiver = cfg->trusted_receiver,
                                .session = ccz_span_str(cfg->kind)};
}

static ccz_rc check_cfg(const struct ccz_vfl_align_cfg *cfg, struct ccz_err *err)
{
    if (!cfg->kind || !cfg->kind[0] || strlen(cfg->kind) > KIND_SIZE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "vfl:align-config", 0, "no kind, or a long one");
    if (cfg->stored && (!cfg->seal || ccz_secret_size(cfg->seal) != 32))
        return ccz_fail(err, CCZ_E_ARG, "vfl:align-config", 0,
                        "a stored alignment needs a seal of 32 bytes");
    return CCZ_OK;
}

static ccz_rc finish(struct ccz_vfl_rows **out, struct ccz_vfl_rows *rows,
                     const struct ccz_vfl_align_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = rows->len == 0 ? ccz_fail(err, CCZ_E_NOT_FOUND, "vfl:align-empty", 0,
                                          "no row of %s is common to all", cfg->kind)
                               : CCZ_OK;
    if (rc == CCZ_OK && !rows->stored)
        rc = store(rows, cfg, err);
    if (rc == CCZ_OK)
        *out = rows;
    else
        ccz_vfl_rows_free(rows);
    return rc;
}

static ccz_rc closed(struct ccz_chan *const *chan, size_t len, ccz_rc rc,
                     const struct ccz_err *reason, struct ccz_err *err)
{
    char text[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2];
    if (rc == CCZ_OK)
        return rc;
    (void)snprintf(text, sizeof(text), "%s: %s", reason->where, reason->msg);
    for (size_t i = 0; i < len; i++)
        ccz_chan_close(chan[i], text);
    if (err)
        *err = *reason;
    return rc;
}

/* -------------------------------------------------------------------------------- leader */

struct pairs {
    struct ccz_psi_result *with[CCZ_VFL_PARTIES_MAX];
    size_t len;
};

static void pairs_deinit(struct pairs *p)
{
    for (size_t i = 0; i < p->len; i++)
        ccz_psi_result_free(p->with[i]);
}

/* Where a row of ours stands in the alignment with each follower; + 1, 0 = nowhere. [rows * followers] */
static uint64_t *positions_of(size_t *rows, const struct pairs *p)
{
    *rows = 0;
    for (size_t i = 0; i < p->len; i++)
        for (uint64_t k = 0; k < p->with[i]->len; k++)
            if (p->with[i]->rows[k] >= *rows)
                *rows = (size_t)p->with[i]->rows[k] + 1;
    uint64_t *at = calloc(*rows ? *rows * p->len : 1, sizeof(*at));
    for (size_t i = 0; at && i < p->len; i++)
        for (uint64_t k = 0; k < p->with[i]->len; k++)
            at[p->with[i]->rows[k] * p->len + i] = k + 1;
    return at;
}

static bool everywhere(const uint64_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] == 0)
            return false;
    return true;
}

/* The common rows in the order of the first alignment, and for each follower where it finds them in its own. */
static ccz_rc combine(struct ccz_vfl_rows *for_party[CCZ_VFL_PARTIES_MAX + 1],
                      const struct pairs *p, struct ccz_err *err)
{
    size_t rows, n = 0;
    uint64_t *at = positions_of(&rows, p);
    struct ccz_span digests[CCZ_VFL_PARTIES_MAX];
    for (size_t i = 0; i <= p->len; i++)
        for_party[i] = rows_new((size_t)p->with[0]->len);
    bool good = at != NULL;
    for (size_t i = 0; i <= p->len; i++)
        good = good && for_party[i];
    for (uint64_t k = 0; good && k < p->with[0]->len; k++) {
        size_t row = (size_t)p->with[0]->rows[k];
        if (!everywhere(at + row * p->len, p->len))
            continue;
        for_party[p->len]->row[n] = row;
        for (size_t i = 0; i < p->len; i++)
            for_party[i]->row[n] = (size_t)at[row * p->len + i] - 1;
        n++;
    }
    free(at);
    for (size_t i = 0; i < p->len; i++)
        digests[i] = CCZ_SPAN(p->with[i]->digest, CCZ_PSI_DIGEST_SIZE);
    for (size_t i = 0; good && i <= p->len; i++) {
        for_party[i]->len = n;
        if (p->len == 1) /* both know it, and have compared it */
            memcpy(for_party[i]->digest, p->with[0]->digest, CCZ_VFL_DIGEST_SIZE);
        else
            good = ccz_hash(for_party[i]->digest, CCZ_SHA256, digests, p->len) == CCZ_OK;
    }
    return good ? CCZ_OK : cczi_vfl_no_memory(err);
}

static ccz_rc send_rows(struct ccz_chan *chan, const struct ccz_vfl_rows *r, struct ccz_err *err)
{
    CCZ_AUTO_BUF b = {0};
    put(&b, ROWS, r);
    return b.bad ? cczi_vfl_no_memory(err) : ccz_chan_send(chan, ccz_buf_span(&b), err);
}

static ccz_rc find_rows(struct ccz_vfl_rows **out, struct ccz_chan *const *followers, size_t len,
                        const struct ccz_psi_ids *ids, const struct ccz_vfl_align_cfg *cfg,
                        struct ccz_err *err)
{
    struct pairs pairs = {0};
    struct ccz_vfl_rows *for_party[CCZ_VFL_PARTIES_MAX + 1] = {0};
    const struct ccz_psi_cfg psi = psi_cfg(cfg, CCZ_PSI_RECEIVER);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        rc = ccz_psi_run(&pairs.with[i], followers[i], ids, &psi, err);
        pairs.len += rc == CCZ_OK;
    }
    if (rc == CCZ_OK)
        rc = combine(for_party, &pairs, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = send_rows(followers[i], for_party[i], err);
    if (rc == CCZ_OK) {
        *out = for_party[len];
        for_party[len] = NULL;
    }
    for (size_t i = 0; i <= len; i++)
        ccz_vfl_rows_free(for_party[i]);
    pairs_deinit(&pairs);
    return rc;
}

ccz_rc ccz_vfl_align_lead(struct ccz_vfl_rows **out, struct ccz_chan *const *followers, size_t len,
                          const struct ccz_psi_ids *ids, const struct ccz_vfl_align_cfg *cfg,
                          struct ccz_err *err)
{
    struct ccz_err reason = {0};
    struct ccz_vfl_rows *rows = NULL;
    bool keep = true;
    *out = NULL;
    ccz_rc rc =
        len >= 1 && len <= CCZ_VFL_PARTIES_MAX
            ? check_cfg(cfg, &reason)
            : ccz_fail(&reason, CCZ_E_ARG, "vfl:align-config", (int64_t)len, "%zu followers", len);
    if (rc == CCZ_OK)
        rc = read_stored(&rows, cfg, &reason);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = send_offer(followers[i], rows, &reason);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        bool same;
        rc = recv_offer(&same, followers[i], rows, &reason);
        keep &= same;
    }
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = ccz_chan_send(followers[i], ccz_span_str(keep ? KEEP : FIND), &reason);
    if (rc == CCZ_OK && !keep) {
        ccz_vfl_rows_free(rows);
        rows = NULL;
        rc = find_rows(&rows, followers, len, ids, cfg, &reason);
    }
    if (rc == CCZ_OK)
        rc = finish(out, rows, cfg, &reason);
    else
        ccz_vfl_rows_free(rows);
    return closed(followers, len, rc, &reason, err);
}

/* ------------------------------------------------------------------------------ follower */

/* From positions in the alignment with the leader to rows of ours; each at most once. */
static ccz_rc translate(struct ccz_vfl_rows *r, const struct ccz_psi_result *pair,
                        struct ccz_err *err)
{
    uint8_t *seen = calloc(pair->len ? (size_t)pair->len : 1, 1);
    if (!seen)
        return cczi_vfl_no_memory(err);
    bool good = r->len <= pair->len;
    for (size_t i = 0; good && i < r->len; i++) {
        good = r->row[i] < pair->len && !seen[r->row[i]]++;
        r->row[i] = good ? (size_t)pair->rows[r->row[i]] : 0;
    }
    free(seen);
    return good ? CCZ_OK
                : ccz_fail(err, CCZ_E_PEER, "vfl:align", (int64_t)r->len,
                           "the leader's list is not one of common rows");
}

static ccz_rc take_rows(struct ccz_vfl_rows **out, struct ccz_chan *leader,
                        const struct ccz_psi_ids *ids, const struct ccz_vfl_align_cfg *cfg,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_psi_result) pair = NULL;
    CCZ_AUTO(ccz_vfl_rows) rows = NULL;
    CCZ_AUTO_BUF b = {0};
    const struct ccz_psi_cfg psi = psi_cfg(cfg, CCZ_PSI_SENDER);
    ccz_rc rc = ccz_psi_run(&pair, leader, ids, &psi, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_init(&b, HEAD_SIZE + 8 * (size_t)pair->len);
    rc = ccz_chan_recv(&b, leader, err);
    if (rc == CCZ_OK && !parse(&rows, ccz_buf_span(&b), ROWS))
        rc = malformed(err, b.size);
    if (rc == CCZ_OK)
        rc = translate(rows, pair, err);
    if (rc == CCZ_OK)
        *out = ccz_vfl_rows_take(&rows);
    return rc;
}

ccz_rc ccz_vfl_align_follow(struct ccz_vfl_rows **out, struct ccz_chan *leader,
                            const struct ccz_psi_ids *ids, const struct ccz_vfl_align_cfg *cfg,
                            struct ccz_err *err)
{
    struct ccz_err reason = {0};
    struct ccz_vfl_rows *rows = NULL;
    char decision[MAGIC_SIZE];
    bool same = false;
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, &reason);
    if (rc == CCZ_OK)
        rc = read_stored(&rows, cfg, &reason);
    if (rc == CCZ_OK)
        rc = send_offer(leader, rows, &reason);
    if (rc == CCZ_OK)
        rc = recv_offer(&same, leader, rows, &reason);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(decision, sizeof(decision), leader, &reason);
    bool keep = rc == CCZ_OK && memcmp(decision, KEEP, MAGIC_SIZE) == 0;
    if (rc == CCZ_OK && ((keep && !same) || (!keep && memcmp(decision, FIND, MAGIC_SIZE) != 0)))
        rc = malformed(&reason, sizeof(decision));
    if (rc == CCZ_OK && !keep) {
        ccz_vfl_rows_free(rows);
        rows = NULL;
        rc = take_rows(&rows, leader, ids, cfg, &reason);
    }
    if (rc == CCZ_OK)
        rc = finish(out, rows, cfg, &reason);
    else
        ccz_vfl_rows_free(rows);
    return closed(&leader, 1, rc, &reason, err);
}
