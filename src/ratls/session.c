/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session profile: three messages in each direction inside a finished TLS 1.3 session, then
 * application data. Frame: type, le32 size, body.
 *
 *   HELLO     le16 version, role of the sender ('s' / 'c'), ask (1 = send me evidence), 32-byte
 * nonce EVIDENCE  quote over report_data (ratls.h) with the nonce of the *peer's* HELLO; empty =
 * none RESULT    1 = accepted, or 0, le32 rc and where, msg, got, expected, hint (length byte +
 * text)
 *
 * The order is fixed. Only a refusing RESULT may come early: whoever refuses says why, then closes.
 * What follows is the application's, as it is (version 1) or in frames (version 2: rounds.c).
 */
#include "ratls_priv.h"

#include <cczoo/crypto.h>

#include <stdio.h>
#include <string.h>

enum { ST_HELLO, ST_EVIDENCE, ST_RESULT, ST_READY };

static char own_role(const struct cczi_session *s)
{
    return s->with.cfg->server ? 's' : 'c';
}

static char peer_role(const struct cczi_session *s)
{
    return s->with.cfg->server ? 'c' : 's';
}

/* ---------------------------------------------------------------------------------- binding */

static ccz_rc report_data(uint8_t out[64], const char *label, char role, struct ccz_span spki,
                          const uint8_t exporter[], const uint8_t nonce[], struct ccz_span tail)
{
    const uint8_t size[4] = {(uint8_t)spki.size, (uint8_t)(spki.size >> 8),
                             (uint8_t)(spki.size >> 16), (uint8_t)(spki.size >> 24)};
    const struct ccz_span parts[] = {
        ccz_span_str(label),
        CCZ_SPAN(&role, 1),
        CCZ_SPAN(size, sizeof(size)),
        spki,
        CCZ_SPAN(exporter, CCZI_RATLS_EXPORTER_SIZE),
        CCZ_SPAN(nonce, CCZI_RATLS_NONCE_SIZE),
        tail,
    };
    return ccz_hash(out, CCZ_SHA512, parts, sizeof(parts) / sizeof(parts[0]));
}

ccz_rc cczi_ratls_report_data(uint8_t out[64], char role, struct ccz_span spki,
                              const uint8_t exporter[CCZI_RATLS_EXPORTER_SIZE],
                              const uint8_t nonce[CCZI_RATLS_NONCE_SIZE])
{
    return report_data(out, CCZI_RATLS_LABEL, role, spki, exporter, nonce, (struct ccz_span){0});
}

ccz_rc cczi_ratls_report_data_2(uint8_t out[64], char role, struct ccz_span spki,
                                const uint8_t exporter[CCZI_RATLS_EXPORTER_SIZE],
                                const uint8_t nonce[CCZI_RATLS_NONCE_SIZE], uint64_t round)
{
    uint8_t le[8];
    for (size_t i = 0; i < sizeof(le); i++)
        le[i] = (uint8_t)(round >> (8 * i));
    return report_data(out, CCZI_RATLS_LABEL_2, role, spki, exporter, nonce,
                       CCZ_SPAN(le, sizeof(le)));
}

/* What evidence of @p role must be over in this session. */
static ccz_rc bind(uint8_t out[64], const struct cczi_session *s, char role, struct ccz_span spki,
                   const uint8_t nonce[], uint64_t round, struct ccz_err *err)
{
    ccz_rc rc = s->with.version == CCZI_RATLS_VERSION
                    ? cczi_ratls_report_data(out, role, spki, s->with.exporter, nonce)
                    : cczi_ratls_report_data_2(out, role, spki, s->with.exporter, nonce, round);
    return rc == CCZ_OK ? CCZ_OK
                        : ccz_fail(err, rc, "ratls:hash", 0, "report data could not be computed");
}

ccz_rc cczi_ratls_check_binding(const struct ccz_claims *claims, const uint8_t expected[64],
                                struct ccz_err *err)
{
    static const uint8_t zero[32];
    if (ccz_ct_eq(claims->report_data, expected, 64))
        return CCZ_OK;
    bool lower = ccz_ct_eq(claims->report_data, expected, 32);
    if (lower && ccz_ct_eq(expected + 32, zero, 32)) { /* certificates: a hash, then zeros */
        ccz_rc rc = ccz_refuse_bytes(err, CCZ_E_SIG, "ratls:report-data-upper",
                                     claims->report_data + 32, 32, zero, 32);
        return ccz_hint(err, rc,
                        "some verifiers compare half of the report data; this one does not");
    }
    (void)ccz_refuse_bytes(err, CCZ_E_SIG, "ratls:report-data", claims->report_data, 64, expected,
                           64);
    return ccz_hint(err, CCZ_E_SIG,
                    "the evidence is genuine but was made for another session, key or role");
}

