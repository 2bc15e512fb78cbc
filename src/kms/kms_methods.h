/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_METHODS_H
#define CCZI_KMS_METHODS_H
/* Which methods the handler has, for doors that describe them. */
#include <stdbool.h>
#include <stddef.h>

/* Name of the method number @p i, "Release" first; NULL behind the last. */
const char *cczi_kms_method_name(size_t i);
bool cczi_kms_method_known(const char *name);
#endif
