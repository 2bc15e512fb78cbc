/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cczoo-recsys-spark: hands ratings over to a Spark cluster, and makes a bundle of the factors that come back. A program of its own:
 * who lets it have the ratings lets them go to whatever gets the master key of the export, and only a policy of the KMS says what
 * that is. All keys are those of the KMS, and so is the order that says which ratings these are, under which keys they go out and
 * factors come back, and what these must be.
 */
#include "../../cli/recsys_job.h"

#include <string.h>

static int export_verb(int argc, char **argv)
{
    struct recsys_job j = {.o = {.trust = {.kms_only = true}}};
    struct ccz_err err = {0};
    struct ui_opt opts[RECSYS_OPTIONS_MAX] = {0};
    (void)recsys_ordered_options(opts, &j.o);
    const int left =
        ui_parse(argc, argv, "cczoo-recsys-spark export --order secret/NAME --in FILE OUT", opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left != 1)
        ui_error("OUT is required");
    if (left != 1 || !recsys_ordered_check(&j.o))
        return UI_USAGE;
    recsys_job_begin(&j);
    ccz_rc rc = recsys_order_take(&j, "spark", &err);
    if (rc == CCZ_OK)
        rc = recsys_input_read(&j.in, &j.o.input, &j.session, &err);
    if (rc == CCZ_OK)
        rc = recsys_export_ratings(&j, argv[0], j.order.spark.ratings_key,
                                   j.order.spark.export_name, &err);
    const int status = rc == CCZ_OK ? UI_OK : recsys_fail(&err);
    recsys_job_end(&j);
    return status;
}

static int import_verb(int argc, char **argv)
{
    return recsys_import_run(
        argc, argv,
        "cczoo-recsys-spark import --order secret/NAME --in FILE --user-factors DIR "
        "--item-factors DIR --out DIR",
        true);
}

int main(int argc, char **argv)
{
    ccz_process_harden();
    const char *verb = argc > 1 ? argv[1] : "";
    int status = UI_USAGE;
    if (strcmp(verb, "export") == 0)
        status = export_verb(argc - 1, argv + 1);
    else if (strcmp(verb, "import") == 0)
        status = import_verb(argc - 1, argv + 1);
    else
        ui_error("usage: cczoo-recsys-spark export | import [--help]");
    return ui_finish(status);
}
