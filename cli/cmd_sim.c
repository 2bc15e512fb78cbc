/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <cczoo/tee.h>

int cmd_sim_init(int argc, char **argv)
{
    int64_t days = 0;
    const char *status = NULL;
    const struct ui_opt opts[] = {
        {"days", NULL, &days, NULL, "N", "lifetime of the collateral, default 30"},
        {"tcb-status", &status, NULL, NULL, "STATUS",
         "TCB status of the platform, default UpToDate"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo sim init DIR [--days N] [--tcb-status STATUS]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1 || days < 0 || days > 36500) {
        ui_error("expected one directory and 0..36500 days");
        return UI_USAGE;
    }
    struct ccz_err err;
    struct ccz_sim_cfg cfg = {.now_s = ccz_clock_now_s(ccz_clock_system()),
                              .valid_s = days * 86400,
                              .tcb_status = status};
    if (ccz_sim_init(argv[0], &cfg, &err) != CCZ_OK)
        return ui_fail(&err);
    ui_simulated("a software TEE was created");
    ui_say("platform (private): %s/platform\ntrust (give it to verifiers): %s/trust", argv[0],
           argv[0]);
    return UI_OK;
}

int cmd_sim_measure(int argc, char **argv)
{
    const struct ui_opt opts[] = {{0}};
    int n = ui_parse(argc, argv, "cczoo sim measure EXE [LIB...]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n < 1) {
        ui_error("expected an executable");
        return UI_USAGE;
    }
    struct ccz_err err;
    uint8_t m[32];
    char hex[65];
    if (ccz_sim_measure(m, argv[0], (struct ccz_span){0}, (const char *const *)(argv + 1),
                        (size_t)(n - 1), &err) != CCZ_OK)
        return ui_fail(&err);
    ccz_hex(hex, m, sizeof(m));
    ui_out("%s\n", hex);
    return UI_OK;
}
