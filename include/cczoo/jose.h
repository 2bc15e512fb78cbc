/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_JOSE_H
#define CCZ_JOSE_H
/**
 * @file jose.h
 * JSON Web keys, signatures, encryption and tokens (RFC 7515 to 7519, 7638, 8037, 8785), as far as attestation needs them: public keys
 * as JSON, signed and checked tokens, secrets encrypted to the key that was attested, attestation results (EAR), the digest that binds
 * a key to evidence, and nonces that need no memory. Pure: no clock, no network; randomness only where a function says so.
 *
 * What is not here, on purpose: "none", HMAC signatures, keys or algorithms taken from the header of a token, compression, RSA1_5,
 * SHA-1. The algorithm comes from the key (RFC 8725, 3.1); the header must name the same one.
 *
 * Texts are parsed strictly: duplicate members, base64url with padding or stray bits, coordinates of the wrong width and points that are
 * not on the curve are errors. Everything but struct ccz_replay is immutable after creation and may be shared between threads.
 * Functions that append to a ccz_buf leave it as it was when they fail.
 *
 * Reading order of the sources: jwk.c, jwks.c, jws.c, jwt.c, jwe.c, jwe_key.c, jcs.c, rcar.c, ear.c, nonce.c, replay.c.
 * Why it is so: docs/design/jose.md.
 */
#include <cczoo/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_json;   /* codec.h */
struct ccz_claims; /* quote.h */

/* ------------------------------------------------------------------------------ keys (RFC 7517) */

enum ccz_jwk_kind { CCZ_JWK_P256, CCZ_JWK_P384, CCZ_JWK_RSA, CCZ_JWK_ED25519 };
enum ccz_jose_alg {
    CCZ_JOSE_ALG_NONE = 0,   /**< the key does not say; never an algorithm */
    CCZ_JOSE_ES256,          /**< ECDSA, P-256, SHA-256 */
    CCZ_JOSE_ES384,          /**< ECDSA, P-384, SHA-384 */
    CCZ_JOSE_RS256,          /**< RSASSA-PKCS1-v1_5, SHA-256: verified, never made */
    CCZ_JOSE_PS256,          /**< RSASSA-PSS, SHA-256: verified, never made */
    CCZ_JOSE_EDDSA,          /**< Ed25519: verified, never made */
    CCZ_JOSE_ECDH_ES_A256KW, /**< key agreement, then AES-256 key wrap */
    CCZ_JOSE_RSA_OAEP_256    /**< RSAES-OAEP, SHA-256 */
};
CCZ_API const char *ccz_jose_alg_name(enum ccz_jose_alg alg); /**< "ES256"; "" for NONE */
enum ccz_jwk_use { CCZ_JWK_USE_ANY, CCZ_JWK_USE_SIG, CCZ_JWK_USE_ENC };

#define CCZ_JWK_SIZE_MAX     32768 /**< text of a key, certificates in it included */
#define CCZ_JWK_KID_SIZE_MAX 128
/** A public key. Private keys are never read from or written to JSON. */
struct ccz_jwk;
/**
 * Reads a JWK: EC (P-256, P-384; the point is checked), RSA (2048 to 4096 bits, exponent odd and from 65537 to 2^32-1) or OKP Ed25519 (a
 * canonical point of the large group). Members that are not known are ignored (RFC 7517, 4), "x5c", "x5u" and the like among them.
 * @retval CCZ_E_FORMAT       jwk:json, jwk:member (missing, or of the wrong type), jwk:base64, jwk:size (of a number), jwk:point, jwk:rsa,
 *                            jwk:kid, jwk:key-ops
 * @retval CCZ_E_UNSUPPORTED  jwk:kty, jwk:crv, jwk:alg (not known, or not for that kind of key), jwk:use (neither "sig", "enc" nor
 *                            SPIFFE's "jwt-svid", which is "sig")
 * @retval CCZ_E_DENIED       jwk:private: it holds a private or symmetric key, which whoever wrote it has given away
 * @retval CCZ_E_LIMIT        jwk:text
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwk_parse(struct ccz_jwk **out, struct ccz_span json,
                                          struct ccz_err *err);
/** What a JWK is made of. */
struct ccz_jwk_parts {
    enum ccz_jwk_kind kind;
    struct ccz_span
        a; /**< EC: x; RSA: modulus; Ed25519: the public key. Numbers: big-endian; RSA's without leading zeros */
    struct ccz_span b;     /**< EC: y; RSA: exponent; Ed25519: empty */
    enum ccz_jose_alg alg; /**< NONE: not said */
    enum ccz_jwk_use use;
    struct ccz_span
        kid; /**< at most CCZ_JWK_KID_SIZE_MAX bytes of UTF-8 without NUL; empty: none */
};
/** A JWK of its parts; refuses as ccz_jwk_parse() does. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwk_make(struct ccz_jwk **out, const struct ccz_jwk_parts *parts,
                                         struct ccz_err *err);
/** The public half of an EC key, for signatures: "alg", "use": "sig", and its thumbprint as "kid". */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwk_from_key(struct ccz_jwk **out, const struct ccz_key *key,
                                             struct ccz_err *err);
