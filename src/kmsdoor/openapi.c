/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI 3.1, from the tables that the transcoder reads. One line of JSON a thing, so that changes can be read. */
#include "kms/kms_methods.h"
#include "shape.h"

#include <cczoo/codec.h>
#include <cczoo/kms_door.h>

#include <string.h>

/* One text for any bytes: whole, and without stray bits. */
static const char base64_pattern[] =
    ", \"pattern\": "
    "\"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$\"";

/* The schema of one value. A request may say null for what it leaves out, and give 64-bit numbers in either form. */
static void put_type(struct ccz_buf *out, const struct cczi_shape_field *f, bool request)
{
    const char *null = request ? ", \"null\"" : "";
    switch (f->kind) {
    case CCZI_SHAPE_STRING:
        ccz_buf_printf(out, "\"type\": [\"string\"%s]", null);
        break;
    case CCZI_SHAPE_BYTES:
        ccz_buf_printf(out, "\"type\": [\"string\"%s], \"contentEncoding\": \"base64\"%s", null,
                       request ? base64_pattern : "");
        break;
    case CCZI_SHAPE_BOOL:
        ccz_buf_printf(out, "\"type\": [\"boolean\"%s]", null);
        break;
    case CCZI_SHAPE_UINT32:
        ccz_buf_printf(out, "\"type\": [\"integer\"%s], \"minimum\": 0, \"maximum\": 4294967295",
                       null);
        break;
    case CCZI_SHAPE_UINT64:
    case CCZI_SHAPE_INT64:
        if (request)
            ccz_buf_put_str(out, "\"type\": [\"string\", \"integer\", \"null\"], \"pattern\": "
                                 "\"^(0|[1-9][0-9]{0,18})$\", \"minimum\": 0, \"maximum\": "
                                 "9223372036854775807");
        else
            ccz_buf_printf(out, "\"type\": \"string\", \"pattern\": \"%s\"",
                           f->kind == CCZI_SHAPE_UINT64 ? "^[0-9]+$" : "^-?[0-9]+$");
        break;
    case CCZI_SHAPE_MESSAGE:
        ccz_buf_printf(out, "\"$ref\": \"#/components/schemas/%s\"", f->of->name);
        break;
    }
}

static void put_text(struct ccz_buf *out, const char *name, const char *text)
{
    if (!text[0])
        return;
    ccz_buf_printf(out, ", \"%s\": ", name);
    ccz_json_put_str(out, ccz_span_str(text));
}

/* What a schema cannot say about texts: how one looks that is taken. */
static const struct {
    const char *field, *text;
} examples[] = {
    {"name", "models/fmnist"},
    {"item", "secret/models/fmnist"},
    {"target", "secret/models/fmnist"},
    {"alg", "aes-256"},
    {"namespace", "models"},
    {"method", "PutPolicy"},
    {"id", "D17"},
    {"label", "Anne (ops)"},
};

static void put_example(struct ccz_buf *out, const struct cczi_shape_field *f)
{
    for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++)
        if (f->kind == CCZI_SHAPE_STRING && strcmp(f->name, examples[i].field) == 0)
            ccz_buf_printf(out, ", \"examples\": [\"%s\"]", examples[i].text);
}

static void put_property(struct ccz_buf *out, const struct cczi_shape_field *f, bool request)
{
    ccz_buf_printf(out, "          \"%s\": {", f->json);
    if (f->repeated)
        ccz_buf_put_str(out, "\"type\": \"array\", \"items\": {");
    put_type(out, f, request);
    if (f->repeated)
        ccz_buf_put_str(out, "}");
    else if (request)
        put_example(out, f);
    put_text(out, "description", f->text);
    ccz_buf_put_str(out, "}");
}

static void put_schema(struct ccz_buf *out, const struct cczi_shape *s, bool request)
{
    ccz_buf_printf(out, ",\n      \"%s\": {\n        \"type\": \"object\",\n", s->name);
    ccz_buf_put_str(out, "        \"properties\": {\n");
    for (size_t i = 0; i < s->len; i++) {
        put_property(out, &s->fields[i], request);
        ccz_buf_put_str(out, i + 1 < s->len ? ",\n" : "\n");
    }
    /* clients outlive servers: an answer may gain members, a request that is not understood is refused */
    ccz_buf_printf(out, "        }%s\n      }",
                   request ? ",\n        \"additionalProperties\": false" : "");
}

static bool served(const struct cczi_shape_method *m)
{
    return cczi_kms_method_known(m->name);
}

/* 1 in requests, 2 in answers, 3 in both; messages in messages are found from the ones around them. */
static unsigned used_in(const struct cczi_shape *s, unsigned depth)
{
    unsigned use = 0;
    for (size_t i = 0; i < cczi_shape_methods_len; i++) {
        const struct cczi_shape_method *m = &cczi_shape_methods[i];
        if (served(m))
            use |= (m->request == s ? 1u : 0) | (m->response == s ? 2u : 0);
    }
    for (size_t i = 0; depth && i < cczi_shapes_len; i++)
        for (size_t k = 0; k < cczi_shapes[i]->len; k++)
            if (cczi_shapes[i]->fields[k].of == s)
                use |= used_in(cczi_shapes[i], depth - 1);
    return use;
}

