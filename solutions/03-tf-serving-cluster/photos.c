/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Photos for a network of 1,000 classes: verify the server's evidence, then ask one model or several for each photo, print the
 * five most likely classes of each, and compare the answers of the models.
 * usage: cczoo-photos TARGET POLICY TRUST_SIM_DIR LABELS MODEL[,MODEL] PHOTO...
 *   LABELS: a line for each class.  PHOTO: 224 x 224 x 3 floats, red green blue, 0..255
 * Status: 0, 1 if the server or an answer is refused (also if models disagree), 2 usage, 3 anything else
 */
#define _DEFAULT_SOURCE
#include <cczoo/infer.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 224, NUMBERS = SIDE * SIDE * 3, CLASSES = 1000 };
enum { TOP = 5, MODELS_MAX = 4, LABELS_SIZE_MAX = 1 << 16 };

static const float agree_within = 1e-3f; /* probabilities; engines round differently */

struct session {
    struct ccz_rpc_client *client;
    struct ccz_buf labels; /* lines, each ended by a zero */
    const char *label[CLASSES];
    const char *model[MODELS_MAX];
    size_t models;
};

static ccz_rc read_labels(struct session *s, const char *file, struct ccz_err *err)
{
    ccz_rc rc = ccz_file_read(&s->labels, file, err);
    size_t n = 0;
    char *from = (char *)s->labels.ptr;
    for (size_t i = 0; rc == CCZ_OK && i < s->labels.size; i++) {
        if (s->labels.ptr[i] != '\n')
            continue;
        s->labels.ptr[i] = 0;
        if (n < CLASSES)
            s->label[n] = from;
        n++;
        from = (char *)s->labels.ptr + i + 1;
    }
    if (rc != CCZ_OK || n == CLASSES)
        return rc;
    return ccz_refuse_num(err, CCZ_E_FORMAT, "photos:labels", (int64_t)n, CLASSES);
}

/* One Predict call: a photo in, a probability for each class out. */
static ccz_rc ask(float scores[CLASSES], const struct session *s, const char *model,
                  struct ccz_span photo, struct ccz_err *err)
{
    CCZ_AUTO_BUF request, response, answer;
    ccz_buf_init(&request, 1 << 20);
    ccz_buf_init(&response, 1 << 20);
    ccz_buf_init(&answer, 1 << 20);
    const struct ccz_tensor image = {.name = "images",
                                     .dtype = CCZ_DT_FLOAT,
                                     .rank = 4,
                                     .dims = {1, SIDE, SIDE, 3},
                                     .len = NUMBERS,
                                     .data = photo};
    ccz_infer_encode_predict(&request, model, "serving_default", &image, 1, "scores");
    struct ccz_rpc_result result;
    const struct ccz_rpc_call_cfg cfg = {.timeout_ms = 60000, .retries = 3};
    ccz_rc rc = ccz_rpc_unary(&response, &result, s->client, CCZ_INFER_PATH_PREDICT,
                              ccz_buf_span(&request), &cfg, err);
    size_t classes = 0;
    if (rc == CCZ_OK)
        rc = ccz_infer_decode_scores(&answer, &classes, ccz_buf_span(&response), "scores", 1, err);
    if (rc == CCZ_OK && classes != CLASSES)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "photos:scores", (int64_t)classes, CLASSES);
    if (rc == CCZ_OK)
        memcpy(scores, answer.ptr, CLASSES * sizeof(float));
    return rc;
}

static void print_top(const char *photo, const char *model, const struct session *s,
                      const float scores[CLASSES])
{
    const char *slash = strrchr(photo, '/');
    float left[CLASSES];
    memcpy(left, scores, sizeof(left));
    (void)printf("%s by %s:\n", slash ? slash + 1 : photo, model);
    for (size_t k = 0; k < TOP; k++) {
        size_t most = 0;
        for (size_t i = 1; i < CLASSES; i++)
            most = left[i] > left[most] ? i : most;
        (void)printf("  %5.1f %%  %s\n", (double)left[most] * 100, s->label[most]);
        left[most] = -1;
    }
}