/* --------------------------------------------------------------------------------- messages */

void cczi_ratls_put_head(struct ccz_buf *out, enum cczi_ratls_type type, uint32_t size)
{
    ccz_buf_u8(out, (uint8_t)type);
    ccz_buf_le32(out, size);
}

static void put_frame(struct ccz_buf *out, enum cczi_ratls_type type, struct ccz_span body)
{
    cczi_ratls_put_head(out, type, (uint32_t)body.size);
    ccz_buf_put_span(out, body);
}

static ccz_rc send_hello(struct cczi_session *s, struct ccz_err *err)
{
    ccz_rc rc = ccz_random(s->nonce, sizeof(s->nonce));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:random", 0, "no randomness for the nonce");
    cczi_ratls_put_head(&s->out, CCZI_RATLS_HELLO, CCZI_RATLS_HELLO_SIZE);
    ccz_buf_le16(&s->out, s->with.version);
    ccz_buf_u8(&s->out, (uint8_t)own_role(s));
    ccz_buf_u8(&s->out, s->with.cfg->appraise != NULL);
    ccz_buf_put(&s->out, s->nonce, sizeof(s->nonce));
    return CCZ_OK;
}

ccz_rc cczi_session_send_evidence(struct cczi_session *s, bool asked,
                                  const uint8_t nonce[CCZI_RATLS_NONCE_SIZE], uint64_t round,
                                  struct ccz_err *err)
{
    const struct ccz_ratls_cfg *cfg = s->with.cfg;
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    if (asked && cfg->attest) {
        uint8_t over[64];
        ccz_rc rc = bind(over, s, own_role(s), s->with.own_spki, nonce, round, err);
        if (rc == CCZ_OK)
            rc = cfg->attest(cfg->attest_arg, &quote, over, err);
        if (rc != CCZ_OK)
            return rc;
        if (quote.bad || quote.size == 0)
            return ccz_fail(err, CCZ_E_LIMIT, "ratls:own-evidence", (int64_t)quote.size,
                            "own evidence is empty or above %d bytes", CCZ_QUOTE_SIZE_MAX);
    }
    put_frame(&s->out, CCZI_RATLS_EVIDENCE, ccz_buf_span(&quote));
    return CCZ_OK;
}

static ccz_rc on_hello(struct cczi_session *s, struct ccz_span body, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(body);
    uint16_t version = ccz_rd_le16(&r);
    uint8_t role = ccz_rd_u8(&r);
    uint8_t ask = ccz_rd_u8(&r);
    struct ccz_span nonce = ccz_rd_take(&r, CCZI_RATLS_NONCE_SIZE);
    if (!ccz_rd_done(&r) || ask > 1)
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:hello", (int64_t)body.size, "malformed HELLO");
    if (version != s->with.version) /* also: the one that ALPN agreed on */
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "ratls:version", version, s->with.version);
    if (role != (uint8_t)peer_role(s))
        return ccz_refuse_num(err, CCZ_E_PEER, "ratls:role", role, peer_role(s));
    /* our own HELLO sent back: nobody draws the same 256 bits */
    if (ccz_ct_eq(nonce.ptr, s->nonce, CCZI_RATLS_NONCE_SIZE))
        return ccz_fail(err, CCZ_E_PEER, "ratls:nonce", 0, "the peer sent our own nonce back");
    s->asked = ask == 1 && s->with.cfg->attest;
    return cczi_session_send_evidence(s, ask == 1, nonce.ptr, 0, err);
}

/* A peer that is not in a TEE: only where the configuration says so, and then by its key if pinned.
 */
static ccz_rc accept_without_evidence(struct cczi_session *s, struct ccz_err *err)
{
    const struct ccz_ratls_cfg *cfg = s->with.cfg;
    if (!cfg->peer_evidence_optional) {
        (void)ccz_refuse(err, CCZ_E_DENIED, "ratls:no-evidence", "no evidence", "evidence");
        return ccz_hint(err, CCZ_E_DENIED,
                        "this side talks only to peers that prove what they run");
    }
    if (!cfg->pin)
        return CCZ_OK;
    ccz_rc rc = cfg->pin(cfg->pin_arg, s->with.peer_spki, err);
    s->peer.pinned = rc == CCZ_OK;
    return rc;
}

