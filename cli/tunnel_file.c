/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file of `cczoo tunnel run`: limits at the top, a list of tunnels. What is not known is refused. */
#include "tunnel.h"

#include <string.h>

struct field {
    const char *key;
    const char **text;
    int64_t *number;
    bool *flag;
};

static ccz_rc refuse(struct ccz_err *err, const char *key, const char *what)
{
    char name[64];
    ccz_escape(name, sizeof(name), ccz_span_str(key));
    return ccz_fail(err, CCZ_E_FORMAT, "tunnel:file", 0, "\"%s\": %s", name, what);
}

static ccz_rc set_field(const struct field *f, const struct ccz_json *v, struct ccz_err *err)
{
    if (f->text) {
        *f->text = ccz_json_str(v);
        return *f->text ? CCZ_OK : refuse(err, f->key, "a text is expected");
    }
    if (f->number)
        return ccz_json_int(f->number, v) ? CCZ_OK : refuse(err, f->key, "a number is expected");
    return ccz_json_bool(f->flag, v) ? CCZ_OK : refuse(err, f->key, "true or false is expected");
}

/* @param fields  ends with a zeroed one @param skip  a key for the caller, or NULL */
static ccz_rc read_object(const struct ccz_json *object, const struct field *fields,
                          const char *skip, struct ccz_err *err)
{
    const char *key = NULL;
    const struct ccz_json *v;
    if (ccz_json_type(object) != CCZ_JSON_OBJECT)
        return ccz_fail(err, CCZ_E_FORMAT, "tunnel:file", 0, "an object is expected");
    while ((v = ccz_json_next(&key, object)) != NULL) {
        if (skip && strcmp(key, skip) == 0)
            continue;
        const struct field *f = fields;
        while (f->key && strcmp(f->key, key) != 0)
            f++;
        ccz_rc rc = f->key ? set_field(f, v, err) : refuse(err, key, "unknown");
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

static ccz_rc read_tunnel(struct cli_tunnel *t, const struct ccz_json *object, struct ccz_err *err)
{
    struct cli_tunnel_end *e = &t->ends[t->ends_len];
    struct cli_tunnel_map *m = &t->maps[t->maps_len];
    const char *side = NULL;
    const struct field fields[] = {
        {"name", &m->name, NULL, NULL},
        {"side", &side, NULL, NULL},
        {"listen", &m->listen, NULL, NULL},
        {"connect", &m->connect, NULL, NULL},
        {"policy", &e->policy, NULL, NULL},
        {"trust_sim", &e->trust_sim, NULL, NULL},
        {"collateral", &e->collateral, NULL, NULL},
        {"collateral_from", &e->collateral_from, NULL, NULL},
        {"collateral_ca_file", &e->collateral_ca_file, NULL, NULL},
        {"tee", &e->tee, NULL, NULL},
        {"sim_dir", &e->sim_dir, NULL, NULL},
        {"profile", &e->profile, NULL, NULL},
        {"reattest_s", NULL, &e->reattest_s, NULL},
        {"proxy_v2", NULL, NULL, &e->proxy_v2},
        {"proxy_v2_short", NULL, NULL, &e->proxy_v2_short},
        {0},
    };
    ccz_rc rc = read_object(object, fields, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    if (!side || (strcmp(side, "client") != 0 && strcmp(side, "server") != 0))
        return refuse(err, "side", "\"client\" or \"server\" is expected");
    if (!m->listen || !m->connect)
        return refuse(err, m->listen ? "connect" : "listen", "missing");
    e->side = strcmp(side, "client") == 0 ? CCZ_TUNNEL_OUT : CCZ_TUNNEL_IN;
    m->end = t->ends_len++;
    t->maps_len++;
    return CCZ_OK;
}

ccz_rc cli_tunnel_read(struct cli_tunnel *t, const char *file, struct ccz_err *err)
{
    const struct field fields[] = {
        {"threads", NULL, &t->threads, NULL},       {"connections", NULL, &t->connections, NULL},
        {"idle_s", NULL, &t->idle_s, NULL},         {"handshake_s", NULL, &t->handshake_s, NULL},
        {"connect_s", NULL, &t->connect_s, NULL},   {"grace_s", NULL, &t->grace_s, NULL},
        {"buffer_kib", NULL, &t->buffer_kib, NULL}, {0},
    };
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CLI_TUNNEL_FILE_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, file, err);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(&t->file, ccz_buf_span(&text), err);
    if (rc == CCZ_OK)
        rc = read_object(t->file, fields, "tunnels", err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_json *list = ccz_json_get(t->file, "tunnels");
    size_t len = ccz_json_type(list) == CCZ_JSON_ARRAY ? ccz_json_len(list) : 0;
    if (len == 0 || len > CLI_TUNNEL_MAPS_MAX)
        return refuse(err, "tunnels", "a list of 1 to 256 tunnels is expected");
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = read_tunnel(t, ccz_json_at(list, i), err);
    return rc;
}
