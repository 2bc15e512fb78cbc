/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTPS listener and its metrics, as the options say; doors of other protocols are put into it here. */
#include "kmsd.h"

#include "../../cli/ui.h"

#include <cczoo/codec.h>
#include <cczoo/jose.h>
#include <cczoo/kms_door.h>
#include <cczoo/kms_door_kbs.h>
#include <cczoo/kms_door_transit.h>
#include <cczoo/net.h>
#include <cczoo/party.h>

#include <stdlib.h>
#include <string.h>

enum { ISSUERS_SIZE_MAX = 65536, ISSUER_SIZE_MAX = 256 };

struct kmsd_https {
    struct ccz_kms_door *door;
    struct ccz_metrics *metrics;
};

/* -------------------------------------------------------------------------------- issuers */

/* Issuers of --jwt-issuers and --jwt-issuer; their texts borrow from `json` and the options. */
struct issuers {
    struct ccz_json *json;
    struct ccz_kms_door_issuer of[CCZ_KMS_DOOR_ISSUERS_MAX];
    size_t len;
};

static const struct {
    const char *name;
    size_t offset;
    bool number;
} members[] = {
    {"iss", offsetof(struct ccz_kms_door_issuer, iss), false},
    {"aud", offsetof(struct ccz_kms_door_issuer, aud), false},
    {"typ", offsetof(struct ccz_kms_door_issuer, typ), false},
    {"jwks_file", offsetof(struct ccz_kms_door_issuer, jwks_file), false},
    {"jwks_url", offsetof(struct ccz_kms_door_issuer, jwks_url), false},
    {"jwks_ca_file", offsetof(struct ccz_kms_door_issuer, jwks_ca_file), false},
    {"skew_s", offsetof(struct ccz_kms_door_issuer, skew_s), true},
    {"age_max_s", offsetof(struct ccz_kms_door_issuer, age_max_s), true},
};

static ccz_rc take_member(struct ccz_kms_door_issuer *out, const char *key,
                          const struct ccz_json *v, struct ccz_err *err)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        if (strcmp(key, members[i].name) != 0)
            continue;
        void *at = (char *)out + members[i].offset;
        const char *text = ccz_json_str(v);
        int64_t n = 0;
        bool ok = members[i].number ? ccz_json_int(&n, v) : text != NULL;
        if (!ok)
            return ccz_refuse(err, CCZ_E_FORMAT, "kmsd:jwt-issuers", key,
                              members[i].number ? "a number" : "a text");
        if (members[i].number)
            *(int64_t *)at = n;
        else
            *(const char **)at = text;
        return CCZ_OK;
    }
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), ccz_span_str(key));
    return ccz_refuse(err, CCZ_E_FORMAT, "kmsd:jwt-issuers", got,
                      "iss, aud, typ, jwks_file, jwks_url, jwks_ca_file, skew_s, age_max_s");
}

/* A file with an array of objects. */
static ccz_rc read_issuers(struct issuers *s, const char *file, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, ISSUERS_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, file, err);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(&s->json, ccz_buf_span(&text), err);
    if (rc != CCZ_OK)
        return rc;
    size_t len = ccz_json_len(s->json);
    if (ccz_json_type(s->json) != CCZ_JSON_ARRAY || len >= CCZ_KMS_DOOR_ISSUERS_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "kmsd:jwt-issuers", (int64_t)len,
                        "an array of at most %d issuers is needed", CCZ_KMS_DOOR_ISSUERS_MAX - 1);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        const struct ccz_json *of = ccz_json_at(s->json, i), *v;
        if (ccz_json_type(of) != CCZ_JSON_OBJECT)
            return ccz_fail(err, CCZ_E_FORMAT, "kmsd:jwt-issuers", (int64_t)i,
                            "an issuer is an object");
        const char *key = NULL;
        while (rc == CCZ_OK && (v = ccz_json_next(&key, of)) != NULL)
            rc = take_member(&s->of[s->len], key, v, err);
        s->len++;
    }
    return rc;
}