ccz_rc cczi_session_appraise(struct ccz_claims *claims, struct cczi_session *s,
                             struct ccz_span quote, uint64_t round, struct ccz_err *err)
{
    const struct ccz_ratls_cfg *cfg = s->with.cfg;
    struct ccz_claims found = {0};
    uint8_t expected[64];
    ccz_rc rc = cfg->appraise(cfg->appraise_arg, &found, quote, err);
    if (rc == CCZ_OK)
        rc = bind(expected, s, peer_role(s), s->with.peer_spki, s->nonce, round, err);
    if (rc == CCZ_OK)
        rc = cczi_ratls_check_binding(&found, expected, err);
    if (rc == CCZ_OK)
        *claims = found;
    return rc;
}

static ccz_rc on_evidence(struct cczi_session *s, struct ccz_span body, struct ccz_err *err)
{
    static const uint8_t accepted[] = {1};
    ccz_rc rc;
    if (body.size == 0)
        rc = accept_without_evidence(s, err);
    else if (s->with.cfg->appraise) {
        rc = cczi_session_appraise(&s->peer.claims, s, body, 0, err);
        s->peer.attested = s->peer.fresh = rc == CCZ_OK;
    } else /* nobody looks at it, so it must not look as if somebody had */
        rc = ccz_fail(err, CCZ_E_PEER, "ratls:unasked", (int64_t)body.size,
                      "the peer sent evidence that was not asked for");
    if (rc == CCZ_OK)
        put_frame(&s->out, CCZI_RATLS_RESULT, CCZ_SPAN(accepted, sizeof(accepted)));
    return rc;
}

/* ----------------------------------------------------------------------------------- result */

static void put_text(struct ccz_buf *out, const char *text)
{
    size_t size = strlen(text);
    size = size > 255 ? 255 : size;
    ccz_buf_u8(out, (uint8_t)size);
    ccz_buf_put(out, text, size);
}

void cczi_ratls_put_refusal(struct ccz_buf *out, const struct ccz_err *why)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZI_RATLS_RESULT_MAX);
    ccz_buf_u8(&body, 0);
    ccz_buf_le32(&body, (uint32_t)why->rc);
    put_text(&body, why->where);
    put_text(&body, why->msg);
    put_text(&body, why->got);
    put_text(&body, why->expected);
    put_text(&body, why->hint);
    if (!body.bad)
        put_frame(out, CCZI_RATLS_RESULT, ccz_buf_span(&body));
}

static struct ccz_span take_text(struct ccz_rd *r)
{
    return ccz_rd_take(r, ccz_rd_u8(r));
}

/* The peer's refusal as our error. Its text is untrusted: escaped, cut, and marked "peer:". */
static ccz_rc refused_by_peer(struct ccz_rd r, struct ccz_err *err)
{
    int32_t peer_rc = (int32_t)ccz_rd_le32(&r);
    struct ccz_span where = take_text(&r), msg = take_text(&r), got = take_text(&r);
    struct ccz_span expected = take_text(&r), hint = take_text(&r);
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:result", 0, "malformed RESULT");
    char at[CCZ_ERR_WHERE_SIZE - 5], text[CCZ_ERR_MSG_SIZE], advice[CCZ_ERR_MSG_SIZE];
    char full_where[CCZ_ERR_WHERE_SIZE];
    ccz_escape(at, sizeof(at), where);
    ccz_escape(text, sizeof(text), msg);
    ccz_escape(advice, sizeof(advice), hint);
    (void)snprintf(full_where, sizeof(full_where), "peer:%s", at);
    ccz_rc rc = ccz_fail(err, CCZ_E_PEER, full_where, peer_rc, "%s%s%s", text,
                         advice[0] ? "; peer's hint: " : "", advice);
    ccz_escape(err->got, sizeof(err->got), got);
    ccz_escape(err->expected, sizeof(err->expected), expected);
    return rc;
}

