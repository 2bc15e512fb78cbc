/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* lgamma_r */
#include "secagg/secagg_priv.h"

#include <math.h>
#include <string.h>

static ccz_rc refuse_cfg(struct ccz_err *err, const char *where, uint64_t got, uint64_t from,
                         uint64_t to)
{
    return ccz_fail(err, CCZ_E_ARG, where, (int64_t)got, "got %llu, expected %llu to %llu",
                    (unsigned long long)got, (unsigned long long)from, (unsigned long long)to);
}

static ccz_rc check_degree(const struct ccz_secagg_cfg *c, struct ccz_err *err)
{
    if (!c->attested_server && c->degree != 0) {
        ccz_fail(err, CCZ_E_ARG, "secagg:degree", c->degree,
                 "a sparse graph is the server's choice, and with a roster it is not trusted");
        return ccz_hint(err, CCZ_E_ARG, "degree 0: everybody is a neighbour of everybody");
    }
    uint32_t others = c->members - 1;
    if (c->degree == 0)
        return others <= CCZ_SECAGG_DEGREE_MAX
                   ? CCZ_OK
                   : refuse_cfg(err, "secagg:degree", others, 2, CCZ_SECAGG_DEGREE_MAX);
    uint32_t top = others < CCZ_SECAGG_DEGREE_MAX ? others : CCZ_SECAGG_DEGREE_MAX;
    if (c->degree % 2 != 0 || c->degree > top)
        return refuse_cfg(err, "secagg:degree", c->degree, 2, top);
    return CCZ_OK;
}

static ccz_rc complete(struct ccz_secagg_cfg *c, struct ccz_err *err)
{
    uint32_t holders = c->degree ? c->degree : c->members - 1;
    uint32_t of = c->attested_server ? holders : c->members;
    uint32_t usual = 2 * of / 3 + 1;
    if (c->threshold == 0)
        c->threshold = usual < holders ? usual : holders;
    /* more than half: no two groups of share holders can open different secrets of one client */
    if (c->threshold <= of / 2 || c->threshold > holders)
        return refuse_cfg(err, "secagg:threshold", c->threshold, of / 2 + 1, holders);
    if (c->quorum == 0)
        c->quorum = (2 * c->members + 2) / 3;
    if (c->quorum < 2 || c->quorum > c->members)
        return refuse_cfg(err, "secagg:quorum", c->quorum, 2, c->members);
    return CCZ_OK;
}

/* Everything that the parties have to agree on. */
static ccz_rc digest(struct cczi_sa_params *p, const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE])
{
    static const char label[] = "cczoo secagg configuration 1";
    const struct ccz_secagg_cfg *c = &p->cfg;
    uint8_t bytes[sizeof(label) + 4 * 4 + 1 + 2 * 8 + CCZ_SECAGG_SESSION_SIZE];
    uint8_t *at = cczi_sa_put(bytes, label, sizeof(label));
    at = cczi_sa_put_le(at, c->members, 4);
    at = cczi_sa_put_le(at, c->degree, 4);
    at = cczi_sa_put_le(at, c->threshold, 4);
    at = cczi_sa_put_le(at, c->quorum, 4);
    at = cczi_sa_put_le(at, c->attested_server, 1);
    at = cczi_sa_put_le(at, c->len, 8);
    at = cczi_sa_put_le(at, c->round, 8);
    cczi_sa_put(at, c->session, sizeof(c->session));
    const struct ccz_span parts[] = {
        CCZ_SPAN(bytes, sizeof(bytes)),
        CCZ_SPAN(roster, roster ? (size_t)c->members * CCZ_SECAGG_ID_SIZE : 0)};
    return ccz_hash(p->digest, CCZ_SHA256, parts, 2);
}

static ccz_rc check_roster(const struct ccz_secagg_cfg *c,
                           const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE], struct ccz_err *err)
{
    if (c->attested_server ? roster != NULL : roster == NULL)
        return ccz_fail(err, CCZ_E_ARG, "secagg:roster", 0,
                        c->attested_server ? "a roster and an attested server exclude each other"
                                           : "without an attested server, a roster is needed");
    for (uint32_t i = 0; roster && i < c->members; i++)
        for (uint32_t j = 0; j < i; j++)
            if (memcmp(roster[i], roster[j], CCZ_SECAGG_ID_SIZE) == 0)
                return ccz_fail(err, CCZ_E_ARG, "secagg:roster", i,
                                "members %u and %u have the same identity", j, i);
    return CCZ_OK;
}

