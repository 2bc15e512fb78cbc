/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of reference values. Text of a server was escaped when it came in. */
#include "cli.h"
#include "json_out.h"
#include "kms_reference.h"
#include "kms_show.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

ccz_rc kms_reference_put(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *name,
                         const char *file, bool replace, struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    struct ccz_kms_proposed p;
    struct ccz_kms_receipt receipt;
    uint32_t version;
    ccz_buf_init(&json, CCZ_REFERENCE_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&json, file, err);
    if (rc == CCZ_OK && o->propose) {
        rc = ccz_kms_propose_put_reference(&p, c, name, ccz_buf_span(&json), replace, o->valid_s,
                                           err);
        if (rc == CCZ_OK)
            kms_show_proposed(o, &p);
        return rc;
    }
    if (rc == CCZ_OK)
        rc = ccz_kms_put_reference(&version, &receipt, c, name, ccz_buf_span(&json), replace, err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "stored", "reference", name, version, &receipt);
    return rc;
}

ccz_rc kms_reference_get(struct ccz_rpc_client *c, const char *name, uint32_t version,
                         struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    struct ccz_kms_reference r;
    char at[21];
    ccz_buf_init(&json, CCZ_REFERENCE_SIZE_MAX);
    ccz_rc rc = ccz_kms_get_reference(&r, &json, c, name, version, err);
    if (rc != CCZ_OK)
        return rc;
    ui_out_span(ccz_buf_span(&json));
    if (json.size && json.ptr[json.size - 1] != '\n')
        ui_out("\n");
    ccz_time_format(at, r.created_s);
    ui_say("version %u of %s", r.version, at);
    return CCZ_OK;
}

struct list {
    bool json;
    uint64_t n;
};

static void on_set(void *arg, const struct ccz_kms_reference *r)
{
    struct list *l = arg;
    char at[21];
    ccz_time_format(at, r->created_s);
    l->n++;
    if (!l->json) {
        ui_out("%-40s %3u  %s  %u value%s of %u bytes\n", r->name, r->version, at, r->values,
               r->values == 1 ? "" : "s", r->value_size);
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_buf_put_str(&b, "{\"reference\":");
    ccz_json_put_str(&b, ccz_span_str(r->name));
    ccz_buf_printf(&b, ",\"version\":%u", r->version);
    put_hex(&b, "sha256", r->sha256);
    put_time(&b, "created", r->created_s);
    ccz_buf_printf(&b, ",\"values\":%u,\"value_size\":%u}\n", r->values, r->value_size);
    ui_out_span(ccz_buf_span(&b));
}

ccz_rc kms_reference_list(struct ccz_rpc_client *c, bool json, struct ccz_err *err)
{
    struct list l = {.json = json};
    ccz_rc rc = ccz_kms_list_references(c, on_set, &l, err);
    if (rc == CCZ_OK && l.n == 0 && !json)
        ui_say("there are no reference values");
    return rc;
}

ccz_rc kms_reference_delete(struct ccz_rpc_client *c, const struct kms_roles_opts *o,
                            const char *name, struct ccz_err *err)
{
    struct ccz_kms_proposed p;
    struct ccz_kms_receipt receipt;
    if (o->propose) {
        ccz_rc rc = ccz_kms_propose_delete_reference(&p, c, name, o->valid_s, err);
        if (rc == CCZ_OK)
            kms_show_proposed(o, &p);
        return rc;
    }
    ccz_rc rc = ccz_kms_delete_reference(&receipt, c, name, err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "deleted", "reference", name, 0, &receipt);
    return rc;
}
