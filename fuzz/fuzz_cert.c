/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate parser. Invariant: what parses lies inside its own copy of the input, whole and
 * unchanged, and a certificate that was not made by its issuer's key is never found to be signed by
 * it. */
#include <cczoo/x509.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct ccz_span part, struct ccz_span whole)
{
    if (part.size > whole.size || part.ptr < whole.ptr ||
        part.ptr + part.size > whole.ptr + whole.size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_err err = {.rc = CCZ_OK};
    CCZ_AUTO(ccz_cert) c = NULL;
    ccz_rc rc = ccz_cert_parse(&c, (struct ccz_span){data, size}, &err);
    if ((rc == CCZ_OK) != (c != NULL) || (rc != CCZ_OK && (err.rc != rc || err.where[0] == 0)))
        abort(); /* each refusal says where */
    if (rc != CCZ_OK)
        return 0;
    struct ccz_span der = ccz_cert_der(c);
    if (der.ptr == data || !ccz_span_eq(der, (struct ccz_span){data, size}))
        abort();
    inside(ccz_cert_subject(c), der);
    inside(ccz_cert_issuer(c), der);
    inside(ccz_cert_serial(c), der);
    inside(ccz_cert_spki(c), der);
    bool critical;
    struct ccz_span usage = ccz_cert_ext(&critical, c, "2.5.29.15");
    if (usage.ptr)
        inside(usage, der);
    if (strlen(ccz_cert_cn(c)) > 255)
        abort();
    if (ccz_cert_check_time(c, ccz_cert_not_before(c) - 1, NULL) != CCZ_E_EXPIRED)
        abort();
    (void)!ccz_cert_check_issuer(c, c, &err);

    /* the last byte of the signature is its s: another one cannot verify with the same key */
    CCZ_AUTO_BUF other;
    ccz_buf_init(&other, CCZ_CERT_SIZE_MAX);
    ccz_buf_put_span(&other, der);
    CCZ_AUTO(ccz_cert) changed = NULL;
    if (other.bad)
        return 0;
    other.ptr[size - 1] ^= 1;
    if (ccz_cert_parse(&changed, ccz_buf_span(&other), NULL) == CCZ_OK &&
        ccz_cert_check_issuer(c, c, NULL) == CCZ_OK &&
        ccz_cert_check_issuer(changed, c, NULL) == CCZ_OK)
        abort();
    return 0;
}
