/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of boosted trees: parsing never reads beyond them, and what a writer made comes back. */
#include "sboost/sboost_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cczi_sb_msg m, again;
    struct ccz_err err = {0};
    struct ccz_buf b;
    if (cczi_sb_msg_parse(&m, CCZ_SPAN(data, size), &err) != CCZ_OK)
        return err.where[0] ? 0 : (abort(), 0);
    if (m.body.size > size)
        abort();
    ccz_buf_init(&b, size + 256);
    cczi_sb_msg_begin(&b, m.kind, m.tree, m.node);
    if (m.kind == CCZI_SB_HELLO)
        cczi_sb_msg_put_hello(&b, &m.hello);
    if (m.kind == CCZI_SB_CHOOSE || m.kind == CCZI_SB_LEFT || m.kind == CCZI_SB_ANSWERS)
        ccz_buf_le32(&b, m.number);
    if (m.kind == CCZI_SB_ANSWERS) {
        ccz_buf_le64(&b, m.hello.rows);
        ccz_buf_put(&b, m.hello.ids, sizeof(m.hello.ids));
    }
    ccz_buf_put_span(&b, m.body);
    if (!ccz_span_eq(ccz_buf_span(&b), CCZ_SPAN(data, size)) ||
        cczi_sb_msg_parse(&again, ccz_buf_span(&b), &err) != CCZ_OK)
        abort();
    ccz_buf_free(&b);
    return 0;
}
