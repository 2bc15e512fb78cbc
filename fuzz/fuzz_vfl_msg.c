/* SPDX-License-Identifier: Apache-2.0 */
/* A message of a split training: what is accepted is within its limits and written back the same. */
#include "vfl/vfl_priv.h"

#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cczi_vfl_msg m;
    struct ccz_err err = {0};
    if (cczi_vfl_msg_parse(&m, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        require(m.kind == 0 && m.body.size == 0 && strcmp(err.where, "vfl:message") == 0);
        return 0;
    }
    uint8_t header[CCZI_VFL_HEADER_SIZE];
    struct ccz_buf out;
    ccz_buf_init(&out, size);
    cczi_vfl_msg_header(header, &m);
    ccz_buf_put(&out, header, sizeof(header));
    if (m.kind == CCZI_VFL_HELLO) {
        require(m.hello.width <= CCZ_VFL_WIDTH_MAX && m.hello.steps_len >= 1 &&
                m.hello.steps_len <= CCZI_VFL_KEPT);
        cczi_vfl_msg_hello(&out, &m.hello);
    } else if (m.kind == CCZI_VFL_TEAM) {
        require(m.team.worker < m.team.workers && m.team.workers <= CCZ_VFL_WORKERS_MAX);
        cczi_vfl_msg_team(&out, &m.team);
    } else if (m.kind == CCZI_VFL_PROOF) {
        ccz_buf_put(&out, m.proof, sizeof(m.proof));
    } else if (m.kind == CCZI_VFL_READY) {
        require(m.ready.steps_len <= CCZI_VFL_KEPT);
        cczi_vfl_msg_ready(&out, &m.ready);
    } else if (m.kind == CCZI_VFL_STATE || m.kind == CCZI_VFL_MEAN || m.kind == CCZI_VFL_ROWS) {
        uint8_t head[CCZI_VFL_PIECE_SIZE];
        require(m.piece.bytes.size <= m.piece.total - m.piece.at &&
                m.piece.total <= CCZ_VFL_STATE_SIZE_MAX);
        cczi_vfl_msg_piece(head, &m.piece);
        ccz_buf_put(&out, head, sizeof(head));
        ccz_buf_put_span(&out, m.piece.bytes);
    } else {
        require(m.body.size == (size_t)m.rows * m.width * sizeof(float));
        ccz_buf_put_span(&out, m.body);
    }
    require(!out.bad && out.size == size && memcmp(out.ptr, data, size) == 0);
    ccz_buf_free(&out);
    return 0;
}
