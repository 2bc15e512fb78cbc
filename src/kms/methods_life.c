/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a version after it was stored: disabled and enabled, deleted and brought back, destroyed. Deleting is the
 * promise of a window in which a mistake can be undone; destroying is for good, and never happens by itself: a clock
 * that jumps ahead must not be able to destroy keys.
 */
#include "kms_priv.h"
#include "use_priv.h"

#include <stdio.h>

enum {
    DAY_S = 86400,
    RECOVERY_DEFAULT_S = 7 * DAY_S,
    RECOVERY_MIN_S = DAY_S,
    RECOVERY_MAX_S = 90 * DAY_S
};

static ccz_rc refuse_times(struct ccz_err *err, ccz_rc rc, const char *where, int64_t got_s,
                           int64_t expected_s)
{
    char got[21], expected[21];
    ccz_time_format(got, got_s);
    ccz_time_format(expected, expected_s);
    ccz_refuse(err, rc, where, got, expected);
    return cczi_kms_hint(err, rc);
}

static ccz_rc refuse_state(struct ccz_err *err, ccz_rc rc, const char *where, const char *got,
                           const char *expected)
{
    ccz_refuse(err, rc, where, got, expected);
    return cczi_kms_hint(err, rc);
}

ccz_rc cczi_kms_item_usable(const struct cczi_kms_item *it, int64_t now_s, struct ccz_err *err)
{
    const struct cczi_kms_item_state *st = &it->state;
    if (st->delete_after_s)
        return refuse_state(err, CCZ_E_DENIED, "kms:deleted", "a version that was deleted",
                            "one that was not");
    if (st->disabled)
        return refuse_state(err, CCZ_E_DENIED, "kms:disabled", "a version that is disabled",
                            "an enabled one");
    if (st->expires_s && now_s >= st->expires_s)
        return refuse_times(err, CCZ_E_DENIED, "kms:expired", now_s, st->expires_s);
    return CCZ_OK;
}

/* What a method does to one version. @p changed  set where it did something; left alone where there was nothing to do */
typedef ccz_rc (*version_fn)(bool *changed, struct cczi_kms_call *call, struct cczi_kms_item *it,
                             const void *arg, struct ccz_err *err);

/* Whatever became of it, what is in memory is of its past; opening it again costs little. */
static void forget(struct cczi_kms_call *call, uint32_t version)
{
    if (call->ref.kind == CCZI_KMS_KEY)
        cczi_kms_opened_forget(call->store->opened, call->ref.name, version);
}

static ccz_rc on_version(bool *changed, struct cczi_kms_call *call, uint32_t version, version_fn fn,
                         const void *arg, struct ccz_err *err)
{
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = cczi_kms_item_get(&it, call->store, &call->ref, version, err);
    if (rc == CCZ_OK)
        rc = fn(changed, call, &it, arg, err);
    if (rc == CCZ_OK && *changed)
        forget(call, it.slot.version);
    cczi_kms_item_deinit(&it);
    return rc;
}

/* One version of call->ref, or with version 0 each that there is, from the latest down.
 * @param[out] last  the latest version before; 0 = there is no such item (CCZ_E_NOT_FOUND) */
static ccz_rc on_versions(bool *changed, uint32_t *last, struct cczi_kms_call *call, version_fn fn,
                          const void *arg, struct ccz_err *err)
{
    *changed = false;
    ccz_rc rc = cczi_kms_item_last(last, call->store, &call->ref, err);
    if (rc == CCZ_OK && *last == 0)
        rc = CCZ_E_NOT_FOUND;
    if (rc == CCZ_OK && call->version)
        return on_version(changed, call, call->version, fn, arg, err);
    for (uint32_t v = *last; rc == CCZ_OK && v > 0; v--) {
        rc = on_version(changed, call, v, fn, arg, err);
        if (rc == CCZ_E_NOT_FOUND && v != *last) /* destroyed before */
            rc = CCZ_OK;
    }
    return rc;
}

