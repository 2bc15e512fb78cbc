/* SPDX-License-Identifier: Apache-2.0 */
#include "key_file.h"

#include <cczoo/codec.h>

enum { KEY_FILE_SIZE_MAX = 4096 };

ccz_rc key_file_load(struct ccz_key **out, const char *path, struct ccz_err *err)
{
    CCZ_AUTO_BUF pem, der;
    ccz_buf_init(&pem, KEY_FILE_SIZE_MAX);
    ccz_buf_init(&der, KEY_FILE_SIZE_MAX);
    pem.wipe = true; /* it may be a private key after all */
    ccz_rc rc = ccz_file_read(&pem, path, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span text = ccz_buf_span(&pem);
    rc = ccz_pem_next(&der, &text, "PUBLIC KEY", err);
    if (rc == CCZ_OK)
        return ccz_key_from_spki(out, ccz_buf_span(&der), err);
    return rc == CCZ_E_NOT_FOUND ? ccz_key_load(out, path, err) : rc; /* checks the mode, too */
}

ccz_rc key_text_public(struct ccz_pkey **out, struct ccz_span pem, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, KEY_FILE_SIZE_MAX);
    ccz_rc rc = ccz_pem_next(&der, &pem, "PUBLIC KEY", err);
    return rc == CCZ_OK ? ccz_pkey_from_spki(out, ccz_buf_span(&der), err) : rc;
}

static ccz_rc load_private(struct ccz_pkey **out, const char *path, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) pem = NULL;
    CCZ_AUTO(ccz_secret) pkcs8 = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, KEY_FILE_SIZE_MAX);
    der.wipe = true;
    ccz_rc rc = ccz_file_read_secret(&pem, path, KEY_FILE_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span text = CCZ_SPAN(ccz_secret_view(pem), ccz_secret_size(pem));
    rc = ccz_pem_next(&der, &text, "PRIVATE KEY", err);
    if (rc != CCZ_OK)
        return ccz_hint(err,
                        ccz_fail(err, rc, "key:pem", 0,
                                 "%.120s holds neither a public key nor a private one", path),
                        "convert it with: openssl pkcs8 -topk8 -nocrypt");
    rc = ccz_secret_from(&pkcs8, der.ptr, der.size);
    return rc == CCZ_OK ? ccz_pkey_from_pkcs8(out, pkcs8, CCZ_PKEY_FOREIGN, err)
                        : ccz_fail(err, rc, "key:pem", 0, "out of memory");
}

ccz_rc key_file_load_any(struct ccz_pkey **out, const char *path, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, KEY_FILE_SIZE_MAX);
    pem.wipe = true; /* it may be a private key after all */
    ccz_rc rc = ccz_file_read(&pem, path, err);
    if (rc == CCZ_OK)
        rc = key_text_public(out, ccz_buf_span(&pem), err);
    return rc == CCZ_E_NOT_FOUND && pem.size ? load_private(out, path, err) : rc;
}

ccz_rc key_file_save_pair(const struct ccz_pkey *key, const char *path, const char *public_path,
                          struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) pkcs8 = NULL;
    CCZ_AUTO_BUF pem, spki, public_pem;
    ccz_buf_init(&pem, KEY_FILE_SIZE_MAX);
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_buf_init(&public_pem, KEY_FILE_SIZE_MAX);
    pem.wipe = true;
    ccz_rc rc = ccz_pkey_to_pkcs8(&pkcs8, key, err);
    if (rc == CCZ_OK && ccz_pkey_spki(&spki, key) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "key:pem", 0, "cannot encode a public key");
    if (rc != CCZ_OK)
        return rc;
    ccz_pem_put(&pem, "PRIVATE KEY", CCZ_SPAN(ccz_secret_view(pkcs8), ccz_secret_size(pkcs8)));
    ccz_pem_put(&public_pem, "PUBLIC KEY", ccz_buf_span(&spki));
    if (pem.bad || public_pem.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "key:pem", 0, "out of memory");
    rc = ccz_file_write(path, ccz_buf_span(&pem), 0600, CCZ_FILE_CREATE_ONLY, err);
    return rc == CCZ_OK ? ccz_file_write(public_path, ccz_buf_span(&public_pem), 0644,
                                         CCZ_FILE_CREATE_ONLY, err)
                        : rc;
}

ccz_rc key_file_digest(uint8_t spki_sha256[32], const struct ccz_key *key, struct ccz_err *err)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    ccz_rc rc = ccz_key_spki(&spki, key);
    if (rc == CCZ_OK)
        rc = ccz_sha256(spki_sha256, ccz_buf_span(&spki));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "key:digest", 0, "cannot hash a public key");
}
