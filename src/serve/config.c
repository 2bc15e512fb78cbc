/* SPDX-License-Identifier: Apache-2.0 */
/* Small configuration files: batching, TLS, monitoring, sessions, platforms. */
#define _DEFAULT_SOURCE
#include "serve/serve_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ccz_rc cczi_config_wire(struct ccz_span *wire, struct ccz_buf *out, struct ccz_span in,
                        enum ccz_serve_form form, const struct ccz_textpb_message *schema,
                        struct ccz_err *err)
{
    *wire = in;
    if (in.size > CCZ_SERVE_CONFIG_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "serve:config-size", (int64_t)in.size,
                              CCZ_SERVE_CONFIG_SIZE_MAX);
    if (form == CCZ_SERVE_WIRE)
        return ccz_textpb_check(in, schema, err);
    ccz_rc rc = ccz_textpb_parse(out, in, schema, err);
    *wire = ccz_buf_span(out);
    return rc;
}

void cczi_config_note(struct ccz_buf *notes, const char *prefix, struct ccz_span wire,
                      const struct ccz_textpb_message *schema)
{
    struct ccz_rd r = ccz_rd_from(wire);
    struct ccz_pb_field f;
    while (notes && ccz_pb_next(&f, &r))
        for (size_t i = 0; i < schema->len; i++)
            if (schema->fields[i].number == f.number &&
                schema->fields[i].kind == CCZ_TEXTPB_IGNORED)
                ccz_buf_printf(notes, "%s%s has no effect here\n", prefix, schema->fields[i].name);
}

/* What is made while a text is read. Wiped: one of them holds a key. */
static struct ccz_buf room(void)
{
    struct ccz_buf b;
    ccz_buf_init(&b, (size_t)4 * CCZ_SERVE_CONFIG_SIZE_MAX);
    b.wipe = true;
    return b;
}

/* Content of Int64Value, StringValue and the like: their field 1, or its default. */
static struct ccz_pb_field unwrap(struct ccz_span message)
{
    struct ccz_rd r = ccz_rd_from(message);
    struct ccz_pb_field f;
    return ccz_pb_next(&f, &r) ? f : (struct ccz_pb_field){0};
}

static ccz_rc copy_text(char *out, size_t size, struct ccz_span s, const char *where,
                        struct ccz_err *err)
{
    if (s.size >= size || (s.size > 0 && memchr(s.ptr, 0, s.size)))
        return ccz_fail(err, CCZ_E_ARG, where, (int64_t)s.size,
                        "got a text of %zu bytes, expected at most %zu without NUL", s.size,
                        size - 1);
    if (s.size > 0)
        memcpy(out, s.ptr, s.size);
    out[s.size] = 0;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ batching */

static ccz_rc add_allowed(struct ccz_sched_batching *b, uint64_t v, struct ccz_err *err)
{
    if (b->allowed_len == CCZ_SCHED_ALLOWED_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "serve:batching", CCZ_SCHED_ALLOWED_MAX + 1,
                              CCZ_SCHED_ALLOWED_MAX);
    b->allowed_batch_sizes[b->allowed_len++] = (int64_t)v;
    return CCZ_OK;
}

static ccz_rc put_allowed(struct ccz_sched_batching *b, const struct ccz_pb_field *f,
                          struct ccz_err *err)
{
    if (f->wire == CCZ_PB_VARINT)
        return add_allowed(b, f->num, err);
    struct ccz_rd r = ccz_rd_from(f->bytes);
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && r.left > 0)
        rc = add_allowed(b, ccz_pb_varint(&r), err);
    return rc;
}

static ccz_rc put_number(int64_t *out, const char *name, int64_t min, const struct ccz_pb_field *f,
                         struct ccz_err *err)
{
    *out = (int64_t)unwrap(f->bytes).num;
    if (*out >= min && *out <= INT32_MAX)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "serve:batching", *out,
                    "%s: got %" PRId64 ", expected %" PRId64 " to %d", name, *out, min, INT32_MAX);
}

