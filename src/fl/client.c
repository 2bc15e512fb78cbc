/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a client: models in, updates out. The training: client_work.c. */
#include "fl/client.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- lifetime */

/* What would fail in the first private round is known now. */
static ccz_rc check_identity(const struct ccz_fl_client_cfg *cfg, struct ccz_err *err)
{
    uint8_t xy[64];
    if (!cfg->roster)
        return CCZ_OK;
    const struct ccz_fl_identity *own =
        cczi_hfl_identity(cfg->roster, cfg->roster_len, cfg->name, strlen(cfg->name));
    if (!cfg->identity || ccz_key_curve(cfg->identity) != CCZ_P256 ||
        ccz_key_xy(xy, cfg->identity) != CCZ_OK)
        return ccz_fail(err, CCZ_E_ARG, "fl:identity", 0,
                        "a roster needs this member's own key, of P-256");
    if (!own)
        return ccz_fail(err, CCZ_E_ARG, "fl:identity", 0, "the roster has no member %.64s",
                        cfg->name);
    if (memcmp(own->xy, xy, sizeof(xy)) != 0)
        return ccz_fail(err, CCZ_E_ARG, "fl:identity", 0, "the roster has another key of %.64s",
                        cfg->name);
    return CCZ_OK;
}

ccz_rc ccz_fl_client_new(struct ccz_fl_client **out, const struct ccz_fl_client_cfg *cfg,
                         struct ccz_err *err)
{
    *out = NULL;
    if (!cfg->name || !cczi_hfl_name_ok(cfg->name))
        return ccz_fail(err, CCZ_E_ARG, "fl:member-name", 0, "malformed name");
    ccz_rc rc = check_identity(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_fl_client) c = calloc(1, sizeof(*c));
    if (!c)
        return cczi_hfl_no_memory(err);
    c->cfg = *cfg;
    ccz_buf_init(&c->private_out, CCZ_FL_CHUNK_SIZE);
    memcpy(c->name, cfg->name, strlen(cfg->name) + 1);
    c->cfg.name = c->name;
    rc = ccz_fl_layout_copy(&c->layout, cfg->layout, err);
    if (rc != CCZ_OK)
        return rc;
    c->cfg.layout = c->layout;
    rc = cczi_hfl_state_load(c, err);
    if (rc == CCZ_OK)
        *out = ccz_fl_client_take(&c);
    return rc;
}

void ccz_fl_client_free(struct ccz_fl_client *c)
{
    if (!c)
        return;
    cczi_hfl_buffers_free(c);
    cczi_hfl_generations_free(c);
    cczi_hfl_digest_free(&c->digest);
    cczi_hfl_part_free(c->part);
    ccz_buf_free(&c->private_out);
    ccz_key_free(c->server_key);
    ccz_fl_layout_free(c->layout);
    free(c);
}

ccz_rc ccz_fl_client_start(struct ccz_fl_client *c, struct ccz_err *err)
{
    if (c->state == HFL_C_OVER)
        return ccz_fail(err, CCZ_E_CLOSED, "fl:over", (int64_t)c->seen_round,
                        "the training is over");
    c->state = HFL_C_GREETING;
    c->hello_due = true;
    c->offer_due = c->report_due = false;
    cczi_hfl_part_free(c->part); /* its keys were for the connection that is gone */
    c->part = NULL;
    ccz_buf_clear(&c->private_out);
    return CCZ_OK;
}

const float *ccz_fl_client_params(const struct ccz_fl_client *c)
{
    return c->whole ? c->base : NULL;
}

uint64_t ccz_fl_client_round(const struct ccz_fl_client *c)
{
    return c->seen_round;
}

bool ccz_fl_client_complete(const struct ccz_fl_client *c)
{
    return c->complete;
}

ccz_rc ccz_fl_client_is_last(const struct ccz_fl_client *c, const struct ccz_fl_layout *layout,
                             uint64_t round, const float *params, struct ccz_err *err)
{
    uint8_t digest[CCZ_FL_DIGEST_SIZE];
    if (!c->complete)
        return ccz_fail(err, CCZ_E_MISMATCH, "fl:last-model", (int64_t)c->seen_round,
                        "the training is not over");
    ccz_rc rc = ccz_fl_model_digest(digest, layout, round, params, err);
    if (rc == CCZ_OK && memcmp(digest, c->seen_digest, sizeof(digest)) != 0)
        rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fl:last-model", digest, sizeof(digest),
                              c->seen_digest, sizeof(c->seen_digest));
    return rc;
}

