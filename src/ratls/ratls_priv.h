/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RATLS_PRIV_H
#define CCZI_RATLS_PRIV_H
/* The session profile as a state machine over plain bytes (session.c), what follows it (rounds.c,
 * frames.c), driven by the engine (ratls.c). */
#include <cczoo/ratls.h>

#include <stdatomic.h>

enum {
    CCZI_RATLS_VERSION = 1,   /* application bytes as they are */
    CCZI_RATLS_VERSION_2 = 2, /* in frames, so that both sides can ask for evidence again */
    CCZI_RATLS_NONCE_SIZE = 32,
    CCZI_RATLS_EXPORTER_SIZE = 32,
    CCZI_RATLS_HEAD_SIZE = 5,       /* type, le32 size of the body */
    CCZI_RATLS_HELLO_SIZE = 36,     /* le16 version, role, ask, nonce */
    CCZI_RATLS_RESULT_MAX = 1024,   /* verdict, rc and five short texts */
    CCZI_RATLS_CHALLENGE_SIZE = 40, /* le64 round, nonce */
    CCZI_RATLS_DATA_MAX = CCZ_TLS_BUFFER_MAX,
    CCZI_RATLS_FRAME_MAX = CCZI_RATLS_HEAD_SIZE + CCZ_QUOTE_SIZE_MAX
};
#define CCZI_RATLS_LABEL           "cczoo ra-tls session v1"
#define CCZI_RATLS_LABEL_2         "cczoo ra-tls session v2"
#define CCZI_RATLS_LABEL_HANDSHAKE "cczoo ra-tls handshake v1"
#define CCZI_RATLS_EXPORTER_LABEL  "EXPORTER-cczoo-ra-tls"

enum cczi_ratls_type {
    CCZI_RATLS_HELLO = 1,
    CCZI_RATLS_EVIDENCE = 2,
    CCZI_RATLS_RESULT = 3,
    CCZI_RATLS_DATA = 4, /* version 2: this and the next one */
    CCZI_RATLS_CHALLENGE = 5,
    CCZI_RATLS_END = 6
};

struct ccz_ratls_ctx {
    bool stock;       /* SESSION: clients of other ALPN protocols are served, too */
    atomic_uint refs; /* the owner's, and one of each connection */
    struct ccz_ratls_cfg cfg;
    struct ccz_key *own_key; /* only if made here */
    struct ccz_tls_ctx *tls; /* NULL: somebody else's SSL_CTX owns this (native.c) */
    struct ccz_buf spki;     /* of the own key, as it stands in the own certificate */
};
/* ratls.c: everything but the TLS context. @param[out] der  own certificate @param[out] key  borrowed */
CCZ_MUST_USE ccz_rc cczi_ratls_ctx_prepare(struct ccz_ratls_ctx **out, struct ccz_buf *der,
                                           const struct ccz_key **key,
                                           const struct ccz_ratls_cfg *cfg, struct ccz_err *err);
/* ratls.c: the certificate profile's judgement; fills @p peer, but for its flag `fresh`, which stays false. */
CCZ_MUST_USE ccz_rc cczi_ratls_judge_cert(struct ccz_ratls_peer *peer,
                                          const struct ccz_ratls_cfg *cfg,
                                          const struct ccz_cert *cert, struct ccz_err *err);

/* handshake.c: for ccz_tls_cfg.proof, with @p verify; verify_arg is the struct ccz_ratls_ctx, as everywhere. */
struct ccz_tls_proof cczi_handshake_proof(const struct ccz_ratls_cfg *cfg,
                                          ccz_rc (*verify)(void *, void *, struct ccz_span,
                                                           const uint8_t *, struct ccz_span,
                                                           struct ccz_err *));
/* handshake.c: ccz_tls_proof.make, with a struct ccz_ratls_ctx. */
CCZ_MUST_USE ccz_rc cczi_handshake_make(void *ctx, struct ccz_buf *out, struct ccz_span own_spki,
                                        const uint8_t nonce[], struct ccz_err *err);
/* ratls.c: the own certificate has evidence inside. */
bool cczi_ratls_cert_carries(const struct ccz_ratls_cfg *cfg);
/* ratls.c: a certificate for @p key as the profile wants it. */
CCZ_MUST_USE ccz_rc cczi_ratls_make_cert(struct ccz_buf *der, const struct ccz_ratls_cfg *cfg,
                                         const struct ccz_key *key, struct ccz_err *err);
/* handshake.c: the handshake profile's judgement, of a @p peer that is zeroed. @param quote  ptr NULL = it gave none */
CCZ_MUST_USE ccz_rc cczi_handshake_judge(struct ccz_ratls_peer *peer,
                                         const struct ccz_ratls_cfg *cfg, struct ccz_span spki,
                                         const uint8_t nonce[CCZI_RATLS_NONCE_SIZE],
                                         struct ccz_span quote, struct ccz_err *err);