static ccz_rc batching_field(struct ccz_sched_batching *b, const struct ccz_pb_field *f,
                             struct ccz_err *err)
{
    switch (f->number) {
    case 1:
        return put_number(&b->max_batch_size, "max_batch_size", 1, f, err);
    case 2:
        return put_number(&b->batch_timeout_us, "batch_timeout_micros", 0, f, err);
    case 3:
        return put_number(&b->max_enqueued_batches, "max_enqueued_batches", 1, f, err);
    case 4:
        return put_number(&b->num_batch_threads, "num_batch_threads", 1, f, err);
    case 5:
        return copy_text(b->thread_pool_name, sizeof(b->thread_pool_name), unwrap(f->bytes).bytes,
                         "serve:batching", err);
    case 6:
        return put_allowed(b, f, err);
    case 7:
        b->pad_variable_length_inputs = f->num != 0;
        return CCZ_OK;
    case 8:
        b->enable_large_batch_splitting = unwrap(f->bytes).num != 0;
        return CCZ_OK;
    default:
        return put_number(&b->max_execution_batch_size, "max_execution_batch_size", 1, f, err);
    }
}

ccz_rc ccz_serve_read_batching(struct ccz_sched_batching *out, struct ccz_buf *notes,
                               struct ccz_span in, enum ccz_serve_form form, struct ccz_err *err)
{
    struct ccz_sched_batching b = {0};
    struct ccz_span wire;
    CCZ_AUTO_BUF buf = room();
    struct ccz_pb_field f;
    *out = b;
    buf.wipe = false;
    ccz_rc rc = cczi_config_wire(&wire, &buf, in, form, &cczi_batching_parameters, err);
    struct ccz_rd r = ccz_rd_from(wire);
    cczi_config_note(notes, "", wire, &cczi_batching_parameters);
    while (rc == CCZ_OK && ccz_pb_next(&f, &r))
        rc = batching_field(&b, &f, err);
    if (rc == CCZ_OK) /* what the fields say of each other */
        rc = ccz_sched_batching_check(&b, err);
    b.on = true;
    if (rc == CCZ_OK)
        *out = b;
    return rc;
}

/* ------------------------------------------------------------------------ TLS */

void ccz_serve_ssl_free(struct ccz_serve_ssl *s)
{
    ccz_secret_free(s->server_key);
    free(s->server_cert);
    free(s->custom_ca);
    *s = (struct ccz_serve_ssl){0};
}

static ccz_rc ssl_field(struct ccz_serve_ssl *s, const struct ccz_pb_field *f, struct ccz_err *err)
{
    char **text = f->number == 2 ? &s->server_cert : &s->custom_ca;
    if (f->number == 4) {
        s->client_verify = f->num != 0;
        return CCZ_OK;
    }
    if (f->number == 1) {
        ccz_rc rc =
            f->bytes.size ? ccz_secret_from(&s->server_key, f->bytes.ptr, f->bytes.size) : CCZ_OK;
        return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "serve:ssl", 0, "server_key: no room");
    }
    free(*text);
    *text = malloc(f->bytes.size + 1);
    if (!*text)
        return ccz_fail(err, CCZ_E_NOMEM, "serve:memory", 0, "out of memory");
    return copy_text(*text, f->bytes.size + 1, f->bytes, "serve:ssl", err);
}

static ccz_rc ssl_whole(const struct ccz_serve_ssl *s, struct ccz_err *err)
{
    if (!s->server_cert || !s->custom_ca)
        return ccz_fail(err, CCZ_E_NOMEM, "serve:memory", 0, "out of memory");
    if (!s->server_key != !s->server_cert[0])
        return ccz_fail(err, CCZ_E_ARG, "serve:ssl", 0,
                        "got one of server_key and server_cert, expected both or none");
    if (s->client_verify && !s->custom_ca[0])
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_ARG, "serve:ssl", 0,
                                 "got client_verify without custom_ca, expected whom to trust"),
                        "put the PEM of the clients' authority into custom_ca");
    return CCZ_OK;
}

