/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_KBS_PRIV_H
#define CCZI_KMSDOOR_KBS_PRIV_H
/*
 * The Key Broker Service protocol ("RCAR"), version 0.4, without its listener: bodies, evidence, sessions. Pure functions of what they are
 * given, but for the randomness of nonces. Reading order: kbs_msg.c (bodies), kbs_evidence.c and kbs_snp.c (evidence as JSON to evidence as
 * bytes), kbs_session.c, then kbs_door.c, which has the routes. Why it is so: docs/design/kms-kbs.md.
 */
#include <cczoo/codec.h>
#include <cczoo/jose.h>
#include <cczoo/quote.h>
#include <cczoo/ratls.h>

#define CCZI_KBS_VERSION  "0.4.0"
#define CCZI_KBS_BODY_MAX ((size_t)512 << 10) /* an event log in base64, and room */

/* ------------------------------------------------------------------------------ kbs_msg.c */

/* Body of POST /auth. @retval CCZ_E_FORMAT "kbs:json", "kbs:member"  @retval CCZ_E_UNSUPPORTED "kbs:version", "kbs:tee"
 * @retval CCZ_E_DENIED "kbs:sample": what anybody can make proves nothing */
ccz_rc cczi_kbs_request_get(enum ccz_tee *tee, struct ccz_span body, struct ccz_err *err);
/* Its answer; appended. */
void cczi_kbs_challenge_put(struct ccz_buf *out, const char *nonce);

/* Body of POST /attest. */
struct cczi_kbs_attestation {
    struct ccz_jdoc *doc; /* borrows from the body, as everything here does */
    char nonce[CCZ_NONCE_TEXT_SIZE + 1];
    struct ccz_jwk *tee_key;
    const struct ccz_jnode *evidence; /* primary_evidence */
    struct ccz_buf init_data;         /* text of it; empty if there is none */
};
/* @param[out] out  cczi_kbs_attestation_free() in any case
 * @retval CCZ_E_FORMAT "kbs:json", "kbs:member", "jwk:.."  @retval CCZ_E_UNSUPPORTED "kbs:additional-evidence": of devices;
 *         "kbs:init-data-format", "jwk:.."  @retval CCZ_E_DENIED "kbs:tee-pubkey": a key that is not for encryption */
ccz_rc cczi_kbs_attestation_get(struct cczi_kbs_attestation *out, struct ccz_span body,
                                struct ccz_err *err);
void cczi_kbs_attestation_free(struct cczi_kbs_attestation *a);

/* Whether verified claims are about this attestation: report data over nonce and key, and the digest of the init data.
 * @retval CCZ_E_MISMATCH  "kbs:report-data", "kbs:init-data" */
ccz_rc cczi_kbs_bound(const struct cczi_kbs_attestation *a, const struct ccz_claims *claims,
                      struct ccz_err *err);

/* REPO/TYPE/TAG behind /resource/, as sent: three segments of [A-Za-z0-9._-], none beginning with a dot; so nothing is decoded, and one resource
 * has one path. @param[out] name  of the secret  @retval CCZ_E_FORMAT "kbs:path" */
#define CCZI_KBS_NAME_SIZE 129
ccz_rc cczi_kbs_resource(char name[CCZI_KBS_NAME_SIZE], const char *path, struct ccz_err *err);

/* A member that has to be there. where = "kbs:member", got = its name. */
ccz_rc cczi_kbs_missing(struct ccz_err *err, const char *name, const char *expected);

/* --------------------------------------------------------------- kbs_evidence.c, kbs_snp.c */

#define CCZI_KBS_EVIDENCE_MAX 65536
/* Appends the evidence as a verifier wants it: an Intel quote, or an SNP report with its certificate table.
 * @retval CCZ_E_FORMAT "kbs:member", "kbs:base64", "kbs:certificates"  @retval CCZ_E_LIMIT "kbs:evidence-size" */
ccz_rc cczi_kbs_evidence_get(struct ccz_buf *out, enum ccz_tee tee, const struct ccz_jnode *primary,
                             struct ccz_err *err);
ccz_rc cczi_kbs_snp_get(struct ccz_buf *out, const struct ccz_jnode *primary, struct ccz_err *err);

/* -------------------------------------------------------------------------- kbs_session.c */

/*
 * Who has asked for a nonce costs nothing: the session's id names its TEE and is a MAC over its nonce, so that it is known again without having
 * been kept. Who has proved something is kept: bounded, the oldest goes first, of the same platform
 * where that one has its share. One thread at a time.
 */
