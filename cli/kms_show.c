/* SPDX-License-Identifier: Apache-2.0 */
#include "kms_show.h"

#include "json_out.h"
#include "ui.h"

#include <stdio.h>

void kms_show_change(bool json, const char *what, const char *kind, const char *name,
                     uint32_t version, const struct ccz_kms_receipt *r)
{
    char item[CCZ_KMS_ITEM_SIZE + 64];
    (void)snprintf(item, sizeof(item), "%s%s%s", kind, *kind ? "/" : "", name);
    if (!json) {
        ui_out("%s %s", what, item);
        if (version)
            ui_out(" version %u", version);
        ui_out(", audit line %llu\n", (unsigned long long)r->audit_seq);
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_buf_printf(&b, "{\"done\":\"%s\"", what);
    put_text(&b, "item", item);
    ccz_buf_printf(&b, ",\"version\":%u,\"audit_seq\":%llu", version,
                   (unsigned long long)r->audit_seq);
    put_hex(&b, "audit_sha256", r->audit_sha256);
    ui_out("%s}\n", ccz_buf_str(&b));
}

void kms_verb_help(const char *group, const char *verb, const char *args, const char *help)
{
    char left[80];
    (void)snprintf(left, sizeof(left), "%s %s %s", group, verb, args);
    ui_out("  %-28s %s\n", left, help);
}
