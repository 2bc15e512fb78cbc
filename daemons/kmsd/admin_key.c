/* SPDX-License-Identifier: Apache-2.0 */
#include "kmsd.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>

#include <unistd.h>

enum { KEY_FILE_SIZE_MAX = 4096 };

static ccz_rc digest_of(uint8_t spki_sha256[32], const struct ccz_key *key, struct ccz_err *err)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    ccz_rc rc = ccz_key_spki(&spki, key);
    if (rc == CCZ_OK)
        rc = ccz_sha256(spki_sha256, ccz_buf_span(&spki));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kmsd:admin-key", 0, "cannot hash a public key");
}

/* The administrator can keep the private key to himself and hand over this. CCZ_E_NOT_FOUND: no
 * such block. */
static ccz_rc load_public(struct ccz_key **out, const char *path, struct ccz_err *err)
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
    return rc == CCZ_OK ? ccz_key_from_spki(out, ccz_buf_span(&der), err) : rc;
}

static ccz_rc make(struct ccz_key **out, const char *path, struct ccz_err *err)
{
    ccz_rc rc = ccz_key_generate(out, CCZ_P256);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kmsd:admin-key", 0, "cannot make a key");
    return ccz_key_save(*out, path, err);
}

ccz_rc kmsd_admin_key(uint8_t spki_sha256[32], bool *made, const char *path, struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) key = NULL;
    ccz_rc rc;
    if (made && access(path, F_OK) != 0) {
        rc = make(&key, path, err);
        *made = rc == CCZ_OK;
    } else {
        rc = load_public(&key, path, err);
        if (rc == CCZ_E_NOT_FOUND)
            rc = ccz_key_load(&key, path, err); /* checks the mode of the file, too */
    }
    /* TLS identities are P-256: another curve could never log in */
    if (rc == CCZ_OK && ccz_key_curve(key) != CCZ_P256)
        rc = ccz_refuse(err, CCZ_E_UNSUPPORTED, "kmsd:admin-key", "P-384", "P-256");
    return rc == CCZ_OK ? digest_of(spki_sha256, key, err) : rc;
}