/* ----------------------------------------------------------------------------------- welcome */

static bool all_zero(const uint8_t *p, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= p[i];
    return any == 0;
}

/* Which key models must be signed with. */
static ccz_rc judge_key(struct ccz_fl_client *c, const uint8_t key[64], struct ccz_err *err)
{
    uint8_t expected[64];
    bool none = all_zero(key, 64);
    if (c->cfg.server_key) {
        if (ccz_key_xy(expected, c->cfg.server_key) != CCZ_OK)
            return ccz_fail(err, CCZ_E_ARG, "fl:server-key", 0, "the expected key is unusable");
    } else {
        memcpy(expected, c->known ? c->key : key, 64);
    }
    if (memcmp(key, expected, 64) != 0)
        return ccz_refuse_bytes(err, CCZ_E_SIG, "fl:server-key", key, 64, expected, 64);
    if (none && !c->cfg.unsigned_insecure)
        return ccz_fail(err, CCZ_E_SIG, "fl:server-unsigned", 0,
                        "the server does not sign its models");
    memcpy(c->key, key, 64);
    ccz_key_free(c->server_key);
    c->server_key = NULL;
    if (none || ccz_key_from_xy(&c->server_key, CCZ_P256, CCZ_SPAN(key, 64)) == CCZ_OK)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_SIG, "fl:server-key", 0, "the server's key is no point");
}

static ccz_rc on_welcome(struct ccz_fl_client *c, const struct cczi_hfl_welcome *w,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_fl_layout) layout = NULL;
    if (c->state != HFL_C_GREETING || c->hello_due)
        return cczi_hfl_disorder(CCZI_HFL_WELCOME, "one, behind hello", err);
    ccz_rc rc = ccz_fl_layout_decode(&layout, w->layout, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_layout_same(layout, c->layout, err);
    if (rc == CCZ_OK && c->known && memcmp(w->run, c->run, sizeof(c->run)) != 0)
        rc = ccz_hint(err,
                      ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fl:run", w->run, sizeof(w->run),
                                       c->run, sizeof(c->run)),
                      "this is another training: begin with another state file");
    if (rc == CCZ_OK && c->seen && w->round < c->seen_round)
        rc = ccz_hint(err,
                      ccz_refuse_num(err, CCZ_E_POLICY, "fl:rollback", (int64_t)w->round,
                                     (int64_t)c->seen_round),
                      "the server was put back to an older checkpoint");
    if (rc == CCZ_OK)
        rc = judge_key(c, w->key, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(c->run, w->run, sizeof(c->run));
    c->known = true;
    c->rounds = w->rounds;
    cczi_hfl_generations_cut(c, w->accepted);
    c->state = HFL_C_IDLE;
    if (!c->complete || c->seen_round >= w->rounds)
        return CCZ_OK;
    c->complete = false; /* the server was given more rounds */
    return cczi_hfl_state_save(c, err);
}

/* ------------------------------------------------------------------------------------- models */

/* Models never go back, and there is one of each round. */
static ccz_rc judge_round(const struct ccz_fl_client *c, const struct cczi_hfl_task *t,
                          struct ccz_err *err)
{
    if (t->round == 0)
        return ccz_refuse_num(err, CCZ_E_PEER, "fl:task-round", 0, 1);
    if (!c->seen)
        return CCZ_OK;
    if (t->round - 1 < c->seen_round)
        return ccz_refuse_num(err, CCZ_E_POLICY, "fl:rollback", (int64_t)t->round - 1,
                              (int64_t)c->seen_round);
    if (t->round - 1 == c->seen_round && memcmp(t->digest, c->seen_digest, sizeof(t->digest)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_POLICY, "fl:fork", t->digest, sizeof(t->digest),
                                c->seen_digest, sizeof(c->seen_digest));
    return CCZ_OK;
}

static ccz_rc judge_task(const struct ccz_fl_client *c, const struct cczi_hfl_task *t,
                         struct ccz_err *err)
{
    uint64_t size;
    const struct ccz_agg_codec codec = {
        .kind = (enum ccz_agg_codec_kind)t->codec, .block = t->block, .topk = t->topk};
    ccz_rc rc = judge_round(c, t, err);
    if (rc == CCZ_OK && (t->work & ~(uint32_t)(CCZI_HFL_TRAIN | CCZI_HFL_EVALUATE)))
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fl:task-work", t->work,
                            CCZI_HFL_TRAIN | CCZI_HFL_EVALUATE);
    bool private = cczi_hfl_part_ready(c->part, t->round);
    if (rc == CCZ_OK && (t->work & CCZI_HFL_TRAIN) && !private && c->cfg.secagg_required)
        rc = ccz_refuse(err, CCZ_E_POLICY, "fl:not-private", "an update in the clear is asked for",
                        "secure aggregation");
    if (rc == CCZ_OK && (t->work & CCZI_HFL_TRAIN) && private &&
        (t->codec != CCZ_AGG_F32 || t->scaffold))
        rc = ccz_fail(err, CCZ_E_PEER, "fl:task-private", t->codec,
                      "secure aggregation goes with plain updates only");
    if (rc == CCZ_OK && (t->work & CCZI_HFL_TRAIN))
        rc = ccz_agg_codec_size(&size, &codec, (size_t)c->layout->len, err);
    return rc;
}

