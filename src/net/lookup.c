/* SPDX-License-Identifier: Apache-2.0 */
/* All addresses of a name, for who wants to use them at the same time. */
#define _GNU_SOURCE /* gai_strerror */
#include "net/net_priv.h"

#include <netdb.h>
#include <stdlib.h>

struct ccz_lookup {
    struct cczi_resolve *resolve;
    ccz_lookup_fn done;
    void *arg;
    char text[CCZ_ADDR_TEXT_SIZE];
};

ccz_rc ccz_address_check(bool *is_name, const char *address, struct ccz_err *err)
{
    struct cczi_target target;
    ccz_rc rc = cczi_addr_parse(&target, address, err);
    *is_name = rc == CCZ_OK && !target.literal;
    return rc;
}

static void on_addresses(void *arg, int eai, const struct cczi_addr *addrs, size_t len)
{
    struct ccz_lookup *l = arg;
    struct ccz_err err = {0};
    char(*texts)[CCZ_ADDR_TEXT_SIZE] = len ? malloc(len * sizeof(*texts)) : NULL;
    for (size_t i = 0; texts && i < len; i++)
        cczi_addr_text(texts[i], (const struct sockaddr *)&addrs[i].ss, addrs[i].size);
    if (eai != 0 || len == 0)
        (void)ccz_fail(&err, CCZ_E_UNAVAILABLE, "net:resolve", eai, "%s: %s", l->text,
                       eai ? gai_strerror(eai) : "no address");
    else if (!texts)
        (void)ccz_fail(&err, CCZ_E_NOMEM, "net:resolve", 0, "out of memory");
    ccz_lookup_fn done = l->done;
    void *done_arg = l->arg;
    free(l); /* the callback may start the next one in its place */
    done(done_arg, (const char(*)[CCZ_ADDR_TEXT_SIZE])texts, texts ? len : 0,
         err.rc == CCZ_OK ? NULL : &err);
    free(texts);
}

ccz_rc ccz_lookup_start(struct ccz_lookup **out, struct ccz_loop *loop, const char *address,
                        ccz_lookup_fn done, void *arg, struct ccz_err *err)
{
    struct cczi_target target;
    *out = NULL;
    ccz_rc rc = cczi_addr_parse(&target, address, err);
    if (rc != CCZ_OK)
        return rc;
    if (target.literal)
        return ccz_fail(err, CCZ_E_ARG, "net:resolve", 0, "%s is no name", address);
    struct ccz_lookup *l = calloc(1, sizeof(*l));
    if (!l)
        return ccz_fail(err, CCZ_E_NOMEM, "net:resolve", 0, "out of memory");
    l->done = done;
    l->arg = arg;
    ccz_escape(l->text, sizeof(l->text), ccz_span_str(address));
    rc = cczi_resolve_all(&l->resolve, loop, target.host, target.port, on_addresses, l);
    if (rc != CCZ_OK) {
        free(l);
        return ccz_fail(err, rc, "net:resolve", 0, "cannot start a name look-up");
    }
    *out = l;
    return CCZ_OK;
}

void ccz_lookup_cancel(struct ccz_lookup *l)
{
    if (!l)
        return;
    cczi_resolve_cancel(l->resolve);
    free(l);
}
