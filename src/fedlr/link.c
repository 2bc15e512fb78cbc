/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr/fedlr_priv.h"

#include <cczoo/crypto.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FAREWELL_MS = 10000, SMALL_SIZE_MAX = 8192, OUT_SIZE_MAX = 1 << 30 };

void cczi_fl_config_digest(uint8_t out[32], const struct ccz_fedlr_cfg *cfg)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, SMALL_SIZE_MAX);
    ccz_buf_put_str(&b, "CCZ-fedlr-cfg-2");
    ccz_buf_le32(&b, (uint32_t)cfg->mode);
    ccz_buf_le32(&b, cfg->rounds);
    ccz_buf_le32(&b, cfg->parties);
    ccz_buf_le32(&b, cfg->local_steps);
    ccz_buf_le64(&b, cfg->batch_rows);
    const double reals[] = {cfg->eta, cfg->decay, cfg->momentum, cfg->l1, cfg->l2, cfg->tol};
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
        cczi_fl_msg_put_double(&b, reals[i]);
    ccz_buf_le32(&b, (uint32_t)cfg->sigmoid);
    ccz_buf_le32(&b, (uint32_t)cfg->loss);
    ccz_buf_le64(&b, cfg->seed);
    ccz_buf_le32(&b, cfg->optimize);
    if (b.bad || ccz_sha256(out, ccz_buf_span(&b)) != CCZ_OK)
        memset(out, 0, 32);
}

static const char *config_flaw(const struct ccz_fedlr_run *run, enum cczi_fl_role role,
                               size_t peers)
{
    const struct ccz_fedlr_cfg *c = run->cfg;
    bool hetero = c->mode >= CCZ_FEDLR_HETERO;
    const double reals[] = {c->eta, c->decay, c->l1, c->l2, c->tol};
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
        if (!(reals[i] >= 0 && reals[i] < 1e6))
            return "eta, decay, l1, l2 and tol are numbers from 0 on";
    if (c->mode < CCZ_FEDLR_ENCRYPTED_MODEL || c->mode > CCZ_FEDLR_HETERO_RLWE)
        return "there is no such mode";
    if (c->rounds == 0)
        return "rounds is 0";
    if (c->parties == 0 || c->parties > CCZ_FEDLR_PARTIES_MAX)
        return "parties is not 1 to 64";
    if (!(c->momentum >= 0 && c->momentum < 1))
        return "momentum is not in [0, 1)";
    if (c->optimize > CCZ_FEDLR_ALL)
        return "there is no such optimisation";
    if (c->loss != CCZ_FEDLR_LOGISTIC && (c->loss != CCZ_FEDLR_SQUARED || !hetero))
        return "the squared loss is for heterogeneous modes";
    if (c->mode == CCZ_FEDLR_ENCRYPTED_MODEL && c->l1 > 0)
        return "an L1 penalty is not linear in the weights: ENCRYPTED_MODEL cannot have it";
    if ((c->mode == CCZ_FEDLR_HETERO_TWO || c->mode == CCZ_FEDLR_HETERO_RLWE) && c->parties != 1)
        return "without an arbiter there is one host";
    if (c->mode == CCZ_FEDLR_HETERO_RLWE && run->key_id)
        return "keys of HETERO_RLWE are made for one training: none can be pinned";
    if (hetero == (role == CCZI_ROLE_AGGREGATOR || role == CCZI_ROLE_WORKER))
        if (role != CCZI_ROLE_ARBITER)
            return "this role is not part of the mode";
    if ((role == CCZI_ROLE_AGGREGATOR || role == CCZI_ROLE_GUEST) && peers != c->parties)
        return "the number of channels is not that of the parties";
    if (run->checkpoint && (!run->seal || ccz_secret_size(run->seal) != 32))
        return "a checkpoint needs a sealing key of 32 bytes";
    return NULL;
}

