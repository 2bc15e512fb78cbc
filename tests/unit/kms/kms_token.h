/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_TOKEN_H
#define KMS_TOKEN_H
/* A SoftHSM token in the test's folder. Tests are skipped where SoftHSM is not installed. */
#include "kms/kms_dir.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#define TOKEN_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define TOKEN_PIN    "1234-abcd"

static CK_FUNCTION_LIST *token_p11;

/* One token "kms" with a PIN in other/pin. @return false: no SoftHSM here */
static inline bool token_make(void)
{
    if (access(TOKEN_MODULE, R_OK) != 0)
        return false;
    char conf[600];
    (void)snprintf(conf, sizeof(conf), "directories.tokendir = %s/tokens\nlog.level = ERROR\n",
                   dir_root);
    CHECK(mkdir(dir_path("tokens"), 0700) == 0);
    CHECK(ccz_file_write(dir_path("softhsm2.conf"), ccz_span_str(conf), 0600, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
    CHECK(ccz_file_write(dir_path("other/pin"), ccz_span_str(TOKEN_PIN "\n"), 0600,
                         CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(setenv("SOFTHSM2_CONF", dir_path("softhsm2.conf"), 1) == 0);
    void *module = dlopen(TOKEN_MODULE, RTLD_NOW | RTLD_NODELETE);
    CHECK(module);
    CK_RV (*get)(CK_FUNCTION_LIST **);
    void *symbol = dlsym(module, "C_GetFunctionList");
    memcpy(&get, &symbol, sizeof(get));
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    CHECK(get(&token_p11) == CKR_OK && token_p11->C_Initialize(&args) == CKR_OK);
    unsigned char label[32], pin[] = TOKEN_PIN;
    memset(label, ' ', sizeof(label));
    memcpy(label, "kms", 3);
    CK_SLOT_ID slot[8];
    CK_ULONG len = 8;
    CHECK(token_p11->C_GetSlotList(CK_TRUE, slot, &len) == CKR_OK && len >= 1);
    CHECK(token_p11->C_InitToken(slot[0], pin, sizeof(pin) - 1, label) == CKR_OK);
    len = 8;
    CHECK(token_p11->C_GetSlotList(CK_TRUE, slot, &len) == CKR_OK);
    CK_SESSION_HANDLE s;
    CHECK(token_p11->C_OpenSession(slot[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s) ==
          CKR_OK);
    CHECK(token_p11->C_Login(s, CKU_SO, pin, sizeof(pin) - 1) == CKR_OK);
    CHECK(token_p11->C_InitPIN(s, pin, sizeof(pin) - 1) == CKR_OK);
    CHECK(token_p11->C_Logout(s) == CKR_OK && token_p11->C_CloseSession(s) == CKR_OK);
    return true;
}

/* A session of the test's own, logged in. */
static inline CK_SESSION_HANDLE token_session(void)
{
    CK_SLOT_ID slot[8];
    CK_ULONG len = 8;
    CK_SESSION_HANDLE s;
    unsigned char pin[] = TOKEN_PIN;
    CHECK(token_p11->C_GetSlotList(CK_TRUE, slot, &len) == CKR_OK);
    CHECK(token_p11->C_OpenSession(slot[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s) ==
          CKR_OK);
    CK_RV rv = token_p11->C_Login(s, CKU_USER, pin, sizeof(pin) - 1);
    CHECK(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN);
    return s;
}

/* "pkcs11:..." for an object of the token */
static inline const char *token_uri(const char *object, const char *type, const char *more)
{
    static char uri[4][1024];
    static unsigned turn;
    char *u = uri[turn++ % 4];
    (void)snprintf(u, sizeof(uri[0]),
                   "pkcs11:token=kms;object=%s;type=%s?module-path=" TOKEN_MODULE
                   "&pin-source=%s%s",
                   object, type, dir_path("other/pin"), more);
    return u;
}
#endif
