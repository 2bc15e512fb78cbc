/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo recsys recommend, similar, inspect: what a bundle says. */
#include "recsys.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 32, RATED_MAX = 1000 };

struct ask_opts {
    struct recsys_trust_opts trust;
    const char *bundle, *model_key, *rated;
    int64_t k;
    bool json, oblivious;
};

static size_t ask_options(struct ui_opt *out, struct ask_opts *o)
{
    const struct ui_opt opts[] = {
        {"bundle", &o->bundle, NULL, NULL, "DIR", "folder that train or import made"},
        {"model-key", &o->model_key, NULL, NULL, "KEY", "key/NAME of the KMS, or a file"},
        {"k", NULL, &o->k, NULL, "N", "length of lists, default 10"},
        {"json", NULL, NULL, &o->json, NULL, "a line of JSON for each list"},
    };
    o->k = 10;
    memcpy(out, opts, sizeof(opts));
    size_t n = sizeof(opts) / sizeof(opts[0]);
    n += recsys_trainer_options(out + n, &o->trust);
    return n + recsys_kms_options(out + n, &o->trust);
}

static bool ask_check(const struct ask_opts *o)
{
    if (!o->bundle || !o->model_key) {
        ui_error("--bundle and --model-key are required");
        return false;
    }
    return ui_count("k", o->k, 1, CCZ_RECSYS_K_MAX);
}

/* ---------------------------------------------------------------------------------------- lists */

static void show_list(const struct ask_opts *o, const struct ccz_recsys_contents *c,
                      const char *subject, const uint32_t *item, const float *score)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 22);
    if (o->json) {
        ccz_buf_put_str(&b, "{\"for\":");
        ccz_json_put_str(&b, ccz_span_str(subject));
        ccz_buf_put_str(&b, ",\"items\":[");
    }
    for (uint32_t i = 0; i < (uint32_t)o->k && item[i] != CCZ_RECSYS_NONE; i++) {
        CCZ_AUTO_BUF id;
        char name[128] = "", title[256] = "";
        ccz_buf_init(&id, CCZ_RECSYS_ID_SIZE_MAX);
        ccz_recsys_id_put(&id, ccz_recsys_ids_get(c->item, item[i]));
        const struct ccz_span t =
            c->titles ? ccz_recsys_titles_get(c->titles, item[i]) : (struct ccz_span){0};
        if (o->json) {
            ccz_buf_put_str(&b, i ? ",{\"id\":" : "{\"id\":");
            ccz_json_put_str(&b, ccz_buf_span(&id));
            ccz_buf_put_str(&b, ",\"score\":");
            ccz_json_put_float(&b, score[i]);
            ccz_buf_put_str(&b, ",\"title\":");
            ccz_json_put_str(&b, t);
            ccz_buf_put_str(&b, "}");
            continue;
        }
        ccz_escape(name, sizeof(name), ccz_buf_span(&id));
        ccz_escape(title, sizeof(title), t);
        ccz_buf_printf(&b, "%4u  %-10s %8.4f  %s\n", i + 1, name, (double)score[i], title);
    }
    ccz_buf_put_str(&b, o->json ? "]}\n" : "");
    ui_out("%s", ccz_buf_str(&b));
}

/* "ID=VALUE,ID=VALUE": ids have no comma here; who has such asks the server. */
static ccz_rc parse_rated(struct ccz_recsys_ratings *r, const struct ccz_recsys_contents *c,
                          const char *text, struct ccz_err *err)
{
    const enum ccz_recsys_id_kind kind = ccz_recsys_ids_kind(c->item);
    ccz_rc rc = ccz_recsys_ratings_init(r, 1, c->model->item.len, RATED_MAX, false, err);
    if (rc != CCZ_OK)
        return rc;
    r->len = 0;
    for (const char *at = text; *at && r->len < RATED_MAX;) {
        const size_t size = strcspn(at, ",");
        size_t id_size = size;
        float value = 1;
        for (size_t i = 0; i < size; i++)
            if (at[i] == '=')
                id_size = i;
        char *end = (char *)(uintptr_t)(at + size);
        if (id_size < size)
            value = strtof(at + id_size + 1, &end);
        struct ccz_recsys_id id;
        if (end != at + size || !ccz_recsys_id_parse(&id, kind, CCZ_SPAN(at, id_size)))
            return ccz_fail(err, CCZ_E_ARG, "recsys:rated", (int64_t)r->len,
                            "--rated is a list of ID=VALUE");
        r->item[r->len] = ccz_recsys_ids_find(c->item, id);
        r->value[r->len] = value;
        if (r->item[r->len] == CCZ_RECSYS_NONE)
            return ccz_fail(err, CCZ_E_NOT_FOUND, "recsys:id", (int64_t)r->len,
                            "the model does not know item %.*s", (int)(id_size < 80 ? id_size : 80),
                            at);
        r->len++;
        at += size + (at[size] == ',');
    }
    return CCZ_OK;
}