/* The same network in two engines: a class more or less likely by a rounding error, and no more. */
static ccz_rc compare(const float a[CLASSES], const float b[CLASSES], struct ccz_err *err)
{
    float most = 0;
    for (size_t i = 0; i < CLASSES && !isnan(most); i++) {
        float d = fabsf(a[i] - b[i]);
        most = d <= most ? most : d; /* what is no number is the most */
    }
    char got[32], expected[32];
    (void)snprintf(got, sizeof(got), "%.1e", (double)most);
    (void)snprintf(expected, sizeof(expected), "%.0e or less", (double)agree_within);
    if (!(most <= agree_within))
        return ccz_refuse(err, CCZ_E_MISMATCH, "photos:disagree", got, expected);
    (void)printf("  both agree: no probability differs by more than %s\n", got);
    return CCZ_OK;
}

static ccz_rc classify(const struct session *s, const char *photo, struct ccz_err *err)
{
    static float scores[MODELS_MAX][CLASSES];
    CCZ_AUTO_BUF image;
    ccz_buf_init(&image, 1 << 20);
    ccz_rc rc = ccz_file_read(&image, photo, err);
    if (rc == CCZ_OK && image.size != NUMBERS * sizeof(float))
        rc = ccz_refuse_num(err, CCZ_E_FORMAT, "photos:size", (int64_t)image.size,
                            (int64_t)(NUMBERS * sizeof(float)));
    for (size_t m = 0; rc == CCZ_OK && m < s->models; m++) {
        rc = ask(scores[m], s, s->model[m], ccz_buf_span(&image), err);
        if (rc == CCZ_OK)
            print_top(photo, s->model[m], s, scores[m]);
        if (rc == CCZ_OK && m)
            rc = compare(scores[0], scores[m], err);
    }
    return rc;
}

static ccz_rc run(struct session *s, char **argv, struct ccz_err *err)
{
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL; /* declared after the party: freed before it */
    const struct ccz_party_cfg who = {.policy_file = argv[2], .trust_sim_dir = argv[3]};
    ccz_rc rc = read_labels(s, argv[4], err);
    if (rc == CCZ_OK)
        rc = ccz_party_new(&party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg where = {.target = argv[1], .ratls = ccz_party_ratls(party)};
    rc = ccz_rpc_client_new(&client, &where, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, client, err); /* the evidence is judged here */
    s->client = client;
    for (char **photo = argv + 6; rc == CCZ_OK && *photo; photo++)
        rc = classify(s, *photo, err);
    return rc;
}

/* "a,b" */
static bool take_models(struct session *s, char *text)
{
    char *save = NULL;
    for (char *m = strtok_r(text, ",", &save); m; m = strtok_r(NULL, ",", &save)) {
        if (s->models == MODELS_MAX)
            return false;
        s->model[s->models++] = m;
    }
    return s->models > 0;
}

int main(int argc, char **argv)
{
    static struct session s;
    if (argc < 7 || !take_models(&s, argv[5])) {
        (void)fprintf(stderr, "usage: cczoo-photos TARGET POLICY TRUST_SIM_DIR LABELS "
                              "MODEL[,MODEL] PHOTO...\n");
        return 2;
    }
    struct ccz_err err = {0};
    ccz_buf_init(&s.labels, LABELS_SIZE_MAX);
    ccz_rc rc = run(&s, argv, &err);
    ccz_buf_free(&s.labels);
    if (rc != CCZ_OK && err.got[0])
        (void)fprintf(stderr, "refused: %s: %s / %s\n", err.where, err.got, err.expected);
    else if (rc != CCZ_OK)
        (void)fprintf(stderr, "error: %s: %s\n", err.where, err.msg);
    return rc == CCZ_OK ? 0 : err.got[0] ? 1 : 3;
}
