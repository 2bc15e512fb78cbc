/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client in one page: verify the server's evidence, then send one image.
 * usage: cczoo-classify TARGET POLICY TRUST_SIM_DIR IMAGE     IMAGE: 784 bytes, one 28x28 picture (- = stdin)
 */
#include <cczoo/infer.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include <stdio.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10 };

static const char *const garment[CLASSES] = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                             "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                             "Bag",         "Ankle boot"};

/* One Predict call: 784 pixels in, the most likely class out. */
static ccz_rc classify(size_t *best, struct ccz_rpc_client *client, const float *pixels,
                       struct ccz_err *err)
{
    CCZ_AUTO_BUF request, response, scores;
    ccz_buf_init(&request, 1 << 16);
    ccz_buf_init(&response, 1 << 16);
    ccz_buf_init(&scores, 1 << 16);
    const struct ccz_tensor image = {.name = "images",
                                     .dtype = CCZ_DT_FLOAT,
                                     .rank = 4,
                                     .dims = {1, SIDE, SIDE, 1},
                                     .len = PIXELS,
                                     .data = CCZ_SPAN(pixels, PIXELS * sizeof(float))};
    ccz_infer_encode_predict(&request, "fashion-mnist", "serving_default", &image, 1, "scores");
    struct ccz_rpc_result result;
    const struct ccz_rpc_call_cfg cfg = {.timeout_ms = 10000, .retries = 3};
    ccz_rc rc = ccz_rpc_unary(&response, &result, client, CCZ_INFER_PATH_PREDICT,
                              ccz_buf_span(&request), &cfg, err);
    size_t classes = 0;
    if (rc == CCZ_OK)
        rc = ccz_infer_decode_scores(&scores, &classes, ccz_buf_span(&response), "scores", 1, err);
    if (rc == CCZ_OK && classes != CLASSES)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "classify:scores", (int64_t)classes, CLASSES);
    float score[CLASSES];
    *best = 0;
    if (rc == CCZ_OK)
        memcpy(score, scores.ptr, sizeof(score));
    for (size_t i = 1; rc == CCZ_OK && i < CLASSES; i++)
        if (score[i] > score[*best])
            *best = i;
    return rc;
}

static ccz_rc run(const char *target, const char *policy, const char *trust_sim,
                  const float *pixels, struct ccz_err *err)
{
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL; /* declared after the party: freed before it */

    /* Who we accept: evidence that satisfies the policy, from a platform under this root. */
    const struct ccz_party_cfg who = {.policy_file = policy, .trust_sim_dir = trust_sim};
    ccz_rc rc = ccz_party_new(&party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg where = {.target = target, .ratls = ccz_party_ratls(party)};
    rc = ccz_rpc_client_new(&client, &where, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, client,
                                    err); /* the evidence is judged here, before the image leaves */
    size_t best = 0;
    if (rc == CCZ_OK)
        rc = classify(&best, client, pixels, err);
    if (rc == CCZ_OK)
        (void)printf("%s\n", garment[best]);
    return rc;
}

int main(int argc, char **argv)
{
    uint8_t image[PIXELS];
    float pixels[PIXELS];
    if (argc != 5) {
        (void)fprintf(stderr, "usage: cczoo-classify TARGET POLICY TRUST_SIM_DIR IMAGE\n");
        return 2;
    }
    FILE *f = strcmp(argv[4], "-") == 0 ? stdin : fopen(argv[4], "rb");
    size_t n = f ? fread(image, 1, PIXELS, f) : 0;
    if (f && f != stdin)
        (void)fclose(f);
    if (n != PIXELS) {
        (void)fprintf(stderr, "error: %s does not hold %d bytes\n", argv[4], PIXELS);
        return 3;
    }
    for (size_t i = 0; i < PIXELS; i++)
        pixels[i] = (float)image[i] / 255.0f;
    struct ccz_err err = {0};
    ccz_rc rc = run(argv[1], argv[2], argv[3], pixels, &err);
    if (rc != CCZ_OK && err.got[0])
        (void)fprintf(stderr, "refused: %s: %s / %s\n", err.where, err.got, err.expected);
    else if (rc != CCZ_OK)
        (void)fprintf(stderr, "error: %s: %s\n", err.where, err.msg);
    return rc == CCZ_OK ? 0 : err.got[0] ? 1 : 3;
}