ccz_rc cczi_fl_config_check(const struct ccz_fedlr_run *run, enum cczi_fl_role role, size_t peers,
                            struct ccz_err *err)
{
    const char *flaw = config_flaw(run, role, peers);
    return flaw ? ccz_fail(err, CCZ_E_ARG, "fedlr:config", 0, "%s", flaw) : CCZ_OK;
}

ccz_rc cczi_fl_session_init(struct cczi_fl_session *s, const struct ccz_fedlr_run *run,
                            enum cczi_fl_role role, struct ccz_chan *const *chans, size_t len,
                            struct ccz_chan *one_more, struct ccz_err *err)
{
    *s = (struct cczi_fl_session){.run = run, .role = role};
    ccz_buf_init(&s->in, SMALL_SIZE_MAX);
    ccz_buf_init(&s->out, OUT_SIZE_MAX);
    for (size_t i = 0; i < len && s->len < CCZI_LINKS_MAX; i++)
        s->chan[s->len++] = chans[i];
    if (one_more && s->len < CCZI_LINKS_MAX)
        s->chan[s->len++] = one_more;
    for (size_t i = 0; i < s->len && run->timeout_ms > 0; i++)
        ccz_chan_set_timeout(s->chan[i], run->timeout_ms);
    return cczi_fl_config_check(run, role, len, err);
}

/* Whoever is killed before its last round is stored comes again, and needs the others for it: who has a state comes again as well, from
 * the last round, and who needs none can be told to. ENCRYPTED_MODEL: its arbiter alone has the model, and has stored it before it says
 * that there is no further round. */
static bool comes_again(const struct cczi_fl_session *s)
{
    enum ccz_fedlr_mode mode = s->run->cfg->mode;
    bool stateless = s->role == CCZI_ROLE_AGGREGATOR || s->role == CCZI_ROLE_ARBITER;
    return mode != CCZ_FEDLR_ENCRYPTED_MODEL &&
           (s->run->checkpoint || (stateless && s->run->stays));
}

/* @return false: the other end has gone without a word */
static bool recv_bye(struct cczi_fl_session *s, size_t i)
{
    struct cczi_fl_msg msg;
    ccz_buf_clear(&s->in);
    s->in.max_size = CCZI_MSG_HEADER_SIZE;
    ccz_rc rc = comes_again(s) ? ccz_chan_recv(&s->in, s->chan[i], NULL)
                               : ccz_chan_recv_within(&s->in, s->chan[i], FAREWELL_MS, NULL);
    return rc == CCZ_OK && cczi_fl_msg_parse(&msg, ccz_buf_span(&s->in), NULL) == CCZ_OK &&
           msg.kind == CCZI_MSG_BYE;
}

/* @return false: of some that matter */
static bool recv_byes(struct cczi_fl_session *s, size_t first, size_t end)
{
    bool all = true;
    for (size_t i = first; i < end && all; i++)
        all = recv_bye(s, i) || !comes_again(s);
    return all;
}

/* What fails to leave is missed by the other side. */
static void send_byes(struct cczi_fl_session *s, size_t first, size_t end)
{
    cczi_fl_msg_begin(&s->out, CCZI_MSG_BYE, 0);
    for (size_t i = first; i < end; i++)
        if (cczi_fl_send(s, i, NULL) != CCZ_OK)
            continue;
}

/* Nobody leaves before all have stored the last round, which each says to whom it is linked to; those in the middle pass it on:
 * hosts -> guest and arbiter, guest -> arbiter, arbiter -> all, guest -> hosts; workers -> aggregator -> workers.
 * @return false: somebody may not have */
static bool part(struct cczi_fl_session *s)
{
    bool arbiter = s->run->cfg->mode == CCZ_FEDLR_HETERO;
    bool guest = s->role == CCZI_ROLE_GUEST && s->len > 0;
    bool middle = s->role == CCZI_ROLE_AGGREGATOR || (s->role == CCZI_ROLE_ARBITER && arbiter);
    size_t hosts = guest && arbiter ? s->len - 1 : s->len;
    if (!guest && !middle)
        send_byes(s, 0, s->len);
    if (!recv_byes(s, 0, hosts))
        return false;
    send_byes(s, hosts, s->len);
    if (!recv_byes(s, hosts, s->len))
        return false;
    if (guest || middle)
        send_byes(s, 0, hosts);
    return true;
}

