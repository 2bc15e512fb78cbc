/* SPDX-License-Identifier: Apache-2.0 */
/* What a PCS answers: first byte which document, then header lines, an empty line, the body. Invariant: what is taken
 * has a body, a chain if its kind has one, and survives being read again from what would be stored. */
#include "pcs/pcs_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum cczi_doc doc = (enum cczi_doc)(data[0] % CCZI_DOCS);
    size_t cut = 1;
    while (cut < size && !(data[cut] == '\n' && cut + 1 < size && data[cut + 1] == '\n'))
        cut++;
    struct cczi_answer a;
    struct cczi_document d, again;
    struct ccz_err err = {.rc = CCZ_OK};
    cczi_answer_init(&a);
    cczi_document_init(&d);
    cczi_document_init(&again);
    ccz_buf_put(&a.headers, data + 1, cut - 1);
    if (cut + 2 < size)
        ccz_buf_put(&a.body, data + cut + 2, size - cut - 2);
    int64_t age = cczi_max_age(&a);
    ccz_rc rc = cczi_document_take(&d, doc, &a, &err);
    if (age < -1 || age > INT32_MAX || (rc != CCZ_OK && (err.rc != rc || err.where[0] == 0)))
        abort();
    if (rc == CCZ_OK) {
        ccz_buf_put_span(&again.body, ccz_buf_span(&d.body));
        if (d.body.size == 0 || (cczi_doc_chain(doc) < 0) != (d.chain.size == 0) ||
            cczi_document_dates(&again, doc, NULL) != CCZ_OK || again.until_s != d.until_s ||
            again.from_s != d.from_s)
            abort();
    }
    cczi_answer_free(&a);
    cczi_document_free(&d);
    cczi_document_free(&again);
    return 0;
}
