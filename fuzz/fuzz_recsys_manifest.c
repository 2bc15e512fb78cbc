/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a bundle. Invariants: what is accepted is written and read again as the same, and names all files. */
#include "recsys/bundle_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_recsys_manifest m, again;
    struct cczi_bundle_file files[CCZI_PARTS], files_again[CCZI_PARTS];
    if (cczi_manifest_parse(&m, files, CCZ_SPAN(data, size), NULL) != CCZ_OK)
        return 0;
    struct ccz_buf out;
    ccz_buf_init(&out, 1 << 20);
    cczi_manifest_put(&out, &m, files);
    if (out.bad || cczi_manifest_parse(&again, files_again, ccz_buf_span(&out), NULL) != CCZ_OK)
        abort();
    memcpy(again.sha256, m.sha256, 32);
    if (m.version != again.version || strcmp(m.name, again.name) != 0 || m.users != again.users ||
        m.mean != again.mean || m.als.reg != again.als.reg || m.metrics_len != again.metrics_len ||
        memcmp(files, files_again, sizeof(files)) != 0)
        abort();
    ccz_buf_free(&out);
    return 0;
}
