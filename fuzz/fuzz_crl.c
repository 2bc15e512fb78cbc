/* SPDX-License-Identifier: Apache-2.0 */
/* CRL parser. Invariant: what parses is inside the input, is DER to the last byte (a byte more or
 * less does not parse), and lists no serial that cannot be one. */
#include <cczoo/x509.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_err err = {.rc = CCZ_OK};
    CCZ_AUTO(ccz_crl) crl = NULL;
    ccz_rc rc = ccz_crl_parse(&crl, (struct ccz_span){data, size}, &err);
    if ((rc == CCZ_OK) != (crl != NULL) || (rc != CCZ_OK && (err.rc != rc || err.where[0] == 0)))
        abort(); /* each refusal says where */
    if (rc != CCZ_OK)
        return 0;
    static const uint8_t zeros[64], minus[] = {0xff};
    if (ccz_crl_revokes(crl, (struct ccz_span){zeros, 0}) ||
        ccz_crl_revokes(crl, CCZ_SPAN(zeros, 64)) || ccz_crl_revokes(crl, CCZ_SPAN(minus, 1)))
        abort();
    if (ccz_crl_issuer(crl).size == 0 || ccz_crl_issuer(crl).size > size)
        abort();

    CCZ_AUTO(ccz_crl) other = NULL;
    if (ccz_crl_parse(&other, (struct ccz_span){data, size - 1}, NULL) == CCZ_OK)
        abort();
    CCZ_AUTO_BUF longer;
    ccz_buf_init(&longer, CCZ_CRL_SIZE_MAX + 1);
    ccz_buf_put(&longer, data, size);
    ccz_buf_u8(&longer, 0);
    if (!longer.bad && ccz_crl_parse(&other, ccz_buf_span(&longer), NULL) == CCZ_OK)
        abort();
    return 0;
}
