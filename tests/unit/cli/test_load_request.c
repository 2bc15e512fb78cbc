/* SPDX-License-Identifier: Apache-2.0 */
/* What `cczoo load` asks: a server understands each form, and the values arrive. */
#define _GNU_SOURCE
#include "../../../cli/load_request.h"

#include "ccz_test.h"
#include "engine/model_build.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <unistd.h>

static void inputs(void)
{
    struct load_inputs in;
    char file[] = "/tmp/load-request-XXXXXX";
    char text[256];
    int fd = mkstemp(file);
    CHECK(fd >= 0 && write(fd, "\1\0\2\0\3\0\xff\xff", 8) == 8 && close(fd) == 0);
    (void)snprintf(text, sizeof(text), "a:float[2,3]=zeros;b:int16[4]=@%s;c:bool[]=random", file);
    CHECK(load_inputs_parse(&in, text, NULL) == CCZ_OK && in.len == 3);
    CHECK(strcmp(in.t[0].name, "a") == 0 && in.t[0].dtype == CCZ_DT_FLOAT && in.t[0].rank == 2 &&
          in.t[0].dims[1] == 3 && in.t[0].len == 6 && in.t[0].data.size == 24);
    for (size_t i = 0; i < 24; i++)
        CHECK(in.t[0].data.ptr[i] == 0);
    CHECK(in.t[1].dtype == CCZ_DT_INT16 &&
          memcmp(in.t[1].data.ptr, "\1\0\2\0\3\0\xff\xff", 8) == 0);
    CHECK(in.t[2].rank == 0 && in.t[2].len == 1 && in.t[2].data.size == 1 &&
          in.t[2].data.ptr[0] < 2);
    load_inputs_free(&in);
    struct load_inputs twice[2]; /* random ones are the same each time, and not all the same */
    for (size_t i = 0; i < 2; i++)
        CHECK(load_inputs_parse(&twice[i], "x:float[100]=random", NULL) == CCZ_OK);
    CHECK(ccz_span_eq(twice[0].t[0].data, twice[1].t[0].data));
    CHECK(memcmp(twice[0].t[0].data.ptr, twice[0].t[0].data.ptr + 4, 4) != 0);
    for (size_t i = 0; i < 2; i++)
        load_inputs_free(&twice[i]);
    unlink(file);
}

static void no(const char *text, ccz_rc rc, const char *where)
{
    struct load_inputs in;
    struct ccz_err err = {0};
    ccz_rc got = load_inputs_parse(&in, text, &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "%s: %s at %s\n", text, ccz_rc_name(got), err.where);
    CHECK(got == rc && strcmp(err.where, where) == 0);
    load_inputs_free(&in);
}

static void refused(void)
{
    char file[] = "/tmp/load-request-XXXXXX", text[256];
    int fd = mkstemp(file);
    CHECK(fd >= 0 && write(fd, "1234567", 7) == 7 && close(fd) == 0);
    (void)snprintf(text, sizeof(text), "a:float[2]=@%s", file);
    no(text, CCZ_E_MISMATCH, "load:input-file");
    unlink(file);
    static const char *const bad[] = {"",
                                      "a",
                                      "a:float",
                                      "a:float[1]",
                                      "a:float[1]=ones",
                                      "a:string[1]=zeros",
                                      "a:float[x]=zeros",
                                      "a:float[1,-2]=zeros",
                                      "a:float[1;2]=zeros",
                                      ":float[1]=zeros",
                                      "a:float[1]zeros",
                                      "a:float[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]=zeros"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        no(bad[i], CCZ_E_ARG, "load:input");
    no("a:float[1000000,1000000]=zeros", CCZ_E_LIMIT, "load:input");
    no("a:int8[]=zeros;a:int8[]=zeros;a:int8[]=zeros;a:int8[]=zeros;a:int8[]=zeros;a:int8[]=zeros;"
       "a:int8[]=zeros;a:int8[]=zeros;a:int8[]=zeros",
       CCZ_E_LIMIT, "load:inputs");
    struct load_inputs in;
    struct load_request r;
    struct ccz_err err = {0};
    CHECK(load_inputs_parse(&in, "a:bfloat16[1]=zeros", NULL) == CCZ_OK);
    CHECK(load_request_build(&r, LOAD_REST, "m", NULL, &in, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "load:input-type") == 0);
    load_request_free(&r);
    load_inputs_free(&in);
}

/* Each interface, asked of a model that gives its input back: float and negative integers come through. */
static void served(void)
{
    CCZ_AUTO(ccz_engine) engine = NULL;
    CCZ_AUTO(ccz_infer) server = NULL;
    struct model_build b;
    struct ccz_model *m = NULL;
    CHECK(ccz_engine_open(&engine, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) == CCZ_OK);
    mb_begin(&b);
    mb_signature(&b, "both");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 2, (int64_t[]){-1, 3});
    mb_echo(&b, "n", "k", CCZ_DT_INT32, 1, (int64_t[]){-1});
    mb_signature_end(&b, "tensorflow/serving/predict");
    struct ccz_model_cfg cfg = mb_end(&b);
    CHECK(ccz_model_load(&m, engine, &cfg, NULL) == CCZ_OK &&
          ccz_infer_new(&server, NULL) == CCZ_OK &&
          ccz_infer_add(server, "echo", 3, &m, NULL) == CCZ_OK);
    ccz_buf_free(&b.pb);
    struct load_inputs in;
    CHECK(load_inputs_parse(&in, "x:float[2,3]=random;n:int32[2]=random", NULL) == CCZ_OK);
    const int32_t n[2] = {-5, 70000}; /* instead of what was drawn */
    memcpy(in.data[1].ptr, n, sizeof(n));
    for (size_t api = 0; api < LOAD_API_LEN; api++) {
        struct load_request r;
        enum load_api found;
        struct ccz_buf out;
        CHECK(load_api_find(&found, load_api_names[api]) && found == (enum load_api)api);
        CHECK(load_request_build(&r, found, "echo", "both", &in, NULL) == CCZ_OK);
        ccz_buf_init(&out, 1 << 16);
        if (found < LOAD_REST) {
            struct ccz_run_status st = {0};
            ccz_infer_grpc(
                &out, &st, server,
                &(struct ccz_infer_call){.path = r.path, .request = ccz_buf_span(&r.body)});
            CHECK(st.code == CCZ_RUN_OK);
        } else {
            struct ccz_infer_http_answer head;
            const char *size = r.field[0] ? strchr(r.field, ' ') + 1 : NULL;
            ccz_infer_rest(&out, &head, server,
                           &(struct ccz_infer_http){.method = "POST",
                                                    .path = r.path,
                                                    .body = ccz_buf_span(&r.body),
                                                    .json_size = size});
            CHECK(head.status == 200);
        }
        if (found == LOAD_REST || found == LOAD_REST_V2)
            CHECK(strstr(ccz_buf_str(&out), "-5") && strstr(ccz_buf_str(&out), "70000"));
        else if (found != LOAD_GRPC) /* typed fields there */
            CHECK(memmem(out.ptr, out.size, n, sizeof(n)) &&
                  memmem(out.ptr, out.size, in.t[0].data.ptr, in.t[0].data.size));
        ccz_buf_free(&out);
        load_request_free(&r);
    }
    load_inputs_free(&in);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"load_request.inputs", inputs},
        {"load_request.refused", refused},
        {"load_request.served", served},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
