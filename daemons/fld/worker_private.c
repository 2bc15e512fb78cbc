/* SPDX-License-Identifier: Apache-2.0 */
/* What a member insists on: {"secagg": {"required": true, "quorum_min": N}}, a roster, and its own key in it. */
#include "fld.h"

#include "../../cli/ui.h"

#include <stdlib.h>

static ccz_rc refuse(const char *name, const char *expected, struct ccz_err *err)
{
    return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-value", name, expected);
}

static ccz_rc read_config(struct worker_private *p, const struct ccz_json *config,
                          struct ccz_err *err)
{
    static const char *const known[] = {"required", "quorum_min", NULL};
    int64_t least = 0;
    bool required = p->roster != NULL;
    const struct ccz_json *group = ccz_json_get(config, "secagg"),
                          *j = ccz_json_get(group, "required"),
                          *k = ccz_json_get(group, "quorum_min");
    if (group && ccz_json_type(group) != CCZ_JSON_OBJECT)
        return refuse("another secagg", "an object", err);
    ccz_rc rc = fld_check_names(group, known, err);
    if (rc != CCZ_OK)
        return rc;
    if (j && !ccz_json_bool(&required, j))
        return refuse("another secagg.required", "true or false", err);
    if (k && (!ccz_json_int(&least, k) || least < 2 || least > UINT16_MAX))
        return refuse("another secagg.quorum_min", "2 to 65535", err);
    /* each would be a promise that a plain task breaks */
    if (p->roster && !required)
        return refuse("secagg.required false", "true, with a roster", err);
    if (least && !required)
        return refuse("secagg.quorum_min alone", "secagg.required true, or a roster", err);
    p->required = required;
    p->quorum_min = (uint32_t)least;
    return CCZ_OK;
}

ccz_rc worker_private_open(struct worker_private *out, const struct worker_opts *o,
                           const struct ccz_json *config, struct ccz_err *err)
{
    *out = (struct worker_private){0};
    ccz_rc rc = CCZ_OK;
    if (o->roster)
        rc = fld_read_roster(&out->roster, &out->roster_len, o->roster, err);
    if (rc == CCZ_OK && o->identity)
        rc = ccz_key_load(&out->identity, o->identity, err);
    return rc == CCZ_OK ? read_config(out, config, err) : rc;
}

void worker_private_close(struct worker_private *p)
{
    free(p->roster);
    ccz_key_free(p->identity);
    *p = (struct worker_private){0};
}

ccz_rc worker_roster_entry(const struct worker_opts *o, struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF entry;
    ccz_buf_init(&entry, 1024);
    bool made = false;
    ccz_rc rc = ccz_key_load(&key, o->identity, err);
    if (rc == CCZ_E_NOT_FOUND) {
        *err = (struct ccz_err){0};
        made = true;
        rc = ccz_key_generate(&key, CCZ_P256);
        if (rc != CCZ_OK)
            rc = ccz_fail(err, rc, "fld:key", 0, "no key can be made");
    }
    if (rc == CCZ_OK) /* a bad name leaves no key behind */
        rc = ccz_fl_roster_entry(&entry, o->name, key, err);
    if (rc == CCZ_OK && made)
        rc = ccz_key_save(key, o->identity, err);
    if (rc != CCZ_OK)
        return rc;
    ui_out("%s\n", ccz_buf_str(&entry));
    ui_say("%s keeps this member's key; its entry goes into the roster of each member and of the "
           "server, by a way that nobody can "
           "change",
           o->identity);
    return CCZ_OK;
}
