/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the models that bench/serving_bars.sh serves, as ONNX files that any engine of that kind runs; nothing is fetched.
 *
 *   bench_model tiny|image|cpu FILE
 *
 * tiny   x float[n,4] -> y float[n,1]: one product of matrices
 * image  images float[n,224,224,3] -> y, the same: what is left is transport
 * cpu    x float[n,64] -> y float[n,1]: a dense layer of 64 x 2,048 and three of 2,048 x 2,048. 51 MB of weights have to come from
 *        memory for one example as for 32 of them, so that running requests together pays
 */
#include "../tests/unit/engine/onnx_build.h"

#include <stdio.h>

enum { IN = 64, WIDE = 2048, LAYERS = 3, CPU_SIZE_MAX = 64 << 20 };

static const int64_t tiny_in[] = {-1, 4}, one[] = {-1, 1}, image[] = {-1, 224, 224, 3},
                     cpu_in[] = {-1, IN};

/* An initializer with a shape: TensorProto {1 dims, 2 data_type, 8 name, 9 raw_data}. Small numbers, the same each time. */
static void matrix(struct onnx_build *b, const char *name, size_t rows, size_t columns)
{
    CCZ_AUTO_BUF numbers;
    ccz_buf_init(&numbers, CPU_SIZE_MAX);
    for (size_t i = 0; i < rows * columns; i++) {
        float v = ((float)(i * 7919 % 2003) / 2003 - 0.5f) / 16;
        ccz_buf_put(&numbers, &v, sizeof(v));
    }
    size_t tensor = ccz_pb_open(&b->pb, 5);
    ccz_pb_put_uint(&b->pb, 1, rows);
    ccz_pb_put_uint(&b->pb, 1, columns);
    ccz_pb_put_uint(&b->pb, 2, OB_FLOAT);
    ccz_pb_put_str(&b->pb, 8, name);
    ccz_pb_put_bytes(&b->pb, 9, ccz_buf_span(&numbers));
    ccz_pb_close(&b->pb, tensor);
    if (numbers.bad)
        b->pb.bad = true;
}

static void put_tiny(struct onnx_build *b)
{
    matrix(b, "w", 4, 1);
    ob_node(b, "MatMul", "x w", "y");
    ob_io(b, 11, "x", OB_FLOAT, 2, tiny_in);
    ob_io(b, 12, "y", OB_FLOAT, 2, one);
}

static void put_image(struct onnx_build *b)
{
    ob_node(b, "Identity", "images", "y");
    ob_io(b, 11, "images", OB_FLOAT, 4, image);
    ob_io(b, 12, "y", OB_FLOAT, 4, image);
}

static void put_cpu(struct onnx_build *b)
{
    char in[16], out[16], pair[32], weights[16];
    matrix(b, "first", IN, WIDE);
    matrix(b, "last", WIDE, 1);
    ob_node(b, "MatMul", "x first", "h0");
    for (int i = 0; i < LAYERS; i++) {
        (void)snprintf(weights, sizeof(weights), "w%d", i);
        (void)snprintf(pair, sizeof(pair), "h%d w%d", i, i);
        (void)snprintf(in, sizeof(in), "m%d", i);
        (void)snprintf(out, sizeof(out), "h%d", i + 1);
        matrix(b, weights, WIDE, WIDE);
        ob_node(b, "MatMul", pair, in);
        ob_node(b, "Relu", in, out);
    }
    (void)snprintf(pair, sizeof(pair), "h%d last", LAYERS);
    ob_node(b, "MatMul", pair, "y");
    ob_io(b, 11, "x", OB_FLOAT, 2, cpu_in);
    ob_io(b, 12, "y", OB_FLOAT, 2, one);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*put)(struct onnx_build *b);
    } models[] = {{"tiny", put_tiny}, {"image", put_image}, {"cpu", put_cpu}};
    struct onnx_build b;
    struct ccz_err err = {0};
    size_t i = 0;
    while (argc == 3 && i < 3 && strcmp(argv[1], models[i].name) != 0)
        i++;
    if (argc != 3 || i == 3) {
        (void)fprintf(stderr, "usage: bench_model tiny|image|cpu FILE\n");
        return 2;
    }
    ob_begin(&b);
    b.pb.max_size = CPU_SIZE_MAX;
    models[i].put(&b);
    ccz_pb_close(&b.pb, b.graph);
    ccz_rc rc = b.pb.bad
                    ? ccz_fail(&err, CCZ_E_NOMEM, "bench:model", 0, "out of memory")
                    : ccz_file_write(argv[2], ccz_buf_span(&b.pb), 0644, CCZ_FILE_REPLACE, &err);
    if (rc != CCZ_OK)
        (void)fprintf(stderr, "error: %s: %s\n", err.where, err.msg);
    ccz_buf_free(&b.pb);
    return rc == CCZ_OK ? 0 : 1;
}
