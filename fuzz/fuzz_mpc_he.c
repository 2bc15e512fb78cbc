/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of products by ciphertexts: keys, what is encrypted, what comes back, in coefficients and in slots. Whatever comes is
 * refused or taken whole. First byte: which message. Prefixes of good messages are put in front of the input, so that it is the
 * part behind the headers that is fuzzed too.
 */
#include "mpc/source_he_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BITS = 8, KEYS, UP, DOWN, SLOT_KEYS, SLOT_UP, SLOT_DOWN, MESSAGES };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct {
    bool ready;
    struct cczi_he_plan plan;
    struct cczi_he_suite *s[2];
    struct cczi_he_slots *slots[2];
    struct ccz_buf good[MESSAGES];
    uint64_t x, v, out;
} f;

static ccz_rc words(void *arg, uint64_t *out, size_t len, unsigned bits, struct ccz_err *err)
{
    (void)arg;
    (void)bits;
    (void)err;
    memset(out, 0, len * sizeof(*out));
    return CCZ_OK;
}
static const struct cczi_he_rng rng = {words, NULL};

static struct cczi_he_elements element(void)
{
    return (struct cczi_he_elements){1, 1, {&f.v, NULL}, {&f.x, NULL}, &f.out};
}

static void make(void)
{
    static const struct cczi_he_weights weights = {1, 1, 1, 1};
    const struct cczi_he_elements el = element();
    struct cczi_he_job *j = cczi_he_job_add(&f.plan);
    must(j);
    *j = (struct cczi_he_job){.x = &f.x,
                              .in_c = 1,
                              .in_h = 1,
                              .in_w = 1,
                              .k_h = 1,
                              .k_w = 1,
                              .o = 1,
                              .oh = 1,
                              .ow = 1,
                              .stride = 1};
    const struct cczi_he_part part = {.images = 1, .v = &f.v, .out = &f.out};
    must(cczi_he_part_add(j, &part, NULL) == CCZ_OK);
    cczi_he_job_derive(j);
    for (size_t i = 0; i < MESSAGES; i++)
        ccz_buf_init(&f.good[i], 1 << 26);
    for (size_t i = 0; i < 2; i++) {
        must(cczi_he_suite_new(&f.s[i], BITS, 4, 1, 0, CCZI_HE_FLOOD, NULL) == CCZ_OK);
        must(cczi_he_slots_new(&f.slots[i], BITS, NULL) == CCZ_OK);
    }
    must(cczi_he_plan_tiles(&f.plan, f.s[0]->n, &weights, NULL) == CCZ_OK);
    must(cczi_he_keys_write(&f.good[KEYS], f.s[0], f.plan.doublings, NULL) == CCZ_OK);
    must(cczi_he_keys_read(f.s[1], ccz_buf_span(&f.good[KEYS]), f.plan.doublings, NULL) == CCZ_OK);
    must(cczi_he_linear_up(&f.good[UP], &f.plan, f.s[0], NULL) == CCZ_OK);
    must(cczi_he_linear_eval(&f.good[DOWN], &f.plan, f.s[1], ccz_buf_span(&f.good[UP]), &rng,
                             NULL) == CCZ_OK);
    must(cczi_he_slots_keys_write(&f.good[SLOT_KEYS], f.slots[0], NULL) == CCZ_OK);
    must(cczi_he_slots_keys_read(f.slots[1], ccz_buf_span(&f.good[SLOT_KEYS]), NULL) == CCZ_OK);
    must(cczi_he_slots_up(&f.good[SLOT_UP], f.slots[0], &el, NULL) == CCZ_OK);
    must(cczi_he_slots_eval(&f.good[SLOT_DOWN], f.slots[1], &el, ccz_buf_span(&f.good[SLOT_UP]),
                            &rng, NULL) == CCZ_OK);
    f.ready = true;
}

static ccz_rc take(size_t what, struct ccz_span in)
{
    const struct cczi_he_elements el = element();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 26);
    switch (what) {
    case KEYS:
        return cczi_he_keys_read(f.s[1], in, f.plan.doublings, NULL);
    case UP:
        return cczi_he_linear_eval(&out, &f.plan, f.s[1], in, &rng, NULL);
    case DOWN:
        return cczi_he_linear_down(&f.plan, f.s[0], in, NULL);
    case SLOT_UP:
        return cczi_he_slots_eval(&out, f.slots[1], &el, in, &rng, NULL);
    case SLOT_DOWN:
        return cczi_he_slots_down(f.slots[0], &el, in, NULL);
    default:
        return CCZ_E_ARG;
    }
}

/* Bytes 1 .. 4: where the input is put over a good message; without them it is the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (!f.ready)
        make();
    static const uint8_t order[] = {KEYS, UP, DOWN, SLOT_UP, SLOT_DOWN};
    const size_t what = order[data[0] % 5];
    const struct ccz_buf *good = &f.good[what];
    if (data[0] & 0x80) {
        const ccz_rc rc = take(what, CCZ_SPAN(data + 1, size - 1));
        must(rc != CCZ_OK || size - 1 == good->size);
        return 0;
    }
    if (size < 5)
        return 0;
    uint8_t *mixed = malloc(good->size);
    must(mixed);
    const size_t at =
        (data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16 | (size_t)data[4] << 24) %
        good->size;
    const size_t len = size - 5 < good->size - at ? size - 5 : good->size - at;
    memcpy(mixed, good->ptr, good->size);
    if (len)
        memcpy(mixed + at, data + 5, len);
    (void)take(what, CCZ_SPAN(mixed, good->size));
    free(mixed);
    return 0;
}
