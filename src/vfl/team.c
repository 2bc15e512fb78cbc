/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers of one party: who belongs to it, from which step on, and the mean of their models. Worker 1 is the hub of a star.
 *
 * Proof. Both sides send TEAM, H1 and Hk, each with a fresh number. K = HKDF(party's key). Worker k sends HMAC(K, "worker", H1, Hk), then
 * worker 1 HMAC(K, "hub", H1, Hk): neither can be played back, nor be turned against who made it. The session of all messages
 * that follow is the beginning of HMAC(K, "session", H1, Hk).
 */
#include "vfl/vfl_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_SIZE = 32,
    HELLO_SIZE = CCZI_VFL_HEADER_SIZE + 48,
    PROOF_MSG_SIZE = CCZI_VFL_HEADER_SIZE + CCZI_VFL_PROOF_SIZE,
    READY_SIZE = CCZI_VFL_HEADER_SIZE + 32 + 8 + 8 * CCZI_VFL_KEPT,
    PIECE_MAX = 1 << 22
};

static bool is_hub(const struct ccz_vfl_team *t)
{
    return t->worker == 0;
}

/* Number of the worker at the other end, from 0. */
static uint32_t other(const struct ccz_vfl_team *t, size_t i)
{
    return is_hub(t) ? (uint32_t)i + 1 : 0;
}

/* What happened to a channel becomes what happened to a worker. */
static ccz_rc lost(const struct ccz_vfl_team *t, size_t i, ccz_rc rc, struct ccz_err *err)
{
    if (rc == CCZ_OK || strncmp(err->where, "chan:", 5) != 0)
        return rc;
    const struct ccz_err why = *err;
    return ccz_fail(err, rc, "vfl:worker-lost", (int64_t)other(t, i) + 1,
                    "worker %u of this party: %s: %s", other(t, i) + 1, why.where, why.msg);
}

/* ------------------------------------------------------------------------------- wholes */

ccz_rc cczi_vfl_send_whole(struct cczi_vfl_link *l, enum cczi_vfl_kind kind, uint64_t step,
                           double value, struct ccz_span whole, struct ccz_err *err)
{
    size_t at = 0;
    ccz_rc rc;
    do {
        size_t size = whole.size - at < PIECE_MAX ? whole.size - at : PIECE_MAX;
        uint8_t head[CCZI_VFL_HEADER_SIZE + CCZI_VFL_PIECE_SIZE];
        struct cczi_vfl_msg m = {
            .kind = kind, .step = step, .piece = {.total = whole.size, .at = at, .value = value}};
        memcpy(m.session, l->session, sizeof(m.session));
        cczi_vfl_msg_header(head, &m);
        cczi_vfl_msg_piece(head + CCZI_VFL_HEADER_SIZE, &m.piece);
        const struct ccz_span parts[] = {CCZ_SPAN(head, sizeof(head)),
                                         CCZ_SPAN(size ? whole.ptr + at : NULL, size)};
        rc = ccz_chan_send_parts(l->chan, parts, 2, err);
        at += size;
    } while (rc == CCZ_OK && at < whole.size);
    return rc;
}

ccz_rc cczi_vfl_recv_whole(struct ccz_buf *out, double *value, struct cczi_vfl_link *l,
                           enum cczi_vfl_kind kind, uint64_t step, size_t size, struct ccz_err *err)
{
    const struct cczi_vfl_piece *p = &l->msg.piece;
    ccz_buf_clear(out);
    do {
        ccz_rc rc = cczi_vfl_recv_kind(l, kind,
                                       CCZI_VFL_HEADER_SIZE + CCZI_VFL_PIECE_SIZE + PIECE_MAX, err);
        if (rc != CCZ_OK)
            return rc;
        if (l->msg.step != step)
            return ccz_hint(err,
                            ccz_refuse_num(err, CCZ_E_PEER, "vfl:worker-step", (int64_t)l->msg.step,
                                           (int64_t)step),
                            "another worker of the party is at another step");
        if (size == SIZE_MAX)
            size = (size_t)p->total;
        size_t left = size - out->size;
        if (p->total != size || p->at != out->size ||
            p->bytes.size != (left < PIECE_MAX ? left : PIECE_MAX))
            return ccz_fail(err, CCZ_E_PEER, "vfl:message", (int64_t)p->at,
                            "%zu bytes at %llu of %llu, expected %zu at %zu", p->bytes.size,
                            (unsigned long long)p->at, (unsigned long long)p->total, size,
                            out->size);
        ccz_buf_put_span(out, p->bytes);
    } while (!out->bad && out->size < size);
    *value = p->value;
    return out->bad ? cczi_vfl_no_memory(err) : CCZ_OK;
}

