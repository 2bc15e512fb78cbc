/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stand-ins for TensorFlow's two libraries, for the tests of the loader only: every function is
 * there, none may be called but TF_Version(). FAKE_CC is the library that depends on the other.
 */
#include "engine/tf_api.h"

#include <stdlib.h>

#if FAKE_CC
#define TF_NewWritableFile in_the_framework
#define TF_Version         version_below
#define X(ret, name, params)                                                                       \
    void name(void);                                                                               \
    void name(void)                                                                                \
    {                                                                                              \
        abort();                                                                                   \
    }
TF_FUNCTIONS(X)
#undef TF_Version
const char *TF_Version(void);
const char *TF_Version(void)
{
    return "0.0-fake";
}
#else
void TF_NewWritableFile(void);
void TF_NewWritableFile(void)
{
    abort();
}
#endif