ccz_rc cczi_session_on_result(struct cczi_session *s, struct ccz_span body, struct ccz_err *err)
{
    (void)s;
    struct ccz_rd r = ccz_rd_from(body);
    uint8_t verdict = ccz_rd_u8(&r);
    if (verdict == 0)
        return refused_by_peer(r, err);
    if (verdict != 1 || !ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:result", verdict, "malformed RESULT");
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- state machine */

static const struct step {
    const char *name;
    uint8_t type; /* the message that ends this state */
    uint32_t size_min, size_max;
    ccz_rc (*on_message)(struct cczi_session *s, struct ccz_span body, struct ccz_err *err);
} steps[] = {
    [ST_HELLO] = {"hello", CCZI_RATLS_HELLO, CCZI_RATLS_HELLO_SIZE, CCZI_RATLS_HELLO_SIZE,
                  on_hello},
    [ST_EVIDENCE] = {"evidence", CCZI_RATLS_EVIDENCE, 0, CCZ_QUOTE_SIZE_MAX, on_evidence},
    [ST_RESULT] = {"result", CCZI_RATLS_RESULT, 1, CCZI_RATLS_RESULT_MAX, cczi_session_on_result},
    [ST_READY] = {"ready", 0, 0, 0, NULL},
};

/* Size and order are judged from the head alone: nothing is buffered for a message that will be
 * refused. */
static ccz_rc check_head(const struct step *st, uint8_t type, uint32_t size, bool early_result,
                         struct ccz_err *err)
{
    if (type != st->type && !early_result)
        return ccz_fail(err, CCZ_E_PEER, "ratls:order", type,
                        "message type %u while waiting for %s", type, st->name);
    uint32_t min = early_result ? steps[ST_RESULT].size_min : st->size_min;
    uint32_t max = early_result ? steps[ST_RESULT].size_max : st->size_max;
    if (size < min || size > max)
        return ccz_fail(err, CCZ_E_LIMIT, "ratls:size", size, "%s of %u bytes, allowed %u to %u",
                        st->name, size, min, max);
    return CCZ_OK;
}

static ccz_rc handle_one(bool *progress, struct cczi_session *s, struct ccz_err *err)
{
    *progress = false;
    if (s->state == ST_READY || s->in.size < CCZI_RATLS_HEAD_SIZE)
        return CCZ_OK;
    const struct step *st = &steps[s->state];
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&s->in));
    uint8_t type = ccz_rd_u8(&r);
    uint32_t size = ccz_rd_le32(&r);
    bool early_result = type == CCZI_RATLS_RESULT && s->state != ST_RESULT;
    ccz_rc rc = check_head(st, type, size, early_result, err);
    if (rc != CCZ_OK || r.left < size)
        return rc;
    struct ccz_span body = ccz_rd_take(&r, size);
    rc = early_result ? cczi_session_on_result(s, body, err) : st->on_message(s, body, err);
    if (rc != CCZ_OK)
        return rc;
    if (early_result)
        return ccz_fail(err, CCZ_E_PEER, "ratls:order", type,
                        "the peer accepted before it could judge, while waiting for %s", st->name);
    ccz_buf_consume(&s->in, CCZI_RATLS_HEAD_SIZE + (size_t)size);
    s->state++;
    *progress = true;
    return CCZ_OK;
}

ccz_rc cczi_session_init(struct cczi_session *s, const struct cczi_session_in *with,
                         struct ccz_err *err)
{
    *s = (struct cczi_session){.with = *with};
    if (s->with.version == 0)
        s->with.version = CCZI_RATLS_VERSION;
    ccz_buf_init(&s->in, CCZI_RATLS_FRAME_MAX);
    ccz_buf_init(&s->out, 2 * (size_t)CCZI_RATLS_FRAME_MAX);
    return send_hello(s, err);
}

void cczi_session_deinit(struct cczi_session *s)
{
    ccz_buf_free(&s->in);
    ccz_buf_free(&s->out);
    ccz_wipe(s->with.exporter, sizeof(s->with.exporter));
}

bool cczi_session_peer_says(const struct ccz_err *err)
{
    static const char mark[] = "peer:";
    return strncmp(err->where, mark, sizeof(mark) - 1) == 0;
}

ccz_rc cczi_session_step(struct cczi_session *s, struct ccz_err *err)
{
    ccz_rc rc;
    bool progress;
    do {
        rc = handle_one(&progress, s, err);
    } while (rc == CCZ_OK && progress);
    if (rc == CCZ_OK && (s->in.bad || s->out.bad))
        rc = ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        return CCZ_OK;
    if (!cczi_session_peer_says(err)) /* the peer knows its own reason */
        cczi_ratls_put_refusal(&s->out, err);
    memset(&s->peer, 0, sizeof(s->peer));
    return rc;
}

bool cczi_session_ready(const struct cczi_session *s)
{
    return s->state == ST_READY;
}
