/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON Schema of policies, from the table of fields: it cannot say another thing than the parser does. */
#include "policy/policy_priv.h"

#define TIME_PATTERN "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"

static const enum ccz_tee tees[] = {CCZ_TEE_SGX, CCZ_TEE_TDX, CCZ_TEE_SNP};
enum { TEES_LEN = sizeof(tees) / sizeof(tees[0]) };

/* {"required": [..]} of one set of fields that pin. */
static void put_pin(struct ccz_buf *out, const struct cczi_pin *p)
{
    ccz_buf_put_str(out, "{\"required\": [");
    for (size_t i = 0; i < sizeof(p->field) / sizeof(p->field[0]) && p->field[i]; i++)
        ccz_buf_printf(out, "%s\"%s\"", i ? ", " : "", p->field[i]);
    ccz_buf_put_str(out, "]}");
}

/* Members named after the fields of a TEE that have all of @p flags. */
static void put_fields(struct ccz_buf *out, enum ccz_tee tee, unsigned flags)
{
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        if (f->tees & 1u << tee && (f->flags & flags) == flags)
            ccz_buf_printf(out, ",\n        \"%s\": {\"$ref\": \"#/$defs/%s\"}", f->name, f->name);
    }
}

static void put_rule(struct ccz_buf *out, enum ccz_tee tee)
{
    const char *name = ccz_tee_name(tee), *comma = "";
    ccz_buf_printf(out, "    \"%s_rule\": {\n      \"type\": \"object\",\n", name);
    ccz_buf_put_str(out, "      \"required\": [\"name\", \"tee\"],\n      \"anyOf\": [");
    for (size_t i = 0; i < cczi_pins_len; i++) {
        if (cczi_pins[i].tee != tee)
            continue;
        ccz_buf_put_str(out, comma);
        put_pin(out, &cczi_pins[i]);
        comma = ", ";
    }
    ccz_buf_printf(out,
                   "],\n      \"additionalProperties\": false,\n      \"properties\": {\n"
                   "        \"name\": {\"$ref\": \"#/$defs/name\"},\n"
                   "        \"tee\": {\"const\": \"%s\"},\n"
                   "        \"description\": {\"type\": \"string\"},\n"
                   "        \"grace\": {\"$ref\": \"#/$defs/%s_grace\"}",
                   name, name);
    put_fields(out, tee, 0);
    ccz_buf_printf(out,
                   "\n      }\n    },\n    \"%s_grace\": {\n      \"type\": \"object\",\n"
                   "      \"required\": [\"until\"],\n      \"minProperties\": 2,\n"
                   "      \"additionalProperties\": false,\n      \"properties\": {\n"
                   "        \"until\": {\"$ref\": \"#/$defs/time\"}",
                   name);
    put_fields(out, tee, CCZI_GRACE);
    ccz_buf_put_str(out, "\n      }\n    },\n");
}

void ccz_policy_schema(struct ccz_buf *out)
{
    ccz_buf_printf(
        out,
        "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
        "  \"title\": \"CCZoo appraisal policy\",\n  \"type\": \"object\",\n"
        "  \"anyOf\": [{\"maxProperties\": 0}, {\"required\": [\"version\"]}],\n"
        "  \"additionalProperties\": false,\n  \"properties\": {\n"
        "    \"version\": {\"const\": 1},\n    \"description\": {\"type\": \"string\"},\n"
        "    \"rules\": {\"type\": \"array\", \"maxItems\": %d, \"items\": {\"oneOf\": [",
        CCZ_POLICY_RULES_MAX);
    for (size_t i = 0; i < TEES_LEN; i++)
        ccz_buf_printf(out, "%s{\"$ref\": \"#/$defs/%s_rule\"}", i ? ", " : "",
                       ccz_tee_name(tees[i]));
    ccz_buf_put_str(out, "]}}\n  },\n  \"$defs\": {\n");
    ccz_buf_put_str(out,
                    "    \"name\": {\"type\": \"string\", \"pattern\": "
                    "\"^[A-Za-z0-9 ._-]{1,63}$\"},\n"
                    "    \"time\": {\"type\": \"string\", \"pattern\": \"" TIME_PATTERN "\"},\n"
                    "    \"reference\": {\"type\": \"object\", \"required\": [\"reference\"], "
                    "\"additionalProperties\": false, \"properties\": {\"reference\": {\"type\": "
                    "\"string\", \"pattern\": \"^[A-Za-z0-9._/-]{1,128}$\"}}},\n");
    for (size_t i = 0; i < TEES_LEN; i++)
        put_rule(out, tees[i]);
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        ccz_buf_printf(out, "    \"%s\": ", f->name);
        f->kind->schema(out, f);
        ccz_buf_put_str(out, i + 1 < cczi_fields_len ? ",\n" : "\n");
    }
    ccz_buf_put_str(out, "  }\n}\n");
}