CCZ_API void ccz_jwk_free(struct ccz_jwk *k); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_jwk)
CCZ_API enum ccz_jwk_kind ccz_jwk_kind(const struct ccz_jwk *k);
/** As the key says, else what its kind is for: ES256, ES384, EdDSA, RS256. With `enc`: ECDH-ES+A256KW, RSA-OAEP-256;
 *  NONE if the key is for something else ("alg", "use", "key_ops"). */
CCZ_API enum ccz_jose_alg ccz_jwk_sig_alg(const struct ccz_jwk *k);
CCZ_API enum ccz_jose_alg ccz_jwk_enc_alg(const struct ccz_jwk *k);
CCZ_API const char *ccz_jwk_kid(const struct ccz_jwk *k); /**< "" if it has none */
/** The same key material, whatever kid, alg and use. */
CCZ_API bool ccz_jwk_same(const struct ccz_jwk *a, const struct ccz_jwk *b);
enum ccz_jwk_form {
    CCZ_JWK_FULL,     /**< with alg, kid and use as far as the key has them */
    CCZ_JWK_REQUIRED, /**< what a thumbprint covers (RFC 7638, 3.2) */
    CCZ_JWK_TEE       /**< and alg: the tee-pubkey of the KBS protocol */
};
/** Appends it as canonical JSON: members sorted, no white space. "key_ops" is not kept: say "use" of keys that are handed on. TEE: a key
 *  that does not say its alg gets that of ccz_jwk_enc_alg(). */
CCZ_API void ccz_jwk_put(struct ccz_buf *out, const struct ccz_jwk *k, enum ccz_jwk_form form);
#define CCZ_JWK_THUMBPRINT_SIZE 43
/** RFC 7638 with SHA-256, in base64url. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwk_thumbprint(char out[CCZ_JWK_THUMBPRINT_SIZE + 1],
                                               const struct ccz_jwk *k);

#define CCZ_JWKS_SIZE_MAX 1048576
#define CCZ_JWKS_LEN_MAX  256
/** A set of keys, {"keys": [...]}. */
struct ccz_jwks;
/**
 * Keys that ccz_jwk_parse() does not take are left out (RFC 7517, 5), and all keys of a kid that several have; a private one refuses
 * the set. A set may come out empty.
 * @retval CCZ_E_FORMAT  jwks:keys  @retval CCZ_E_DENIED  jwk:private  @retval CCZ_E_LIMIT  jwks:text, jwks:len
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwks_parse(struct ccz_jwks **out, struct ccz_span json,
                                           struct ccz_err *err);
CCZ_API void ccz_jwks_free(struct ccz_jwks *s); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_jwks)
CCZ_API size_t ccz_jwks_len(const struct ccz_jwks *s);
CCZ_API size_t ccz_jwks_left_out(const struct ccz_jwks *s);
CCZ_API const struct ccz_jwk *ccz_jwks_at(const struct ccz_jwks *s, size_t i); /**< NULL beyond */
/** Byte by byte equal, so that a key without kid is never found; NULL: none. */
CCZ_API const struct ccz_jwk *ccz_jwks_find(const struct ccz_jwks *s, struct ccz_span kid);
CCZ_API void ccz_jwks_put(struct ccz_buf *out, const struct ccz_jwk *const *keys, size_t len);