ccz_rc cczi_fl_session_end(struct cczi_fl_session *s, ccz_rc rc, const struct ccz_err *reason,
                           struct ccz_err *err)
{
    char text[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2];
    if (rc != CCZ_OK) {
        (void)snprintf(text, sizeof(text), "%s: %s", reason->where, reason->msg);
        for (size_t i = 0; i < s->len; i++)
            ccz_chan_close(s->chan[i], text);
        if (err)
            *err = *reason;
    } else if (!part(s)) {
        rc = ccz_fail(err, CCZ_E_CLOSED, "fedlr:farewell", 0,
                      "a party has gone before all had stored the last round");
        for (size_t i = 0; i < s->len; i++)
            ccz_chan_close(s->chan[i], "fedlr:farewell");
    }
    ccz_buf_free(&s->in);
    ccz_buf_free(&s->out);
    ccz_paillier_pub_free(s->pub);
    s->pub = NULL;
    return rc;
}

ccz_rc cczi_fl_unfinished(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOT_FOUND, "fedlr:unfinished", 0,
                    "there is no state of the last round");
}

struct cczi_fl_hello cczi_fl_hello_of(const struct cczi_fl_history *h,
                                      const struct ccz_fedlr_table *t)
{
    struct cczi_fl_hello hello = {.round = h->now.round};
    CCZ_AUTO(ccz_hasher) hasher = NULL;
    if (!t)
        return hello;
    hello.rows = t->rows;
    hello.cols = (uint32_t)t->cols;
    if (!t->id || ccz_hasher_new(&hasher, CCZ_SHA256) != CCZ_OK)
        return hello;
    for (size_t i = 0; i < t->rows; i++)
        if (ccz_hasher_put(hasher, CCZ_SPAN(t->id[i], sizeof(t->id[i]))) != CCZ_OK)
            return hello;
    if (ccz_hasher_done(hello.ids, hasher) != CCZ_OK)
        memset(hello.ids, 0, sizeof(hello.ids));
    return hello;
}

ccz_rc cczi_fl_send(struct cczi_fl_session *s, size_t to, struct ccz_err *err)
{
    if (s->out.bad)
        return cczi_fl_no_memory(err);
    return ccz_chan_send(s->chan[to], ccz_buf_span(&s->out), err);
}

static ccz_rc recv_sized(struct cczi_fl_session *s, size_t from, enum cczi_fl_msg_kind kind,
                         uint64_t round, size_t size_max, struct ccz_err *err)
{
    ccz_buf_clear(&s->in);
    s->in.max_size = size_max;
    ccz_rc rc = ccz_chan_recv(&s->in, s->chan[from], err);
    if (rc == CCZ_OK)
        rc = cczi_fl_msg_parse(&s->msg, ccz_buf_span(&s->in), err);
    if (rc == CCZ_OK && (s->msg.kind != kind || s->msg.round != round)) {
        char got[64], expected[64];
        (void)snprintf(got, sizeof(got), "kind %d of round %llu", (int)s->msg.kind,
                       (unsigned long long)s->msg.round);
        (void)snprintf(expected, sizeof(expected), "kind %d of round %llu", (int)kind,
                       (unsigned long long)round);
        rc = ccz_refuse(err, CCZ_E_PEER, "fedlr:order", got, expected);
    }
    return rc;
}

ccz_rc cczi_fl_recv(struct cczi_fl_session *s, size_t from, enum cczi_fl_msg_kind kind,
                    uint64_t round, struct ccz_err *err)
{
    return recv_sized(s, from, kind, round, SMALL_SIZE_MAX, err);
}

