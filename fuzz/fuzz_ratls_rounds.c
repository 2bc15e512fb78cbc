/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer sends behind the session's beginning (version 2): frames of data and messages about evidence. First byte:
 * our configuration and how many bytes arrive at a time; second: whether a challenge of ours is open. */
#define _DEFAULT_SOURCE
#include "ratls/ratls_priv.h"

#include "../tests/unit/ratls/toy_evidence.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void give(struct cczi_session *to, struct cczi_session *from)
{
    struct ccz_err err;
    ccz_buf_put_span(&to->in, ccz_buf_span(&from->out));
    ccz_buf_clear(&from->out);
    require(cczi_session_step(to, &err) == CCZ_OK);
}

struct source {
    struct ccz_span left;
    size_t piece, taken;
};

static ccz_rc read_source(void *arg, struct ccz_buf *out, struct ccz_err *err)
{
    (void)err;
    struct source *s = arg;
    size_t n = s->left.size < s->piece ? s->left.size : s->piece, room = out->max_size - out->size;
    n = n < room ? n : room;
    ccz_buf_put(out, s->left.ptr, n);
    s->left = ccz_span_sub(s->left, n, s->left.size - n);
    s->taken += n;
    return CCZ_OK;
}

static void run(struct cczi_session *s, struct source *src)
{
    struct cczi_frames f;
    struct ccz_err err = {0};
    ccz_rc rc = CCZ_OK;
    size_t given = 0;
    cczi_frames_init(&f);
    for (bool more = true; more && rc == CCZ_OK;) {
        CCZ_AUTO_BUF out;
        uint8_t type;
        struct ccz_span body;
        ccz_buf_init(&out, src->piece);
        rc = cczi_frames_read(&out, &f, s, read_source, src, &err);
        more = out.size > 0;
        given += out.size;
        if (rc == CCZ_E_CLOSED) { /* no more bytes; messages may come */
            require(f.ended && out.size == 0);
            rc = CCZ_OK;
        }
        if (rc == CCZ_OK && cczi_frames_message(&type, &body, &f)) {
            require(type != CCZI_RATLS_DATA && type != CCZI_RATLS_END);
            rc = cczi_round_message(s, type, body, &err);
            ccz_buf_clear(&s->out);
            cczi_frames_next(&f);
            more = true;
        }
        require(f.message.size <= CCZI_RATLS_FRAME_MAX);
    }
    require(given <= src->taken);
    require(rc == CCZ_OK || (err.rc == rc && err.where[0]));
    cczi_frames_deinit(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct toy toy = {0};
    struct ccz_ratls_cfg cfg[2] = {
        {.attest = toy_attest, .attest_arg = &toy, .appraise = toy_appraise, .appraise_arg = &toy}};
    cfg[1] = cfg[0];
    cfg[1].server = true;
    if (data[0] & 1) /* the peer never asked */
        cfg[1].appraise = NULL, cfg[1].peer_evidence_optional = true;
    struct cczi_session us, peer;
    struct ccz_err err;
    struct cczi_session_in in = {.cfg = &cfg[0],
                                 .version = CCZI_RATLS_VERSION_2,
                                 .own_spki = ccz_span_str("us"),
                                 .peer_spki = ccz_span_str("them")};
    require(cczi_session_init(&us, &in, &err) == CCZ_OK);
    in = (struct cczi_session_in){.cfg = &cfg[1],
                                  .version = CCZI_RATLS_VERSION_2,
                                  .own_spki = ccz_span_str("them"),
                                  .peer_spki = ccz_span_str("us")};
    require(cczi_session_init(&peer, &in, &err) == CCZ_OK);
    for (int i = 0; i < 3; i++) {
        give(&peer, &us);
        give(&us, &peer);
    }
    require(cczi_session_ready(&us) && us.peer.attested);
    if (data[1] & 1)
        require(cczi_round_challenge(&us, &err) == CCZ_OK);
    ccz_buf_clear(&us.out);
    struct source src = {CCZ_SPAN(data + 2, size - 2), 1 + (data[0] >> 1), 0};
    run(&us, &src);
    require(us.peer.rounds == 0 && us.peer.attested); /* no input knows our nonce */
    cczi_session_deinit(&us);
    cczi_session_deinit(&peer);
    return 0;
}
