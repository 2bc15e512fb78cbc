/* SPDX-License-Identifier: Apache-2.0 */
/* What is accepted names a place that is allowed, and says the same when it is written out and read again. */
#include <cczoo/handover.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_place(const struct ccz_handover_spec *s)
{
    if (s->form == CCZ_HANDOVER_NONE || !s->item[0] || strchr(s->item, '='))
        abort();
    if (s->as != -1 && (s->as <= 2 || s->as > CCZ_HANDOVER_FD_MAX))
        abort();
    if (s->var[0] && !ccz_handover_is_variable(ccz_span_str(s->var)))
        abort();
    char path[CCZ_HANDOVER_TEXT_SIZE + 1];
    (void)snprintf(path, sizeof(path), "%s/", s->path);
    if (s->path[0] &&
        (path[0] != '/' || strstr(path, "/../") || strstr(path, "/./") || strstr(path, "//")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const form[] = {"", "fd", "path", "file", "tmpfs", "env"};
    char text[2048], again[2048];
    struct ccz_handover_spec a, b;
    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (ccz_handover_spec_parse(&a, text, NULL) != CCZ_OK)
        return 0;
    check_place(&a);
    char version[16] = "", number[16] = "";
    if (a.version)
        (void)snprintf(version, sizeof(version), "@%u", a.version);
    if (a.as >= 0)
        (void)snprintf(number, sizeof(number), "%d", a.as);
    const char *target = a.as >= 0 ? number : a.path[0] ? a.path : a.var;
    (void)snprintf(again, sizeof(again), "%s%s=%s:%s", a.item, version, form[a.form], target);
    if (ccz_handover_spec_parse(&b, again, NULL) != CCZ_OK || strcmp(a.item, b.item) != 0 ||
        a.version != b.version || a.form != b.form || a.as != b.as || strcmp(a.path, b.path) != 0 ||
        (!a.path[0] && strcmp(a.var, b.var) != 0))
        abort();
    return 0;
}
