/* SPDX-License-Identifier: Apache-2.0 */
/* What goes where, as it is written on a command line. */
#include "handover/handover_priv.h"

#include <stdio.h>
#include <string.h>

enum { VERSION_MAX = 1000000000, DIGITS_MAX = 9 };

static bool is_letter(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

bool ccz_handover_is_variable(struct ccz_span name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.ptr[i] != '_' && !is_letter(name.ptr[i]) && (i == 0 || !is_digit(name.ptr[i])))
            return false;
    return name.size > 0;
}

static ccz_rc bad(struct ccz_err *err, const char *text, const char *why)
{
    char shown[96];
    ccz_escape(shown, sizeof(shown), ccz_span_str(text));
    ccz_rc rc = ccz_fail(err, CCZ_E_FORMAT, "handover:spec", 0, "%s: %s", shown, why);
    return ccz_hint(err, rc,
                    "ITEM[@VERSION]=fd[:N|:VAR], path:VAR, file[:PATH], tmpfs:PATH or env:VAR");
}

/* A number without sign or leading zero; -1 if it is none. */
static int64_t number(struct ccz_span s)
{
    int64_t n = 0;
    if (s.size == 0 || s.size > DIGITS_MAX || (s.size > 1 && s.ptr[0] == '0'))
        return -1;
    for (size_t i = 0; i < s.size; i++) {
        if (!is_digit(s.ptr[i]))
            return -1;
        n = n * 10 + (s.ptr[i] - '0');
    }
    return n;
}

static bool copy_text(char *out, size_t size, struct ccz_span s)
{
    if (s.size == 0 || s.size >= size)
        return false;
    memcpy(out, s.ptr, s.size);
    out[s.size] = 0;
    return true;
}

static bool is_path(struct ccz_span s)
{
    if (s.size < 2 || s.ptr[0] != '/')
        return false;
    for (size_t start = 1, i = 1; i <= s.size; i++) {
        if (i < s.size && s.ptr[i] != '/')
            continue;
        struct ccz_span segment = ccz_span_sub(s, start, i - start);
        if (segment.size == 0 || ccz_span_eq(segment, ccz_span_str(".")) ||
            ccz_span_eq(segment, ccz_span_str("..")))
            return false;
        start = i + 1;
    }
    return true;
}

/* The variable and the file that stand for an item of which nothing else was said. */
static void default_names(struct ccz_handover_spec *s)
{
    (void)snprintf(s->var, sizeof(s->var), "CCZOO_%s", s->item);
    for (char *p = s->var; *p; p++) {
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
        else if (!is_letter((uint8_t)*p) && !is_digit((uint8_t)*p))
            *p = '_';
    }
    if (s->form != CCZ_HANDOVER_FILE)
        return;
    (void)snprintf(s->path, sizeof(s->path), "%s/%s", CCZ_HANDOVER_DIR, s->item);
    for (char *p = s->path + strlen(CCZ_HANDOVER_DIR) + 1; *p; p++)
        if (*p == '/')
            *p = '-';
}

static const struct {
    const char *name;
    enum ccz_handover_form form;
    bool may_lack_target, has_number, has_path;
} forms[] = {{"fd", CCZ_HANDOVER_FD, true, true, false},
             {"path", CCZ_HANDOVER_PATH, false, false, false},
             {"file", CCZ_HANDOVER_FILE, true, false, true},
             {"tmpfs", CCZ_HANDOVER_TMPFS, false, false, true},
             {"env", CCZ_HANDOVER_ENV, false, false, false}};
enum { FORMS_LEN = sizeof(forms) / sizeof(forms[0]) };

/* FORM[:TARGET]; returns what is wrong, or NULL. */
static const char *parse_form(struct ccz_handover_spec *s, struct ccz_span how)
{
    const uint8_t *colon = how.size ? memchr(how.ptr, ':', how.size) : NULL;
    struct ccz_span name = ccz_span_sub(how, 0, colon ? (size_t)(colon - how.ptr) : how.size);
    struct ccz_span target =
        colon ? ccz_span_sub(how, name.size + 1, how.size - name.size - 1) : (struct ccz_span){0};
    size_t f = 0;
    while (f < FORMS_LEN && !ccz_span_eq(name, ccz_span_str(forms[f].name)))
        f++;
    if (f == FORMS_LEN)
        return "no such form";
    s->form = forms[f].form;
    if (!colon) {
        default_names(s);
        if (!forms[f].may_lack_target)
            return "a target is missing";
        return !s->path[0] || is_path(ccz_span_str(s->path)) ? NULL : "such an item needs a path";
    }
    if (forms[f].has_path)
        return is_path(target) && copy_text(s->path, sizeof(s->path), target)
                   ? NULL
                   : "expected an absolute path without \"//\", \".\" and \"..\"";
    if (forms[f].has_number && target.size && is_digit(target.ptr[0])) {
        int64_t n = number(target);
        s->as = (int)n;
        return n > 2 && n <= CCZ_HANDOVER_FD_MAX ? NULL : "expected a descriptor from 3 to 255";
    }
    return ccz_handover_is_variable(target) && copy_text(s->var, sizeof(s->var), target)
               ? NULL
               : "expected a variable, [A-Za-z_][A-Za-z0-9_]*";
}

static const char *parse_item(struct ccz_handover_spec *s, struct ccz_span item)
{
    const uint8_t *at = item.size ? memchr(item.ptr, '@', item.size) : NULL;
    if (at) {
        size_t size = (size_t)(at - item.ptr);
        int64_t n = number(ccz_span_sub(item, size + 1, item.size - size - 1));
        if (n < 1 || n > VERSION_MAX)
            return "expected a version, 1 or more";
        s->version = (uint32_t)n;
        item.size = size;
    }
    return copy_text(s->item, sizeof(s->item), item) ? NULL : "the item has no name, or a long one";
}

ccz_rc ccz_handover_spec_parse(struct ccz_handover_spec *out, const char *text, struct ccz_err *err)
{
    *out = (struct ccz_handover_spec){.as = -1};
    const char *equals = strchr(text, '=');
    const char *why =
        equals ? parse_item(out, CCZ_SPAN(text, (size_t)(equals - text))) : "it is not said how";
    if (!why)
        why = parse_form(out, ccz_span_str(equals + 1));
    if (!why)
        return CCZ_OK;
    *out = (struct ccz_handover_spec){0};
    return bad(err, text, why);
}

ccz_rc ccz_handover_specs_check(const struct ccz_handover_spec *specs, size_t len,
                                struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++)
        for (size_t k = 0; k < i; k++) {
            const struct ccz_handover_spec *a = &specs[i], *b = &specs[k];
            if (a->as >= 0 && a->as == b->as)
                return bad(err, a->item, "its descriptor is given to another item as well");
            if (a->var[0] && strcmp(a->var, b->var) == 0)
                return bad(err, a->item, "its variable is given to another item as well");
            if (a->path[0] && strcmp(a->path, b->path) == 0)
                return bad(err, a->item, "its path is given to another item as well");
        }
    return CCZ_OK;
}
