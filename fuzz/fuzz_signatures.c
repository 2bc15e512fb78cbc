/* SPDX-License-Identifier: Apache-2.0 */
/* signatures.json of a graph with one input "x" and one output "y". Invariant: what is accepted can be run, with these. */
#include "engine/engine_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find(struct cczi_graph_tensor *out, void *arg, bool input, const char *name)
{
    (void)arg;
    *out = (struct cczi_graph_tensor){name, input ? "x" : "y", CCZ_DT_FLOAT, 0, NULL};
    return strcmp(name, input ? "x" : "y") == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cczi_graph_tensor x = {"x", "x", CCZ_DT_FLOAT, 0, NULL};
    const struct cczi_graph g = {&x, &x, 1, 1, find, NULL, ""};
    struct cczi_meta m = {0};
    struct ccz_err err = {0};
    if (cczi_sidecar_signatures(&m, &g, (struct ccz_span){data, size}, &err) != CCZ_OK) {
        if (!err.where[0] || m.len)
            abort();
        return 0;
    }
    for (size_t i = 0; i < m.len; i++)
        if (!m.sigs[i].runnable || (size && strcmp(m.sigs[i].out[0].tensor_name, "y") != 0))
            abort();
    cczi_meta_free(&m);
    return 0;
}
