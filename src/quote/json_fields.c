/* SPDX-License-Identifier: Apache-2.0 */
/* Required members of TCB info and QE identity, and the kinds of TCB levels both have. Members of
 * other names are ignored: both documents carry a version, and what Intel adds under the same one
 * does not change the rest. */
#include "quote/quote_priv.h"

#include <stdlib.h>
#include <string.h>

enum { LEVELS_MAX = 256 };

void cczi_fields_fail(struct cczi_fields *f, ccz_rc rc, const char *key, const char *what)
{
    if (f->rc == CCZ_OK)
        f->rc = ccz_fail(f->err, rc, f->where, 0, "%s: %s", key, what);
}

const struct ccz_jnode *cczi_field_node(struct cczi_fields *f, const struct ccz_jnode *o,
                                        const char *key, enum ccz_json_type type)
{
    const struct ccz_jnode *v = ccz_jnode_get(o, key);
    if (!v)
        cczi_fields_fail(f, CCZ_E_FORMAT, key, "missing");
    else if (ccz_jnode_type(v) != type)
        cczi_fields_fail(f, CCZ_E_FORMAT, key, "of another JSON type than documented");
    return f->rc == CCZ_OK ? v : NULL;
}

uint32_t cczi_field_uint(struct cczi_fields *f, const struct ccz_jnode *o, const char *key,
                         uint32_t max)
{
    int64_t v = 0;
    const struct ccz_jnode *n = cczi_field_node(f, o, key, CCZ_JSON_INT);
    if (n && (!ccz_jnode_int(&v, n) || v < 0 || v > max))
        cczi_fields_fail(f, CCZ_E_FORMAT, key, "number out of range");
    return f->rc == CCZ_OK ? (uint32_t)v : 0;
}

struct ccz_span cczi_field_str(struct cczi_fields *f, const struct ccz_jnode *o, const char *key)
{
    const struct ccz_jnode *n = cczi_field_node(f, o, key, CCZ_JSON_STRING);
    struct ccz_span s = ccz_jnode_str(n);
    if (n && !s.ptr)
        cczi_fields_fail(f, CCZ_E_FORMAT, key, "escapes are not expected");
    return s;
}

int64_t cczi_field_date(struct cczi_fields *f, const struct ccz_jnode *o, const char *key)
{
    int64_t t = 0;
    struct ccz_span s = cczi_field_str(f, o, key);
    if (f->rc == CCZ_OK && ccz_time_parse(&t, (const char *)s.ptr, s.size) != CCZ_OK)
        cczi_fields_fail(f, CCZ_E_FORMAT, key, "no date of the form YYYY-MM-DDThh:mm:ssZ");
    return t;
}

void cczi_field_hex(struct cczi_fields *f, void *out, size_t size, const struct ccz_jnode *o,
                    const char *key)
{
    struct ccz_span s = cczi_field_str(f, o, key);
    if (f->rc == CCZ_OK && ccz_unhex(out, size, (const char *)s.ptr, s.size) != CCZ_OK)
        cczi_fields_fail(f, CCZ_E_FORMAT, key, "not hex digits of the documented number");
    if (f->rc != CCZ_OK)
        memset(out, 0, size);
}

static bool advisories_has(const struct cczi_advisories *a, const char *id)
{
    for (size_t i = 0; i < a->len; i++) {
        if (strcmp(a->id[i], id) == 0)
            return true;
    }
    return false;
}

static ccz_rc advisory_add(struct cczi_advisories *to, const char *id)
{
    if (advisories_has(to, id))
        return CCZ_OK;
    if (to->len >= CCZ_ADVISORIES_MAX)
        return CCZ_E_LIMIT;
    memcpy(to->id[to->len++], id, strlen(id) + 1);
    return CCZ_OK;
}

ccz_rc cczi_advisories_add(struct cczi_advisories *to, const struct cczi_advisories *from)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < from->len && rc == CCZ_OK; i++)
        rc = advisory_add(to, from->id[i]);
    return rc;
}