static ccz_rc take_target(struct cczi_msg_delete_req *m, struct cczi_kms_call *call,
                          const struct cczi_msg_field *fields, bool policy_too, struct ccz_err *err)
{
    ccz_rc rc = cczi_msg_get(m, fields, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_ref(call, m->target, policy_too, err);
    call->version = (uint32_t)m->version;
    return rc;
}

/* A method that sets the state of versions. @p where, got, expected  if there was nothing to do */
static ccz_rc change_state(struct cczi_kms_call *call, version_fn fn, const void *arg,
                           const char *where, const char *got, const char *expected,
                           struct ccz_err *err)
{
    bool changed;
    uint32_t last;
    ccz_rc rc = on_versions(&changed, &last, call, fn, arg, err);
    if (rc == CCZ_OK && !changed)
        return refuse_state(err, CCZ_E_MISMATCH, where, got, expected);
    return cczi_kms_or_not_found(err, rc, cczi_kms_kind_name(call->ref.kind), call->ref.name);
}

/* Whether a call is about a whole key that works inside: then its metadata say what becomes of it, and the states of its versions stay. */
static ccz_rc is_whole_key(bool *yes, struct cczi_kms_key_meta *m, struct cczi_kms_call *call,
                           struct ccz_err *err)
{
    *yes = false;
    if (call->ref.kind != CCZI_KMS_KEY || call->version != 0)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_meta_get(m, call, err);
    *yes = rc == CCZ_OK;
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

/* ------------------------------------------------------------------- disable, enable */

static ccz_rc set_disabled(bool *changed, struct cczi_kms_call *call, struct cczi_kms_item *it,
                           const void *arg, struct ccz_err *err)
{
    struct cczi_kms_item_state st = it->state;
    st.disabled = *(const bool *)arg;
    if (st.disabled == it->state.disabled)
        return CCZ_OK;
    *changed = true;
    return cczi_kms_item_set_state(call->store, it, &st, err);
}

static ccz_rc run_set_disabled(struct cczi_kms_call *call, bool disabled, struct ccz_err *err)
{
    struct cczi_msg_delete_req m = {0};
    struct cczi_kms_key_meta meta;
    bool whole = false;
    const char *got = disabled ? "disabled already" : "enabled already",
               *expected = disabled ? "an enabled version" : "a disabled version";
    ccz_rc rc = take_target(&m, call, cczi_msg_target_req, false, err);
    if (rc == CCZ_OK)
        rc = is_whole_key(&whole, &meta, call, err);
    if (rc != CCZ_OK)
        return rc;
    if (!whole)
        return change_state(call, set_disabled, &disabled, "kms:no-change", got, expected, err);
    if (meta.disabled == disabled)
        return refuse_state(err, CCZ_E_MISMATCH, "kms:no-change", got, expected);
    cczi_kms_key_set_disabled(&meta, disabled);
    forget(call, 0);
    return cczi_kms_meta_put(call, &meta, err);
}

ccz_rc cczi_kms_run_disable(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err)
{
    (void)response; /* a receipt only, as below */
    return run_set_disabled(call, true, err);
}

ccz_rc cczi_kms_run_enable(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err)
{
    (void)response;
    return run_set_disabled(call, false, err);
}

/* ------------------------------------------------------------------ delete, undelete */

/* @p arg  when it may be destroyed, 0 = bring it back */
static ccz_rc set_deleted(bool *changed, struct cczi_kms_call *call, struct cczi_kms_item *it,
                          const void *arg, struct ccz_err *err)
{
    struct cczi_kms_item_state st = it->state;
    st.delete_after_s = *(const int64_t *)arg;
    if ((st.delete_after_s != 0) == (it->state.delete_after_s != 0))
        return CCZ_OK; /* a second Delete must not move the end of the window, neither way */
    *changed = true;
    return cczi_kms_item_set_state(call->store, it, &st, err);
}

ccz_rc cczi_kms_run_undelete(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    (void)response;
    static const int64_t back = 0;
    struct cczi_msg_delete_req m = {0};
    struct cczi_kms_key_meta meta;
    bool whole = false;
    ccz_rc rc = take_target(&m, call, cczi_msg_target_req, false, err);
    if (rc == CCZ_OK)
        rc = is_whole_key(&whole, &meta, call, err);
    if (rc == CCZ_OK && !whole)
        return change_state(call, set_deleted, &back, "kms:no-change", "not deleted",
                            "a deleted version", err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_undelete(&meta, err);
    return rc == CCZ_OK ? cczi_kms_meta_put(call, &meta, err) : rc;
}

/* --------------------------------------------------------------------------- destroy */

/* @p arg  true = without a window */
static ccz_rc destroy(bool *changed, struct cczi_kms_call *call, struct cczi_kms_item *it,
                      const void *arg, struct ccz_err *err)
{
    bool at_once = *(const bool *)arg;
    int64_t after_s = it->state.delete_after_s;
    if (!at_once && after_s == 0)
        return refuse_state(err, CCZ_E_DENIED, "kms:not-deleted", "a version in use",
                            "one that was deleted before");
    if (!at_once && call->req->now_s < after_s)
        return refuse_times(err, CCZ_E_DENIED, "kms:recovery-window", call->req->now_s, after_s);
    *changed = true;
    return cczi_kms_item_delete(call->store, it, err);
}

/* With the last version goes the binding, so that a later item of this name starts unbound. */
static ccz_rc destroy_versions(struct cczi_kms_call *call, bool at_once, struct ccz_err *err)
{
    bool changed;
    uint32_t last, left = 0;
    ccz_rc rc = on_versions(&changed, &last, call, destroy, &at_once, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_item_last(&left, call->store, &call->ref, err);
    if (rc == CCZ_OK && left != 0 && left < last) /* or its number would be given out again */
        return refuse_state(err, CCZ_E_DENIED, "kms:latest-version",
                            "the latest of several versions", "an older one, or all");
    if (rc == CCZ_OK && left == 0)
        rc = cczi_kms_binding_delete_all(call->store, &call->ref, err);
    if (rc == CCZ_OK && left == 0 && call->ref.kind == CCZI_KMS_KEY) {
        rc = cczi_kms_meta_delete(call, err);
        rc = rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
    }
    return cczi_kms_or_not_found(err, rc, cczi_kms_kind_name(call->ref.kind), call->ref.name);
}

ccz_rc cczi_kms_run_destroy(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err)
{
    (void)response;
    struct cczi_msg_delete_req m = {0};
    struct cczi_kms_key_meta meta;
    bool whole = false;
    ccz_rc rc = take_target(&m, call, cczi_msg_target_req, false, err);
    if (rc == CCZ_OK)
        rc = is_whole_key(&whole, &meta, call, err);
    if (rc == CCZ_OK && whole)
        rc = cczi_kms_hint(err, cczi_kms_key_may_destroy(&meta, call->req->now_s, err));
    return rc == CCZ_OK ? destroy_versions(call, whole, err) : rc;
}

static ccz_rc delete_policy(struct cczi_kms_call *call, struct ccz_err *err)
{
    bool used = false;
    ccz_rc rc = cczi_kms_need(call, CCZ_KMS_ROLE_AUTHOR, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_guard(call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_policy_used(&used, call->store, call->ref.name, err);
    if (rc == CCZ_OK && used) {
        ccz_fail(err, CCZ_E_DENIED, "kms:policy-in-use", 0, "items are bound to policy \"%s\"",
                 call->ref.name);
        return cczi_kms_hint(err, CCZ_E_DENIED);
    }
    if (rc == CCZ_OK) {
        rc = cczi_kms_staged_delete(call->store, call->ref.name, err); /* what is tried beside it */
        rc = rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
        cczi_kms_trials_touch(call->store->watch->trials, call->ref.name);
    }
    return rc == CCZ_OK ? cczi_kms_policy_delete(call->store, call->ref.name, err) : rc;
}

static ccz_rc delete_item(struct cczi_kms_call *call, const struct cczi_msg_delete_req *m,
                          struct ccz_err *err)
{
    if (m->no_recovery && m->recovery_s)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:request", 3, "a window and none");
    if (m->no_recovery) {
        (void)snprintf(call->detail, sizeof(call->detail), "destroyed without recovery");
        ccz_rc rc = cczi_kms_guard(call, err); /* nobody would have a window to object in */
        return rc == CCZ_OK ? destroy_versions(call, true, err) : rc;
    }
    int64_t window_s = m->recovery_s ? (int64_t)m->recovery_s : RECOVERY_DEFAULT_S;
    if (window_s < RECOVERY_MIN_S || window_s > RECOVERY_MAX_S)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "kms:recovery", window_s,
                              window_s < RECOVERY_MIN_S ? RECOVERY_MIN_S : RECOVERY_MAX_S);
    int64_t after_s = call->req->now_s + window_s;
    char until[21];
    ccz_time_format(until, after_s);
    (void)snprintf(call->detail, sizeof(call->detail), "kept until %s at least", until);
    struct cczi_kms_key_meta meta;
    bool whole = false;
    ccz_rc rc = is_whole_key(&whole, &meta, call, err);
    if (rc == CCZ_OK && !whole)
        return change_state(call, set_deleted, &after_s, "kms:no-change", "deleted already",
                            "a version that is not", err);
    const struct cczi_kms_key_deletion how = {.after_s = window_s};
    forget(call, 0);
    if (rc == CCZ_OK)
        rc = cczi_kms_hint(err, cczi_kms_key_delete(&meta, &how, call->req->now_s, err));
    return rc == CCZ_OK ? cczi_kms_meta_put(call, &meta, err) : rc;
}

ccz_rc cczi_kms_run_delete(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err)
{
    (void)response;
    struct cczi_msg_delete_req m = {0};
    ccz_rc rc = take_target(&m, call, cczi_msg_delete_req, true, err);
    if (rc != CCZ_OK)
        return rc;
    if (call->ref.kind != CCZI_KMS_POLICY) {
        rc = cczi_kms_need(call, CCZ_KMS_ROLE_OPERATOR, err);
        return rc == CCZ_OK ? delete_item(call, &m, err) : rc;
    }
    if (m.version || m.recovery_s || m.no_recovery)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:request", 2,
                        "a policy has no versions and no window");
    return cczi_kms_or_not_found(err, delete_policy(call, err), "policy", call->ref.name);
}