/* ------------------------------------------------------------------- signatures (RFC 7515) */

#define CCZ_JWS_SIZE_MAX        1048576 /**< a token */
#define CCZ_JWS_HEADER_SIZE_MAX 32768   /**< its header, decoded */
/** What stands in the header beside "alg", which is ES256 or ES384 as the key is. Zeroed: nothing. */
struct ccz_jws_header {
    const char *typ;              /**< "JWT", or NULL */
    const char *kid;              /**< or NULL */
    bool with_jwk;                /**< the public key, with alg, as the KBS protocol has it */
    const struct ccz_span *certs; /**< DER, leaf first: "x5c" of that jwk */
    size_t certs_len;             /**< not without with_jwk */
};
/**
 * Appends header.payload.signature.
 * @param key  EC, with its private half
 * @retval CCZ_E_ARG    jws:key: no private half; jws:header: certificates without with_jwk, or text that is no UTF-8
 * @retval CCZ_E_LIMIT  jws:header; jws:text: larger than CCZ_JWS_SIZE_MAX, or than @p out may become
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jws_sign(struct ccz_buf *out, const struct ccz_key *key,
                                         const struct ccz_jws_header *header,
                                         struct ccz_span payload, struct ccz_err *err);
/**
 * Verifies a token in compact form and appends its payload to @p out. Keys, URLs and certificates in the header are not looked at.
 * @param key   the only key that may have signed it
 * @retval CCZ_E_LIMIT        jws:text, jws:payload (@p out)
 * @retval CCZ_E_FORMAT       jws:parts (not three), jws:base64, jws:header, jws:member
 * @retval CCZ_E_UNSUPPORTED  jws:crit: an extension that must be understood
 * @retval CCZ_E_SIG          jws:none: "alg" is "none"; jws:alg: it is not that of the key; jws:signature
 * @retval CCZ_E_DENIED       jws:key-use: the key is not for signatures
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jws_verify(struct ccz_buf *out, const struct ccz_jwk *key,
                                           struct ccz_span token, struct ccz_err *err);
/**
 * As ccz_jws_verify() by the key of a set that the header's "kid" names; without "kid" by the only key of the set.
 * @param[out] used  that key, borrowed from @p keys; NULL on failure
 * @retval CCZ_E_NOT_FOUND  jws:kid: no such key, or no kid and not one key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jws_verify_set(struct ccz_buf *out, const struct ccz_jwk **used,
                                               const struct ccz_jwks *keys, struct ccz_span token,
                                               struct ccz_err *err);

/* ----------------------------------------------------------------------- tokens (RFC 7519) */

#define CCZ_JWT_SKEW_MAX_S 600
#define CCZ_JWT_TIME_MAX_S CCZ_TIME_MAX_S
/** What a token has to say. Zeroed is strict, and misses what is required. */
struct ccz_jwt_rules {
    const struct ccz_jwk *key;   /**< who may have signed: one key */
    const struct ccz_jwks *keys; /**< or a set; one of the two is required */
    const char *iss;             /**< required: the issuer */
    const char *aud; /**< who we are; NULL: tokens with "aud" are for somebody else and refused */
    const char *
        typ; /**< of the header, cases of letters and "application/" before it ignored; NULL: "JWT" or none */
    int64_t now_s;  /**< required; 0 to CCZ_JWT_TIME_MAX_S */
    int64_t skew_s; /**< how wrong clocks may be, 0 to CCZ_JWT_SKEW_MAX_S */
    int64_t
        age_max_s; /**< and not issued longer ago ("iat" is required then); 0: "exp" alone counts */
};
/**
 * Verifies signature and claims. "exp" is required; "nbf" and "iat" are judged if they are there. Times are whole seconds.
 * @param[out] claims  the payload, owned by the caller: ccz_json_free()
 * @return what ccz_jws_verify() says, or
 * @retval CCZ_E_ARG        jwt:rules
 * @retval CCZ_E_FORMAT     jwt:typ, jwt:json, jwt:claim (missing, of the wrong type, no whole number, or out of range)
 * @retval CCZ_E_UNTRUSTED  jwt:iss  @retval CCZ_E_DENIED  jwt:aud
 * @retval CCZ_E_EXPIRED    jwt:exp, jwt:nbf, jwt:iat (issued in the future), jwt:age
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwt_verify(struct ccz_json **claims,
                                           const struct ccz_jwt_rules *rules, struct ccz_span token,
                                           struct ccz_err *err);

/* ------------------------------------------------------------------- encryption (RFC 7516) */

