/* SPDX-License-Identifier: Apache-2.0 */
/* Last words to peers that are refused by their certificates: said inside the session, and nothing else with them. */
#define _DEFAULT_SOURCE
#include <cczoo/ratls.h>

#include "ccz_test.h"
#include "ratls/toy_evidence.h"

struct side {
    struct toy toy;
    struct ccz_ratls_ctx *ctx;
    struct ccz_ratls *r;
    struct ccz_err err;
    ccz_rc rc;
    unsigned words;
};

static void say(void *arg, struct ccz_buf *out, const struct ccz_err *why)
{
    struct side *s = arg;
    s->words++;
    CHECK(strcmp(why->where, "policy:mrenclave") == 0 || strcmp(why->where, "test:pin") == 0);
    ccz_buf_put_str(out, "not you: ");
    ccz_buf_put_str(out, why->where);
}

static ccz_rc pin(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    (void)arg, (void)spki;
    return ccz_fail(err, CCZ_E_DENIED, "test:pin", 0, "no key is good enough");
}

static void open_side(struct side *s, bool server, bool refuses, enum ccz_ratls_profile profile)
{
    bool plain = profile == CCZ_RATLS_TLS_ONLY_INSECURE;
    struct ccz_ratls_cfg cfg = {.profile = profile,
                                .server = server,
                                .now_s = INT64_C(1767225600),
                                .attest = plain ? NULL : toy_attest,
                                .attest_arg = &s->toy,
                                .appraise = plain ? NULL : toy_appraise,
                                .appraise_arg = &s->toy,
                                .peer_evidence_optional = plain,
                                .pin = plain && refuses ? pin : NULL};
    memset(s, 0, sizeof(*s));
    CHECK(ccz_ratls_ctx_new(&s->ctx, &cfg, NULL) == CCZ_OK);
    if (refuses)
        s->toy.appraise_rc = CCZ_E_POLICY;
    CHECK(ccz_ratls_new(&s->r, s->ctx) == CCZ_OK);
}

/* One step and what it has to say; never ready on the side that refuses. */
static void step(struct side *s, struct side *to, bool refuses)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    if (s->rc == CCZ_OK)
        s->rc = ccz_ratls_step(s->r, &s->err);
    CHECK(ccz_ratls_drain(&wire, s->r) == CCZ_OK);
    if (wire.size)
        CHECK(ccz_ratls_feed(to->r, ccz_buf_span(&wire)) == CCZ_OK);
    if (refuses) {
        CCZ_AUTO_BUF plain;
        ccz_buf_init(&plain, 1 << 16);
        CHECK(!ccz_ratls_ready(s->r) && !ccz_ratls_peer(s->r));
        CHECK(ccz_ratls_read(&plain, s->r, NULL) != CCZ_OK && plain.size == 0);
        CHECK(ccz_ratls_write(s->r, ccz_span_str("secret"), NULL) != CCZ_OK);
    }
}

/* @return what the refused side could read */
static void refuse(struct ccz_buf *heard, bool by_server, enum ccz_ratls_profile profile,
                   bool farewell)
{
    struct side refuser, refused;
    open_side(&refuser, by_server, true, profile);
    open_side(&refused, !by_server, false, profile);
    if (farewell)
        ccz_ratls_set_farewell(refuser.r, say, &refuser);
    bool written = false;
    for (int i = 0; i < 8; i++) {
        step(&refused, &refuser, false);
        if (ccz_ratls_ready(refused.r) && !written) { /* it believes that all is well, and talks */
            written = ccz_ratls_write(refused.r, ccz_span_str("my secret"), NULL) == CCZ_OK;
            step(&refused, &refuser, false);
        }
        step(&refuser, &refused, true);
        if (ccz_ratls_ready(refused.r) && ccz_ratls_read(heard, refused.r, NULL) != CCZ_OK)
            break;
    }
    CHECK(refuser.rc == (profile == CCZ_RATLS_TLS_ONLY_INSECURE ? CCZ_E_DENIED : CCZ_E_POLICY));
    CHECK(refuser.words == farewell && strstr(refuser.err.where, ":"));
    ccz_ratls_ctx_free(refuser.ctx); /* connections hold their own reference */
    ccz_ratls_free(refuser.r);
    ccz_ratls_free(refused.r);
    ccz_ratls_ctx_free(refused.ctx);
}

static void test_farewell(void)
{
    for (int by_server = 0; by_server < 2; by_server++) {
        CCZ_AUTO_BUF heard;
        ccz_buf_init(&heard, 4096);
        refuse(&heard, by_server, CCZ_RATLS_CERTIFICATE, true);
        CHECK(ccz_span_eq(ccz_buf_span(&heard), ccz_span_str("not you: policy:mrenclave")));
        ccz_buf_clear(&heard);
        refuse(&heard, by_server, CCZ_RATLS_CERTIFICATE, false); /* an alert has to do */
        CHECK(heard.size == 0);
        refuse(&heard, by_server, CCZ_RATLS_TLS_ONLY_INSECURE, true);
        CHECK(ccz_span_eq(ccz_buf_span(&heard), ccz_span_str("not you: test:pin")));
    }
}

static const struct ccz_test tests[] = {{"ratls.farewell", test_farewell}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