static ccz_rc collect_issuers(struct issuers *s, const struct kmsd_opts *o, struct ccz_err *err)
{
    ccz_rc rc = o->jwt_issuers ? read_issuers(s, o->jwt_issuers, err) : CCZ_OK;
    if (rc != CCZ_OK || !o->jwt_issuer)
        return rc;
    bool url = o->jwt_keys && strstr(o->jwt_keys, "://");
    s->of[s->len++] = (struct ccz_kms_door_issuer){.iss = o->jwt_issuer,
                                                   .aud = o->jwt_audience,
                                                   .jwks_file = url ? NULL : o->jwt_keys,
                                                   .jwks_url = url ? o->jwt_keys : NULL,
                                                   .jwks_ca_file = o->jwt_ca_file,
                                                   .skew_s = o->jwt_skew_s};
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- life */

static ccz_rc open_door(struct kmsd_https *h, const struct kmsd_opts *o,
                        const struct kmsd_https_cfg *cfg, struct ccz_err *err)
{
    struct issuers issuers = {0};
    ccz_rc rc = collect_issuers(&issuers, o, err);
    bool files = o->tls_cert || o->tls_key;
    const struct ccz_kms_door_cfg door = {
        .service = cfg->service,
        .sealed = cfg->service == NULL,
        .clock = ccz_clock_system(),
        .listen = o->https,
        .cert_file = o->tls_cert,
        .key_file = o->tls_key,
        .party = files || o->plain_http_insecure ? NULL : cfg->party,
        .plain_http_insecure = o->plain_http_insecure,
        .issuers = issuers.of,
        .issuers_len = issuers.len,
        .limits = {.address_rate = (uint32_t)o->https_rate,
                   .principal_rate = (uint32_t)o->https_rate,
                   .connections = (uint32_t)o->https_connections},
        .collateral_expires_s = cfg->collateral_expires_s,
        .collateral_arg = cfg->arg,
        .metrics = cfg->prov ? ccz_kms_prov_metrics : NULL,
        .metrics_arg = cfg->prov,
    };
    if (rc == CCZ_OK)
        rc = ccz_kms_door_new(&h->door, &door, err);
    if (rc == CCZ_OK && o->transit)
        rc = ccz_kms_door_transit(h->door, err);
    ccz_json_free(issuers.json);
    const struct ccz_kms_door_kbs_cfg kbs = {.verifier = ccz_party_verifier(cfg->party),
                                             .sessions = (uint32_t)o->kbs_sessions,
                                             .attestations = (uint32_t)o->kbs_attestations};
    if (rc == CCZ_OK && o->kbs)
        rc = ccz_kms_door_kbs(h->door, &kbs, err);
    return rc;
}

ccz_rc kmsd_https_start(struct kmsd_https **out, const struct kmsd_opts *o,
                        const struct kmsd_https_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    if (!o->https)
        return CCZ_OK;
    struct kmsd_https *h = calloc(1, sizeof(*h));
    if (!h)
        return ccz_fail(err, CCZ_E_NOMEM, "kmsd:https", 0, "out of memory");
    ccz_rc rc = open_door(h, o, cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_door_start(h->door, err);
    const struct ccz_metrics_cfg metrics = {
        .listen = o->metrics, .put = ccz_kms_door_metrics, .arg = h->door};
    if (rc == CCZ_OK && o->metrics)
        rc = ccz_metrics_start(&h->metrics, &metrics, err);
    if (rc == CCZ_OK)
        rc = kmsd_write_port(o->https_port_file, ccz_kms_door_port(h->door), err);
    if (rc == CCZ_OK && h->metrics)
        rc = kmsd_write_port(o->metrics_port_file, ccz_metrics_port(h->metrics), err);
    if (rc != CCZ_OK) {
        kmsd_https_free(h);
        return rc;
    }
    ccz_log(o->plain_http_insecure ? CCZ_LOG_WARN : CCZ_LOG_INFO, "kmsd", "https=%s port=%u%s",
            o->plain_http_insecure ? "INSECURE" : "open", ccz_kms_door_port(h->door),
            cfg->service ? "" : " sealed");
    *out = h;
    return CCZ_OK;
}

void kmsd_https_reload(struct kmsd_https *h)
{
    if (h)
        (void)ccz_kms_door_reload(h->door); /* what failed is logged and kept */
}

void kmsd_https_stop(struct kmsd_https *h, int64_t grace_ms)
{
    if (h)
        ccz_kms_door_stop(h->door, grace_ms);
}

void kmsd_https_free(struct kmsd_https *h)
{
    if (!h)
        return;
    ccz_metrics_free(h->metrics);
    ccz_kms_door_free(h->door);
    free(h);
}

/* -------------------------------------------------------------------------------- options */

bool kmsd_https_check(const struct kmsd_opts *o)
{
    bool one = o->jwt_audience || o->jwt_keys || o->jwt_ca_file || o->jwt_skew_s;
    bool any = o->tls_cert || o->tls_key || o->plain_http_insecure || o->jwt_issuers ||
               o->jwt_issuer || one || o->metrics || o->https_port_file || o->https_rate ||
               o->https_connections || o->kbs || o->transit;
    if (!o->https && any) {
        ui_error("--tls-cert, --tls-key, --jwt-..., --https-..., --metrics, --kbs, --transit and "
                 "--plain-http-insecure need --https");
        return false;
    }
    if (!o->jwt_issuer && one) {
        ui_error("--jwt-audience, --jwt-keys, --jwt-ca-file and --jwt-skew are those of "
                 "--jwt-issuer; in --jwt-issuers each has its own");
        return false;
    }
    if (!o->kbs && (o->kbs_sessions || o->kbs_attestations)) {
        ui_error("--kbs-sessions and --kbs-attestations need --kbs");
        return false;
    }
    if (!o->metrics && o->metrics_port_file) {
        ui_error("--metrics-port-file needs --metrics");
        return false;
    }
    if (o->issuer &&
        (strncmp(o->issuer, "https://", 8) != 0 || strlen(o->issuer) > ISSUER_SIZE_MAX)) {
        ui_error("--issuer is an https URL of at most %d bytes", ISSUER_SIZE_MAX);
        return false;
    }
    if (o->jwt_issuer && (!o->jwt_audience || !o->jwt_keys)) {
        ui_error("--jwt-issuer needs --jwt-audience and --jwt-keys");
        return false;
    }
    return ui_count("https-rate", o->https_rate, 0, 1000000) &&
           ui_count("https-connections", o->https_connections, 0, 1000000) &&
           ui_count("kbs-sessions", o->kbs_sessions, 0, 1 << 20) &&
           ui_count("kbs-attestations", o->kbs_attestations, 0, CCZ_REPLAY_LEN_MAX) &&
           ui_count("jwt-skew", o->jwt_skew_s, 0, CCZ_JWT_SKEW_MAX_S);
}

int kmsd_openapi(void)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 1 << 20);
    ccz_kms_door_openapi(&json);
    ui_out("%s", ccz_buf_str(&json));
    return json.bad ? UI_ENV : UI_OK;
}
