/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of collateral. First byte 0: the rest is an archive; what is read from it makes the same bytes again.
 * Else the rest is a manifest, signed here: what it claims must be what is there, which is one file. */
#include "pcs/pcs_priv.h"

#include <cczoo/crypto.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct ccz_span in)
{
    struct ccz_span left = in;
    struct cczi_member m;
    struct cczi_archive a;
    CCZ_AUTO_BUF again;
    ccz_rc rc;
    ccz_buf_init(&again, CCZ_PCS_ARCHIVE_SIZE_MAX);
    while ((rc = cczi_ustar_next(&m, &left, NULL)) == CCZ_OK) {
        if (m.data.size > 0 && (m.data.ptr < in.ptr || m.data.ptr + m.data.size > in.ptr + in.size))
            abort();
        if (cczi_ustar_put(&again, m.path, m.data) != CCZ_OK)
            abort();
    }
    if (rc == CCZ_E_NOT_FOUND) {
        cczi_ustar_end(&again);
        if (!ccz_span_eq(ccz_buf_span(&again), in))
            abort();
    }
    if (cczi_archive_open(&a, in, NULL) == CCZ_OK && rc != CCZ_E_NOT_FOUND)
        abort();
}

static void signed_manifest(struct ccz_span manifest)
{
    static struct ccz_key *key;
    static const char path[] = "00906ed50001-sgx-platform/tcb_info.json";
    uint8_t sig[64];
    struct cczi_archive a;
    struct ccz_err err = {.rc = CCZ_OK};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_PCS_ARCHIVE_SIZE_MAX);
    if (!key && ccz_key_generate(&key, CCZ_P256) != CCZ_OK)
        abort();
    if (ccz_ecdsa_sign(sig, key, &manifest, 1) != CCZ_OK ||
        cczi_ustar_put(&b, "MANIFEST.json", manifest) != CCZ_OK ||
        cczi_ustar_put(&b, "MANIFEST.sig", CCZ_SPAN(sig, 64)) != CCZ_OK ||
        cczi_ustar_put(&b, path, ccz_span_str("{}")) != CCZ_OK)
        abort();
    cczi_ustar_end(&b);
    ccz_rc rc = cczi_archive_open(&a, ccz_buf_span(&b), &err);
    if (rc == CCZ_OK || err.rc != rc || err.where[0] == 0)
        abort(); /* nobody guesses the key that was just made, so none names it */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 0)
        walk((struct ccz_span){data + 1, size - 1});
    else
        signed_manifest((struct ccz_span){data + 1, size - 1});
    char path[300] = "";
    memcpy(path, data, size < sizeof(path) - 1 ? size : sizeof(path) - 1);
    struct cczi_archive_path p = cczi_archive_path(path);
    if (p.kind != CCZI_PATH_BAD && (strstr(path, "..") || path[0] == '/' || p.name[0] == '.' ||
                                    strchr(p.name, '/') || strchr(p.file, '/')))
        abort();
    return 0;
}
