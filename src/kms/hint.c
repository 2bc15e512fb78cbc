/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do about a refusal, by its `where`. Hints are static text on both sides: the client looks
 * them up again, since an error must not point into a response that is gone.
 */
#include "kms_priv.h"

#include <string.h>

static const struct {
    const char *where, *hint;
} hints[] = {
    {"kms:name", "a good name: models/fmnist"},
    {"kms:not-found", "an administrator sees what there is with: cczoo kms ls"},
    {"kms:exists", "to add a version say so: --new-version"},
    {"kms:policy-exists", "to replace it for every item bound to it say so: --replace"},
    {"kms:policy-in-use", "bind the items to another policy first: cczoo kms ls shows them"},
    {"kms:latest-version", "put a new version first, or delete the item with all its versions"},
    {"kms:unbound", "an administrator binds it with: cczoo kms bind ITEM POLICY"},
    {"kms:workload-required",
     "values are released to attested workloads only, not to administrators"},
    {"kms:admin-required", "use the key made by cczoo-kmsd init: --admin-key FILE"},
    {"kms:admin-unknown",
     "on the machine of the KMS, while it is stopped: cczoo-kmsd admin --role admin"},
    {"kms:role", "ask an administrator"},
    {"kms:busy", "ask again later"},
    {"kms:store-full",
     "make room on the file system of the state folder and ask again; nothing was lost"},
    {"kms:store-busy", "only one KMS may use a state folder"},
    {"kms:store-open", "create a state folder: cczoo-kmsd init --state DIR --admin-key FILE"},
    {"kms:master-key", "this master key file belongs to another state folder"},
    {"kms:init", "choose another folder; deleting this one destroys its keys for good"},
    {"kms:row-mac", "restore the state folder from a backup; see docs/design/kms.md"},
    {"kms:key-usage", "what a key is for is said when it is made and stays; make another key"},
    {"kms:key-export", "a key that may leave is made so; this one never does"},
    {"kms:key-deleting", "an operator takes that back as long as the window lasts"},
    {"kms:key-expired", "rotate into a key without expiry, or move the expiry"},
    {"kms:key-version-old", "rewrap old ciphertexts, or lower the minimum version of the key"},
    {"kms:key-window", "deleting at once needs its own switch, which nobody can take back"},
    {"kms:key-early", "the window in which the deletion can be taken back has not passed"},
    {"kms:import-expired", "ask for parameters again: they last an hour"},
    {"kms:import-used", "ask for parameters again: they are good for one attempt"},
    {"kms:import-token", "use the parameters that came for this very name, kind and use"},
    {"kms:row-set", "restore the state folder from a backup; see docs/design/kms.md"},
};

ccz_rc cczi_kms_hint(struct ccz_err *err, ccz_rc rc)
{
    static const char policy[] = "policy:";
    if (!err || rc == CCZ_OK) /* nobody filled err then */
        return rc;
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (strcmp(err->where, hints[i].where) == 0)
            return ccz_hint(err, rc, hints[i].hint);
    if (strncmp(err->where, policy, sizeof(policy) - 1) == 0)
        return ccz_hint(err, rc,
                        "the item's policy wants something else: cczoo kms policy show tells what");
    return rc;
}
