/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_HELR_PRIV_H
#define CCZI_HELR_PRIV_H
/* What client and server of helr share. */
#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <cczoo/helr.h>

/* ------------------------------------------------------------------------------------ messages */

enum cczi_helr_kind {
    CCZI_HELR_INFO = 1,
    CCZI_HELR_KEYS,
    CCZI_HELR_READY,
    CCZI_HELR_MODEL,
    CCZI_HELR_REQUEST,
    CCZI_HELR_REPLY,
};
enum { CCZI_HELR_VERSION = 1 };

/* "HELR", version, kind, two zero bytes. */
void cczi_helr_put_head(struct ccz_buf *out, enum cczi_helr_kind kind);
/* helr:message-size, helr:magic, helr:version, helr:kind; then @p r is behind the head. */
ccz_rc cczi_helr_get_head(struct ccz_rd *r, struct ccz_span msg, enum cczi_helr_kind kind,
                          size_t size_max, struct ccz_err *err);

/* Ciphertexts of one size, as they lie in requests, models and replies. */
struct cczi_helr_rows {
    uint8_t session[CCZ_HELR_SESSION_SIZE];
    double radius; /* of a model only */
    uint32_t rows; /* features in a model */
    uint32_t per_ct;
    uint32_t cts;
    uint32_t ct_size;
    struct ccz_span body; /* cts * ct_size bytes */
};
void cczi_helr_put_rows(struct ccz_buf *out, enum cczi_helr_kind kind,
                        const struct cczi_helr_rows *h);
/* Only the form is checked: counts agree with the size. @p where, e.g. "helr:request" */
ccz_rc cczi_helr_get_rows(struct cczi_helr_rows *h, struct ccz_span msg, enum cczi_helr_kind kind,
                          size_t size_max, const char *where, struct ccz_err *err);

/* First bytes of the hash of a keys message. */
ccz_rc cczi_helr_session_id(uint8_t id[CCZ_HELR_SESSION_SIZE], struct ccz_span keys,
                            struct ccz_err *err);

void cczi_helr_put_info(struct ccz_buf *out, const struct ccz_helr_info *info,
                        const uint8_t params_id[CCZ_RLWE_PARAMS_ID_SIZE]);
/* @param[out] out  features owned by the caller: cczi_helr_info_deinit() */
ccz_rc cczi_helr_get_info(struct ccz_helr_info *out, uint8_t params_id[CCZ_RLWE_PARAMS_ID_SIZE],
                          struct ccz_span msg, struct ccz_err *err);
void cczi_helr_info_deinit(struct ccz_helr_info *info);

/* ------------------------------------------------------------------------------------- circuit */

enum { CCZI_HELR_SCALE_BITS = 40, CCZI_HELR_LOG_VALUE_MAX = 10, CCZI_HELR_RADIUS_MAX = 32 };

/* Parameters of the library for @p degree. */
void cczi_helr_ring(struct ccz_rlwe_cfg *ring, unsigned degree);
/* Data primes that the circuit needs: one for each level and the one that stays. */
size_t cczi_helr_primes(unsigned degree);

/* The layout with @p per_ct features, a power of two up to n, per ciphertext. */
struct ccz_helr_layout cczi_helr_layout_of(size_t n, size_t features, size_t per_ct);

/* The polynomial 1/2 + u q(u^2), q monic: u = fold * t. */
struct cczi_helr_poly {
    unsigned degree;
    double radius, fold;
    double q[3]; /* q(v) = q[0] + q[1] v + .. + v^((degree - 1) / 2) */
};
void cczi_helr_fold(struct cczi_helr_poly *p, unsigned degree, double radius);

/* Slots of ciphertext @p ct of a request. @shape slots[n / 2], x[rows * features] */
void cczi_helr_pack(struct ccz_complex *slots, size_t n, const struct ccz_helr_layout *l, size_t ct,
                    const double *x, size_t rows, size_t features);
/* Slots of the weights that belong to it, for features with weights @p w (folded). @shape slots[n / 2] */
void cczi_helr_pack_weights(struct ccz_complex *slots, size_t n, const struct ccz_helr_layout *l,
                            size_t ct, const double *w, size_t features);

/* Rotation that adds up with key switch @p i (from 0) of a layout; 0 is the conjugation. */
int64_t cczi_helr_step(size_t n, unsigned i);

/* Temporaries of one thread that computes. */
enum { CCZI_HELR_TMP = 6, CCZI_HELR_CHUNK = 8 };
struct cczi_helr_work {
    struct ccz_ckks_eval *eval;
    struct ccz_ckks_ct *in[CCZI_HELR_CHUNK]; /* ciphertexts as they are read */
    struct ccz_ckks_ct *sum, *tmp[CCZI_HELR_TMP];
    struct cczi_helr_work *next;
};
ccz_rc cczi_helr_work_new(struct cczi_helr_work **out, const struct ccz_ckks *c,
                          const struct ccz_rlwe_work_cfg *cfg, struct ccz_err *err);
void cczi_helr_work_free(struct cczi_helr_work *w);

/* w->sum, the sum of products at full level, becomes u: parts and blocks added up, @p bias (NULL: none) added
 * at the same scale, rescaled. */
ccz_rc cczi_helr_sum_up(struct cczi_helr_work *w, const struct ccz_helr_layout *l,
                        const struct ccz_rlwe_galois_set *galois, const struct ccz_ckks_ct *bias,
                        struct ccz_err *err);
/* *out = p(t), from u in w->sum, whose slots are taken to be below fold * radius. */
ccz_rc cczi_helr_sigmoid(struct ccz_ckks_ct **out, struct cczi_helr_work *w,
                         const struct cczi_helr_poly *p, const struct ccz_rlwe_swk *relin,
                         struct ccz_err *err);

/* ------------------------------------------------------------------------------------ sessions */

struct cczi_helr_model {
    struct ccz_helr_layout layout;
    size_t features;
    struct cczi_helr_poly poly;
    struct ccz_ckks_ct **w; /* layout.cts */
    struct ccz_ckks_ct *bias;
};
void cczi_helr_model_free(struct cczi_helr_model *m);

/* Evaluation keys of a client. Read-only but for `model`, `refs` and `used`, which the table's lock guards. */
struct cczi_helr_session {
    uint8_t id[CCZ_HELR_SESSION_SIZE];
    uint8_t key_id[CCZ_RLWE_KEY_ID_SIZE];
    struct ccz_rlwe_swk *relin;
    struct ccz_rlwe_galois_set *galois; /* NULL: none */
    size_t per_ct_max;
    struct cczi_helr_model *model;
    size_t keys_size, model_size; /* memory, as the messages' sizes tell it */
    size_t refs;
    uint64_t used;
    struct cczi_helr_session *next;
};
/* Reads a keys message. @param features_max  bounds the number of keys */
ccz_rc cczi_helr_session_read(struct cczi_helr_session **out, struct ccz_ckks_eval *e,
                              struct ccz_span msg, size_t features_max, struct ccz_err *err);
void cczi_helr_session_free(struct cczi_helr_session *s);
#endif
