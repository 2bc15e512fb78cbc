/* SPDX-License-Identifier: Apache-2.0 */
/* Parser of certificate requests, and of names. Invariants: a request that parses has a key, and its extensions are found by the OIDs
 * they are called by; a refusal says where; names that pass are written, and are within themselves. */
#include <cczoo/x509.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void names(struct ccz_span text)
{
    if (ccz_names_check(text, NULL) != CCZ_OK)
        return;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_CERT_SIZE_MAX);
    ccz_names_put_san(&out, text);
    ccz_names_put_constraints(&out, text);
    if (out.bad || ccz_names_within(text, text, NULL) != CCZ_OK ||
        ccz_names_within(text, (struct ccz_span){0}, NULL) == CCZ_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_err err = {.rc = CCZ_OK};
    CCZ_AUTO(ccz_csr) c = NULL;
    names(CCZ_SPAN(data, size));
    ccz_rc rc = ccz_csr_parse(&c, CCZ_SPAN(data, size), &err);
    if ((rc == CCZ_OK) != (c != NULL) || (rc != CCZ_OK && (err.rc != rc || err.where[0] == 0)))
        abort(); /* each refusal says where */
    if (rc != CCZ_OK)
        return 0;
    size_t len;
    const struct ccz_cert_ext_in *ext = ccz_csr_exts(&len, c);
    if (len > CCZ_CSR_EXT_LEN_MAX || !ccz_csr_key(c) || ccz_csr_spki(c).size == 0)
        abort();
    for (size_t i = 0; i < len; i++)
        if (ccz_csr_ext(NULL, c, ext[i].oid).ptr != ext[i].value.ptr)
            abort();
    return 0;
}
