/* SPDX-License-Identifier: Apache-2.0 */
/* Files of networks. What is accepted is written back as the same bytes; small ones compute something, within the range they state. */
#include <cczoo/mpcml_nn.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS_MAX = 4096, PARAMS_MAX = 4096 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void compute(const struct ccz_mpcml_network *net)
{
    const struct ccz_mpcml_spec *s = ccz_mpcml_network_spec(net);
    struct ccz_mpcml_nn_cfg cfg = {.images = 1};
    struct ccz_mpcml_nn_range range;
    struct ccz_err err = {0};
    const size_t inputs = ccz_mpcml_network_inputs(net);
    uint64_t class;
    if (ccz_mpcml_nn_range(&range, net, &cfg, &err) != CCZ_OK) {
        require(err.rc == CCZ_E_LIMIT && range.bits >= 30);
        return;
    }
    float *image = malloc(inputs * sizeof(*image));
    require(image != NULL);
    for (size_t i = 0; i < inputs; i++)
        image[i] = i % 2 ? s->input_max : s->input_min;
    require(ccz_mpcml_nn_simulate(&class, net, &cfg, image, &err) == CCZ_OK);
    require(class < ccz_mpcml_network_outputs(net));
    free(image);
}

/* Work that a few bytes of layers can ask for: bounded here, not by the reader. */
static bool small(const struct ccz_mpcml_network *net)
{
    const struct ccz_mpcml_spec *s = ccz_mpcml_network_spec(net);
    for (size_t i = 0; i < s->layers_len; i++)
        if (s->layers[i].kh > 8 || s->layers[i].kw > 8 || s->layers[i].out > 64)
            return false;
    return s->layers_len <= 12 && ccz_mpcml_network_inputs(net) <= INPUTS_MAX &&
           ccz_mpcml_network_params_len(net) <= PARAMS_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_mpcml_network *net;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF back;
    ccz_buf_init(&back, CCZ_MPCML_NETWORK_SIZE_MAX);
    if (ccz_mpcml_network_read(&net, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        require(!net && err.where[0] != 0);
        return 0;
    }
    require(ccz_mpcml_network_write(&back, net, ccz_mpcml_network_has_weights(net), &err) ==
            CCZ_OK);
    require(ccz_span_eq(ccz_buf_span(&back), CCZ_SPAN(data, size)));
    if (ccz_mpcml_network_has_weights(net) && small(net))
        compute(net);
    ccz_mpcml_network_free(net);
    return 0;
}
