/* SPDX-License-Identifier: Apache-2.0 */
/* One request, from its text to its answer: is it allowed here, what does the KMS say, and the log line. No socket. */
#include "agent_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

static const char version[] = "1"; /* of the protocol */

bool cczi_agent_allowed(const struct ccz_agent_names *names, struct ccz_span name)
{
    for (size_t i = 0; i < names->len; i++) {
        const char *rule = names->name[i];
        size_t size = strlen(rule);
        if (size >= 2 && strcmp(rule + size - 2, "/*") == 0) {
            size--; /* with the slash */
            if (name.size > size && memcmp(name.ptr, rule, size) == 0)
                return true;
        } else if (ccz_span_eq(name, ccz_span_str(rule))) {
            return true;
        }
    }
    return false;
}

static ccz_rc allow(const struct ccz_agent_names *names, const struct cczi_agent_request *r,
                    struct ccz_err *err)
{
    char got[CCZ_ERR_VALUE_SIZE], expected[CCZ_ERR_VALUE_SIZE];
    if (cczi_agent_allowed(names, r->name))
        return CCZ_OK;
    ccz_escape(got, sizeof(got), r->name);
    (void)snprintf(expected, sizeof(expected), "a name that this agent has for %s", r->verb_name);
    ccz_refuse(err, CCZ_E_DENIED, "agent:not-allowed", got, expected);
    return ccz_hint(err, CCZ_E_DENIED, "whoever starts the agent says what it may use");
}

static ccz_rc release(struct ccz_secret **out, struct ccz_kms_release *info,
                      const struct ccz_agent_cfg *cfg, const char *kind, struct ccz_span name,
                      uint32_t item_version, struct ccz_err *err)
{
    char item[CCZ_KMS_ITEM_SIZE];
    (void)snprintf(item, sizeof(item), "%s/%.*s", kind, (int)name.size, (const char *)name.ptr);
    return cfg->release(cfg->release_arg, out, info, item, item_version, err);
}

static void put_base64(struct ccz_buf *out, struct ccz_span value)
{
    ccz_buf_put_str(out, "ok ");
    ccz_base64_put(out, value, CCZ_BASE64_STD);
    ccz_buf_put_str(out, "\n");
}

static void name_text(char text[CCZ_KMS_NAME_SIZE], const struct cczi_agent_request *r)
{
    (void)snprintf(text, CCZ_KMS_NAME_SIZE, "%.*s", (int)r->name.size, (const char *)r->name.ptr);
}

static ccz_rc unwrap(struct ccz_buf *out, struct ccz_kms_release *info,
                     const struct ccz_agent_cfg *cfg, const struct cczi_agent_request *r,
                     struct ccz_err *err)
{
    uint32_t key_version;
    char name[CCZ_KMS_NAME_SIZE];
    CCZ_AUTO(ccz_secret) master = NULL;
    CCZ_AUTO(ccz_secret) plain = NULL;
    ccz_rc rc = allow(&cfg->unwrap, r, err);
    if (rc == CCZ_OK)
        rc = ccz_agent_wrapped_version(&key_version, r->value, err);
    if (rc == CCZ_OK)
        rc = release(&master, info, cfg, "key", r->name, key_version, err);
    name_text(name, r);
    if (rc == CCZ_OK)
        rc = ccz_agent_unwrap(&plain, master, name, r->value, err);
    if (rc == CCZ_OK)
        put_base64(out, CCZ_SPAN(ccz_secret_view(plain), ccz_secret_size(plain)));
    return rc;
}

