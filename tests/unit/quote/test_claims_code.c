/* SPDX-License-Identifier: Apache-2.0 */
/* Claims as bytes: every member of every TEE there and back, one encoding only, what identifies a workload. */
#include <cczoo/crypto.h>

#include "quote/claims_kit.h"
#include "quote/kit.h"
#include "quote/snp_kit.h"

#include "ccz_test.h"
#include "refused.h"

static struct ccz_err err;

#define REFUSED(expr, want, at) CHECK(is_refused((expr), (want), &err, (at)))

static void put(struct ccz_buf *out, const struct ccz_claims *c)
{
    ccz_buf_init(out, CCZ_CLAIMS_SIZE_MAX);
    CHECK(ccz_claims_put(out, c, &err) == CCZ_OK);
}

static bool same(const struct ccz_claims *a, const struct ccz_claims *b)
{
    bool equal = a->tee == b->tee && a->advisory_len == b->advisory_len;
    for (size_t i = 0; i < CLAIMS_MEMBERS; i++) {
        const struct claims_member *m = &claims_members[i];
        equal =
            equal && memcmp((const char *)a + m->offset, (const char *)b + m->offset, m->size) == 0;
    }
    return equal;
}

static void round_trip(const struct ccz_claims *c)
{
    CCZ_AUTO_BUF one, two;
    struct ccz_claims back;
    put(&one, c);
    CHECK(ccz_claims_get(&back, ccz_buf_span(&one), &err) == CCZ_OK);
    CHECK(same(&back, c));
    put(&two, &back);
    CHECK(ccz_span_eq(ccz_buf_span(&one), ccz_buf_span(&two)));
}

/* The list of the kit has every member: between two of them there is nothing but what aligns the next one. */
static void members(void)
{
    size_t end = sizeof(enum ccz_tee), gaps = 0;
    for (size_t i = 0; i < CLAIMS_MEMBERS; i++) {
        const struct claims_member *m = &claims_members[i];
        CHECK(m->offset >= end && m->offset - end < 8);
        gaps += m->offset - end;
        end = m->offset + m->size;
        if (m->kind == CLAIMS_ADVISORIES)
            end = offsetof(struct ccz_claims, advisory_len) + sizeof(size_t);
    }
    CHECK(end == sizeof(struct ccz_claims));
    CHECK(gaps == 22); /* a member that went into a gap would be missing above */
}

static void genuine(void)
{
    static const struct {
        enum ccz_tee tee;
        uint16_t version;
    } quotes[] = {{CCZ_TEE_SGX, 3}, {CCZ_TEE_TDX, 4}, {CCZ_TEE_TDX, 5}};
    struct ccz_claims c;
    for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++) {
        struct kit_cfg cfg;
        struct kit k;
        kit_default(&cfg, quotes[i].tee, quotes[i].version);
        kit_new(&k, &cfg);
        CHECK(kit_verify(&c, &k, &err) == CCZ_OK);
        round_trip(&c);
        kit_free(&k);
    }
    struct snp_kit_cfg cfg;
    struct snp_kit k;
    snp_kit_default(&cfg, CCZ_SNP_TURIN, CCZ_SNP_VLEK, 5);
    snp_kit_new(&k, &cfg);
    CHECK(snp_kit_verify(&c, &k, &err) == CCZ_OK);
    round_trip(&c);
    snp_kit_free(&k);
}

static void every_member(void)
{
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++)
        for (uint32_t seed = 0; seed < 64; seed++) {
            struct ccz_claims c = claims_made((enum ccz_tee)t, seed);
            round_trip(&c);
        }
}

/* Each member is on its own in the encoding: it changes, the bytes change; and one of another TEE is refused. */
static void alone(void)
{
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++) {
        const struct ccz_claims c = claims_made((enum ccz_tee)t, 7);
        CCZ_AUTO_BUF before;
        put(&before, &c);
        for (size_t i = 0; i < CLAIMS_MEMBERS; i++) {
            const struct claims_member *m = &claims_members[i];
            struct ccz_claims other = c;
            CCZ_AUTO_BUF after;
            for (uint32_t seed = 8; same(&other, &c); seed++)
                claims_set(&other, m, seed);
            ccz_buf_init(&after, CCZ_CLAIMS_SIZE_MAX);
            if (m->tees & 1u << t) {
                CHECK(ccz_claims_put(&after, &other, &err) == CCZ_OK);
                CHECK(!ccz_span_eq(ccz_buf_span(&before), ccz_buf_span(&after)));
                round_trip(&other);
            } else {
                REFUSED(ccz_claims_put(&after, &other, &err), CCZ_E_ARG, "claims:other-tee");
                CHECK(after.size == 0);
            }
        }
    }
}