ccz_rc cczi_fl_recv_body(struct ccz_span *body, struct cczi_fl_session *s, size_t from,
                         enum cczi_fl_msg_kind kind, uint64_t round, size_t size_max,
                         struct ccz_err *err)
{
    ccz_rc rc = recv_sized(s, from, kind, round, CCZI_MSG_HEADER_SIZE + size_max, err);
    *body = rc == CCZ_OK ? s->msg.body : (struct ccz_span){0};
    return rc;
}

ccz_rc cczi_fl_recv_values(struct cczi_fl_session *s, size_t from, enum cczi_fl_msg_kind kind,
                           uint64_t round, size_t len, struct ccz_err *err)
{
    ccz_rc rc = recv_sized(s, from, kind, round, CCZI_MSG_HEADER_SIZE + 8 * len, err);
    if (rc == CCZ_OK && s->msg.len != len)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:message", (int64_t)s->msg.len, (int64_t)len);
    return rc;
}

ccz_rc cczi_fl_greet(struct cczi_fl_hello *theirs, struct cczi_fl_session *s,
                     const struct cczi_fl_hello *mine, struct ccz_err *err)
{
    struct cczi_fl_hello h = *mine;
    h.role = s->role;
    cczi_fl_config_digest(h.config, s->run->cfg);
    cczi_fl_msg_begin(&s->out, CCZI_MSG_HELLO, 0);
    cczi_fl_msg_put_hello(&s->out, &h);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++)
        rc = cczi_fl_send(s, i, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        rc = cczi_fl_recv(s, i, CCZI_MSG_HELLO, 0, err);
        theirs[i] = s->msg.hello;
        if (rc == CCZ_OK && memcmp(theirs[i].config, h.config, sizeof(h.config)) != 0)
            rc = ccz_hint(err,
                          ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fedlr:config-digest",
                                           theirs[i].config, sizeof(h.config), h.config,
                                           sizeof(h.config)),
                          "all parties need the same mode, rounds, step sizes, penalties, seed and "
                          "optimisations");
    }
    return rc;
}

ccz_rc cczi_fl_expect_role(const struct cczi_fl_hello *h, enum cczi_fl_role role,
                           struct ccz_err *err)
{
    if (h->role != role)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "fedlr:role", (int64_t)h->role, (int64_t)role);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- ciphertexts */

ccz_rc cczi_fl_send_vec(struct cczi_fl_session *s, size_t to, enum cczi_fl_msg_kind kind,
                        uint64_t round, const struct ccz_paillier_vec *v, struct ccz_err *err)
{
    cczi_fl_msg_begin(&s->out, kind, round);
    ccz_rc rc = ccz_paillier_vec_write(&s->out, v, err);
    return rc == CCZ_OK ? cczi_fl_send(s, to, err) : rc;
}

ccz_rc cczi_fl_recv_vec(struct ccz_paillier_vec **out, struct cczi_fl_session *s, size_t from,
                        enum cczi_fl_msg_kind kind, uint64_t round,
                        const struct ccz_paillier_pub *pub, size_t len, struct ccz_err *err)
{
    *out = NULL;
    size_t size_max = CCZI_MSG_HEADER_SIZE + ccz_paillier_vec_size(pub, len);
    ccz_rc rc = recv_sized(s, from, kind, round, size_max, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_read(out, pub, s->msg.body, len, err);
    if (rc == CCZ_OK && ccz_paillier_vec_len(*out) != len) {
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:message", (int64_t)ccz_paillier_vec_len(*out),
                            (int64_t)len);
        ccz_paillier_vec_free(*out);
        *out = NULL;
    }
    return rc;
}

ccz_rc cczi_fl_send_key(struct cczi_fl_session *s, size_t to, struct ccz_err *err)
{
    cczi_fl_msg_begin(&s->out, CCZI_MSG_KEY, 0);
    ccz_paillier_pub_write(&s->out, s->pub);
    return cczi_fl_send(s, to, err);
}