static bool waits(const struct ccz_fl_client *c)
{
    return c->state == HFL_C_OFFERED || c->state == HFL_C_UPLOADING || c->state == HFL_C_SENT;
}

/* The plan of a private round, or a step in it. */
static ccz_rc on_private(struct ccz_fl_client *c, const struct cczi_hfl_private *p,
                         struct ccz_err *err)
{
    struct cczi_hfl_plan plan;
    if (c->state < HFL_C_IDLE || c->state == HFL_C_OVER || c->private_out.size)
        return cczi_hfl_disorder(CCZI_HFL_PRIVATE, "welcome, and one at a time", err);
    if (p->phase == CCZI_HFL_STEP) {
        if (!c->part)
            return cczi_hfl_disorder(CCZI_HFL_PRIVATE, "a plan before it", err);
        return cczi_hfl_part_step(&c->private_out, c->part, p->body, err);
    }
    ccz_rc rc = p->phase == CCZI_HFL_PLAN
                    ? cczi_hfl_plan_parse(&plan, p->body, c->layout->len, p->round, err)
                    : cczi_hfl_disorder(CCZI_HFL_PRIVATE, "a plan or a step", err);
    if (rc == CCZ_OK && c->seen && p->round <= c->seen_round)
        rc = ccz_refuse_num(err, CCZ_E_POLICY, "fl:rollback", (int64_t)p->round - 1,
                            (int64_t)c->seen_round);
    if (rc == CCZ_OK && cczi_hfl_part_same(c->part, &plan))
        rc = ccz_fail(err, CCZ_E_POLICY, "fl:plan-twice", (int64_t)p->round,
                      "this plan has come before");
    if (rc != CCZ_OK)
        return rc;
    if (waits(c))
        c->gen[c->next].round = 0;
    c->void_task = c->state == HFL_C_READY;
    c->state = HFL_C_IDLE; /* what was under way belongs to an attempt that was given up */
    c->offer_due = c->report_due = false;
    cczi_hfl_part_free(c->part);
    c->part = NULL;
    rc = cczi_hfl_part_new(&c->part, &plan, &c->cfg, err);
    return rc == CCZ_OK ? cczi_hfl_part_step(&c->private_out, c->part, CCZ_SPAN(NULL, 0), err) : rc;
}