/* The format is what it was when it was first written: rows in databases have it. */
static void format(void)
{
    static const struct {
        enum ccz_tee tee;
        size_t size;
        const char *sha256;
    } known[] = {
        {CCZ_TEE_SGX, 392, "b353b28dfbf199e136d86e459fa5a83abf10c84dae2ab4a676ecc9d57f15126f"},
        {CCZ_TEE_TDX, 790, "70059dee756637bc2aa2889d974cdd0bf1faa33422b8603fdf79cac564625425"},
        {CCZ_TEE_SNP, 502, "1e09a55e7dcb7bb1f76f6234730f2110be092cbb52e0981898b3f177a3b9c8cb"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct ccz_claims c = claims_made(known[i].tee, 1);
        CCZ_AUTO_BUF b;
        uint8_t hash[32];
        char hex[65];
        put(&b, &c);
        CHECK(ccz_sha256(hash, ccz_buf_span(&b)) == CCZ_OK);
        ccz_hex(hex, hash, sizeof(hash));
        if (b.size != known[i].size || strcmp(hex, known[i].sha256) != 0)
            fprintf(stderr, "%s: %zu bytes, %s\n", ccz_tee_name(known[i].tee), b.size, hex);
        CHECK(b.size == known[i].size && strcmp(hex, known[i].sha256) == 0);
        CHECK(b.ptr[0] == 1 && b.ptr[1] == known[i].tee);
    }
}

static void cut(void)
{
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++) {
        const struct ccz_claims c = claims_made((enum ccz_tee)t, 3);
        struct ccz_claims back;
        CCZ_AUTO_BUF b;
        put(&b, &c);
        for (size_t n = 0; n < b.size; n++) {
            back.tee = CCZ_TEE_SNP;
            REFUSED(ccz_claims_get(&back, CCZ_SPAN(b.ptr, n), &err), CCZ_E_FORMAT, "claims:size");
            CHECK(back.tee == CCZ_TEE_NONE);
        }
        ccz_buf_u8(&b, 0);
        REFUSED(ccz_claims_get(&back, ccz_buf_span(&b), &err), CCZ_E_FORMAT, "claims:size");
    }
}

static void put_refused(struct ccz_claims c, const char *where)
{
    CCZ_AUTO_BUF b;
    uint8_t id[32] = {1}, zero[32] = {0};
    ccz_buf_init(&b, CCZ_CLAIMS_SIZE_MAX);
    REFUSED(ccz_claims_put(&b, &c, &err), CCZ_E_ARG, where);
    CHECK(b.size == 0);
    REFUSED(ccz_claims_identity(id, &c, &err), CCZ_E_ARG, where);
    CHECK(memcmp(id, zero, 32) == 0);
}

/* What no verified evidence has is not written. */
static void bad_claims(void)
{
    struct ccz_claims c = claims_made(CCZ_TEE_SGX, 1);
    put_refused((struct ccz_claims){0}, "claims:tee");
    c.tee = (enum ccz_tee)4;
    put_refused(c, "claims:tee");
    c = claims_made(CCZ_TEE_SGX, 1);
    c.tcb_status = (enum ccz_tcb_status)10;
    put_refused(c, "claims:value");
    c = claims_made(CCZ_TEE_SGX, 1);
    c.advisory_len = CCZ_ADVISORIES_MAX + 1;
    put_refused(c, "claims:value");
    memset(c.advisory, 0, sizeof(c.advisory));
    c.advisory_len = 2; /* both empty */
    put_refused(c, "claims:value");
    memcpy(c.advisory[0], "INTEL-SA-1", 10);
    memcpy(c.advisory[1], "INTEL-SA-1", 10);
    put_refused(c, "claims:value");
    c.advisory_len = 1; /* one behind the end */
    put_refused(c, "claims:value");
    memset(c.advisory[1], 0, CCZ_ADVISORY_SIZE);
    c.advisory[0][15] = 'x'; /* text behind its end */
    put_refused(c, "claims:value");
    memset(c.advisory[0], 'x', CCZ_ADVISORY_SIZE);
    put_refused(c, "claims:value");
    c = claims_made(CCZ_TEE_SNP, 1);
    memset(c.snp.csp_id, 'x', sizeof(c.snp.csp_id));
    put_refused(c, "claims:value");
    c = claims_made(CCZ_TEE_SNP, 1);
    c.snp.signer = (enum ccz_snp_signer)3;
    put_refused(c, "claims:value");
    c = claims_made(CCZ_TEE_SNP, 1);
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 40);
    ccz_buf_put_str(&small, "before");
    REFUSED(ccz_claims_put(&small, &c, &err), CCZ_E_LIMIT, "claims:put");
    CHECK(small.size == 6);
}

