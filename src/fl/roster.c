/* SPDX-License-Identifier: Apache-2.0 */
/* Who the members are to each other: names and signing keys, as JSON. */
#include "fl/privacy.h"

#include <cczoo/codec.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 96 };

const struct ccz_fl_identity *cczi_hfl_identity(const struct ccz_fl_identity *roster, size_t len,
                                                const char *name, size_t size)
{
    for (size_t i = 0; i < len; i++)
        if (strlen(roster[i].name) == size && memcmp(roster[i].name, name, size) == 0)
            return &roster[i];
    return NULL;
}

static ccz_rc refuse(struct ccz_err *err, const char *where, const char *got, const char *expected)
{
    char shown[SHOWN];
    ccz_escape(shown, sizeof(shown), ccz_span_str(got));
    return ccz_refuse(err, CCZ_E_FORMAT, where, shown, expected);
}

/* @p object has the members @p names and no others. */
static ccz_rc check_form(const struct ccz_json *object, const char *const *names, size_t len,
                         struct ccz_err *err)
{
    const char *key = NULL;
    if (ccz_json_type(object) != CCZ_JSON_OBJECT)
        return refuse(err, "fl:roster", "no object", "an object");
    while (ccz_json_next(&key, object)) {
        size_t i = 0;
        while (i < len && strcmp(names[i], key) != 0)
            i++;
        if (i == len)
            return refuse(err, "fl:roster", key, len == 1 ? "members alone" : "name and key");
    }
    for (size_t i = 0; i < len; i++)
        if (!ccz_json_get(object, names[i]))
            return refuse(err, "fl:roster", "not there", names[i]);
    return CCZ_OK;
}

static ccz_rc take_entry(struct ccz_fl_identity *out, const struct ccz_fl_identity *before,
                         const struct ccz_json *entry, struct ccz_err *err)
{
    static const char *const names[] = {"name", "key"};
    CCZ_AUTO(ccz_key) point = NULL;
    ccz_rc rc = check_form(entry, names, 2, err);
    if (rc != CCZ_OK)
        return rc;
    const char *name = ccz_json_str(ccz_json_get(entry, "name")),
               *hex = ccz_json_str(ccz_json_get(entry, "key"));
    if (!name || !cczi_hfl_name_ok(name))
        return refuse(err, "fl:roster-name", name ? name : "no text",
                      "1 to 64 letters, digits, dots, dashes or underscores");
    memcpy(out->name, name, strlen(name) + 1);
    if (!hex || ccz_unhex(out->xy, sizeof(out->xy), hex, strlen(hex)) != CCZ_OK ||
        ccz_key_from_xy(&point, CCZ_P256, CCZ_SPAN(out->xy, sizeof(out->xy))) != CCZ_OK)
        return refuse(err, "fl:roster-key", name, "a point of P-256, x || y, 128 hex digits");
    for (const struct ccz_fl_identity *o = before; o < out; o++) {
        if (strcmp(o->name, out->name) == 0)
            return refuse(err, "fl:roster-name", name, "each name once");
        if (memcmp(o->xy, out->xy, sizeof(o->xy)) == 0)
            return refuse(err, "fl:roster-key", name, "each key once");
    }
    return CCZ_OK;
}

ccz_rc ccz_fl_roster_parse(struct ccz_fl_identity **out, size_t *len, struct ccz_span json,
                           struct ccz_err *err)
{
    static const char *const names[] = {"members"};
    CCZ_AUTO(ccz_json) root = NULL;
    *out = NULL;
    *len = 0;
    ccz_rc rc = ccz_json_parse(&root, json, err);
    if (rc == CCZ_OK)
        rc = check_form(root, names, 1, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_json *list = ccz_json_get(root, "members");
    size_t n = ccz_json_len(list);
    if (ccz_json_type(list) != CCZ_JSON_ARRAY)
        return refuse(err, "fl:roster", "members", "an array of entries");
    if (n < 3 || n > CCZ_FL_ROSTER_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "fl:roster-len", (int64_t)n,
                              n < 3 ? 3 : CCZ_FL_ROSTER_MAX);
    struct ccz_fl_identity *roster = calloc(n, sizeof(*roster));
    if (!roster)
        return cczi_hfl_no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < n; i++)
        rc = take_entry(&roster[i], roster, ccz_json_at(list, i), err);
    if (rc != CCZ_OK) {
        free(roster);
        return rc;
    }
    *out = roster;
    *len = n;
    return CCZ_OK;
}

ccz_rc ccz_fl_roster_entry(struct ccz_buf *out, const char *name, const struct ccz_key *key,
                           struct ccz_err *err)
{
    uint8_t xy[64];
    char hex[2 * sizeof(xy) + 1];
    if (!cczi_hfl_name_ok(name))
        return ccz_fail(err, CCZ_E_ARG, "fl:member-name", 0, "malformed name");
    if (ccz_key_curve(key) != CCZ_P256 || ccz_key_xy(xy, key) != CCZ_OK)
        return ccz_fail(err, CCZ_E_ARG, "fl:identity", 0, "members sign with keys of P-256");
    ccz_hex(hex, xy, sizeof(xy));
    ccz_buf_printf(out, "{\"name\":\"%s\",\"key\":\"%s\"}", name, hex);
    return out->bad ? cczi_hfl_no_memory(err) : CCZ_OK;
}
