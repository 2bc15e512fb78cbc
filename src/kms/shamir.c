/* SPDX-License-Identifier: Apache-2.0 */
/* Shamir's secret sharing over GF(2^8), and shares as text. */
#include "master_priv.h"

#include <stdio.h>
#include <string.h>

#define SHARE_TAG "cczs1"
enum { CHECKSUM_SIZE = 4 };

/* Product modulo x^8 + x^4 + x^3 + x + 1 by shift and add, with masks in place of branches. */
static uint8_t mul(uint8_t a, uint8_t b)
{
    unsigned x = a, sum = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        sum ^= x & (0u - ((unsigned)b >> bit & 1u));
        x = (x << 1) ^ (0x11bu & (0u - (x >> 7)));
    }
    return (uint8_t)sum;
}

static uint8_t inverse(uint8_t a) /* a^254 */
{
    uint8_t power = a, out = 1;
    for (int i = 1; i < 8; i++) {
        power = mul(power, power);
        out = mul(out, power);
    }
    return out;
}

ccz_rc cczi_shamir_split(struct cczi_share *out, const uint8_t key[CCZI_SHARE_KEY_SIZE],
                         uint8_t needed, uint8_t total)
{
    if (needed < 2 || needed > total || total > CCZ_KMS_SHARES_MAX)
        return CCZ_E_ARG;
    uint8_t set[CCZI_SHARE_ID_SIZE];
    /* coefficients of x^1 .. x^(needed-1), one row of 32 bytes each */
    size_t size = (size_t)(needed - 1) * CCZI_SHARE_KEY_SIZE;
    CCZ_AUTO(ccz_secret) coefficients = NULL;
    ccz_rc rc = ccz_secret_new(&coefficients, size);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(coefficients), size);
    if (rc == CCZ_OK)
        rc = ccz_random(set, sizeof(set));
    if (rc != CCZ_OK)
        return rc;
    const uint8_t *c = ccz_secret_view(coefficients);
    for (uint8_t i = 0; i < total; i++) {
        struct cczi_share *s = &out[i];
        *s = (struct cczi_share){.needed = needed, .total = total, .index = (uint8_t)(i + 1)};
        memcpy(s->set, set, sizeof(set));
        for (size_t b = 0; b < CCZI_SHARE_KEY_SIZE; b++) { /* Horner, the key is the constant */
            uint8_t y = 0;
            for (size_t k = needed - 1; k-- > 0;)
                y = mul((uint8_t)(y ^ c[k * CCZI_SHARE_KEY_SIZE + b]), s->index);
            s->y[b] = y ^ key[b];
        }
    }
    return CCZ_OK;
}

void cczi_shamir_combine(uint8_t key[CCZI_SHARE_KEY_SIZE], const struct cczi_share *shares,
                         size_t len)
{
    memset(key, 0, CCZI_SHARE_KEY_SIZE);
    for (size_t i = 0; i < len; i++) {
        /* Lagrange's coefficient at 0: product of x_j / (x_j - x_i); indexes are public */
        uint8_t above = 1, below = 1;
        for (size_t j = 0; j < len; j++) {
            if (j == i)
                continue;
            above = mul(above, shares[j].index);
            below = mul(below, shares[j].index ^ shares[i].index);
        }
        uint8_t coefficient = mul(above, inverse(below));
        for (size_t b = 0; b < CCZI_SHARE_KEY_SIZE; b++)
            key[b] ^= mul(shares[i].y[b], coefficient);
    }
}

ccz_rc cczi_share_commit(uint8_t out[32], const struct cczi_share *s)
{
    static const char label[] = "cczoo kms share v1";
    uint8_t numbers[3] = {s->needed, s->total, s->index};
    const struct ccz_span parts[] = {
        CCZ_SPAN(label, sizeof(label)), CCZ_SPAN(s->set, sizeof(s->set)),
        CCZ_SPAN(numbers, sizeof(numbers)), CCZ_SPAN(s->y, sizeof(s->y))};
    return ccz_hash(out, CCZ_SHA256, parts, 4);
}

/* --------------------------------------------------------------------------- text */

/* First bytes of a hash of everything before it: finds slips of the pen, protects nothing. */
static ccz_rc checksum(uint8_t out[CHECKSUM_SIZE], const char *text, size_t size)
{
    uint8_t digest[32];
    ccz_rc rc = ccz_sha256(digest, CCZ_SPAN(text, size));
    memcpy(out, digest, CHECKSUM_SIZE);
    ccz_wipe(digest, sizeof(digest));
    return rc;
}