/* -------------------------------------------------------------------------------- proof */

static ccz_rc check_peer(const struct ccz_vfl_team *t, size_t i, struct ccz_err *err)
{
    const struct cczi_vfl_team_hello *h = &t->link[i].msg.team;
    bool leads = h->role == CCZI_VFL_LEADER;
    if (leads != t->leader)
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_MISMATCH, "vfl:role", leads ? "leader" : "follower",
                                   t->leader ? "leader" : "follower"),
                        "it is a worker of another party");
    if (h->workers != t->workers)
        return ccz_hint(err,
                        ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:workers", h->workers, t->workers),
                        "all workers of a party need the same number of workers");
    if (h->worker != other(t, i))
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:worker", h->worker + 1, other(t, i) + 1);
    return CCZ_OK;
}

struct proof {
    const struct ccz_secret *key;
    struct ccz_span hub, worker; /* the two TEAM bodies */
};

static ccz_rc mac(uint8_t out[CCZI_VFL_PROOF_SIZE], const struct proof *p, const char *label,
                  struct ccz_err *err)
{
    const struct ccz_span parts[] = {ccz_span_str(label), p->hub, p->worker};
    ccz_rc rc = ccz_hmac(out, CCZ_SHA256, CCZ_SPAN(ccz_secret_view(p->key), KEY_SIZE), parts, 3);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:worker-proof", 0, "cannot compute the proof");
}

static ccz_rc send_proof(struct cczi_vfl_link *l, const struct proof *p, const char *label,
                         struct ccz_err *err)
{
    uint8_t own[CCZI_VFL_PROOF_SIZE];
    struct cczi_vfl_msg m = {.kind = CCZI_VFL_PROOF};
    ccz_rc rc = mac(own, p, label, err);
    return rc == CCZ_OK ? cczi_vfl_send_msg(l, &m, CCZ_SPAN(own, sizeof(own)), err) : rc;
}

