/* SPDX-License-Identifier: Apache-2.0 */
/* Who may call what: guards of services, asked before anything else happens to a call. */
#define _DEFAULT_SOURCE
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "/", "/Service/" or "/Service/Method": anything else, "/Service" for one, would cover no call and guard nothing. */
static bool is_prefix(const char *p)
{
    if (strcmp(p, "/") == 0)
        return true;
    const char *slash = p[0] == '/' ? strchr(p + 1, '/') : NULL;
    return slash && slash > p + 1 && !strchr(slash + 1, '/');
}

ccz_rc cczi_guards_add(struct cczi_guards *gs, const char *prefix, ccz_rpc_guard_fn fn, void *arg)
{
    if (!is_prefix(prefix) || !fn)
        return CCZ_E_ARG;
    for (size_t i = 0; i < gs->len; i++)
        if (strcmp(gs->list[i].prefix, prefix) == 0)
            return CCZ_E_EXISTS;
    struct cczi_guard *list = realloc(gs->list, (gs->len + 1) * sizeof(*list));
    if (!list)
        return CCZ_E_NOMEM;
    gs->list = list;
    struct cczi_guard *g = &list[gs->len];
    *g =
        (struct cczi_guard){.prefix = strdup(prefix), .size = strlen(prefix), .fn = fn, .arg = arg};
    if (!g->prefix)
        return CCZ_E_NOMEM;
    gs->len++;
    return CCZ_OK;
}

void cczi_guards_free(struct cczi_guards *gs)
{
    for (size_t i = 0; i < gs->len; i++)
        free(gs->list[i].prefix);
    free(gs->list);
    *gs = (struct cczi_guards){0};
}

/* A service covers its methods. A method covers itself alone: a lax guard of /S/Get must not open /S/GetSecret. */
static bool covers(const struct cczi_guard *g, const char *path)
{
    if (g->size == 1) /* "/": everything, also what is no proper path */
        return true;
    if (g->prefix[g->size - 1] == '/')
        return strncmp(path, g->prefix, g->size) == 0;
    return strcmp(path, g->prefix) == 0;
}

static bool covers_any(const struct cczi_guard *g, const struct cczi_method *methods, size_t len)
{
    bool any = g->size == 1;
    for (size_t i = 0; !any && i < len; i++)
        any = covers(g, methods[i].path);
    return any;
}

ccz_rc cczi_guards_check(const struct cczi_guards *gs, const struct cczi_method *methods,
                         size_t len, struct ccz_err *err)
{
    for (size_t i = 0; i < gs->len; i++) {
        if (covers_any(&gs->list[i], methods, len))
            continue;
        char got[CCZ_ERR_VALUE_SIZE];
        ccz_escape(got, sizeof(got), ccz_span_str(gs->list[i].prefix));
        ccz_rc rc = ccz_refuse(err, CCZ_E_ARG, "rpc:guard", got, "a guard of registered methods");
        return ccz_hint(err, rc, "it would guard nothing: is the prefix spelled as the service?");
    }
    return CCZ_OK;
}

static const struct cczi_guard *find(const struct cczi_guards *gs, const char *path)
{
    const struct cczi_guard *best = NULL;
    for (size_t i = 0; i < gs->len; i++)
        if (covers(&gs->list[i], path) && (!best || gs->list[i].size > best->size))
            best = &gs->list[i];
    return best;
}

static void tell(const struct ccz_rpc_call *c, const struct ccz_err *err)
{
    char path[128], text[320];
    /* not in quotes: nghttp2 lets no path with a space through */
    ccz_escape(path, sizeof(path), ccz_span_str(c->path));
    (void)snprintf(text, sizeof(text), "guarded peer=%s path=%s", c->peer->address, path);
    ccz_log_err(CCZ_LOG_INFO, "rpc", text, err);
}

bool cczi_guards_pass(const struct cczi_guards *gs, struct ccz_rpc_call *c)
{
    const struct cczi_guard *g = find(gs, c->path);
    if (!g)
        return true;
    const struct ccz_ratls_peer *peer = &c->peer->ratls;
    struct ccz_err err = {0};
    ccz_rc rc = g->fn(g->arg, peer, c->path, &err);
    if (rc == CCZ_OK)
        return true;
    if (err.rc == CCZ_OK) /* it refused without a word */
        (void)ccz_fail(&err, rc, "rpc:guard", 0, "the peer may not call this");
    tell(c, &err);
    enum ccz_rpc_code code = ccz_rpc_code_of(rc);
    if (code == CCZ_RPC_PERMISSION_DENIED && !peer->attested && !peer->pinned)
        code = CCZ_RPC_UNAUTHENTICATED;
    cczi_call_fail_as(c, code, &err);
    return false;
}