/* "cczs1-SSSSSSSS-K-N-I-" + 64 digits; @return its length */
static size_t print_plain(char out[CCZ_KMS_SHARE_SIZE_MAX], const struct cczi_share *s)
{
    char set[2 * CCZI_SHARE_ID_SIZE + 1];
    ccz_hex(set, s->set, sizeof(s->set));
    int n = snprintf(out, CCZ_KMS_SHARE_SIZE_MAX, SHARE_TAG "-%s-%u-%u-%u-", set, s->needed,
                     s->total, s->index);
    ccz_hex(out + n, s->y, sizeof(s->y));
    return (size_t)n + 2 * sizeof(s->y);
}

void cczi_share_print(char out[CCZ_KMS_SHARE_SIZE_MAX], const struct cczi_share *s)
{
    memset(out, 0, CCZ_KMS_SHARE_SIZE_MAX);
    size_t n = print_plain(out, s);
    uint8_t sum[CHECKSUM_SIZE];
    if (checksum(sum, out, n) != CCZ_OK) { /* no share rather than one that nobody can check */
        ccz_wipe(out, CCZ_KMS_SHARE_SIZE_MAX);
        return;
    }
    out[n++] = '-';
    ccz_hex(out + n, sum, sizeof(sum));
}

static struct ccz_span trimmed(struct ccz_span t)
{
    static const char blank[] = " \t\r\n";
    while (t.size && memchr(blank, t.ptr[t.size - 1], 4))
        t.size--;
    while (t.size && memchr(blank, t.ptr[0], 4)) {
        t.ptr++;
        t.size--;
    }
    return t;
}

/* The text up to the next '-' (or the end), which is taken, too. */
static struct ccz_span next_part(struct ccz_span *t)
{
    const uint8_t *dash = t->size ? memchr(t->ptr, '-', t->size) : NULL;
    struct ccz_span part = {t->ptr, dash ? (size_t)(dash - t->ptr) : t->size};
    size_t taken = part.size + (dash ? 1 : 0);
    *t = CCZ_SPAN(t->ptr + taken, t->size - taken);
    return part;
}

/* 1 or 2 digits, no leading zero. */
static uint8_t small_number(struct ccz_span t)
{
    unsigned v = 0;
    if (t.size < 1 || t.size > 2 || t.ptr[0] == '0')
        return 0;
    for (size_t i = 0; i < t.size; i++) {
        if (t.ptr[i] < '0' || t.ptr[i] > '9')
            return 0;
        v = v * 10 + (unsigned)(t.ptr[i] - '0');
    }
    return (uint8_t)v;
}

static bool hex_part(void *out, size_t size, struct ccz_span t)
{
    return ccz_unhex(out, size, (const char *)t.ptr, t.size) == CCZ_OK;
}

static bool parse(struct cczi_share *s, uint8_t sum[CHECKSUM_SIZE], struct ccz_span t)
{
    if (!ccz_span_eq(next_part(&t), ccz_span_str(SHARE_TAG)) ||
        !hex_part(s->set, sizeof(s->set), next_part(&t)))
        return false;
    s->needed = small_number(next_part(&t));
    s->total = small_number(next_part(&t));
    s->index = small_number(next_part(&t));
    if (s->needed < 2 || s->needed > s->total || s->total > CCZ_KMS_SHARES_MAX || s->index < 1 ||
        s->index > s->total)
        return false;
    return hex_part(s->y, sizeof(s->y), next_part(&t)) && hex_part(sum, CHECKSUM_SIZE, t);
}

ccz_rc cczi_share_parse(struct cczi_share *out, struct ccz_span text, struct ccz_err *err)
{
    *out = (struct cczi_share){0};
    char plain[CCZ_KMS_SHARE_SIZE_MAX];
    uint8_t got[CHECKSUM_SIZE], want[CHECKSUM_SIZE];
    text = trimmed(text);
    bool ok = text.size < CCZ_KMS_SHARE_SIZE_MAX && parse(out, got, text);
    if (ok) { /* over the form that we print: upper case means the same */
        size_t n = print_plain(plain, out);
        ok = checksum(want, plain, n) == CCZ_OK && ccz_ct_eq(got, want, sizeof(got));
        ccz_wipe(plain, sizeof(plain));
    }
    if (ok)
        return CCZ_OK;
    ccz_wipe(out, sizeof(*out));
    ccz_fail(err, CCZ_E_FORMAT, "kms:share", (int64_t)text.size,
             "not a share, or a share with a typing error");
    return ccz_hint(err, CCZ_E_FORMAT, "a share is one line that begins with " SHARE_TAG "-");
}