static ccz_rc recommend_rated(const struct ask_opts *o, const struct ccz_recsys_bundle *b,
                              struct ccz_err *err)
{
    const struct ccz_recsys_contents *c = ccz_recsys_bundle_contents(b);
    struct ccz_recsys_ratings rated = {0};
    struct ccz_recsys_factors user = {0};
    CCZ_AUTO(ccz_recsys_csr) row = NULL;
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    uint32_t *item = calloc((size_t)o->k, sizeof(*item));
    float *score = calloc((size_t)o->k, sizeof(*score));
    ccz_rc rc = item && score ? parse_rated(&rated, c, o->rated, err)
                              : ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = ccz_recsys_csr_new(&row, &rated, CCZ_RECSYS_TWICE_REFUSE, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_als_fold_in(&user, c->model, row, CCZ_RECSYS_USERS,
                                    &ccz_recsys_bundle_manifest(b)->als, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_index_new(&index, c->model, NULL, err);
    const struct ccz_recsys_ask ask = {
        .users_len = 1, .k = (uint32_t)o->k, .seen = row, .oblivious = o->oblivious};
    if (rc == CCZ_OK)
        rc = ccz_recsys_recommend_vectors(item, score, index, &user, &ask, err);
    if (rc == CCZ_OK)
        show_list(o, c, "", item, score);
    ccz_recsys_ratings_deinit(&rated);
    ccz_recsys_factors_deinit(&user);
    free(item);
    free(score);
    return rc;
}

/* Users, or with @p similar items, by their ids. */
static ccz_rc by_ids(const struct ask_opts *o, const struct ccz_recsys_bundle *b, char **ids,
                     size_t len, bool similar, struct ccz_err *err)
{
    const struct ccz_recsys_contents *c = ccz_recsys_bundle_contents(b);
    const struct ccz_recsys_ids *of = similar ? c->item : c->user;
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    uint32_t *item = calloc((size_t)o->k, sizeof(*item));
    float *score = calloc((size_t)o->k, sizeof(*score));
    ccz_rc rc = item && score ? ccz_recsys_index_new(&index, c->model, NULL, err)
                              : ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "out of memory");
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        struct ccz_recsys_id id;
        const bool ok = ccz_recsys_id_parse(&id, ccz_recsys_ids_kind(of), ccz_span_str(ids[i]));
        const uint32_t number = ok ? ccz_recsys_ids_find(of, id) : CCZ_RECSYS_NONE;
        const struct ccz_recsys_ask ask = {.user = &number,
                                           .users_len = 1,
                                           .k = (uint32_t)o->k,
                                           .seen = similar ? NULL : c->seen,
                                           .oblivious = o->oblivious};
        if (number == CCZ_RECSYS_NONE)
            rc = ccz_fail(err, CCZ_E_NOT_FOUND, "recsys:id", 0, "the model does not know %s %.80s",
                          similar ? "item" : "user", ids[i]);
        else
            rc = similar ? ccz_recsys_similar_items(item, score, index, &ask, err)
                         : ccz_recsys_recommend_index(item, score, index, &ask, err);
        if (rc == CCZ_OK)
            show_list(o, c, ids[i], item, score);
    }
    free(item);
    free(score);
    return rc;
}

static int lists(int argc, char **argv, bool similar)
{
    struct ask_opts o = {0};
    struct ccz_err err = {0};
    struct ui_opt opts[OPTIONS_MAX] = {0};
    const struct ui_opt more[] = {
        {"rated", &o.rated, NULL, NULL, "ID=VALUE,..",
         "instead of users: somebody new, by what he has rated"},
        {"oblivious", NULL, NULL, &o.oblivious, NULL,
         "a scan whose time and places do not depend on scores"},
    };
    const size_t n = ask_options(opts, &o);
    memcpy(opts + n, more + (similar ? 1 : 0), sizeof(more[0]) * (similar ? 1 : 2));
    const int left =
        ui_parse(argc, argv,
                 similar ? "cczoo recsys similar --bundle DIR --model-key KEY .. ITEM.."
                         : "cczoo recsys recommend --bundle DIR --model-key KEY .. USER..",
                 opts);
    if (left < 0)
        return ui_parse_status(left);
    if (!ask_check(&o))
        return UI_USAGE;
    if ((left > 0) == (o.rated != NULL)) {
        ui_error("say for whom: ids%s", similar ? "" : ", or --rated");
        return UI_USAGE;
    }
    struct recsys_session s;
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    recsys_session_begin(&s, &o.trust);
    ccz_rc rc = recsys_open_bundle(&b, &s, o.bundle, o.model_key, &err);
    if (rc == CCZ_OK)
        rc = o.rated ? recommend_rated(&o, b, &err)
                     : by_ids(&o, b, argv, (size_t)left, similar, &err);
    recsys_session_end(&s);
    return rc == CCZ_OK ? UI_OK : recsys_fail(&err);
}

int recsys_recommend(int argc, char **argv)
{
    return lists(argc, argv, false);
}

int recsys_similar(int argc, char **argv)
{
    return lists(argc, argv, true);
}

int recsys_inspect(int argc, char **argv)
{
    struct ask_opts o = {0};
    struct ccz_err err = {0};
    struct ui_opt opts[OPTIONS_MAX] = {0};
    (void)ask_options(opts, &o);
    const int left =
        ui_parse(argc, argv, "cczoo recsys inspect --bundle DIR --model-key KEY ..", opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0 || !ask_check(&o))
        return UI_USAGE;
    struct recsys_session s;
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    recsys_session_begin(&s, &o.trust);
    ccz_rc rc = recsys_open_bundle(&b, &s, o.bundle, o.model_key, &err);
    if (rc == CCZ_OK) {
        char hex[65];
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 1 << 16);
        ccz_recsys_manifest_put(&text, ccz_recsys_bundle_manifest(b));
        ccz_hex(hex, ccz_recsys_bundle_manifest(b)->sha256, 32);
        ui_out("%s", ccz_buf_str(&text));
        ui_say("manifest_sha256 %s", hex);
    }
    recsys_session_end(&s);
    return rc == CCZ_OK ? UI_OK : recsys_fail(&err);
}