/* handshake.c: report_data of the handshake profile (ratls.h); @p role is the attester's, 's' or 'c'. */
CCZ_MUST_USE ccz_rc cczi_handshake_report_data(uint8_t out[64], char role, struct ccz_span spki,
                                               const uint8_t nonce[CCZI_RATLS_NONCE_SIZE]);
/* ratls.c: fills spki_sha256. */
CCZ_MUST_USE ccz_rc cczi_ratls_hash_key(struct ccz_ratls_peer *peer, struct ccz_span spki,
                                        struct ccz_err *err);
/* ratls.c: a peer without evidence, which is fine here: by its key, if there is a pin. */
CCZ_MUST_USE ccz_rc cczi_ratls_check_pin(struct ccz_ratls_peer *peer,
                                         const struct ccz_ratls_cfg *cfg, struct ccz_span spki,
                                         struct ccz_err *err);

/* What the session is about; everything is borrowed and outlives it. */
struct cczi_session_in {
    const struct ccz_ratls_cfg *cfg;
    uint16_t version; /* 0 = 1 */
    struct ccz_span own_spki, peer_spki;
    uint8_t exporter[CCZI_RATLS_EXPORTER_SIZE];
};

struct cczi_session {
    struct cczi_session_in with;
    unsigned state; /* index into the table of steps: the message expected next */
    uint8_t nonce[CCZI_RATLS_NONCE_SIZE];
    bool asked;                     /* the peer wants evidence of us, and we give some */
    bool challenged;                /* ours is not answered; with the nonce above and own_round */
    uint64_t own_round, peer_round; /* last challenge sent, received; 0 = the session's beginning */
    struct ccz_buf in;  /* received and not handled; behind READY: what follows the session */
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
CCZ_MUST_USE ccz_rc cczi_ratls_report_data_2(uint8_t out[64], char role, struct ccz_span spki,
                                             const uint8_t exporter[CCZI_RATLS_EXPORTER_SIZE],
                                             const uint8_t nonce[CCZI_RATLS_NONCE_SIZE],
                                             uint64_t round);
/* session.c, shared with rounds.c: an EVIDENCE frame over the peer's nonce; the peer's evidence against ours, bound. */
CCZ_MUST_USE ccz_rc cczi_session_send_evidence(struct cczi_session *s, bool asked,
                                               const uint8_t nonce[CCZI_RATLS_NONCE_SIZE],
                                               uint64_t round, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_session_appraise(struct ccz_claims *claims, struct cczi_session *s,
                                          struct ccz_span quote, uint64_t round,
                                          struct ccz_err *err);
/* A refusal of the peer as our error. */
CCZ_MUST_USE ccz_rc cczi_session_on_result(struct cczi_session *s, struct ccz_span body,
                                           struct ccz_err *err);
bool cczi_session_peer_says(const struct ccz_err *err); /* the reason came from the peer */

/* --------------------------------------------------- rounds.c: evidence again, behind READY (version 2) */

/* Queues a challenge; one at a time. */
CCZ_MUST_USE ccz_rc cczi_round_challenge(struct cczi_session *s, struct ccz_err *err);
/* May a message of this type and size come now? DATA and END: as far as the session knows. */
CCZ_MUST_USE ccz_rc cczi_round_check_head(const struct cczi_session *s, uint8_t type, uint32_t size,
                                          struct ccz_err *err);
/* Anything but DATA, after its head was checked. Answers stand in s->out, a refusal too. @param err required */
CCZ_MUST_USE ccz_rc cczi_round_message(struct cczi_session *s, uint8_t type, struct ccz_span body,
                                       struct ccz_err *err);

/* ------------------------------------------------------------- frames.c: application bytes between messages */

struct cczi_frames {
    struct ccz_buf message; /* head and body of a message that is no DATA, as far as it came */
    struct ccz_buf piece;   /* read ahead; bytes before piece_at are used */
    size_t piece_at;
    uint32_t data_left; /* of the DATA frame that is being read */
    bool ended;         /* the peer sends no more DATA */
};
/* Appends some plain bytes to @p out, none if there are no more; see ccz_tls_read(). */
typedef ccz_rc (*cczi_plain_fn)(void *arg, struct ccz_buf *out, struct ccz_err *err);
void cczi_frames_init(struct cczi_frames *f);
void cczi_frames_deinit(struct cczi_frames *f);
/* True if a whole message waits for cczi_round_message(): it comes before what is behind it. */
bool cczi_frames_message(uint8_t *type, struct ccz_span *body, const struct cczi_frames *f);
void cczi_frames_next(struct cczi_frames *f); /* the message was handled */
/* Application bytes to @p out, up to the next message. CCZ_E_CLOSED: there will be none any more, messages may. */
CCZ_MUST_USE ccz_rc cczi_frames_read(struct ccz_buf *out, struct cczi_frames *f,
                                     const struct cczi_session *s, cczi_plain_fn read, void *arg,
                                     struct ccz_err *err);
void cczi_ratls_put_head(struct ccz_buf *out, enum cczi_ratls_type type, uint32_t size);

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
