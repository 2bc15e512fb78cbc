/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoded updates: byte 0 chooses the codec, bytes 1 and 2 the length, byte 3 how the rest is cut. However it is cut, the
 * answer is the same; what is accepted has a norm that says whether it is finite, adds without failing, and, where the codec
 * is canonical, is encoded again to the same bytes.
 */
#include <cczoo/agg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEN_MAX = 70000 };

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static float g_a[LEN_MAX], g_b[LEN_MAX], g_acc[LEN_MAX];

/* By pieces of @p step bytes. */
static ccz_rc run(struct ccz_agg_dec *d, float *out, struct ccz_agg_norm *n, struct ccz_span in,
                  size_t step, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    ccz_agg_dec_reset(d);
    for (size_t at = 0; rc == CCZ_OK && at < in.size; at += step) {
        struct ccz_span s = ccz_span_sub(in, at, in.size - at < step ? in.size - at : step);
        rc = n ? ccz_agg_dec_norm(d, n, s, err) : ccz_agg_dec_to(d, out, s, err);
    }
    return rc == CCZ_OK ? ccz_agg_dec_end(d, err) : rc;
}

static void check_again(const struct ccz_agg_codec *c, size_t len, struct ccz_span in)
{
    CCZ_AUTO(ccz_agg_enc) e = NULL;
    expect(ccz_agg_enc_new(&e, c, len, NULL) == CCZ_OK);
    expect(ccz_agg_enc_begin(e, g_a, NULL, NULL, NULL) == CCZ_OK);
    expect(ccz_agg_enc_size(e) == in.size);
    uint8_t piece[1000];
    for (size_t at = 0, n; (n = ccz_agg_enc_read(piece, sizeof(piece), e)) > 0; at += n)
        expect(at + n <= in.size && memcmp(piece, in.ptr + at, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    size_t len = data[1] + ((size_t)data[2] << 8) + (data[0] & 0x80 ? 65536 - 4096 : 0);
    len = len < LEN_MAX ? len : LEN_MAX;
    struct ccz_agg_codec c = {(enum ccz_agg_codec_kind)(data[0] % CCZ_AGG_CODECS), 32, len};
    struct ccz_span in = {data + 4, size - 4};
    struct ccz_err e1 = {0}, e2 = {0}, e3 = {0};
    struct ccz_agg_norm n = {.len = 0};
    CCZ_AUTO(ccz_agg_dec) d = NULL;
    if (ccz_agg_dec_new(&d, &c, len, NULL) != CCZ_OK)
        return 0;
    ccz_rc rc = run(d, g_a, NULL, in, in.size, &e1);
    expect(run(d, g_b, NULL, in, 1 + data[3], &e2) == rc && strcmp(e1.where, e2.where) == 0);
    expect(run(d, NULL, &n, in, 1 + data[3] % 7, &e3) == rc && strcmp(e1.where, e3.where) == 0);
    if (rc != CCZ_OK) {
        expect(rc == CCZ_E_FORMAT && e1.where[0] && e1.msg[0]);
        return 0;
    }
    expect(memcmp(g_a, g_b, len * sizeof(*g_a)) == 0 && n.len == len);
    bool finite = ccz_agg_nonfinite(g_a, len) == len;
    expect((ccz_agg_norm_check(&n, 0, NULL) == CCZ_OK) == finite);
    memset(g_acc, 0, sizeof(g_acc));
    ccz_agg_dec_reset(d);
    expect(ccz_agg_dec_add(d, g_acc, 1, in, NULL) == CCZ_OK);
    for (size_t i = 0; i < len; i++)
        expect(g_acc[i] == g_a[i] || !finite);
    if (finite && c.kind != CCZ_AGG_INT8) /* scales of INT8 may be larger than they have to be */
        check_again(&c, len, in);
    return 0;
}
