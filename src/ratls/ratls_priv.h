/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RATLS_PRIV_H
#define CCZI_RATLS_PRIV_H
/* The session profile as a state machine over plain bytes (session.c), driven by the engine
 * (ratls.c). */
#include <cczoo/ratls.h>

enum {
    CCZI_RATLS_VERSION = 1,
    CCZI_RATLS_NONCE_SIZE = 32,
    CCZI_RATLS_EXPORTER_SIZE = 32,
    CCZI_RATLS_HEAD_SIZE = 5,     /* type, le32 size of the body */
    CCZI_RATLS_HELLO_SIZE = 36,   /* le16 version, role, ask, nonce */
    CCZI_RATLS_RESULT_MAX = 1024, /* verdict, rc and five short texts */
    CCZI_RATLS_FRAME_MAX = CCZI_RATLS_HEAD_SIZE + CCZ_QUOTE_SIZE_MAX
};
#define CCZI_RATLS_LABEL          "cczoo ra-tls session v1"
#define CCZI_RATLS_EXPORTER_LABEL "EXPORTER-cczoo-ra-tls"

enum cczi_ratls_type { CCZI_RATLS_HELLO = 1, CCZI_RATLS_EVIDENCE = 2, CCZI_RATLS_RESULT = 3 };

/* What the session is about; everything is borrowed and outlives it. */
struct cczi_session_in {
    const struct ccz_ratls_cfg *cfg;
    struct ccz_span own_spki, peer_spki;
    uint8_t exporter[CCZI_RATLS_EXPORTER_SIZE];
};

struct cczi_session {
    struct cczi_session_in with;
    unsigned state; /* index into the table of steps: the message expected next */
    uint8_t nonce[CCZI_RATLS_NONCE_SIZE];
    struct ccz_buf in;  /* received and not handled; behind READY: application bytes */
    struct ccz_buf out; /* to send; the owner takes the bytes away */
    struct ccz_ratls_peer peer;
};

/* Draws the nonce and queues HELLO. */
CCZ_MUST_USE ccz_rc cczi_session_init(struct cczi_session *s, const struct cczi_session_in *with,
                                      struct ccz_err *err);
void cczi_session_deinit(struct cczi_session *s);
/* Handles every complete message in s->in. On failure the reason is queued in s->out, unless it
 * came from the peer; the session is dead then. @param err required */
CCZ_MUST_USE ccz_rc cczi_session_step(struct cczi_session *s, struct ccz_err *err);
bool cczi_session_ready(const struct cczi_session *s);

/* report_data of the session profile (ratls.h); @p role is the attester's, 's' or 'c'. */
CCZ_MUST_USE ccz_rc cczi_ratls_report_data(uint8_t out[64], char role, struct ccz_span spki,
                                           const uint8_t exporter[CCZI_RATLS_EXPORTER_SIZE],
                                           const uint8_t nonce[CCZI_RATLS_NONCE_SIZE]);
/* A RESULT frame that carries @p why. */
void cczi_ratls_put_refusal(struct ccz_buf *out, const struct ccz_err *why);
/* Refuses unless all 64 bytes agree; both profiles end here. */
CCZ_MUST_USE ccz_rc cczi_ratls_check_binding(const struct ccz_claims *claims,
                                             const uint8_t expected[64], struct ccz_err *err);
/* Appraisal and binding of evidence that stands in a certificate; @p claims is untouched on failure. */
CCZ_MUST_USE ccz_rc cczi_ratls_appraise_cert(struct ccz_claims *claims,
                                             const struct ccz_ratls_evidence *e,
                                             ccz_ratls_appraise_fn appraise, void *appraise_arg,
                                             struct ccz_err *err);
#endif