#define CCZ_JWE_PLAIN_SIZE_MAX 1048576
#define CCZ_JWE_SIZE_MAX       1507328 /**< 4/3 of it, and the rest */
/**
 * Encrypts to a public key: flattened JSON with A256GCM, {"protected", "encrypted_key", "iv", "ciphertext", "tag"}. The protected header
 * is compact with the members alg, enc, epk(crv, kty, x, y) in that order, which clients of the KBS protocol rely on. Draws a content key, a
 * nonce and, for EC, an ephemeral key, each used once.
 * @retval CCZ_E_DENIED  jwe:key-use: the key is not for encryption
 * @retval CCZ_E_LIMIT   jwe:plaintext, jwe:text (@p out)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwe_seal(struct ccz_buf *out, const struct ccz_jwk *to,
                                         struct ccz_span plaintext, struct ccz_err *err);

/** A private key that opens them. */
struct ccz_jwe_key;
/** A new one; @p kind is CCZ_JWK_P256 or CCZ_JWK_P384. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwe_key_generate(struct ccz_jwe_key **out, enum ccz_jwk_kind kind,
                                                 struct ccz_err *err);
/** From PKCS#8 (DER): EC on P-256 or P-384, RSA of 2048 to 4096 bits. @return CCZ_E_FORMAT, CCZ_E_UNSUPPORTED  key:.., jwe:pkcs8 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwe_key_from_pkcs8(struct ccz_jwe_key **out,
                                                   const struct ccz_secret *der,
                                                   struct ccz_err *err);
CCZ_API void ccz_jwe_key_free(struct ccz_jwe_key *k); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_jwe_key)
/** Its public half with alg, borrowed: the tee-pubkey that evidence binds. */
CCZ_API const struct ccz_jwk *ccz_jwe_key_public(const struct ccz_jwe_key *k);
/**
 * Opens what ccz_jwe_seal() makes, and what others make of the same kind ("apu" and "apv" are honoured; "kid" and "typ" ignored).
 * @param[out] out   the plaintext is appended; out->wipe is set
 * @retval CCZ_E_LIMIT        jwe:text, jwe:plaintext (@p out)
 * @retval CCZ_E_FORMAT       jwe:json, jwe:member (missing, wrong type, or one that is not known), jwe:base64, jwe:header, jwe:size, jwk:..
 *                            for the ephemeral key
 * @retval CCZ_E_UNSUPPORTED  jwe:alg (not that of the key), jwe:enc, jwe:crit, jwe:zip, jwe:epk (of another curve)
 * @retval CCZ_E_SIG          jwe:wrap: not for this key (EC); jwe:tag: changed, or not for this key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jwe_open(struct ccz_buf *out, const struct ccz_jwe_key *key,
                                         struct ccz_span json, struct ccz_err *err);

/* ------------------------------------------------------------ canonical JSON (RFC 8785), bindings */

/**
 * Appends @p j in canonical form: members sorted by UTF-16 code units, no white space, the shortest escapes.
 * @retval CCZ_E_UNSUPPORTED  jcs:number: no integer, or one that a double does not hold (beyond 2^53)
 * @retval CCZ_E_LIMIT        jcs:text (@p out)  @retval CCZ_E_NOMEM  jcs:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jcs_put(struct ccz_buf *out, const struct ccz_json *j,
                                        struct ccz_err *err);

/** What evidence binds in the KBS protocol ("RCAR"), version 0.4. */
struct ccz_rcar_binding {
    struct ccz_span nonce; /**< the text as sent: base64, not its bytes */
    const struct ccz_jwk *tee_key;
    bool
        device; /**< evidence of a device beside the TEE, whose binding has no "additional-evidence" */
    struct ccz_span additional; /**< the text as sent, normally empty; not with `device` */
};
/** Appends the canonical JSON that is hashed. @retval CCZ_E_ARG  rcar:binding: no key or no nonce, a key that is not for encryption,
 *  text that is no UTF-8, or `additional` with `device`  @retval CCZ_E_LIMIT  rcar:text */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rcar_binding_put(struct ccz_buf *out,
                                                 const struct ccz_rcar_binding *b,
                                                 struct ccz_err *err);