static void get_refused(struct ccz_span in, ccz_rc rc, const char *where)
{
    struct ccz_claims back = {.tee = CCZ_TEE_TDX};
    REFUSED(ccz_claims_get(&back, in, &err), rc, where);
    CHECK(back.tee == CCZ_TEE_NONE);
}

/* Sets byte @p at of an encoding to @p v, and it is refused; then back. */
static void spoil(struct ccz_buf *b, size_t at, uint8_t v, ccz_rc rc, const char *where)
{
    uint8_t old = b->ptr[at];
    b->ptr[at] = v;
    get_refused(ccz_buf_span(b), rc, where);
    b->ptr[at] = old;
}

/* Bytes that are never written are not read. */
static void bad_bytes(void)
{
    struct ccz_claims c = claims_made(CCZ_TEE_SGX, 1);
    memset(c.advisory, 0, sizeof(c.advisory));
    memcpy(c.advisory[0], "INTEL-SA-1", 10);
    memcpy(c.advisory[1], "INTEL-SA-2", 10);
    c.advisory_len = 2;
    CCZ_AUTO_BUF b, snp;
    put(&b, &c);
    spoil(&b, 0, 0, CCZ_E_UNSUPPORTED, "claims:format");
    spoil(&b, 0, 2, CCZ_E_UNSUPPORTED, "claims:format");
    spoil(&b, 1, 0, CCZ_E_FORMAT, "claims:tee");
    spoil(&b, 1, 4, CCZ_E_FORMAT, "claims:tee");
    for (size_t flag = 4; flag <= 6; flag++) /* simulated, revocation_checked, debug */
        spoil(&b, flag, 2, CCZ_E_FORMAT, "claims:value");
    const size_t list = b.size - 2 * 11 - 1, status = list - 4 - 8 - 4;
    CHECK(b.ptr[list] == 2 && b.ptr[list + 1] == 10);
    spoil(&b, status, 10, CCZ_E_FORMAT, "claims:value");
    static const struct {
        const char *bytes;
        size_t size;
    } lists[] = {
        {"\x01\x00", 2},       /* an empty one */
        {"\x01\x01\x00", 3},   /* a NUL */
        {"\x02\x01x\x01x", 5}, /* one twice */
        {"\x01\x18"            /* longer than the member */
         "xxxxxxxxxxxxxxxxxxxxxxxx",
         26},
        {"\x41", 1}, /* more than there is room for */
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        b.size = list;
        ccz_buf_put(&b, lists[i].bytes, lists[i].size);
        get_refused(ccz_buf_span(&b), CCZ_E_FORMAT, "claims:value");
    }
    c = claims_made(CCZ_TEE_SNP, 1);
    memset(c.snp.csp_id, 0, sizeof(c.snp.csp_id));
    memcpy(c.snp.csp_id, "csp", 3);
    put(&snp, &c);
    spoil(&snp, snp.size - 1, 0, CCZ_E_FORMAT, "claims:value");
    spoil(&snp, snp.size - 4, 2, CCZ_E_FORMAT,
          "claims:size"); /* the text is over, its end is not */
    for (size_t i = 0; i < sizeof(c.snp.csp_id); i++)
        ccz_buf_u8(&snp, 'x');
    spoil(&snp, snp.size - 4 - sizeof(c.snp.csp_id), 3 + sizeof(c.snp.csp_id), CCZ_E_FORMAT,
          "claims:value");
}

static void identity(void)
{
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++) {
        const struct ccz_claims c = claims_made((enum ccz_tee)t, 5);
        uint8_t id[32], of_other[32];
        CHECK(ccz_claims_identity(id, &c, &err) == CCZ_OK);
        for (size_t i = 0; i < CLAIMS_MEMBERS; i++) {
            const struct claims_member *m = &claims_members[i];
            struct ccz_claims other = c;
            if (!(m->tees & 1u << t))
                continue;
            for (uint32_t seed = 6; same(&other, &c); seed++)
                claims_set(&other, m, seed);
            CHECK(ccz_claims_identity(of_other, &other, &err) == CCZ_OK);
            if ((memcmp(id, of_other, 32) == 0) != m->passing)
                fprintf(stderr, "%s\n", m->name);
            CHECK((memcmp(id, of_other, 32) == 0) == m->passing);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"claims.members", members},
        {"claims.genuine", genuine},
        {"claims.every_member", every_member},
        {"claims.alone", alone},
        {"claims.format", format},
        {"claims.cut", cut},
        {"claims.bad_claims", bad_claims},
        {"claims.bad_bytes", bad_bytes},
        {"claims.identity", identity},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
