/* SPDX-License-Identifier: Apache-2.0 */
/* Networks that the exporter wrote compute what TensorFlow and ONNX compute: tests/unit/mpcml/vectors/README.md. */
#include <cczoo/mpcml_nn.h>

#include "ccz_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void read_file(struct ccz_buf *out, const char *name, const char *ending)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/tests/unit/mpcml/vectors/%s.%s", CCZ_TEST_SOURCE_DIR,
                   name, ending);
    ccz_buf_init(out, 1 << 20);
    CHECK(ccz_file_read(out, path, NULL) == CCZ_OK);
}

static double number(const char **p)
{
    char *end;
    const double v = strtod(*p, &end);
    CHECK(end != *p);
    *p = end;
    return v;
}

static void check(const char *name)
{
    struct ccz_mpcml_network *net = NULL;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF file;
    CCZ_AUTO_BUF text;
    read_file(&file, name, "nn");
    read_file(&text, name, "txt");
    CHECK(ccz_mpcml_network_read(&net, ccz_buf_span(&file), &err) == CCZ_OK);
    const char *p = ccz_buf_str(&text);
    const size_t images = (size_t)number(&p), inputs = (size_t)number(&p),
                 outputs = (size_t)number(&p);
    CHECK(images == 4 && inputs == ccz_mpcml_network_inputs(net) &&
          outputs == ccz_mpcml_network_outputs(net) && outputs <= 8 && inputs <= 256);
    const struct ccz_mpcml_nn_cfg cfg = {
        .images = 1, .ring_bits = 64, .output = CCZ_MPCML_NN_LOGITS};
    for (size_t i = 0; i < images; i++) {
        float image[256];
        double got[8], fixed[8];
        uint64_t words[8];
        for (size_t k = 0; k < inputs; k++)
            image[k] = (float)number(&p);
        CHECK(ccz_mpcml_network_logits(got, net, image, &err) == CCZ_OK);
        CHECK(ccz_mpcml_nn_simulate(words, net, &cfg, image, &err) == CCZ_OK);
        ccz_mpc_decode(fixed, words, outputs, 64, ccz_mpcml_nn_output_frac(&cfg));
        for (size_t o = 0; o < outputs; o++) {
            const double expected = number(&p);
            CHECK(fabs(got[o] - expected) < 1e-5); /* theirs are floats */
            CHECK(fabs(fixed[o] - expected) < 0.002);
        }
    }
    ccz_mpcml_network_free(net);
}

static void test_keras(void)
{
    check("keras");
}

static void test_saved_model(void)
{
    check("saved_model");
}

static void test_onnx(void)
{
    check("onnx");
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"network.keras", test_keras},
                                            {"network.saved_model", test_saved_model},
                                            {"network.onnx", test_onnx}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
