/* SPDX-License-Identifier: Apache-2.0 */
/* The peer's half of a session (messages and their order). First byte: our configuration. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct toy toy = {0};
    bool optional = data[0] & 2, judges = !optional || (data[0] & 4);
    struct ccz_ratls_cfg cfg = {.server = data[0] & 1,
                                .attest = toy_attest,
                                .attest_arg = &toy,
                                .appraise = judges ? toy_appraise : NULL,
                                .appraise_arg = &toy,
                                .peer_evidence_optional = optional};
    struct cczi_session_in in = {
        .cfg = &cfg, .own_spki = ccz_span_str("us"), .peer_spki = ccz_span_str("them")};
    struct cczi_session s;
    struct ccz_err err = {0};
    ccz_rc rc = cczi_session_init(&s, &in, &err);
    size_t step = 1 + (data[0] >> 3); /* 1..32 bytes arrive at a time */
    for (size_t at = 1; rc == CCZ_OK && at < size; at += step) {
        ccz_buf_put(&s.in, data + at, size - at < step ? size - at : step);
        rc = cczi_session_step(&s, &err);
        require(s.in.size <= CCZI_RATLS_FRAME_MAX &&
                s.out.size <= 2 * (size_t)CCZI_RATLS_FRAME_MAX);
    }
    bool ready = cczi_session_ready(&s);
    require(rc == CCZ_OK || (!ready && err.rc == rc && err.where[0])); /* a refusal has a reason */
    require(!ready || optional); /* no input knows our nonce, so none brings evidence */
    require(!s.peer.attested && !s.peer.fresh);
    cczi_session_deinit(&s);
    return 0;
}