/* advisoryIDs is optional: levels that are up to date have none. */
static void read_advisories(struct cczi_advisories *out, struct cczi_fields *f,
                            const struct ccz_jnode *o)
{
    static const char key[] = "advisoryIDs";
    const struct ccz_jnode *list = NULL;
    if (ccz_jnode_get(o, key))
        list = cczi_field_node(f, o, key, CCZ_JSON_ARRAY);
    for (const struct ccz_jnode *v = ccz_jnode_first(list); v && f->rc == CCZ_OK;
         v = ccz_jnode_next(v)) {
        char id[CCZ_ADVISORY_SIZE] = "";
        struct ccz_span s = ccz_jnode_str(v);
        if (s.size == 0 || s.size >= sizeof(id)) {
            cczi_fields_fail(f, CCZ_E_FORMAT, key, "not a short string");
            return;
        }
        memcpy(id, s.ptr, s.size);
        if (advisory_add(out, id) != CCZ_OK)
            cczi_fields_fail(f, CCZ_E_LIMIT, key, "too many advisories");
    }
}

void cczi_level_read(struct cczi_level *out, struct cczi_fields *f, const struct ccz_jnode *o,
                     enum cczi_level_kind kind)
{
    enum ccz_tcb_status s = cczi_tcb_status_from(cczi_field_str(f, o, "tcbStatus"));
    bool enclave = s == CCZ_TCB_UP_TO_DATE || s == CCZ_TCB_OUT_OF_DATE || s == CCZ_TCB_REVOKED;
    /* the relaunch statuses are results, never published */
    bool platform = s != CCZ_TCB_NONE && s != CCZ_TCB_TD_RELAUNCH_ADVISED &&
                    s != CCZ_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED;
    if (!(kind == CCZI_LEVEL_ENCLAVE ? enclave : platform))
        cczi_fields_fail(f, CCZ_E_FORMAT, "tcbStatus", "unknown status");
    out->status = s;
    out->date_s = cczi_field_date(f, o, "tcbDate");
    read_advisories(&out->advisories, f, o);
}

static int svn_descending(const void *a, const void *b)
{
    uint16_t x = ((const struct cczi_svn_level *)a)->isv_svn,
             y = ((const struct cczi_svn_level *)b)->isv_svn;
    return (x < y) - (x > y);
}

void cczi_svn_levels_read(struct cczi_svn_levels *out, struct cczi_fields *f,
                          const struct ccz_jnode *o)
{
    const struct ccz_jnode *list = cczi_field_node(f, o, "tcbLevels", CCZ_JSON_ARRAY);
    size_t len = ccz_jnode_len(list);
    if (len == 0 || len > LEVELS_MAX) {
        cczi_fields_fail(f, CCZ_E_FORMAT, "tcbLevels", "empty or too long");
        return;
    }
    out->list = calloc(len, sizeof(*out->list));
    if (!out->list) {
        cczi_fields_fail(f, CCZ_E_NOMEM, "tcbLevels", "out of memory");
        return;
    }
    out->len = len;
    const struct ccz_jnode *l = ccz_jnode_first(list);
    for (size_t i = 0; l && f->rc == CCZ_OK; i++, l = ccz_jnode_next(l)) {
        const struct ccz_jnode *tcb = cczi_field_node(f, l, "tcb", CCZ_JSON_OBJECT);
        out->list[i].isv_svn = (uint16_t)cczi_field_uint(f, tcb, "isvsvn", UINT16_MAX);
        cczi_level_read(&out->list[i].level, f, l, CCZI_LEVEL_ENCLAVE);
    }
    qsort(out->list, len, sizeof(*out->list), svn_descending);
    for (size_t i = 1; i < len; i++) {
        if (out->list[i].isv_svn == out->list[i - 1].isv_svn)
            cczi_fields_fail(f, CCZ_E_FORMAT, "tcbLevels", "two levels of one isvsvn");
    }
}

const struct cczi_level *cczi_svn_levels_find(const struct cczi_svn_levels *l, uint16_t svn)
{
    for (size_t i = 0; i < l->len; i++) {
        if (l->list[i].isv_svn <= svn)
            return &l->list[i].level;
    }
    return NULL;
}
