/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_MSG_FIELDS_H
#define CCZI_KMS_MSG_FIELDS_H
/* Rows of a message's table (kms_priv.h); for the sources that hold such tables alone. */
#include "kms_priv.h"

#include <stddef.h>

#define SPAN(number, type, member, max)                                                            \
    {                                                                                              \
        number, CCZI_MSG_SPAN, offsetof(struct type, member), max                                  \
    }
#define UINT(number, type, member, max)                                                            \
    {                                                                                              \
        number, CCZI_MSG_UINT, offsetof(struct type, member), max                                  \
    }
#define END                                                                                        \
    {                                                                                              \
        0, CCZI_MSG_END, 0, 0                                                                      \
    }
#endif
