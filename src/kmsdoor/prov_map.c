/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which program gets which item. Strict where a slip would give a secret to more programs than were meant: every entry needs an
 * identity of full length, a signer needs a product beside it, members that are not known are refused.
 */
#include "prov.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

/* A measurement that an entry can name. */
enum { MRENCLAVE, MRSIGNER, MRTD, MEASUREMENT, HASHES };
static const struct hash {
    const char *member;
    enum ccz_tee tee;
    size_t size;
} hashes[HASHES] = {[MRENCLAVE] = {"mrenclave", CCZ_TEE_SGX, 32},
                    [MRSIGNER] = {"mrsigner", CCZ_TEE_SGX, 32},
                    [MRTD] = {"mrtd", CCZ_TEE_TDX, 48},
                    [MEASUREMENT] = {"measurement", CCZ_TEE_SNP, 48}};

struct entry {
    char item[CCZ_KMS_ITEM_SIZE];
    enum ccz_tee tee;
    bool has[HASHES];
    uint8_t hash[HASHES][48];
    int64_t isv_prod_id; /* -1 = any, with mrenclave */
};
struct cczi_prov_map {
    size_t len;
    struct entry entry[];
};

/* ----------------------------------------------------------------------------- parsing */

/* @p i is the entry that is spoken of, counted from 1. */
static ccz_rc bad(struct ccz_err *err, const char *where, size_t i, const char *what,
                  const char *name)
{
    char shown[48];
    ccz_escape(shown, sizeof(shown), ccz_span_str(name));
    return ccz_fail(err, CCZ_E_FORMAT, where, (int64_t)i, "entry %zu of the map: %s%s%s", i, what,
                    shown[0] ? " " : "", shown);
}

static ccz_rc check_members(const struct ccz_json *e, size_t i, struct ccz_err *err)
{
    static const char *const known[] = {"item", "tee", "isv_prod_id", "comment"};
    const char *key = NULL;
    while (ccz_json_next(&key, e)) {
        bool ok = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
            ok = ok || strcmp(key, known[k]) == 0;
        for (size_t k = 0; k < HASHES; k++)
            ok = ok || strcmp(key, hashes[k].member) == 0;
        if (!ok)
            return bad(err, "prov:map-member", i, "unknown member", key);
    }
    return CCZ_OK;
}

/* The KMS checks names when it is asked; what could never be one is told at the start. */
static ccz_rc take_item(struct entry *out, const struct ccz_json *e, size_t i, struct ccz_err *err)
{
    const char *s = ccz_json_str(ccz_json_get(e, "item"));
    const char *name = !s                              ? NULL
                       : strncmp(s, "key/", 4) == 0    ? s + 4
                       : strncmp(s, "secret/", 7) == 0 ? s + 7
                                                       : NULL;
    bool ok = name && *name && strlen(name) < CCZ_KMS_NAME_SIZE;
    for (const char *p = ok ? name : ""; *p; p++)
        ok = ok && *p > ' ' && *p < 0x7f;
    if (!ok)
        return bad(err, "prov:map-item", i, "\"item\" has to be key/NAME or secret/NAME", "");
    (void)snprintf(out->item, sizeof(out->item), "%s", s);
    return CCZ_OK;
}

static ccz_rc take_tee(struct entry *out, const struct ccz_json *e, size_t i, struct ccz_err *err)
{
    const char *s = ccz_json_str(ccz_json_get(e, "tee"));
    for (size_t k = 0; s && k < HASHES; k++)
        if (strcmp(s, ccz_tee_name(hashes[k].tee)) == 0)
            out->tee = hashes[k].tee;
    return out->tee != CCZ_TEE_NONE
               ? CCZ_OK
               : bad(err, "prov:map-tee", i, "\"tee\" has to be sgx, tdx or snp", "");
}

static ccz_rc take_hashes(struct entry *out, const struct ccz_json *e, size_t i,
                          struct ccz_err *err)
{
    for (size_t k = 0; k < HASHES; k++) {
        const struct ccz_json *j = ccz_json_get(e, hashes[k].member);
        if (!j)
            continue;
        if (hashes[k].tee != out->tee)
            return bad(err, "prov:map-member", i, "another TEE has", hashes[k].member);
        const char *s = ccz_json_str(j);
        if (!s || strlen(s) != 2 * hashes[k].size ||
            ccz_unhex(out->hash[k], hashes[k].size, s, 2 * hashes[k].size) != CCZ_OK)
            return bad(err, "prov:map-hex", i, "not all the hex digits of", hashes[k].member);
        out->has[k] = true;
    }
    return CCZ_OK;
}

static ccz_rc take_product(struct entry *out, const struct ccz_json *e, size_t i,
                           struct ccz_err *err)
{
    const struct ccz_json *j = ccz_json_get(e, "isv_prod_id");
    out->isv_prod_id = -1;
    if (j && out->tee != CCZ_TEE_SGX)
        return bad(err, "prov:map-member", i, "another TEE has", "isv_prod_id");
    if (j && (!ccz_json_int(&out->isv_prod_id, j) || out->isv_prod_id < 0 ||
              out->isv_prod_id > UINT16_MAX))
        return bad(err, "prov:map-identity", i, "\"isv_prod_id\" has to be 0..65535", "");
    return CCZ_OK;
}