static ccz_rc recv_proof(struct cczi_vfl_link *l, const struct proof *p, const char *label,
                         struct ccz_err *err)
{
    uint8_t expected[CCZI_VFL_PROOF_SIZE];
    ccz_rc rc = mac(expected, p, label, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_recv_kind(l, CCZI_VFL_PROOF, PROOF_MSG_SIZE, err);
    if (rc == CCZ_OK && !ccz_ct_eq(l->msg.proof, expected, sizeof(expected)))
        rc = ccz_hint(err,
                      ccz_fail(err, CCZ_E_DENIED, "vfl:worker-proof", 0,
                               "%.100s does not have this party's key", ccz_chan_name(l->chan)),
                      "all workers of a party need the same key; other parties must not have it");
    return rc;
}

static ccz_rc prove(struct ccz_vfl_team *t, size_t i, const struct cczi_vfl_team_hello *mine,
                    const struct ccz_secret *key, struct ccz_err *err)
{
    struct cczi_vfl_link *l = &t->link[i];
    uint8_t session[CCZI_VFL_PROOF_SIZE];
    CCZ_AUTO_BUF own, theirs;
    ccz_buf_init(&own, HELLO_SIZE);
    ccz_buf_init(&theirs, HELLO_SIZE);
    cczi_vfl_msg_team(&own, mine);
    cczi_vfl_msg_team(&theirs, &l->msg.team);
    if (own.bad || theirs.bad)
        return cczi_vfl_no_memory(err);
    const struct proof p = {.key = key,
                            .hub = ccz_buf_span(is_hub(t) ? &own : &theirs),
                            .worker = ccz_buf_span(is_hub(t) ? &theirs : &own)};
    ccz_rc rc = is_hub(t) ? recv_proof(l, &p, "worker", err) : send_proof(l, &p, "worker", err);
    if (rc == CCZ_OK)
        rc = is_hub(t) ? send_proof(l, &p, "hub", err) : recv_proof(l, &p, "hub", err);
    if (rc == CCZ_OK)
        rc = mac(session, &p, "session", err);
    if (rc == CCZ_OK)
        memcpy(l->session, session, sizeof(l->session));
    return rc;
}

static ccz_rc send_team(struct cczi_vfl_link *l, const struct cczi_vfl_team_hello *h,
                        struct ccz_err *err)
{
    CCZ_AUTO_BUF body;
    struct cczi_vfl_msg m = {.kind = CCZI_VFL_TEAM};
    ccz_buf_init(&body, HELLO_SIZE);
    cczi_vfl_msg_team(&body, h);
    return body.bad ? cczi_vfl_no_memory(err) : cczi_vfl_send_msg(l, &m, ccz_buf_span(&body), err);
}

static ccz_rc meet(struct ccz_vfl_team *t, const struct ccz_secret *key, struct ccz_err *err)
{
    struct cczi_vfl_team_hello mine[CCZ_VFL_WORKERS_MAX];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++) {
        mine[i] =
            (struct cczi_vfl_team_hello){.role = t->leader ? CCZI_VFL_LEADER : CCZI_VFL_FOLLOWER,
                                         .worker = t->worker,
                                         .workers = t->workers};
        if (ccz_random(mine[i].fresh, sizeof(mine[i].fresh)) != CCZ_OK)
            return ccz_fail(err, CCZ_E_INTERNAL, "vfl:worker-proof", 0, "no randomness");
        rc = lost(t, i, send_team(&t->link[i], &mine[i], err), err);
    }
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++) {
        rc = cczi_vfl_recv_kind(&t->link[i], CCZI_VFL_TEAM, HELLO_SIZE, err);
        if (rc == CCZ_OK)
            rc = check_peer(t, i, err);
        if (rc == CCZ_OK)
            rc = prove(t, i, &mine[i], key, err);
        rc = lost(t, i, rc, err);
    }
    return rc;
}

static ccz_rc derive_key(struct ccz_secret **out, const struct ccz_secret *party,
                         struct ccz_err *err)
{
    ccz_rc rc = ccz_secret_derive(out, KEY_SIZE, party, "cczoo vfl team");
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:worker-proof", 0, "no key");
}

static ccz_rc check_cfg(const struct ccz_vfl_team_cfg *c, size_t len, struct ccz_err *err)
{
    if (c->workers < 2 || c->workers > CCZ_VFL_WORKERS_MAX || c->worker < 1 ||
        c->worker > c->workers)
        return ccz_fail(err, CCZ_E_ARG, "vfl:team", (int64_t)c->worker,
                        "worker %u of %u: of 2 to %d workers each has a number from 1", c->worker,
                        c->workers, CCZ_VFL_WORKERS_MAX);
    size_t want = c->worker == 1 ? c->workers - 1 : 1;
    if (len != want)
        return ccz_hint(err,
                        ccz_refuse_num(err, CCZ_E_ARG, "vfl:team", (int64_t)len, (int64_t)want),
                        "worker 1 has a channel to each other one, they have one to it");
    if (!c->key || ccz_secret_size(c->key) != KEY_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "vfl:team", 0, "the party's key has %d bytes", KEY_SIZE);
    return CCZ_OK;
}

ccz_rc ccz_vfl_team_join(struct ccz_vfl_team **out, struct ccz_chan *const *peers, size_t len,
                         const struct ccz_vfl_team_cfg *cfg, struct ccz_err *err)
{
    struct ccz_err reason = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    const struct ccz_vfl_run run = {.timeout_ms = cfg->timeout_ms};
    *out = NULL;
    struct ccz_vfl_team *t = calloc(1, sizeof(*t));
    if (t)
        t->link = calloc(len ? len : 1, sizeof(*t->link));
    ccz_rc rc = t && t->link ? check_cfg(cfg, len, &reason) : cczi_vfl_no_memory(&reason);
    for (size_t i = 0; t && t->link && i < len; i++)
        cczi_vfl_link_init(&t->link[i], peers[i], &run);
    if (rc == CCZ_OK) {
        t->worker = cfg->worker - 1;
        t->workers = cfg->workers;
        t->leader = cfg->leader;
        t->len = len;
        ccz_buf_init(&t->came, CCZ_VFL_STATE_SIZE_MAX);
        t->came.wipe = true;
        rc = derive_key(&key, cfg->key, &reason);
    }
    if (rc == CCZ_OK)
        rc = meet(t, key, &reason);
    if (rc == CCZ_OK) {
        *out = t;
        return CCZ_OK;
    }
    char text[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2];
    (void)snprintf(text, sizeof(text), "%s: %s", reason.where, reason.msg);
    for (size_t i = 0; i < len; i++)
        ccz_chan_close(peers[i], text);
    ccz_vfl_team_free(t);
    if (err)
        *err = reason;
    return rc;
}

