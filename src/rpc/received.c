/* SPDX-License-Identifier: Apache-2.0 */
/* What came with a response besides messages, for the caller to read after the call. */
#include "client.h"

#include <stdlib.h>
#include <string.h>

static const char message_key[] = "grpc-message";

void cczi_received_init(struct ccz_rpc_received *r)
{
    *r = (struct ccz_rpc_received){0};
    cczi_md_init(&r->md);
    ccz_buf_init(&r->message, CCZI_MD_SIZE_MAX);
}

void cczi_received_deinit(struct ccz_rpc_received *r)
{
    cczi_md_free(&r->md);
    ccz_buf_free(&r->message);
}

void cczi_received_clear(struct ccz_rpc_received *r)
{
    cczi_received_deinit(r);
    r->trailers_at = 0;
}

void cczi_received_take(struct ccz_rpc_received *r, struct cczi_stream *st)
{
    cczi_received_clear(r);
    r->md = st->in;
    r->trailers_at = st->trailers_at;
    cczi_md_init(&st->in);
    cczi_percent_raw(&r->message, cczi_md_get(&r->md, message_key));
    if (r->message.bad) /* no memory: as if there were none */
        ccz_buf_free(&r->message);
}

void cczi_received_move(struct ccz_rpc_received *to, struct ccz_rpc_received *from)
{
    cczi_received_deinit(to);
    *to = *from;
    cczi_received_init(from);
}

void cczi_received_copy_headers(struct ccz_rpc_received *r, const struct cczi_stream *st)
{
    cczi_received_clear(r);
    ccz_buf_put(&r->md.raw, st->in.raw.ptr, st->trailers_at);
    r->trailers_at = st->trailers_at;
    if (r->md.raw.bad)
        cczi_received_clear(r);
}

ccz_rc ccz_rpc_received_new(struct ccz_rpc_received **out)
{
    *out = malloc(sizeof(**out));
    if (!*out)
        return CCZ_E_NOMEM;
    cczi_received_init(*out);
    return CCZ_OK;
}

void ccz_rpc_received_free(struct ccz_rpc_received *r)
{
    if (!r)
        return;
    cczi_received_deinit(r);
    free(r);
}

/* What the protocol itself uses is no metadata, and has functions of its own. */
static bool visible(const struct cczi_md_field *f)
{
    return f->key[0] != ':' && strcmp(f->key, message_key) != 0;
}

/* The next visible field of @p md from offset *at, which ends before @p end. */
bool cczi_md_walk(struct ccz_rpc_md *out, size_t *at, const struct cczi_md *md, size_t end)
{
    struct cczi_md_field f;
    *out = (struct ccz_rpc_md){0};
    while (*at < end) {
        struct ccz_rd r = ccz_rd_from(ccz_span_sub(ccz_buf_span(&md->raw), *at, end - *at));
        if (!cczi_md_next(&f, &r))
            return false;
        *at = end - r.left;
        if (!visible(&f))
            continue;
        *out = (struct ccz_rpc_md){f.key, f.value};
        return true;
    }
    return false;
}

bool ccz_rpc_received_header(struct ccz_rpc_md *md, size_t *at, const struct ccz_rpc_received *r)
{
    return cczi_md_walk(md, at, &r->md, r->trailers_at);
}

bool ccz_rpc_received_trailer(struct ccz_rpc_md *md, size_t *at, const struct ccz_rpc_received *r)
{
    if (*at < r->trailers_at)
        *at = r->trailers_at;
    return cczi_md_walk(md, at, &r->md, r->md.raw.size);
}

struct ccz_span ccz_rpc_received_get(const struct ccz_rpc_received *r, const char *key)
{
    return strcmp(key, message_key) == 0 ? (struct ccz_span){0} : cczi_md_get(&r->md, key);
}

struct ccz_span ccz_rpc_received_message(const struct ccz_rpc_received *r)
{
    return r->message.size ? ccz_buf_span(&r->message) : ccz_span_str("");
}

struct ccz_span ccz_rpc_received_details(const struct ccz_rpc_received *r)
{
    return cczi_md_get(&r->md, "grpc-status-details-bin");
}