static ccz_rc wrap(struct ccz_buf *out, struct ccz_kms_release *info,
                   const struct ccz_agent_cfg *cfg, const struct cczi_agent_request *r,
                   struct ccz_err *err)
{
    char name[CCZ_KMS_NAME_SIZE];
    CCZ_AUTO(ccz_secret) master = NULL;
    CCZ_AUTO_BUF plain, wrapped;
    ccz_buf_init(&plain, CCZ_AGENT_KEY_SIZE_MAX);
    ccz_buf_init(&wrapped, CCZ_AGENT_WRAPPED_SIZE_MAX);
    plain.wipe = true;
    ccz_rc rc = allow(&cfg->wrap, r, err);
    if (rc == CCZ_OK)
        rc = ccz_base64_get(&plain, r->value, CCZ_BASE64_STD, err);
    if (rc == CCZ_OK)
        rc = release(&master, info, cfg, "key", r->name, 0, err);
    name_text(name, r);
    if (rc == CCZ_OK)
        rc = ccz_agent_wrap(&wrapped, master, info->version, name, ccz_buf_span(&plain), err);
    if (rc == CCZ_OK)
        ccz_buf_printf(out, "ok %s\n", ccz_buf_str(&wrapped));
    return rc;
}

static ccz_rc secret(struct ccz_buf *out, struct ccz_kms_release *info,
                     const struct ccz_agent_cfg *cfg, const struct cczi_agent_request *r,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) value = NULL;
    ccz_rc rc = allow(&cfg->secret, r, err);
    if (rc == CCZ_OK)
        rc = release(&value, info, cfg, "secret", r->name, 0, err);
    if (rc == CCZ_OK)
        put_base64(out, CCZ_SPAN(ccz_secret_view(value), ccz_secret_size(value)));
    return rc;
}

static ccz_rc hello(struct ccz_buf *out, const struct cczi_agent_request *r, struct ccz_err *err)
{
    char got[16];
    ccz_escape(got, sizeof(got), r->name);
    if (strcmp(got, version) != 0)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "agent:version", got, version);
    ccz_buf_printf(out, "ok %s\n", version);
    return CCZ_OK;
}

static void log_line(const struct cczi_agent_request *r, const struct cczi_agent_peer *peer,
                     const struct ccz_kms_release *info, const struct ccz_err *err)
{
    char what[2 * CCZ_KMS_NAME_SIZE];
    (void)snprintf(what, sizeof(what), "%s name=%.*s pid=%lld uid=%u verdict=%s",
                   r->verb ? r->verb_name : "request", (int)r->name.size,
                   r->verb ? (const char *)r->name.ptr : "", (long long)peer->pid, peer->uid,
                   err ? "reject" : "accept");
    if (err)
        ccz_log_err(CCZ_LOG_WARN, "agent", what, err);
    else if (r->verb == CCZI_AGENT_HELLO)
        ccz_log(CCZ_LOG_DEBUG, "agent", "%s", what);
    else
        ccz_log(CCZ_LOG_INFO, "agent", "%s version=%u kms_audit=%llu", what, info->version,
                (unsigned long long)info->receipt.audit_seq);
}

void cczi_agent_handle(struct ccz_buf *out, const struct ccz_agent_cfg *cfg, struct ccz_span line,
                       const struct cczi_agent_peer *peer)
{
    struct ccz_err err = {0};
    struct ccz_kms_release info = {0};
    struct cczi_agent_request r;
    CCZ_AUTO_BUF answer;
    ccz_buf_init(&answer, CCZI_AGENT_ANSWER_SIZE_MAX);
    answer.wipe = true;
    ccz_rc rc = cczi_agent_request_parse(&r, line, &err);
    if (rc == CCZ_OK)
        switch (r.verb) {
        case CCZI_AGENT_HELLO:
            rc = hello(&answer, &r, &err);
            break;
        case CCZI_AGENT_UNWRAP:
            rc = unwrap(&answer, &info, cfg, &r, &err);
            break;
        case CCZI_AGENT_WRAP:
            rc = wrap(&answer, &info, cfg, &r, &err);
            break;
        case CCZI_AGENT_SECRET:
            rc = secret(&answer, &info, cfg, &r, &err);
            break;
        }
    if (rc == CCZ_OK && answer.bad)
        rc = ccz_fail(&err, CCZ_E_NOMEM, "agent:answer", 0, "no memory for an answer");
    if (rc != CCZ_OK) {
        ccz_buf_clear(&answer); /* an answer is whole, or there is none */
        cczi_agent_put_error(&answer, &err);
    }
    log_line(&r, peer, &info, rc == CCZ_OK ? NULL : &err);
    ccz_buf_put_span(out, ccz_buf_span(&answer));
}