/**
 * Its hash, filled up with zeros: the report data of SGX, TDX and SNP.
 * @param alg  SHA-384 unless the challenge chose another one
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rcar_report_data(uint8_t out[64], const struct ccz_rcar_binding *b,
                                                 enum ccz_hash alg, struct ccz_err *err);

/* ----------------------------------------------------------- attestation results (EAR, AR4SI) */

/** The claims of a trustworthiness vector (draft-ietf-rats-ar4si, 2.3). */
enum ccz_ear_claim {
    CCZ_EAR_INSTANCE_IDENTITY,
    CCZ_EAR_CONFIGURATION,
    CCZ_EAR_EXECUTABLES,
    CCZ_EAR_FILE_SYSTEM,
    CCZ_EAR_HARDWARE,
    CCZ_EAR_RUNTIME_OPAQUE,
    CCZ_EAR_STORAGE_OPAQUE,
    CCZ_EAR_SOURCED_DATA,
    CCZ_EAR_CLAIMS
};
enum ccz_ear_status { CCZ_EAR_NONE, CCZ_EAR_AFFIRMING, CCZ_EAR_WARNING, CCZ_EAR_CONTRAINDICATED };
CCZ_API const char *ccz_ear_claim_name(enum ccz_ear_claim c);   /**< "instance-identity" */
CCZ_API const char *ccz_ear_status_name(enum ccz_ear_status s); /**< "none", .. */
CCZ_API enum ccz_ear_status ccz_ear_tier(int8_t value);         /**< of one claim */
struct ccz_ear_vector {
    int8_t value[CCZ_EAR_CLAIMS]; /**< 0: nothing is said */
};
CCZ_API enum ccz_ear_status ccz_ear_status(const struct ccz_ear_vector *v); /**< the worst of it */
/** One row of a table that says what verified claims amount to. */
struct ccz_ear_rule {
    enum ccz_ear_claim claim;
    int8_t value;
    bool (*holds)(const struct ccz_claims *c); /**< NULL: always */
};
#define CCZ_EAR_NO_RULE 96 /**< contraindicated: none of a claim's rows holds */
/** The first row of each claim that holds gives its value; a claim without rows is 0, one of whose rows none holds CCZ_EAR_NO_RULE. */
CCZ_API struct ccz_ear_vector ccz_ear_appraise(const struct ccz_ear_rule *rules, size_t len,
                                               const struct ccz_claims *c);

#define CCZ_EAR_SUBMODS_MAX 16
/** The result of one attester. */
struct ccz_ear_submod {
    const char *name; /**< "cpu0" */
    struct ccz_ear_vector vector;
    const char *policy_id; /**< which appraisal policy, or NULL */
    const char *tee;       /**< "tdx": the name of the member that `evidence` becomes; NULL: none */
    struct ccz_span evidence;    /**< its claims, a JSON object as text; not without `tee` */
    struct ccz_span report_data; /**< shown in hex; empty: not shown */
    const struct ccz_jwk
        *tee_key; /**< the key that was attested, where the KBS protocol looks for it; NULL: none */
    struct ccz_span nonce; /**< text, beside tee_key; empty: none */
};
struct ccz_ear {
    const char *issuer;    /**< required */
    const char *developer; /**< required, of the verifier: "ear.verifier-id" */
    const char *build;     /**< required */
    const char *profile;   /**< "eat_profile"; NULL: CCZ_EAR_PROFILE */
    const char *audience;  /**< or NULL */
    const char *id;        /**< "jti", or NULL */
    int64_t iat_s;
    int64_t lifetime_s; /**< 1 to CCZ_EAR_LIFETIME_MAX_S */
    const struct ccz_ear_submod *submods;
    size_t submods_len; /**< 1 to CCZ_EAR_SUBMODS_MAX, of different names */
};
#define CCZ_EAR_PROFILE        "tag:github.com,2024:confidential-containers/Trustee"
#define CCZ_EAR_LIFETIME_MAX_S 86400
/**
 * Appends the claims of an attestation result (draft-fv-rats-ear): the payload of a token that ccz_jws_sign() makes with typ "JWT".
 * "ear.status" of each submod is the worst of its vector; claims of 0 are left out.
 * @retval CCZ_E_ARG     ear:config, ear:text (no UTF-8)  @retval CCZ_E_FORMAT  ear:evidence: no JSON object
 * @retval CCZ_E_LIMIT   ear:size (@p out)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ear_put(struct ccz_buf *out, const struct ccz_ear *ear,
                                        struct ccz_err *err);

/* --------------------------------------------------------------------------------- nonces */