static ccz_rc check_identity(const struct entry *e, size_t i, struct ccz_err *err)
{
    bool any = false;
    for (size_t k = 0; k < HASHES; k++)
        any = any || e->has[k];
    if (!any)
        return bad(err, "prov:map-identity", i,
                   "it would give the item to every program of this TEE", "");
    if (!e->has[MRENCLAVE] && e->has[MRSIGNER] && e->isv_prod_id < 0)
        return bad(err, "prov:map-identity", i, "a signer needs a product: add", "isv_prod_id");
    return CCZ_OK;
}

static ccz_rc take_entry(struct entry *out, const struct ccz_json *e, size_t i, struct ccz_err *err)
{
    if (ccz_json_type(e) != CCZ_JSON_OBJECT)
        return bad(err, "prov:map-member", i, "not an object", "");
    ccz_rc rc = check_members(e, i, err);
    if (rc == CCZ_OK)
        rc = take_item(out, e, i, err);
    if (rc == CCZ_OK)
        rc = take_tee(out, e, i, err);
    if (rc == CCZ_OK)
        rc = take_hashes(out, e, i, err);
    if (rc == CCZ_OK)
        rc = take_product(out, e, i, err);
    return rc == CCZ_OK ? check_identity(out, i, err) : rc;
}

static bool same_identity(const struct entry *a, const struct entry *b)
{
    return a->tee == b->tee && a->isv_prod_id == b->isv_prod_id &&
           memcmp(a->has, b->has, sizeof(a->has)) == 0 &&
           memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

/* The second of two would never be used: one of them is a mistake. */
static ccz_rc check_twice(const struct cczi_prov_map *m, struct ccz_err *err)
{
    for (size_t i = 0; i < m->len; i++)
        for (size_t k = 0; k < i; k++)
            if (same_identity(&m->entry[i], &m->entry[k]))
                return bad(err, "prov:map-twice", i + 1,
                           "it names the same programs as one before it", "");
    return CCZ_OK;
}

static ccz_rc check_top(const struct ccz_json *j, struct ccz_err *err)
{
    int64_t version;
    const char *key = NULL;
    while (ccz_json_next(&key, j))
        if (strcmp(key, "version") != 0 && strcmp(key, "items") != 0 && strcmp(key, "comment") != 0)
            return bad(err, "prov:map-member", 0, "unknown member", key);
    if (!ccz_json_int(&version, ccz_json_get(j, "version")) || version != VERSION ||
        ccz_json_type(ccz_json_get(j, "items")) != CCZ_JSON_ARRAY)
        return ccz_fail(err, CCZ_E_FORMAT, "prov:map", 0,
                        "the map has to be {\"version\": 1, \"items\": [...]}");
    return CCZ_OK;
}

ccz_rc cczi_prov_map_parse(struct cczi_prov_map **out, struct ccz_span json, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_rc rc = ccz_json_parse(&j, json, err);
    if (rc == CCZ_OK)
        rc = check_top(j, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_json *items = ccz_json_get(j, "items");
    size_t len = ccz_json_len(items);
    if (len == 0 || len > CCZ_KMS_PROV_MAP_LEN_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "prov:map-len", (int64_t)len, "a map has 1..%d entries",
                        CCZ_KMS_PROV_MAP_LEN_MAX);
    struct cczi_prov_map *m = calloc(1, sizeof(*m) + len * sizeof(m->entry[0]));
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "prov:map", 0, "out of memory");
    for (; rc == CCZ_OK && m->len < len; m->len++)
        rc = take_entry(&m->entry[m->len], ccz_json_at(items, m->len), m->len + 1, err);
    if (rc == CCZ_OK)
        rc = check_twice(m, err);
    if (rc == CCZ_OK)
        *out = m;
    else
        free(m);
    return rc;
}

void cczi_prov_map_free(struct cczi_prov_map *m)
{
    free(m);
}

size_t cczi_prov_map_len(const struct cczi_prov_map *m)
{
    return m->len;
}

/* ----------------------------------------------------------------------------- looking */

static const uint8_t *measured(const struct ccz_claims *c, size_t k)
{
    switch (k) {
    case MRENCLAVE:
        return c->mrenclave;
    case MRSIGNER:
        return c->mrsigner;
    case MRTD:
        return c->mrtd;
    default:
        return c->snp.measurement;
    }
}

static bool matches(const struct entry *e, const struct ccz_claims *c)
{
    if (e->tee != c->tee || (e->isv_prod_id >= 0 && e->isv_prod_id != c->isv_prod_id))
        return false;
    for (size_t k = 0; k < HASHES; k++)
        if (e->has[k] && memcmp(e->hash[k], measured(c, k), hashes[k].size) != 0)
            return false;
    return true;
}

ccz_rc cczi_prov_map_find(const char **item, const struct cczi_prov_map *m,
                          const struct ccz_claims *c, struct ccz_err *err)
{
    *item = NULL;
    for (size_t i = 0; i < m->len; i++) {
        if (matches(&m->entry[i], c)) {
            *item = m->entry[i].item;
            return CCZ_OK;
        }
    }
    size_t k = c->tee == CCZ_TEE_SGX ? MRENCLAVE : c->tee == CCZ_TEE_TDX ? MRTD : MEASUREMENT;
    char got[2 * 48 + 1];
    ccz_hex(got, measured(c, k), hashes[k].size);
    (void)ccz_refuse(err, CCZ_E_NOT_FOUND, "prov:no-item", got, "a program that the map names");
    return ccz_hint(err, CCZ_E_NOT_FOUND, "add it to the map, then SIGHUP");
}