ccz_rc ccz_serve_read_ssl(struct ccz_serve_ssl *out, struct ccz_buf *notes, struct ccz_span in,
                          enum ccz_serve_form form, struct ccz_err *err)
{
    struct ccz_serve_ssl s = {.server_cert = strdup(""), .custom_ca = strdup("")};
    struct ccz_span wire;
    CCZ_AUTO_BUF buf = room();
    struct ccz_pb_field f;
    *out = (struct ccz_serve_ssl){0};
    ccz_rc rc = cczi_config_wire(&wire, &buf, in, form, &cczi_ssl_config, err);
    struct ccz_rd r = ccz_rd_from(wire);
    cczi_config_note(notes, "", wire, &cczi_ssl_config);
    while (rc == CCZ_OK && ccz_pb_next(&f, &r))
        rc = ssl_field(&s, &f, err);
    if (rc == CCZ_OK)
        rc = ssl_whole(&s, err);
    if (rc == CCZ_OK)
        *out = s;
    else
        ccz_serve_ssl_free(&s);
    return rc;
}

/* ------------------------------------------------------------------------ monitoring, sessions, platforms */

ccz_rc ccz_serve_read_monitoring(struct ccz_serve_monitoring *out, struct ccz_buf *notes,
                                 struct ccz_span in, enum ccz_serve_form form, struct ccz_err *err)
{
    struct ccz_serve_monitoring m = {.path = CCZ_SERVE_METRICS_PATH};
    struct ccz_span wire;
    CCZ_AUTO_BUF buf = room();
    struct ccz_pb_field f;
    *out = (struct ccz_serve_monitoring){0};
    buf.wipe = false;
    ccz_rc rc = cczi_config_wire(&wire, &buf, in, form, &cczi_monitoring_config, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_config_note(notes, "", wire, &cczi_monitoring_config);
    struct ccz_rd r = ccz_rd_from(unwrap(wire).bytes);
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        if (f.number == 1)
            m.prometheus = f.num != 0;
        else if (f.bytes.size > 0)
            rc = copy_text(m.path, sizeof(m.path), f.bytes, "serve:monitoring", err);
    }
    if (rc == CCZ_OK && m.path[0] != '/')
        rc = ccz_refuse(err, CCZ_E_ARG, "serve:monitoring", m.path, "a path that begins with '/'");
    if (rc == CCZ_OK)
        *out = m;
    return rc;
}

ccz_rc ccz_serve_read_session(struct ccz_serve_session *out, struct ccz_buf *notes,
                              struct ccz_span in, enum ccz_serve_form form, struct ccz_err *err)
{
    struct ccz_serve_session s = {0};
    struct ccz_span wire;
    CCZ_AUTO_BUF buf = room();
    struct ccz_pb_field f;
    *out = s;
    buf.wipe = false;
    ccz_rc rc = cczi_config_wire(&wire, &buf, in, form, &cczi_config_proto, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_config_note(notes, "", wire, &cczi_config_proto);
    struct ccz_rd r = ccz_rd_from(wire);
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 2)
            s.intra_threads = (int32_t)f.num;
        else if (f.number == 5)
            s.inter_threads = (int32_t)f.num;
    }
    if (s.intra_threads < 0 || s.inter_threads < 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "serve:threads",
                              s.intra_threads < 0 ? s.intra_threads : s.inter_threads, 0);
    *out = s;
    return CCZ_OK;
}

ccz_rc ccz_serve_read_platforms(struct ccz_buf *notes, struct ccz_span in, enum ccz_serve_form form,
                                struct ccz_err *err)
{
    struct ccz_span wire;
    CCZ_AUTO_BUF buf = room();
    struct ccz_pb_field f;
    char name[64];
    buf.wipe = false;
    ccz_rc rc = cczi_config_wire(&wire, &buf, in, form, &cczi_platform_config_map, err);
    struct ccz_rd r = ccz_rd_from(rc == CCZ_OK ? wire : (struct ccz_span){0});
    while (notes && ccz_pb_next(&f, &r)) {
        ccz_escape(name, sizeof(name), unwrap(f.bytes).bytes);
        ccz_buf_printf(notes, "platform_configs of \"%s\" has no effect here\n", name);
    }
    return rc;
}
