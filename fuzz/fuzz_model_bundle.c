/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests of model bundles. Invariant: what is accepted is what is written of it, byte for byte. */
#include <cczoo/bundle.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ccz_bundle_manifest m;
    struct ccz_buf b;
    if (ccz_bundle_manifest_parse(&m, CCZ_SPAN(data, size), NULL) != CCZ_OK) {
        if (m.files_len != 0 || m.version != 0)
            abort();
        return 0;
    }
    if (ccz_bundle_manifest_check(&m, NULL) != CCZ_OK)
        abort();
    ccz_buf_init(&b, CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    ccz_bundle_manifest_put(&b, &m);
    if (!ccz_span_eq(ccz_buf_span(&b), CCZ_SPAN(data, size)))
        abort();
    ccz_buf_free(&b);
    return 0;
}