void cczi_vfl_team_end(struct ccz_vfl_team *t, ccz_rc rc, const struct ccz_err *reason)
{
    (void)cczi_vfl_end(t->link, t->len, rc, reason, NULL);
}

void ccz_vfl_team_free(struct ccz_vfl_team *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->len; i++)
        ccz_buf_free(&t->link[i].in);
    ccz_buf_free(&t->came);
    free(t->link);
    free(t);
}

/* --------------------------------------------------------------------------------- rows */

static ccz_rc take_rows(struct ccz_vfl_rows **out, const struct ccz_vfl_team *t, size_t len,
                        const uint8_t data[CCZ_VFL_DIGEST_SIZE], struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&t->came));
    struct ccz_span theirs = ccz_rd_take(&r, CCZ_VFL_DIGEST_SIZE);
    if (theirs.ptr && memcmp(theirs.ptr, data, CCZ_VFL_DIGEST_SIZE) != 0)
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "vfl:worker-data", theirs.ptr,
                                         theirs.size, data, CCZ_VFL_DIGEST_SIZE),
                        "all workers of a party need the same files, with all of its rows");
    CCZ_AUTO(ccz_vfl_rows) rows = calloc(1, sizeof(*rows));
    if (!rows)
        return cczi_vfl_no_memory(err);
    ccz_rd_copy(&r, rows->digest, sizeof(rows->digest));
    rows->stored = ccz_rd_u8(&r) == 1;
    uint64_t count = ccz_rd_le64(&r);
    if (r.bad || r.left % 8 != 0 || count != r.left / 8 || count > CCZ_VFL_ROWS_MAX)
        return ccz_fail(err, CCZ_E_PEER, "vfl:message", (int64_t)t->came.size,
                        "malformed rows of worker 1");
    rows->row = calloc((size_t)count + 1, sizeof(*rows->row));
    if (!rows->row)
        return cczi_vfl_no_memory(err);
    rows->len = (size_t)count;
    for (size_t i = 0; i < rows->len; i++) {
        uint64_t row = ccz_rd_le64(&r);
        if (row >= len)
            return ccz_refuse_num(err, CCZ_E_PEER, "vfl:rows", (int64_t)row, (int64_t)len - 1);
        rows->row[i] = (size_t)row;
    }
    *out = ccz_vfl_rows_take(&rows);
    return CCZ_OK;
}

static ccz_rc give_rows(struct ccz_vfl_team *t, const struct ccz_vfl_rows *rows,
                        const uint8_t data[CCZ_VFL_DIGEST_SIZE], struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 128 + 8 * CCZ_VFL_ROWS_MAX);
    b.wipe = true;
    ccz_buf_put(&b, data, CCZ_VFL_DIGEST_SIZE);
    ccz_buf_put(&b, rows->digest, sizeof(rows->digest));
    ccz_buf_u8(&b, rows->stored);
    ccz_buf_le64(&b, rows->len);
    for (size_t i = 0; i < rows->len; i++)
        ccz_buf_le64(&b, rows->row[i]);
    ccz_rc rc = b.bad ? cczi_vfl_no_memory(err) : CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++)
        rc =
            lost(t, i, cczi_vfl_send_whole(&t->link[i], CCZI_VFL_ROWS, 0, 0, ccz_buf_span(&b), err),
                 err);
    return rc;
}