#define CCZ_NONCE_SIZE      32
#define CCZ_NONCE_TEXT_SIZE 44 /**< base64, standard alphabet, with padding */
#define CCZ_NONCE_TIME_SIZE 5  /**< it begins with the second in which it was made, big-endian */
#define CCZ_NONCE_AGE_MAX_S 86400
/**
 * A nonce that the one who made it knows again without having kept it: time (40 bits), 88 random bits, and the first 128 bits of
 * HMAC-SHA-256 over both. Who has several servers gives them one key.
 * @param[out] text  with NUL
 * @param key        32 to 64 bytes, of this purpose alone  @param now_s  0 to CCZ_JWT_TIME_MAX_S
 * @retval CCZ_E_ARG  key or time
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_nonce_new(char text[CCZ_NONCE_TEXT_SIZE + 1],
                                          const struct ccz_secret *key, int64_t now_s);
/**
 * @param[out] nonce  its bytes; zeroed on failure
 * @param age_max_s   1 to CCZ_NONCE_AGE_MAX_S  @param skew_s  how much a clock of another server may be ahead, 0 to CCZ_JWT_SKEW_MAX_S
 * @retval CCZ_E_ARG      nonce:config
 * @retval CCZ_E_FORMAT   nonce:text  @retval CCZ_E_SIG  nonce:foreign: not made with this key
 * @retval CCZ_E_EXPIRED  nonce:age, nonce:future
 * @ct of the tag
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_nonce_check(uint8_t nonce[CCZ_NONCE_SIZE], struct ccz_span text,
                                            const struct ccz_secret *key, int64_t now_s,
                                            int64_t age_max_s, int64_t skew_s, struct ccz_err *err);

#define CCZ_REPLAY_LEN_MAX 1048576
/**
 * Remembers what was used until it expires by itself, so that it is not used twice; ids are what ccz_nonce_check() gives. Bounded: at
 * most 2 * len ids (of 40 bytes, twice that in memory). Nothing is forgotten before it has expired, not even if the clock jumps: when it is full,
 * it refuses. Use ids only of those who have proved something, so that nobody else can fill it. One thread at a time.
 * It is the memory of one process: a restart forgets, so that the key of nonces has to be a new one at each start; and servers that share a
 * key have to share what was used as well (a table of their database), or a nonce is good once at each of them.
 */
struct ccz_replay;
/** @param len  1 to CCZ_REPLAY_LEN_MAX: as many as are used in one lifetime */
CCZ_API CCZ_MUST_USE ccz_rc ccz_replay_new(struct ccz_replay **out, size_t len,
                                           struct ccz_err *err);
CCZ_API void ccz_replay_free(struct ccz_replay *r); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_replay)
/**
 * Uses an id up.
 * @param expires_s  from then on it would be refused anyway; for a nonce, now_s + age_max_s + skew_s is late enough
 * @retval CCZ_E_EXISTS   replay:used  @retval CCZ_E_LIMIT  replay:full
 * @retval CCZ_E_EXPIRED  replay:expired: at the latest time that any call has given
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_replay_use(struct ccz_replay *r, const uint8_t id[CCZ_NONCE_SIZE],
                                           int64_t expires_s, int64_t now_s, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