enum {
    CCZI_KBS_ID_SIZE = 16,
    CCZI_KBS_ID_TEXT = 2 * CCZI_KBS_ID_SIZE,
    CCZI_KBS_SKEW_S = 5,
    CCZI_KBS_SESSIONS_MAX = 1 << 20,
    /* What is usual: 1,000 attestations a second from many platforms, twice over, and their sessions for a minute. */
    CCZI_KBS_SESSIONS = 65536,
    CCZI_KBS_ATTESTATIONS = 131072,
    CCZI_KBS_NONCE_S = 60
};
struct cczi_kbs_sessions;
struct cczi_kbs_sessions_cfg {
    size_t len;     /* attested sessions kept, 1 to CCZI_KBS_SESSIONS_MAX */
    size_t used;    /* attestations within auth_s, 1 to CCZ_REPLAY_LEN_MAX; more are refused */
    int64_t auth_s; /* how long a nonce is good */
};
ccz_rc cczi_kbs_sessions_new(struct cczi_kbs_sessions **out,
                             const struct cczi_kbs_sessions_cfg *cfg, struct ccz_err *err);
void cczi_kbs_sessions_free(struct cczi_kbs_sessions *s);
size_t cczi_kbs_sessions_len(const struct cczi_kbs_sessions *s);

struct cczi_kbs_begun {
    char id[CCZI_KBS_ID_TEXT + 1];
    char nonce[CCZ_NONCE_TEXT_SIZE + 1];
    int64_t expires_s;
};
ccz_rc cczi_kbs_begin(struct cczi_kbs_begun *out, const struct cczi_kbs_sessions *s,
                      enum ccz_tee tee, int64_t now_s, struct ccz_err *err);

/* A session that may attest. */
struct cczi_kbs_open {
    uint8_t id[CCZI_KBS_ID_SIZE];
    uint8_t nonce[CCZ_NONCE_SIZE];
    enum ccz_tee tee;
};
/* Whether a cookie looks like one of ours, as far as can be told without its nonce: before a body is read.
 * @retval CCZ_E_DENIED "kbs:no-session", "kbs:session" */
ccz_rc cczi_kbs_may_resume(struct ccz_span cookie, struct ccz_err *err);
/* Cookie and nonce belong together, and to us.
 * @param cookie  its value, empty = there is none
 * @retval CCZ_E_DENIED "kbs:no-session", "kbs:session" (no id of ours), "kbs:nonce-session" (the nonce of another session)
 * @retval CCZ_E_SIG, CCZ_E_EXPIRED, CCZ_E_FORMAT  "nonce:.." */
ccz_rc cczi_kbs_resume(struct cczi_kbs_open *out, const struct cczi_kbs_sessions *s,
                       struct ccz_span cookie, struct ccz_span nonce, int64_t now_s,
                       struct ccz_err *err);
/* Its nonce is good once. After the evidence was verified, so that only who has a TEE fills the memory; one platform does not fill
 * it: when half is in use, each has an eighth.
 * @param mono_ms  for the shares of platforms: the clock may jump, and nonces follow it
 * @retval CCZ_E_EXISTS "replay:used"  @retval CCZ_E_LIMIT "replay:full", "kbs:platform" */
ccz_rc cczi_kbs_spend(struct cczi_kbs_sessions *s, const struct cczi_kbs_open *o,
                      const struct ccz_claims *claims, int64_t now_s, int64_t mono_ms,
                      struct ccz_err *err);

/* One that has attested. */
struct cczi_kbs_session {
    struct ccz_ratls_peer peer; /* attested, fresh */
    struct ccz_jwk *tee_key;    /* whom answers are encrypted to */
    int64_t expires_s;
    unsigned refs; /* the table's, and one for each answer under way */
    /* of the table */
    uint8_t id[CCZI_KBS_ID_SIZE], token_sha256[32];
    size_t platform;
    struct cczi_kbs_session *by_id, *by_token, *newer, *older, *newer_there;
};
/* @param tee_key  taken over if it succeeds  @param token  known again by all its bytes */
ccz_rc cczi_kbs_attested(struct cczi_kbs_sessions *s, const struct cczi_kbs_open *o,
                         const struct ccz_ratls_peer *peer, struct ccz_jwk **tee_key,
                         struct ccz_span token, int64_t expires_s, struct ccz_err *err);
/* @param[out] out  the caller's: cczi_kbs_session_unref()
 * @retval CCZ_E_DENIED "kbs:no-session", "kbs:session"  @retval CCZ_E_EXPIRED "kbs:session-expired" */
ccz_rc cczi_kbs_by_cookie(struct cczi_kbs_session **out, const struct cczi_kbs_sessions *s,
                          struct ccz_span cookie, int64_t now_s, struct ccz_err *err);
/* @retval CCZ_E_DENIED "kbs:token": no token of ours, or forgotten  @retval CCZ_E_EXPIRED "kbs:token-expired" */
ccz_rc cczi_kbs_by_token(struct cczi_kbs_session **out, const struct cczi_kbs_sessions *s,
                         struct ccz_span token, int64_t now_s, struct ccz_err *err);
void cczi_kbs_session_unref(struct cczi_kbs_session *e); /* NULL is fine */

/* The session's id in a Cookie header (NULL = none); two of them are none. */
struct ccz_span cczi_kbs_cookie(const char *header);
/* Appends the value of Set-Cookie. */
void cczi_kbs_set_cookie(struct ccz_buf *out, const char *id, int64_t now_s, int64_t expires_s,
                         bool tls);
#endif