ccz_rc ccz_vfl_team_rows(struct ccz_vfl_rows **rows, struct ccz_vfl_team *t, size_t len,
                         const uint8_t data[CCZ_VFL_DIGEST_SIZE], struct ccz_err *err)
{
    struct ccz_err reason = {0};
    double unused;
    ccz_rc rc;
    if (is_hub(t)) {
        rc = give_rows(t, *rows, data, &reason);
    } else {
        *rows = NULL;
        rc = lost(t, 0,
                  cczi_vfl_recv_whole(&t->came, &unused, &t->link[0], CCZI_VFL_ROWS, 0, SIZE_MAX,
                                      &reason),
                  &reason);
        if (rc == CCZ_OK)
            rc = take_rows(rows, t, len, data, &reason);
    }
    if (rc == CCZ_OK)
        return rc;
    cczi_vfl_team_end(t, rc, &reason);
    if (err)
        *err = reason;
    return rc;
}

/* ---------------------------------------------------------------------------- agreement */

ccz_rc cczi_vfl_team_settings(uint8_t out[32], const struct cczi_vfl_hello *mine,
                              const struct cczi_vfl_layout *y, const struct ccz_vfl_lead *lead,
                              struct ccz_err *err)
{
    uint8_t layout[32];
    uint64_t power = 0;
    CCZ_AUTO_BUF b;
    ccz_rc rc = cczi_vfl_layout_digest(layout, y, err);
    if (rc != CCZ_OK)
        return rc;
    if (lead)
        memcpy(&power, &lead->power, sizeof(power));
    ccz_buf_init(&b, 512);
    ccz_buf_put_str(&b, "cczoo vfl worker");
    ccz_buf_put(&b, mine->config, sizeof(mine->config));
    ccz_buf_put(&b, mine->alignment, sizeof(mine->alignment));
    ccz_buf_put(&b, mine->test_alignment, sizeof(mine->test_alignment));
    ccz_buf_put(&b, mine->schema, sizeof(mine->schema));
    ccz_buf_le64(&b, mine->rows);
    ccz_buf_le64(&b, mine->test_rows);
    ccz_buf_put(&b, layout, sizeof(layout));
    ccz_buf_le64(&b, lead ? 1 + (uint64_t)lead->protect : 0);
    ccz_buf_le64(&b, power);
    rc = b.bad ? CCZ_E_NOMEM : ccz_sha256(out, ccz_buf_span(&b));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:digest", 0, "cannot hash");
}

static ccz_rc send_ready(struct cczi_vfl_link *l, const struct cczi_vfl_ready *y,
                         struct ccz_err *err)
{
    CCZ_AUTO_BUF body;
    struct cczi_vfl_msg m = {.kind = CCZI_VFL_READY};
    ccz_buf_init(&body, READY_SIZE);
    cczi_vfl_msg_ready(&body, y);
    return body.bad ? cczi_vfl_no_memory(err) : cczi_vfl_send_msg(l, &m, ccz_buf_span(&body), err);
}

static ccz_rc recv_ready(struct ccz_vfl_team *t, size_t i, const uint8_t settings[32],
                         struct ccz_err *err)
{
    struct cczi_vfl_link *l = &t->link[i];
    ccz_rc rc = lost(t, i, cczi_vfl_recv_kind(l, CCZI_VFL_READY, READY_SIZE, err), err);
    if (rc == CCZ_OK && memcmp(l->msg.ready.settings, settings, 32) != 0)
        rc = ccz_hint(err,
                      ccz_refuse_bytes(err, CCZ_E_MISMATCH, "vfl:worker-config",
                                       l->msg.ready.settings, 32, settings, 32),
                      "all workers of a party need the same settings, protection, models and rows");
    return rc;
}

static bool among(const uint64_t *steps, size_t len, uint64_t step)
{
    for (size_t i = 0; i < len; i++)
        if (steps[i] == step)
            return true;
    return false;
}

static ccz_rc pick(struct cczi_vfl_ready *out, struct ccz_vfl_team *t, struct ccz_err *err)
{
    struct cczi_vfl_ready left = *out;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++) {
        const struct cczi_vfl_ready *theirs = &t->link[i].msg.ready;
        size_t len = 0;
        rc = recv_ready(t, i, out->settings, err);
        for (size_t k = 0; rc == CCZ_OK && k < left.steps_len; k++)
            if (among(theirs->steps, theirs->steps_len, left.steps[k]))
                left.steps[len++] = left.steps[k];
        left.steps_len = (uint32_t)len;
    }
    if (rc == CCZ_OK && left.steps_len == 0)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_PEER, t->leader ? "vfl:resume" : "vfl:worker-step",
                                 (int64_t)out->steps[0],
                                 "no step of which all workers of all parties have a state"),
                        "a worker has lost its state, or has that of another training: remove all "
                        "to begin anew");
    if (rc == CCZ_OK && left.steps_len > 1 && left.steps[1] > left.steps[0])
        left.steps[0] = left.steps[1];
    out->steps[0] = left.steps[0];
    out->steps_len = 1;
    return rc;
}

