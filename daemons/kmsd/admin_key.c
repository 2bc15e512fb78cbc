/* SPDX-License-Identifier: Apache-2.0 */
#include "kmsd.h"

#include "../../cli/key_file.h"

#include <string.h>
#include <unistd.h>

/* Who names a public key has a typing error, and would get a private key under its name. */
static bool is_public_name(const char *path)
{
    size_t n = strlen(path);
    return n >= 4 && strcmp(path + n - 4, ".pub") == 0;
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
    if (made && access(path, F_OK) != 0 && !is_public_name(path)) {
        rc = make(&key, path, err);
        *made = rc == CCZ_OK;
    } else {
        rc = key_file_load(&key, path, err);
    }
    /* TLS identities are P-256: another curve could never log in */
    if (rc == CCZ_OK && ccz_key_curve(key) != CCZ_P256)
        rc = ccz_refuse(err, CCZ_E_UNSUPPORTED, "kmsd:admin-key", "P-384", "P-256");
    return rc == CCZ_OK ? key_file_digest(spki_sha256, key, err) : rc;
}
