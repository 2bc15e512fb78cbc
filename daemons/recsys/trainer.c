/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cczoo-trainer: makes what an order of a KMS says from ratings that the same KMS has the key of, and signs the bundle; nothing else. It
 * is a program of its own because a policy names a program with all that it can do, and whoever controls its host chooses the
 * arguments: these name files and places, and nothing that changes the model.
 */
#include "../../cli/recsys_job.h"

int main(int argc, char **argv)
{
    ccz_process_harden();
    return ui_finish(recsys_trainer_run(argc, argv));
}
