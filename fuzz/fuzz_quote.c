/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte 0 says what the rest is:
 *   even: a quote as such; parsed, its platform read
 *   odd:  damage: triples (offset u16, xor u8) applied to a genuine-format quote (byte 0 picks
 * which), which is then verified under fixed collateral Invariants: views lie inside of the input;
 * a quote is accepted only if every byte is the original one, but for the unsigned ones (contents
 * of certification data types 1 to 3, zero padding, line ends and NULs behind the last certificate).
 */
#include "quote/kit.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct ccz_span part, struct ccz_span whole)
{
    if (part.size == 0)
        return;
    if (part.ptr < whole.ptr || part.size > whole.size ||
        (size_t)(part.ptr - whole.ptr) > whole.size - part.size)
        abort();
}

static void parse(struct ccz_span in)
{
    struct ccz_quote q;
    struct ccz_err err = {0};
    if (ccz_quote_parse(&q, in, &err) != CCZ_OK) {
        if (q.version != 0 || q.body.ptr != NULL || err.where[0] == 0)
            abort();
        return;
    }
    const struct ccz_span parts[] = {q.header,     q.body,      q.signed_bytes, q.signature,
                                     q.attest_key, q.qe_report, q.qe_signature, q.qe_auth,
                                     q.cert_data,  q.trailing};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        inside(parts[i], in);
    if (ccz_quote_report_data(&q).size != 64 || q.signature.size != 64 || q.qe_report.size != 384)
        abort();
    struct ccz_platform p;
    if (ccz_quote_platform(&p, &q, &err) != CCZ_OK && p.tee != CCZ_TEE_NONE)
        abort();
}

/* The worlds that damaged quotes come from. */
static const struct {
    enum ccz_tee tee;
    uint16_t version, cert_type;
} shapes[] = {
    {CCZ_TEE_SGX, 3, 5}, {CCZ_TEE_TDX, 4, 5}, {CCZ_TEE_TDX, 5, 5},
    {CCZ_TEE_SGX, 3, 3}, {CCZ_TEE_SGX, 4, 4},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

struct world {
    struct kit kit;
    struct ccz_collateral *collateral;
    struct ccz_verify_cache *cache;
};

static struct world *world(size_t i)
{
    static struct world worlds[SHAPES];
    struct world *w = &worlds[i];
    if (!w->collateral) {
        struct kit_cfg cfg;
        kit_default(&cfg, shapes[i].tee, shapes[i].version);
        cfg.cert_type = shapes[i].cert_type;
        kit_new(&w->kit, &cfg);
        if (ccz_collateral_new(&w->collateral, &w->kit.src, &w->kit.roots, NULL) != CCZ_OK ||
            ccz_verify_cache_new(&w->cache, 4) != CCZ_OK)
            abort();
    }
    return w;
}

enum expect { REFUSED, ACCEPTED, EITHER };

static void verify(const struct world *w, uint8_t *quote, size_t size, enum expect want)
{
    struct ccz_claims with, without;
    struct ccz_err err = {0};
    struct ccz_verify_cfg cfg = {
        .now_s = KIT_NOW_S, .roots = &w->kit.roots, .collateral = w->collateral};
    ccz_rc a = ccz_quote_verify(&without, CCZ_SPAN(quote, size), &cfg, &err);
    if (a != CCZ_OK && (err.where[0] == 0 || without.tcb_status != CCZ_TCB_NONE))
        abort();
    cfg.cache = w->cache;
    ccz_rc b = ccz_quote_verify(&with, CCZ_SPAN(quote, size), &cfg, &err);
    if (a != b || memcmp(&with, &without, sizeof(with)) != 0) /* the cache changes no verdict */
        abort();
    if (want != EITHER && (a == CCZ_OK) != (want == ACCEPTED))
        abort();
}

static void damage(uint8_t pick, const uint8_t *data, size_t size)
{
    const struct world *w = world(pick / 2 % SHAPES);
    const struct ccz_buf *good = &w->kit.quote;
    uint8_t *quote = malloc(good->size);
    if (!quote)
        return;
    memcpy(quote, good->ptr, good->size);
    for (; size >= 3; size -= 3, data += 3)
        quote[(size_t)(data[0] | data[1] << 8) % good->size] ^= data[2];
    struct ccz_quote q;
    if (ccz_quote_parse(&q, ccz_buf_span(good), NULL) != CCZ_OK)
        abort();
    size_t covered = good->size, last = q.cert_data.size;
    if (q.cert_type <= 3) /* at the end of the quote */
        covered -= q.cert_data.size;
    /* Behind the last END line: line ends and NULs, in any number, as in genuine quotes. */
    while (q.cert_type == 5 && last > 0 &&
           (q.cert_data.ptr[last - 1] == '\n' || q.cert_data.ptr[last - 1] == 0))
        last--;
    size_t end = (size_t)(q.cert_data.ptr - good->ptr) + last;
    enum expect want = memcmp(quote, good->ptr, covered) == 0 ? ACCEPTED : REFUSED;
    if (want == REFUSED && q.cert_type == 5 && memcmp(quote, good->ptr, end) == 0)
        want = EITHER;
    verify(w, quote, good->size, want);
    free(quote);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        parse(CCZ_SPAN(data + 1, size - 1));
    else
        damage(data[0], data + 1, size - 1);
    return 0;
}
