/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Behind the session's READY, version 2: everything is in frames, so that each side can ask for fresh evidence as
 * often as it likes, between the application's bytes.
 *
 *   DATA       application bytes
 *   CHALLENGE  le64 round, 32-byte nonce, by whoever judges; the rounds of each direction count 1, 2, ..
 *   EVIDENCE   quote over report_data (ratls.h) with that nonce and round
 *   RESULT     only to refuse: silence is acceptance
 *   END        no more DATA from this side; the messages about evidence go on
 *
 * One challenge is open in each direction; the two know nothing of each other.
 */
#include "ratls_priv.h"

#include <cczoo/crypto.h>

#include <stddef.h>
#include <string.h>

ccz_rc cczi_round_challenge(struct cczi_session *s, struct ccz_err *err)
{
    ccz_rc rc = ccz_random(s->nonce, sizeof(s->nonce));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:random", 0, "no randomness for the nonce");
    s->own_round++;
    s->challenged = true;
    cczi_ratls_put_head(&s->out, CCZI_RATLS_CHALLENGE, CCZI_RATLS_CHALLENGE_SIZE);
    ccz_buf_le64(&s->out, s->own_round);
    ccz_buf_put(&s->out, s->nonce, sizeof(s->nonce));
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- messages */

static ccz_rc on_challenge(struct cczi_session *s, struct ccz_span body, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(body);
    uint64_t round = ccz_rd_le64(&r);
    struct ccz_span nonce = ccz_rd_take(&r, CCZI_RATLS_NONCE_SIZE);
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:challenge", (int64_t)body.size,
                        "malformed CHALLENGE");
    if (round != s->peer_round + 1)
        return ccz_refuse_num(err, CCZ_E_PEER, "ratls:round",
                              round > INT64_MAX ? INT64_MAX : (int64_t)round,
                              (int64_t)s->peer_round + 1);
    /* our own challenge sent back, now or from the beginning of the session */
    if (ccz_ct_eq(nonce.ptr, s->nonce, CCZI_RATLS_NONCE_SIZE))
        return ccz_fail(err, CCZ_E_PEER, "ratls:nonce", 0, "the peer sent our own nonce back");
    s->peer_round = round;
    return cczi_session_send_evidence(s, true, nonce.ptr, round, err);
}

/* What was measured when the program was started cannot change while it runs; the TCB, the TDX module and run-time
 * registers can, and are the policy's to judge. */
static bool same_program(const struct ccz_claims *a, const struct ccz_claims *b)
{
#define FIELD(f)                                                                                   \
    {                                                                                              \
        offsetof(struct ccz_claims, f), sizeof(((const struct ccz_claims *)NULL)->f)               \
    }
    static const struct {
        size_t at, size;
    } fields[] = {FIELD(tee), FIELD(simulated), FIELD(debug),
                  /* SGX */
                  FIELD(mrenclave), FIELD(mrsigner), FIELD(isv_prod_id), FIELD(isv_svn),
                  FIELD(attributes), FIELD(misc_select), FIELD(config_id), FIELD(config_svn),
                  FIELD(isv_family_id), FIELD(isv_ext_prod_id),
                  /* TDX */
                  FIELD(mrtd), FIELD(mrconfigid), FIELD(mrowner), FIELD(mrownerconfig),
                  FIELD(mrservicetd), FIELD(td_attributes), FIELD(xfam),
                  /* SEV-SNP */
                  FIELD(snp.measurement), FIELD(snp.host_data), FIELD(snp.guest_policy),
                  FIELD(snp.guest_svn), FIELD(snp.vmpl), FIELD(snp.id_key_digest),
                  FIELD(snp.author_key_digest), FIELD(snp.family_id), FIELD(snp.image_id)};
#undef FIELD
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (memcmp((const uint8_t *)a + fields[i].at, (const uint8_t *)b + fields[i].at,
                   fields[i].size) != 0)
            return false;
    return true;
}

static ccz_rc on_evidence(struct cczi_session *s, struct ccz_span body, struct ccz_err *err)
{
    struct ccz_claims claims = {0};
    ccz_rc rc = cczi_session_appraise(&claims, s, body, s->own_round, err);
    if (rc == CCZ_OK && !same_program(&claims, &s->peer.claims))
        rc = ccz_fail(
            err, CCZ_E_SIG, "ratls:other-program", (int64_t)s->own_round,
            "the evidence is good, but of another program than at the session's beginning");
    if (rc != CCZ_OK)
        return rc;
    s->challenged = false;
    s->peer.claims = claims;
    s->peer.rounds = s->own_round;
    return CCZ_OK;
}

static ccz_rc on_result(struct cczi_session *s, struct ccz_span body, struct ccz_err *err)
{
    ccz_rc rc = cczi_session_on_result(s, body, err);
    return rc != CCZ_OK ? rc
                        : ccz_fail(err, CCZ_E_PEER, "ratls:order", CCZI_RATLS_RESULT,
                                   "the peer accepts what is not being judged");
}

/* ------------------------------------------------------------------------------------- order */

static const struct kind {
    uint8_t type;
    const char *name;
    uint32_t size_min, size_max;
    ccz_rc (*on_message)(struct cczi_session *s, struct ccz_span body, struct ccz_err *err);
} kinds[] = {
    {CCZI_RATLS_DATA, "data", 1, CCZI_RATLS_DATA_MAX, NULL},
    {CCZI_RATLS_CHALLENGE, "challenge", CCZI_RATLS_CHALLENGE_SIZE, CCZI_RATLS_CHALLENGE_SIZE,
     on_challenge},
    {CCZI_RATLS_EVIDENCE, "evidence", 1, CCZ_QUOTE_SIZE_MAX, on_evidence},
    {CCZI_RATLS_RESULT, "result", 1, CCZI_RATLS_RESULT_MAX, on_result},
    {CCZI_RATLS_END, "end", 0, 0, NULL},
};

static const struct kind *find(uint8_t type)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].type == type)
            return &kinds[i];
    return NULL;
}

ccz_rc cczi_round_check_head(const struct cczi_session *s, uint8_t type, uint32_t size,
                             struct ccz_err *err)
{
    const struct kind *k = find(type);
    const char *what = !k                                              ? "unknown message"
                       : type == CCZI_RATLS_CHALLENGE && !s->asked     ? "not asked at first"
                       : type == CCZI_RATLS_EVIDENCE && !s->challenged ? "no open challenge"
                                                                       : NULL;
    if (what)
        return ccz_fail(err, CCZ_E_PEER, "ratls:order", type, "message type %u: %s", type, what);
    if (size < k->size_min || size > k->size_max)
        return ccz_fail(err, CCZ_E_LIMIT, "ratls:size", size, "%s of %u bytes, allowed %u to %u",
                        k->name, size, k->size_min, k->size_max);
    return CCZ_OK;
}

ccz_rc cczi_round_message(struct cczi_session *s, uint8_t type, struct ccz_span body,
                          struct ccz_err *err)
{
    ccz_rc rc = cczi_round_check_head(s, type, (uint32_t)body.size, err);
    if (rc == CCZ_OK)
        rc = find(type)->on_message(s, body, err);
    if (rc == CCZ_OK && s->out.bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory");
    return rc;
}