static const struct {
    unsigned status;
    const char *text;
} refusals[] = {
    {400, "The request is malformed, or asks for what is not there to be asked for."},
    {401, "Who are you: neither a client certificate nor a token that verifies."},
    {403, "Refused: no role, not the right one, or a policy says no."},
    {404, "There is no such thing."},
    {409, "It exists, is used, or has changed meanwhile."},
    {413, "The request is too large."},
    {415, "The request is not application/json."},
    {429, "Too many requests; Retry-After says when to come again."},
    {500, "The server is at fault."},
    {503, "Busy, sealed, or the store is away."},
};

static void put_method(struct ccz_buf *out, const struct cczi_shape_method *m)
{
    ccz_buf_printf(out, ",\n    \"/v1/%s\": {\n      \"post\": {\n", m->name);
    ccz_buf_printf(out, "        \"operationId\": \"%s\"", m->name);
    put_text(out, "description", m->text);
    ccz_buf_printf(out,
                   ",\n        \"requestBody\": {\"required\": true, \"content\": "
                   "{\"application/json\": {\"schema\": "
                   "{\"$ref\": \"#/components/schemas/%s\"}}}},\n",
                   m->request->name);
    ccz_buf_printf(out,
                   "        \"responses\": {\n          \"200\": {\"description\": \"Done.\", "
                   "\"content\": {\"application/json\": {\"schema\": "
                   "{\"$ref\": \"#/components/schemas/%s\"}}}}",
                   m->response->name);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
        ccz_buf_printf(out, ",\n          \"%u\": {\"$ref\": \"#/components/responses/E%u\"}",
                       refusals[i].status, refusals[i].status);
    ccz_buf_put_str(out, "\n        }\n      }\n    }");
}

static const char head[] =
    "{\n"
    "  \"openapi\": \"3.1.0\",\n"
    "  \"info\": {\"title\": \"CCZoo attestation server & KMS\", \"version\": \"1\", \"license\": "
    "{\"name\": \"Apache-2.0\", \"identifier\": \"Apache-2.0\"}, \"description\": \"The methods of "
    "cczoo.kms.v1.Kms with messages as proto3 JSON: bytes are base64, 64-bit numbers strings, "
    "absent "
    "members have their zero value.\"},\n"
    "  \"security\": [{\"token\": []}, {\"certificate\": []}],\n"
    "  \"paths\": {\n"
    "    \"/healthz\": {\"get\": {\"operationId\": \"healthz\", \"security\": [], \"description\": "
    "\"The process is alive.\", \"responses\": {\"200\": {\"description\": \"It is.\", "
    "\"content\": "
    "{\"text/plain\": {\"schema\": {\"type\": \"string\"}}}}}}},\n"
    "    \"/readyz\": {\"get\": {\"operationId\": \"readyz\", \"security\": [], \"description\": "
    "\"The store is open and answers, the collateral has not expired.\", \"responses\": {\"200\": "
    "{\"description\": \"It can work.\", \"content\": {\"application/json\": {\"schema\": "
    "{\"type\": \"object\", \"properties\": {\"ready\": {\"type\": \"boolean\"}}, \"required\": "
    "[\"ready\"]}}}}, \"503\": {\"$ref\": \"#/components/responses/E503\"}}}}";

static const char components[] =
    "\n  },\n"
    "  \"components\": {\n"
    "    \"securitySchemes\": {\n"
    "      \"token\": {\"type\": \"http\", \"scheme\": \"bearer\", \"bearerFormat\": \"JWT\"},\n"
    "      \"certificate\": {\"type\": \"mutualTLS\", \"description\": \"Its key has a role; "
    "nothing "
    "else in it counts.\"}\n"
    "    },\n"
    "    \"responses\": {\n";

static const char error_schema[] = "    },\n"
                                   "    \"schemas\": {\n"
                                   "      \"Error\": {\n"
                                   "        \"type\": \"object\",\n"
                                   "        \"properties\": {\n"
                                   "          \"where\": {\"type\": \"string\", \"description\": "
                                   "\"Step that refused; stable.\"},\n"
                                   "          \"message\": {\"type\": \"string\"},\n"
                                   "          \"got\": {\"type\": \"string\"},\n"
                                   "          \"expected\": {\"type\": \"string\"},\n"
                                   "          \"hint\": {\"type\": \"string\"},\n"
                                   "          \"decision\": {\"type\": \"string\"}\n"
                                   "        },\n"
                                   "        \"required\": [\"where\"]\n"
                                   "      }";

void ccz_kms_door_openapi(struct ccz_buf *out)
{
    ccz_buf_put_str(out, head);
    for (size_t i = 0; i < cczi_shape_methods_len; i++)
        if (served(&cczi_shape_methods[i]))
            put_method(out, &cczi_shape_methods[i]);
    ccz_buf_put_str(out, components);
    size_t len = sizeof(refusals) / sizeof(*refusals);
    for (size_t i = 0; i < len; i++) {
        ccz_buf_printf(out, "      \"E%u\": {\"description\": ", refusals[i].status);
        ccz_json_put_str(out, ccz_span_str(refusals[i].text));
        ccz_buf_printf(out,
                       ", \"content\": {\"application/json\": {\"schema\": {\"$ref\": "
                       "\"#/components/schemas/Error\"}}}}%s\n",
                       i + 1 < len ? "," : "");
    }
    ccz_buf_put_str(out, error_schema);
    for (size_t i = 0; i < cczi_shapes_len; i++) {
        unsigned use = used_in(cczi_shapes[i], 4);
        if (use)
            put_schema(out, cczi_shapes[i], (use & 1) != 0);
    }
    ccz_buf_put_str(out, "\n    }\n  }\n}\n");
}