ccz_rc cczi_sa_params_init(struct cczi_sa_params *p, const struct ccz_secagg_cfg *cfg,
                           const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE], struct ccz_err *err)
{
    *p = (struct cczi_sa_params){.cfg = *cfg, .bitmap_size = (cfg->members + 7) / 8};
    if (cfg->members < 3 || cfg->members > CCZ_SECAGG_MEMBERS_MAX)
        return refuse_cfg(err, "secagg:members", cfg->members, 3, CCZ_SECAGG_MEMBERS_MAX);
    if (cfg->len == 0 || cfg->len > UINT64_MAX / 8)
        return refuse_cfg(err, "secagg:len", cfg->len, 1, UINT64_MAX / 8);
    ccz_rc rc = check_degree(cfg, err);
    if (rc == CCZ_OK)
        rc = complete(&p->cfg, err);
    if (rc == CCZ_OK)
        rc = check_roster(cfg, roster, err);
    if (rc != CCZ_OK)
        return rc;
    rc = digest(p, roster);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "secagg:hash", 0, "%s", ccz_rc_str(rc));
}

/* ------------------------------------------------------------------- choice of degree and threshold */

static double log_choose(uint32_t n, uint32_t k)
{
    int sign;
    return lgamma_r((double)n + 1, &sign) - lgamma_r((double)k + 1, &sign) -
           lgamma_r((double)(n - k) + 1, &sign);
}

/* log2 P(at least `at_least` of `drawn` are marked), drawn without replacement from n of which `marked` are. */
static double log2_tail(uint32_t n, uint32_t marked, uint32_t drawn, uint32_t at_least)
{
    double sum = 0;
    uint32_t top = drawn < marked ? drawn : marked;
    for (uint32_t k = at_least; k <= top; k++)
        if (drawn - k <= n - marked)
            sum += exp(log_choose(marked, k) + log_choose(n - marked, drawn - k) -
                       log_choose(n, drawn));
    return sum > 0 ? log2(sum) : -INFINITY;
}

/*
 * The ring falls apart only if two runs of degree / 2 members in a row are gone: at most n^2 / 2 pairs of places, each
 * with the chance that `degree` given members are among those gone.
 */
static double log2_apart(uint32_t n, uint32_t gone, uint32_t degree)
{
    if (gone < degree)
        return -INFINITY;
    double sum = 2 * log2(n) - 1;
    for (uint32_t i = 0; i < degree; i++)
        sum += log2((double)(gone - i) / (double)(n - i));
    return sum;
}

static double log2_add(double a, double b)
{
    double hi = fmax(a, b), lo = fmin(a, b);
    return lo == -INFINITY ? hi : hi + log2(1 + exp2(lo - hi));
}

static bool try_degree(struct ccz_secagg_choice *out, uint32_t n, uint32_t corrupt,
                       uint32_t dropped, double leak, double fail)
{
    uint32_t k = out->degree, lo = k / 2 + 1, hi = k;
    double apart = log2_apart(n, corrupt + dropped, k), all = log2(n);
    while (lo <= k && log2_add(all + log2_tail(n - 1, corrupt, k, lo), apart) > leak)
        lo++;
    while (hi >= lo && all + log2_tail(n - 1, dropped, k, k - hi + 1) > fail)
        hi--;
    if (lo > hi)
        return false;
    out->threshold = lo + (hi - lo) / 2;
    out->leak_log2 = log2_add(all + log2_tail(n - 1, corrupt, k, out->threshold), apart);
    out->fail_log2 = all + log2_tail(n - 1, dropped, k, k - out->threshold + 1);
    return true;
}

ccz_rc ccz_secagg_choose(struct ccz_secagg_choice *out, uint32_t members, uint32_t corrupt,
                         uint32_t dropped, uint32_t leak_bits, uint32_t fail_bits,
                         struct ccz_err *err)
{
    double leak = -(double)(leak_bits ? leak_bits : 40);
    double fail = -(double)(fail_bits ? fail_bits : 20);
    *out = (struct ccz_secagg_choice){0};
    if (members < 3 || members > CCZ_SECAGG_MEMBERS_MAX || corrupt >= members ||
        dropped >= members || corrupt + dropped >= members)
        return ccz_fail(err, CCZ_E_ARG, "secagg:choice", 0,
                        "%u members, %u corrupt, %u dropped: nobody is left", members, corrupt,
                        dropped);
    struct ccz_secagg_choice c = {0};
    for (c.degree = 2; c.degree < members && c.degree <= CCZ_SECAGG_DEGREE_MAX; c.degree += 2)
        if (try_degree(&c, members, corrupt, dropped, leak, fail)) {
            *out = c;
            return CCZ_OK;
        }
    ccz_fail(err, CCZ_E_ARG, "secagg:choice", 0,
             "no degree below %u keeps %u corrupt and %u dropped members apart", members, corrupt,
             dropped);
    return ccz_hint(err, CCZ_E_ARG, "use the complete graph (degree 0)");
}

const char *ccz_secagg_phase_name(enum ccz_secagg_phase phase)
{
    static const char *const names[] = {"keys",   "shares", "input", "agree",
                                        "reveal", "unmask", "failed"};
    return (size_t)phase < sizeof(names) / sizeof(names[0]) ? names[phase] : "failed";
}