ccz_rc cczi_vfl_team_agree(uint64_t *step, struct ccz_vfl_team *t, const uint8_t settings[32],
                           const uint64_t *steps, size_t len, struct ccz_err *err)
{
    struct cczi_vfl_ready y = {.steps_len = (uint32_t)len};
    memcpy(y.settings, settings, sizeof(y.settings));
    for (size_t i = 0; i < len; i++)
        y.steps[i] = steps[i];
    ccz_rc rc = CCZ_OK;
    if (is_hub(t)) {
        rc = pick(&y, t, err);
        for (size_t i = 0; rc == CCZ_OK && i < t->len; i++)
            rc = lost(t, i, send_ready(&t->link[i], &y, err), err);
        *step = y.steps[0];
        return rc;
    }
    rc = lost(t, 0, send_ready(&t->link[0], &y, err), err);
    if (rc == CCZ_OK)
        rc = recv_ready(t, 0, settings, err);
    const struct cczi_vfl_ready *chosen = &t->link[0].msg.ready;
    if (rc == CCZ_OK && (chosen->steps_len != 1 || !among(steps, len, chosen->steps[0])))
        rc = ccz_refuse_num(err, CCZ_E_PEER, "vfl:worker-step", (int64_t)chosen->steps[0],
                            len ? (int64_t)steps[0] : -1);
    *step = chosen->steps[0];
    return rc;
}

/* --------------------------------------------------------------------------------- mean */

static ccz_rc hub_mean(uint8_t *shared, double *value, struct ccz_vfl_team *t, uint64_t step,
                       const struct cczi_vfl_layout *y, double *sum, struct ccz_err *err)
{
    double theirs;
    ccz_rc rc = cczi_vfl_layout_sum(sum, y, shared, shared, 0, err);
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++) { /* in this order, whoever comes first */
        rc = lost(t, i,
                  cczi_vfl_recv_whole(&t->came, &theirs, &t->link[i], CCZI_VFL_STATE, step,
                                      y->shared_size, err),
                  err);
        if (rc == CCZ_OK)
            rc = cczi_vfl_layout_sum(sum, y, shared, t->came.ptr, other(t, i), err);
        if (rc == CCZ_OK)
            *value += theirs;
    }
    if (rc != CCZ_OK)
        return rc;
    cczi_vfl_layout_mean(shared, y, sum, t->workers);
    *value /= t->workers;
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++)
        rc = lost(t, i,
                  cczi_vfl_send_whole(&t->link[i], CCZI_VFL_MEAN, step, *value,
                                      CCZ_SPAN(shared, y->shared_size), err),
                  err);
    return rc;
}

ccz_rc cczi_vfl_team_mean(uint8_t *shared, double *value, struct ccz_vfl_team *t, uint64_t step,
                          const struct cczi_vfl_layout *y, struct ccz_err *err)
{
    if (is_hub(t)) {
        double *sum = calloc(y->floats + 1, sizeof(*sum));
        if (!sum)
            return cczi_vfl_no_memory(err);
        ccz_rc rc = hub_mean(shared, value, t, step, y, sum, err);
        ccz_wipe(sum, y->floats * sizeof(*sum));
        free(sum);
        return rc;
    }
    ccz_rc rc = cczi_vfl_send_whole(&t->link[0], CCZI_VFL_STATE, step, *value,
                                    CCZ_SPAN(shared, y->shared_size), err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_recv_whole(&t->came, value, &t->link[0], CCZI_VFL_MEAN, step, y->shared_size,
                                 err);
    if (rc == CCZ_OK && y->shared_size)
        memcpy(shared, t->came.ptr, y->shared_size);
    return lost(t, 0, rc, err);
}