ccz_rc cczi_fl_use_key(struct cczi_fl_session *s, struct ccz_paillier_pub *pub, struct ccz_err *err)
{
    uint8_t id[CCZ_PAILLIER_ID_SIZE];
    const uint8_t *want = s->run->key_id;
    ccz_paillier_id(id, pub);
    if (want && memcmp(id, want, sizeof(id)) != 0) {
        ccz_paillier_pub_free(pub);
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fedlr:key-id", id, sizeof(id), want,
                                sizeof(id));
    }
    s->pub = pub;
    return CCZ_OK;
}

ccz_rc cczi_fl_recv_key(struct ccz_paillier_pub **out, struct cczi_fl_session *s, size_t from,
                        struct ccz_err *err)
{
    const struct ccz_paillier_pub_cfg cfg = {.bits_1024_insecure = s->run->key_1024_insecure};
    *out = NULL;
    ccz_rc rc = cczi_fl_recv(s, from, CCZI_MSG_KEY, 0, err);
    return rc == CCZ_OK ? ccz_paillier_pub_read(out, s->msg.body, &cfg, err) : rc;
}

/* ----------------------------------------------------------------------------------- rounds */

ccz_rc cczi_fl_send_start(struct cczi_fl_session *s, size_t to, uint64_t round, uint64_t rows,
                          struct ccz_err *err)
{
    cczi_fl_msg_begin(&s->out, CCZI_MSG_START, 0);
    ccz_buf_le64(&s->out, round);
    ccz_buf_le64(&s->out, rows);
    return cczi_fl_send(s, to, err);
}

ccz_rc cczi_fl_send_go(struct cczi_fl_session *s, size_t to, uint64_t round, bool go,
                       struct ccz_err *err)
{
    cczi_fl_msg_begin(&s->out, CCZI_MSG_GO, round);
    ccz_buf_u8(&s->out, go);
    return cczi_fl_send(s, to, err);
}

ccz_rc cczi_fl_recv_go(bool *go, struct cczi_fl_session *s, size_t from, uint64_t round,
                       struct ccz_err *err)
{
    ccz_rc rc = cczi_fl_recv(s, from, CCZI_MSG_GO, round, err);
    *go = rc == CCZ_OK && s->msg.go == 1;
    return rc;
}

static void count(uint64_t *sent, uint64_t *received, const struct cczi_fl_session *s)
{
    *sent = *received = 0;
    for (size_t i = 0; i < s->len; i++) {
        struct ccz_chan_stats st = ccz_chan_stats(s->chan[i]);
        *sent += st.sent_size;
        *received += st.received_size;
    }
}

void cczi_fl_round_begin(struct cczi_fl_session *s)
{
    count(&s->sent_size, &s->received_size, s);
    cczi_fl_round_clock(s);
}

void cczi_fl_round_clock(struct cczi_fl_session *s)
{
    s->start_ns = ccz_mono_ns();
}

void cczi_fl_round_end(struct cczi_fl_session *s, uint64_t round, uint64_t rounds, double loss,
                       const double *w, size_t w_len)
{
    if (!s->run->on_round)
        return;
    struct ccz_fedlr_progress p = {.round = round,
                                   .rounds = rounds,
                                   .loss = loss,
                                   .took_ns = ccz_mono_ns() - s->start_ns,
                                   .w = w,
                                   .w_len = w_len};
    count(&p.sent_size, &p.received_size, s);
    p.sent_size -= s->sent_size;
    p.received_size -= s->received_size;
    s->run->on_round(s->run->arg, &p);
}

struct ccz_paillier_enc_cfg cczi_fl_enc(const struct cczi_fl_session *s)
{
    return (struct ccz_paillier_enc_cfg){
        .method = s->run->cfg->optimize & CCZ_FEDLR_DJN ? CCZ_PAILLIER_AUTO : CCZ_PAILLIER_FULL,
        .threads = s->run->threads,
        .rng = s->run->rng};
}
