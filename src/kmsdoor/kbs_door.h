/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_KBS_DOOR_H
#define CCZI_KMSDOOR_KBS_DOOR_H
/* The routes of the KBS protocol share this. All on the door's thread. */
#include "door.h"
#include "kbs_priv.h"

#include <cczoo/kms_door_kbs.h>

/* What the KMS said last about the keys of tokens. */
struct cczi_kbs_keys {
    bool known, asking;
    int64_t at_ms;
    struct ccz_buf response; /* TokenKeysResponse */
    struct ccz_err err;      /* rc CCZ_OK: the response counts */
};
struct cczi_kbs {
    struct ccz_verifier *verifier;
    struct cczi_kbs_sessions *sessions;
    struct cczi_kbs_keys keys;
};

/* What the client does next depends on the status: 401 makes it attest again, so that nothing else may be one. 404: there is no such resource. */
unsigned cczi_kbs_status(const struct ccz_err *err);
/* For routes: {"type", "detail", and what cczi_door_err_json() says}. */
unsigned cczi_kbs_put_err(struct ccz_buf *out, unsigned status, const struct ccz_err *err);
void cczi_kbs_reply_err(struct cczi_door_req *r, const struct ccz_err *err);
/* Of administrators, where the door's own statuses are right. */
void cczi_kbs_reply_admin_err(struct cczi_door_req *r, const struct ccz_err *err);

/* kbs_attest.c, kbs_resource.c, kbs_keys.c: arg is the struct cczi_kbs */
void cczi_kbs_on_auth(struct cczi_door_req *r, void *arg);
void cczi_kbs_on_attest(struct cczi_door_req *r, void *arg);
void cczi_kbs_on_resource(struct cczi_door_req *r, void *arg);
void cczi_kbs_on_jwks(struct cczi_door_req *r, void *arg);
void cczi_kbs_on_discovery(struct cczi_door_req *r, void *arg);
#endif