static ccz_rc on_task(struct ccz_fl_client *c, const struct cczi_hfl_task *t, struct ccz_err *err)
{
    if (c->state < HFL_C_IDLE || c->state == HFL_C_OVER)
        return cczi_hfl_disorder(CCZI_HFL_TASK, "welcome", err);
    ccz_rc rc = judge_task(c, t, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t len = c->layout->len;
    c->whole = false;
    if (!c->base)
        c->base = cczi_hfl_vector(len);
    if (t->scaffold && !c->variate)
        c->variate = cczi_hfl_vector(len);
    if (!c->base || (t->scaffold && !c->variate))
        return cczi_hfl_no_memory(err);
    if (waits(c)) /* its verdict would have come first: the update was not taken */
        c->gen[c->next].round = 0;
    c->task = *t;
    c->vector = 0;
    c->at = 0;
    c->offer_due = c->report_due = false; /* a newer task makes an older answer void */
    c->state = HFL_C_MODEL;
    cczi_hfl_generations_cut(c, t->round - 1);
    return cczi_hfl_digest_begin(&c->digest, c->layout, t->round - 1, err);
}

/* All parameters are here: is it the model that the server signed? */
static ccz_rc judge_model(struct ccz_fl_client *c, struct ccz_err *err)
{
    uint8_t digest[CCZ_FL_DIGEST_SIZE];
    ccz_rc rc = cczi_hfl_digest_end(digest, &c->digest, err);
    if (rc != CCZ_OK)
        return rc;
    if (memcmp(digest, c->task.digest, sizeof(digest)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_SIG, "fl:model-digest", digest, sizeof(digest),
                                c->task.digest, sizeof(c->task.digest));
    if (c->server_key)
        rc =
            cczi_hfl_verify(c->server_key, CCZ_SPAN(c->task.sig, sizeof(c->task.sig)), digest, err);
    if (rc != CCZ_OK)
        return rc;
    c->seen = c->whole = true;
    c->seen_round = c->task.round - 1;
    memcpy(c->seen_digest, digest, sizeof(digest));
    return CCZ_OK;
}

static ccz_rc on_chunk(enum ccz_fl_event *event, struct ccz_fl_client *c,
                       const struct cczi_hfl_chunk *k, struct ccz_err *err)
{
    uint64_t size = c->layout->len * sizeof(float), left = size - c->at;
    size_t n = k->data.size;
    if (c->state != HFL_C_MODEL)
        return cczi_hfl_disorder(CCZI_HFL_CHUNK, "task", err);
    if (k->vector != c->vector || k->offset != c->at)
        return ccz_refuse_num(err, CCZ_E_PEER, "fl:chunk-offset", (int64_t)k->offset,
                              (int64_t)c->at);
    if (n == 0 || n > CCZ_FL_CHUNK_SIZE || n > left)
        return ccz_refuse_num(err, CCZ_E_PEER, "fl:chunk-size", (int64_t)n,
                              (int64_t)(left < CCZ_FL_CHUNK_SIZE ? left : CCZ_FL_CHUNK_SIZE));
    ccz_rc rc = CCZ_OK;
    bool params = c->vector == CCZI_HFL_PARAMS;
    memcpy((uint8_t *)(params ? c->base : c->variate) + c->at, k->data.ptr, n);
    c->at += n;
    if (params)
        rc = cczi_hfl_digest_upto(&c->digest, c->base, c->at, err);
    if (rc != CCZ_OK || c->at < size)
        return rc;
    c->at = 0;
    c->vector++;
    if (params)
        rc = judge_model(c, err);
    if (rc == CCZ_OK && c->vector == (c->task.scaffold ? 2U : 1U)) {
        c->state = HFL_C_READY;
        *event = CCZ_FL_WORK;
    }
    return rc;
}

/* ------------------------------------------------------------------------------------ answers */

static ccz_rc on_grant(struct ccz_fl_client *c, uint64_t round, struct ccz_err *err)
{
    if (c->state != HFL_C_OFFERED || c->offer_due || round != c->offer.round)
        return cczi_hfl_disorder(CCZI_HFL_GRANT, "an offer before it", err);
    c->state = HFL_C_UPLOADING;
    c->vector = 0;
    c->at = 0;
    return CCZ_OK;
}

static void copy_text(char *out, size_t size, struct ccz_span text)
{
    ccz_escape(out, size, text);
}

static ccz_rc on_verdict(struct ccz_fl_client *c, const struct cczi_hfl_verdict *v,
                         struct ccz_err *err)
{
    if (c->state < HFL_C_IDLE || c->state == HFL_C_OVER)
        return cczi_hfl_disorder(CCZI_HFL_VERDICT, "welcome", err);
    if (!waits(c) || v->round != c->offer.round)
        return CCZ_OK; /* of an update that a newer task made void */
    if (v->accepted && c->state != HFL_C_SENT)
        return cczi_hfl_disorder(CCZI_HFL_VERDICT, "no approval before the last chunk", err);
    c->rec.accepted = v->accepted;
    if (!v->accepted) {
        c->rec.refusal.rc = (ccz_rc) - (int32_t)(v->rc & 0x7f);
        copy_text(c->rec.refusal.where, sizeof(c->rec.refusal.where), v->where);
        copy_text(c->rec.refusal.got, sizeof(c->rec.refusal.got), v->got);
        copy_text(c->rec.refusal.expected, sizeof(c->rec.refusal.expected), v->expected);
        copy_text(c->rec.refusal.msg, sizeof(c->rec.refusal.msg), v->text);
        c->gen[c->next].round = 0;
    }
    c->state = HFL_C_IDLE;
    c->offer_due = false;
    if (c->cfg.on_round)
        c->cfg.on_round(c->cfg.arg, &c->rec);
    if (c->cfg.frugal)
        cczi_hfl_buffers_free(c);
    return CCZ_OK;
}

static ccz_rc on_over(enum ccz_fl_event *event, struct ccz_fl_client *c,
                      const struct cczi_hfl_over *o, struct ccz_err *err)
{
    char text[CCZ_ERR_MSG_SIZE];
    if (c->state == HFL_C_OVER)
        return cczi_hfl_disorder(CCZI_HFL_OVER, "nothing", err);
    c->state = HFL_C_OVER;
    *event = CCZ_FL_OVER;
    if (o->rc == 0 || c->complete) /* whatever others lack, this member has all that there is */
        return CCZ_OK;
    copy_text(text, sizeof(text), o->reason);
    return ccz_fail(err, CCZ_E_PEER, "fl:stopped", -(int64_t)o->rc, "the server ended early: %s",
                    text);
}

ccz_rc ccz_fl_client_input(enum ccz_fl_event *event, struct ccz_fl_client *c, struct ccz_span msg,
                           struct ccz_err *err)
{
    struct cczi_hfl_msg in;
    *event = CCZ_FL_WAIT;
    ccz_rc rc = cczi_hfl_msg_parse(&in, msg, err);
    if (rc != CCZ_OK)
        return rc;
    switch (in.kind) {
    case CCZI_HFL_WELCOME:
        return on_welcome(c, &in.welcome, err);
    case CCZI_HFL_TASK:
        return on_task(c, &in.task, err);
    case CCZI_HFL_CHUNK:
        return on_chunk(event, c, &in.chunk, err);
    case CCZI_HFL_GRANT:
        return on_grant(c, in.granted, err);
    case CCZI_HFL_VERDICT:
        return on_verdict(c, &in.verdict, err);
    case CCZI_HFL_PRIVATE:
        return on_private(c, &in.secret, err);
    case CCZI_HFL_OVER:
        return on_over(event, c, &in.over, err);
    default:
        return cczi_hfl_disorder(in.kind, "a message of a server", err);
    }
}

static void put_update_chunk(struct ccz_buf *msg, struct ccz_fl_client *c)
{
    bool params = c->vector == CCZI_HFL_PARAMS;
    uint64_t size = params ? c->offer.size : c->layout->len * sizeof(float), left = size - c->at;
    size_t n = left < CCZI_HFL_SEND_SIZE ? (size_t)left : CCZI_HFL_SEND_SIZE;
    cczi_hfl_chunk_head(msg, c->vector, c->at, n);
    uint8_t *room = ccz_buf_extend(msg, n);
    if (room && params && c->masked)
        msg->bad |= cczi_hfl_part_read(room, c->part, c->at, n, NULL) != CCZ_OK;
    else if (room && params)
        msg->bad |= ccz_agg_enc_read(room, n, c->enc) != n;
    else if (room)
        memcpy(room, (const uint8_t *)c->delta_variate + c->at, n);
    c->at += n;
    if (c->at < size)
        return;
    c->at = 0;
    c->vector++;
    if (c->vector == (c->task.scaffold ? 2U : 1U))
        c->state = HFL_C_SENT;
}

bool ccz_fl_client_output(struct ccz_buf *msg, struct ccz_fl_client *c)
{
    ccz_buf_clear(msg);
    if (c->hello_due) {
        struct cczi_hfl_msg m = {.kind = CCZI_HFL_HELLO, .hello = {.version = CCZI_HFL_VERSION}};
        memcpy(m.hello.layout, c->layout->digest, sizeof(m.hello.layout));
        cczi_hfl_msg_put(msg, &m);
        c->hello_due = false;
    } else if (c->private_out.size) {
        cczi_hfl_msg_put(msg,
                         &(struct cczi_hfl_msg){.kind = CCZI_HFL_PRIVATE,
                                                .secret = {.phase = CCZI_HFL_STEP,
                                                           .body = ccz_buf_span(&c->private_out)}});
        ccz_buf_clear(&c->private_out);
    } else if (c->offer_due) {
        cczi_hfl_msg_put(msg, &(struct cczi_hfl_msg){.kind = CCZI_HFL_OFFER, .offer = c->offer});
        c->offer_due = false;
    } else if (c->report_due) {
        cczi_hfl_msg_put(msg, &(struct cczi_hfl_msg){.kind = CCZI_HFL_REPORT, .report = c->report});
        c->report_due = false;
    } else if (c->state == HFL_C_UPLOADING) {
        put_update_chunk(msg, c);
    } else {
        return false;
    }
    return true;
}
