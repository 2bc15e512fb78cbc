/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_DOCTOR_H
#define CCZ_CLI_KMS_DOCTOR_H
/*
 * cczoo kms doctor: looks at a KMS as an auditor and says what is wrong, what soon will be, and what to do about it. It changes nothing.
 * Exit status: 0 nothing to do, 1 something (also: its evidence is refused), 2 usage, 3 it cannot be reached.
 */
int kms_doctor(int argc, char **argv);
#endif
