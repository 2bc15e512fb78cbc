/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_EVIDENCE_PRIV_H
#define CCZI_EVIDENCE_PRIV_H
/* What the files of the module share: an opened file, and how fields are put out. */
#include <cczoo/evidence.h>

struct ccz_evidence {
    const char *encoding; /* "binary", "hex", "base64", "pem", "json" */
    struct ccz_buf bytes; /* of the evidence; of a certificate, its parsed form has them */
    struct ccz_cert *cert;
    struct ccz_ratls_evidence found; /* in the certificate */
    ccz_rc cert_rc;                  /* why there is none, with cert_err */
    struct ccz_err cert_err;
};

/* ---------------------------------------------------------------------------- field output */

struct cczi_out {
    ccz_field_fn fn;
    void *arg;
    const char *group;
};
void cczi_put_bytes(const struct cczi_out *o, const char *name, struct ccz_span v);
/* @p meaning: what the number stands for, or NULL. */
void cczi_put_number(const struct cczi_out *o, const char *name, uint64_t v, const char *meaning);
void cczi_put_text(const struct cczi_out *o, const char *name, const char *v);
void cczi_put_bool(const struct cczi_out *o, const char *name, bool v);
void cczi_put_time(const struct cczi_out *o, const char *name, int64_t v);

/* Names of bits, ended by a NULL name. Bits that are set and have none are called "bit N". */
struct cczi_bit {
    uint8_t bit;
    const char *name;
};
void cczi_put_bits(const struct cczi_out *o, const char *name, uint64_t v,
                   const struct cczi_bit *bits);

/* A row of a layout: @p put shows the field, NULL skips it. */
typedef void cczi_put_fn(const struct cczi_out *o, const char *name, struct ccz_span v);
struct cczi_row {
    const char *name;
    uint16_t size;
    cczi_put_fn *put;
};
cczi_put_fn cczi_put_le;       /* little-endian number of 1, 2 or 4 bytes */
cczi_put_fn cczi_put_reserved; /* only if it is not zero */
/* Puts rows until one is cut off, which sets r->bad. */
void cczi_put_rows(const struct cczi_out *o, struct ccz_rd *r, const struct cczi_row *rows,
                   size_t len);

/* --------------------------------------------------------------------------------- parts */

/* Each returns the first problem, with what stood in front of it put out. */
CCZ_MUST_USE ccz_rc cczi_describe_quote(struct cczi_out *o, struct ccz_span quote,
                                        struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_describe_snp(struct cczi_out *o, struct ccz_span evidence,
                                      struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_describe_ratls(struct cczi_out *o, const struct ccz_evidence *e,
                                        struct ccz_err *err);
/* Subject, issuer, serial, validity, key, digest. */
void cczi_describe_cert(const struct cczi_out *o, const struct ccz_cert *cert);
/* Value of the SGX extension of a PCK certificate. */
void cczi_describe_sgx_extension(const struct cczi_out *o, struct ccz_span ext);
#endif
