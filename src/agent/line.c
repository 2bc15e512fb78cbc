/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers, one line each: words with one space between them. */
#include "agent_priv.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t words; /* behind the verb */
} verbs[] = {
    [CCZI_AGENT_HELLO] = {"hello", 1},
    [CCZI_AGENT_UNWRAP] = {"unwrap", 2},
    [CCZI_AGENT_WRAP] = {"wrap", 2},
    [CCZI_AGENT_SECRET] = {"secret", 1},
};
enum { VERBS_LEN = sizeof(verbs) / sizeof(verbs[0]), WORDS_MAX = 3 };

/* Splits at single spaces. @return words, 0 if there are too many, one is empty, or a byte is not printable. */
static size_t split(struct ccz_span word[WORDS_MAX], struct ccz_span line)
{
    size_t len = 0, from = 0;
    for (size_t i = 0; i <= line.size; i++) {
        if (i < line.size && line.ptr[i] != ' ') {
            if (line.ptr[i] < 0x21 || line.ptr[i] > 0x7e)
                return 0;
            continue;
        }
        if (i == from || len == WORDS_MAX)
            return 0;
        word[len++] = ccz_span_sub(line, from, i - from);
        from = i + 1;
    }
    return len;
}

/* The rule of kms.h. The KMS looks again; here it keeps ".." out of folders of names. */
static bool name_ok(struct ccz_span t)
{
    bool first = true; /* of a segment */
    if (t.size == 0 || t.size >= CCZ_KMS_NAME_SIZE || t.ptr[t.size - 1] == '/')
        return false;
    for (size_t i = 0; i < t.size; i++) {
        uint8_t c = t.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-';
        if (c == '/' ? first : !plain && (c != '.' || first))
            return false;
        first = c == '/';
    }
    return true;
}

ccz_rc cczi_agent_request_parse(struct cczi_agent_request *out, struct ccz_span line,
                                struct ccz_err *err)
{
    struct ccz_span word[WORDS_MAX];
    size_t len = split(word, line);
    *out = (struct cczi_agent_request){0};
    size_t v = 1;
    while (v < VERBS_LEN && (len == 0 || !ccz_span_eq(word[0], ccz_span_str(verbs[v].name))))
        v++;
    if (v == VERBS_LEN || len != verbs[v].words + 1) {
        char got[32]; /* the verb at most: what follows may be a key */
        ccz_escape(got, sizeof(got), len ? word[0] : CCZ_SPAN("", 0));
        return ccz_refuse(err, CCZ_E_FORMAT, "agent:request", got,
                          "hello VERSION, unwrap NAME TEXT, wrap NAME BASE64, secret NAME");
    }
    if (v != CCZI_AGENT_HELLO && !name_ok(word[1])) {
        char got[CCZ_ERR_VALUE_SIZE];
        ccz_escape(got, sizeof(got), word[1]);
        return ccz_refuse(err, CCZ_E_FORMAT, "agent:name", got,
                          "1..128 of [A-Za-z0-9._-] in segments split by /");
    }
    out->verb = (enum cczi_agent_verb)v;
    out->verb_name = verbs[v].name;
    out->name = word[1];
    if (len == WORDS_MAX)
        out->value = word[2];
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ answers */

/* In quotes on one line. Backslashes stay: what is in an error was escaped where it came from. */
static void put_field(struct ccz_buf *out, const char *name, const char *value)
{
    if (!value[0])
        return;
    ccz_buf_printf(out, " %s=\"", name);
    for (; *value; value++)
        if (*value < 0x20 || *value > 0x7e || *value == '"')
            ccz_buf_printf(out, "\\x%02x", (unsigned)(uint8_t)*value);
        else
            ccz_buf_put(out, value, 1);
    ccz_buf_put_str(out, "\"");
}

void cczi_agent_put_error(struct ccz_buf *out, const struct ccz_err *err)
{
    ccz_buf_printf(out, "no rc=%s", ccz_rc_name(err->rc));
    put_field(out, "where", err->where);
    put_field(out, "got", err->got);
    put_field(out, "expected", err->expected);
    put_field(out, "hint", err->hint);
    put_field(out, "msg", err->msg);
    ccz_buf_put_str(out, "\n");
}

/* The text of ` name="text"`, or "". It was escaped; what is not printable all the same is not passed on. */
static void take_field(char *out, size_t out_size, struct ccz_span line, const char *name)
{
    char start[16];
    size_t n = (size_t)snprintf(start, sizeof(start), " %s=\"", name), to = 0;
    out[0] = 0;
    for (size_t i = 0; i + n <= line.size; i++) {
        if (memcmp(line.ptr + i, start, n) != 0)
            continue;
        for (i += n; i < line.size && line.ptr[i] != '"' && to + 1 < out_size; i++)
            out[to++] = line.ptr[i] >= 0x20 && line.ptr[i] < 0x7f ? (char)line.ptr[i] : '?';
        out[to] = 0;
        return;
    }
}

/* The word behind "no rc=", if it is one of ours that means failure. */
static bool take_rc(ccz_rc *out, struct ccz_span line)
{
    static const struct {
        const char *name;
        ccz_rc rc;
    } codes[] = {
#define X(name, value, text) {"CCZ_" #name, CCZ_##name},
        CCZ_RC_MAP(X)
#undef X
    };
    static const char start[] = "no rc=";
    const size_t n = sizeof(start) - 1;
    if (line.size < n || memcmp(line.ptr, start, n) != 0)
        return false;
    size_t end = n;
    while (end < line.size && line.ptr[end] != ' ')
        end++;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].rc != CCZ_OK &&
            ccz_span_eq(ccz_span_sub(line, n, end - n), ccz_span_str(codes[i].name))) {
            *out = codes[i].rc;
            return true;
        }
    return false;
}

ccz_rc cczi_agent_answer_parse(struct ccz_span *value, struct ccz_span line, struct ccz_err *err)
{
    *value = CCZ_SPAN(NULL, 0);
    if (line.size > 3 && memcmp(line.ptr, "ok ", 3) == 0) {
        *value = ccz_span_sub(line, 3, line.size - 3);
        return CCZ_OK;
    }
    ccz_rc rc;
    if (!take_rc(&rc, line))
        return ccz_fail(err, CCZ_E_PEER, "agent:answer", (int64_t)line.size,
                        "this is no answer of an agent");
    struct ccz_err e = {.rc = rc};
    take_field(e.where, sizeof(e.where), line, "where");
    take_field(e.got, sizeof(e.got), line, "got");
    take_field(e.expected, sizeof(e.expected), line, "expected");
    take_field(e.hint, sizeof(e.hint), line, "hint");
    take_field(e.msg, sizeof(e.msg), line, "msg");
    if (err)
        *err = e;
    return rc;
}
