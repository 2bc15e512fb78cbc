/* SPDX-License-Identifier: Apache-2.0 */
/* Ciphertexts from anybody, binary or JSON: what is read can be written, and is then the same bytes. */
#include <cczoo/paillier.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEN_MAX = 16 };

/* Of the corpus; its factors are not needed. */
static const uint8_t n[128] = {
    0xb9, 0xd9, 0xe8, 0x02, 0x72, 0xf2, 0xd2, 0x1a, 0x62, 0xad, 0xc5, 0x97, 0xc6, 0xbd, 0x60, 0x3a,
    0xee, 0xab, 0x73, 0x37, 0x8c, 0x9f, 0x06, 0x86, 0x4b, 0xfe, 0xcd, 0xbf, 0x58, 0x4b, 0x4e, 0xe0,
    0x49, 0xf8, 0x76, 0x65, 0x12, 0x55, 0x2d, 0xd0, 0x07, 0x56, 0x3e, 0x38, 0x94, 0xc2, 0x63, 0xb5,
    0xf3, 0xe3, 0x5d, 0x6e, 0xa8, 0x3a, 0xb1, 0x7d, 0x1d, 0xd8, 0xfe, 0x87, 0x92, 0xf6, 0x9f, 0x00,
    0x95, 0xef, 0x56, 0x02, 0x86, 0xa2, 0x6b, 0x7f, 0x6e, 0xc1, 0xbe, 0x76, 0x08, 0xfd, 0xb8, 0xa2,
    0x7e, 0xb8, 0xca, 0x1c, 0xf3, 0x61, 0x57, 0xec, 0xcd, 0x80, 0x86, 0xfe, 0xea, 0x94, 0x11, 0x19,
    0x12, 0xe1, 0x59, 0x6f, 0xb4, 0x74, 0xfd, 0x0f, 0x4a, 0x3e, 0x66, 0xd4, 0xe8, 0xe6, 0xbd, 0xb1,
    0x54, 0x8c, 0xec, 0x81, 0xb5, 0x33, 0x70, 0x80, 0xaf, 0x52, 0xf4, 0xb8, 0xca, 0xa9, 0x69, 0xb5};

static const struct ccz_paillier_pub *key(void)
{
    static struct ccz_paillier_pub *pub;
    const struct ccz_paillier_pub_cfg cfg = {.bits_1024_insecure = true};
    if (!pub &&
        ccz_paillier_pub_new(&pub, CCZ_SPAN(n, sizeof(n)), CCZ_SPAN(NULL, 0), &cfg, NULL) != CCZ_OK)
        abort();
    return pub;
}

static void refused(const struct ccz_paillier_vec *v, const struct ccz_err *err)
{
    if (v != NULL || err->where[0] == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_vec) w = NULL;
    CCZ_AUTO(ccz_paillier_vec) again = NULL;
    CCZ_AUTO_BUF out;
    struct ccz_err err = {0};
    ccz_buf_init(&out, (size_t)1 << 20);
    if (ccz_paillier_vec_read(&v, key(), CCZ_SPAN(data, size), LEN_MAX, &err) != CCZ_OK)
        refused(v, &err);
    else if (ccz_paillier_vec_write(&out, v, NULL) != CCZ_OK ||
             !ccz_span_eq(ccz_buf_span(&out), CCZ_SPAN(data, size)))
        abort();
    ccz_buf_clear(&out);
    err = (struct ccz_err){0};
    if (ccz_paillier_vec_from_json(&w, key(), CCZ_SPAN(data, size), 10, LEN_MAX, &err) != CCZ_OK)
        refused(w, &err);
    else if (ccz_paillier_vec_to_json(&out, w, NULL) != CCZ_OK ||
             ccz_paillier_vec_from_json(&again, key(), ccz_buf_span(&out), 10, LEN_MAX, NULL) !=
                 CCZ_OK ||
             ccz_paillier_vec_len(again) != ccz_paillier_vec_len(w) ||
             ccz_paillier_vec_exponent(again) != ccz_paillier_vec_exponent(w))
        abort();
    return 0;
}
