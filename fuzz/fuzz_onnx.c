/* SPDX-License-Identifier: Apache-2.0 */
/* The look through an ONNX file. Invariant: what is accepted has one graph, and names are found in any case. */
#include "engine/engine_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_err err = {0};
    const struct ccz_span model = {data, size};
    const ccz_rc rc = cczi_onnx_check(model, &err);
    (void)cczi_onnx_shapeless(model, true, "x");
    (void)cczi_onnx_shapeless(model, false, "y");
    if (rc != CCZ_OK) {
        if (!err.where[0])
            abort();
        return 0;
    }
    struct ccz_rd r = ccz_rd_from(model);
    struct ccz_pb_field f;
    size_t graphs = 0;
    while (ccz_pb_next(&f, &r))
        graphs += f.number == 7 && f.wire == CCZ_PB_LEN;
    if (r.bad || graphs != 1)
        abort();
    return 0;
}
