/* SPDX-License-Identifier: Apache-2.0 */
/* The extension of struct ccz_tls_proof as a peer may send it. First byte: whether we asked; then messages of one byte of kind and
 * place, two of size, and the bytes. */
#include "crypto/tls_priv.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_LIMIT = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static ccz_rc make(void *arg, struct ccz_buf *out, struct ccz_span own_spki,
                   const uint8_t challenge[], struct ccz_err *err)
{
    (void)arg, (void)out, (void)own_spki, (void)challenge;
    return ccz_fail(err, CCZ_E_INTERNAL, "fuzz", 0, "nobody gets that far");
}

static ccz_rc verify(void *arg, void *conn_arg, struct ccz_span der, const uint8_t challenge[],
                     struct ccz_span proof, struct ccz_err *err)
{
    (void)arg, (void)conn_arg, (void)der, (void)challenge, (void)err;
    require(proof.ptr ? proof.size > 0 && proof.size <= SIZE_LIMIT : proof.size == 0);
    return CCZ_OK;
}

/* A client, which needs no identity to say its ClientHello. */
static struct ccz_tls_ctx *context(void)
{
    const struct ccz_tls_proof proof = {
        .ask = true, .size_max = SIZE_LIMIT, .make = make, .verify = verify};
    struct ccz_tls_ctx *ctx = NULL;
    require(ccz_tls_ctx_new(&ctx, &(struct ccz_tls_cfg){.proof = &proof}, NULL) == CCZ_OK);
    return ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ccz_tls_ctx *ctx;
    if (!ctx)
        ctx = context();
    if (size == 0)
        return 0;
    struct ccz_tls *t = NULL;
    require(ccz_tls_new(&t, ctx, NULL, NULL) == CCZ_OK);
    bool asked = data[0] & 1;
    if (asked)
        require(ccz_tls_step(t, NULL) == CCZ_OK); /* the ClientHello carries our challenge */
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(data + 1, size - 1));
    while (r.left > 0 && !r.bad) {
        uint8_t kind = ccz_rd_u8(&r);
        struct ccz_span in = ccz_rd_take(&r, ccz_rd_le16(&r));
        if (r.bad)
            break;
        unsigned where = kind & 1 ? SSL_EXT_TLS1_3_CERTIFICATE : SSL_EXT_TLS1_3_CERTIFICATE_REQUEST;
        int alert = 0, got = cczi_proof_receive(t->ssl, where, in, kind >> 1, &alert);
        require(got == 1 || (got == -1 && alert != 0 && t->fail.rc != CCZ_OK && t->fail.where[0]));
        if (got == 1)
            require(kind & 1 ? asked && kind >> 1 == 0 : in.size == CCZ_TLS_CHALLENGE_SIZE);
    }
    struct ccz_err err;
    ccz_rc rc = cczi_proof_judge(ctx, t->ssl, NULL, ccz_span_str("cert"), &err);
    require(rc == (asked ? CCZ_OK : CCZ_E_UNSUPPORTED));
    ccz_tls_free(t);
    ERR_clear_error();
    return 0;
}
