/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cczoo-trainer: trains on ratings that a KMS has the key of, and signs the bundle; nothing else. It is a program of its own because a
 * policy names a program with all that it can do, and whoever controls its host chooses the arguments: this one takes keys from
 * the KMS alone, writes ratings and ids into bundles alone, and has no filters for ratings.
 */
#include "../../cli/recsys_job.h"

int main(int argc, char **argv)
{
    ccz_process_harden();
    const int status = recsys_train_run(
        argc, argv,
        "cczoo-trainer --in FILE --data-key key/NAME --model-key key/NAME --out DIR --name NAME "
        "--kms ADDR --kms-policy FILE --tee PROVIDER ..",
        RECSYS_TRAINER);
    if (ui_out_flush())
        return status;
    ui_error("cannot write to standard output");
    return UI_ENV;
}
