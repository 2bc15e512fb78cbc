/* SPDX-License-Identifier: Apache-2.0 */
/* A message of a federated training: what is accepted is within its limits and written back the same. */
#include "fedlr/fedlr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void write_back(struct ccz_buf *out, const struct cczi_fl_msg *m)
{
    cczi_fl_msg_begin(out, m->kind, m->round);
    if (m->kind == CCZI_MSG_HELLO) {
        cczi_fl_msg_put_hello(out, &m->hello);
    } else if (m->kind == CCZI_MSG_START) {
        ccz_buf_le64(out, m->start.round);
        ccz_buf_le64(out, m->start.rows);
    } else if (m->kind == CCZI_MSG_GO) {
        ccz_buf_u8(out, m->go);
    } else if (m->kind == CCZI_MSG_SCORES) {
        for (size_t i = 0; i < m->len; i++) {
            require(isfinite(cczi_fl_msg_score(m, i)));
            cczi_fl_msg_put_double(out, cczi_fl_msg_score(m, i));
        }
    } else if (m->kind == CCZI_MSG_WINDOWS) {
        for (size_t i = 0; i < m->len; i++)
            ccz_buf_le64(out, cczi_fl_msg_window(m, i));
    } else {
        ccz_buf_put_span(out, m->body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cczi_fl_msg m;
    struct ccz_err err = {0};
    if (cczi_fl_msg_parse(&m, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        require(m.kind == 0 && m.body.size == 0 && strcmp(err.where, "fedlr:message") == 0);
        return 0;
    }
    require(m.kind != CCZI_MSG_HELLO ||
            (m.hello.cols <= CCZ_FEDLR_COLS_MAX && m.hello.rows <= CCZ_FEDLR_ROWS_MAX));
    struct ccz_buf out;
    ccz_buf_init(&out, size);
    write_back(&out, &m);
    require(!out.bad && out.size == size && memcmp(out.ptr, data, size) == 0);
    ccz_buf_free(&out);
    return 0;
}
