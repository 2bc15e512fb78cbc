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

ccz_rc key_file_digest(uint8_t spki_sha256[32], const struct ccz_key *key, struct ccz_err *err)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    ccz_rc rc = ccz_key_spki(&spki, key);
    if (rc == CCZ_OK)
        rc = ccz_sha256(spki_sha256, ccz_buf_span(&spki));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "key:digest", 0, "cannot hash a public key");
}
