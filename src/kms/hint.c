/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do about a refusal, by its `where`. Hints are static text on both sides: the client looks
 * them up again, since an error must not point into a response that is gone.
 */
#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

#define IMPORT                                                                                     \
    "an import cannot be proposed: leave --bind to cczoo kms propose bind; what is exportable or " \
    "used without evidence is generated: cczoo kms propose key create"

static const struct {
    const char *where, *hint;
} hints[] = {
    {"kms:name", "a good name: models/fmnist"},
    {"kms:not-found", "an administrator sees what there is with: cczoo kms ls"},
    {"kms:exists",
     "to add a version say so: --new-version; to a key that works inside: cczoo kms key rotate; "
     "else choose another name"},
    {"kms:policy-exists", "to replace it for every item bound to it say so: --replace"},
    {"kms:policy-in-use", "bind the items to another policy first: cczoo kms ls shows them"},
    {"kms:latest-version", "put a new version first, or delete the item with all its versions"},
    {"kms:version-conflict",
     "somebody was faster: look at it (cczoo kms show ITEM) and decide again"},
    {"kms:deleted", "an administrator can bring it back: cczoo kms undelete ITEM"},
    {"kms:disabled", "an administrator can enable it: cczoo kms enable ITEM"},
    {"kms:expired", "an administrator puts a new version"},
    {"kms:not-deleted", "delete it first; cczoo kms rm --no-recovery does both at once"},
    {"kms:recovery-window", "wait until then, or bring it back: cczoo kms undelete ITEM"},
    {"kms:schema", "an older store is migrated by cczoo-kmsd migrate (back it up first); a "
                   "newer one needs a newer cczoo-kmsd"},
    {"kms:unbound", "an administrator binds it with: cczoo kms bind ITEM POLICY"},
    {"kms:workload-required",
     "values are released to attested workloads only, not to administrators"},
    {"kms:admin-required", "use the key made by cczoo-kmsd init: --admin-key FILE"},
    {"kms:admin-unknown",
     "an administrator gives it roles: cczoo kms role set (--token: a token's subject); on the "
     "machine, while it is stopped: cczoo-kmsd admin"},
    {"kms:role", "cczoo kms role ls shows who has it; * is every namespace"},
    {"kms:namespace",
     "where approvals are needed an item is bound to a policy of its own namespace, so that its "
     "own people decide"},
    {"kms:attest-policy", "an auditor sees which: cczoo kms why DECISION; the policy must be one "
                          "that an item is bound to"},
    {"kms:attest-expired",
     "connect again: what was verified then has to be verified anew (cczoo-kmsd run --reattest)"},
    {"kms:approval-needed", "the same command with propose in front: cczoo kms propose ..."},
    {"kms:quorum-none", "nobody has to approve this here: call it directly"},
    {"kms:quorum-unreachable",
     "give more keys the role approver first: the proposer's own approval does not count"},
    {"kms:approver-proposer", "another approver has to: cczoo kms role ls shows who can"},
    {"kms:proposals-size", "approve or reject what is open: cczoo kms proposals"},
    {"kms:approved-already", "it waits for others: cczoo kms proposals"},
    {"kms:proposal-expired", "propose it again"},
    {"kms:proposal-outdated",
     "what it replaces is another one by now: look at that, and propose it again"},
    {"kms:proposal-closed", "cczoo kms proposals shows what came of it"},
    {"kms:proposal-changed", "this is not what you looked at: cczoo kms proposals"},
    {"kms:proposer-role", "somebody who is an author there has to propose it again"},
    {"kms:not-proposable", "this needs no approvals: call it directly"},
    {"kms:replay-changed",
     "run it again: the policy in force, or reference values, changed while it was tried"},
    {"kms:look-rate", "ask again later: such a call holds up all others; a namespace has a tenth "
                      "of the time, and who changes something a quarter of that"},
    {"kms:quota-items",
     "destroy what this namespace does not need, or cczoo-kmsd run --quota-items"},
    {"kms:quota-versions",
     "destroy versions that this namespace does not need, or cczoo-kmsd run --quota-versions"},
    {"kms:quota-bytes",
     "destroy what this namespace does not need, or cczoo-kmsd run --quota-bytes"},
    {"kms:quota-policies",
     "delete what this namespace does not need, or cczoo-kmsd run --quota-policies"},
    {"kms:quota-policy-bytes", "make policies smaller, or cczoo-kmsd run --quota-policy-bytes"},
    {"kms:list-cursor", "start the list again"},
    {"kms:busy", "ask again later"},
    {"kms:busy-namespace", "ask again when other calls of this namespace are through"},
    {"kms:rate-address", "who runs the server can allow more: cczoo-kmsd run --rpc-rate"},
    {"kms:rate-principal", "who runs the server can allow more: cczoo-kmsd run --rpc-rate"},
    {"kms:rate-total", "who runs the server can allow more: cczoo-kmsd run --rpc-total-rate"},
    {"kms:instance",
     "all values of one run come from one KMS: does --kms lead to several? cczoo kms "
     "status tells which is which"},
    {"kms:instance-id", "cczoo kms status and cczoo-kmsd check print it"},
    {"kms:store-full",
     "make room on the file system of the state folder and ask again; nothing was lost"},
    {"kms:backup", "PostgreSQL: pg_dump, beside the servers"},
    {"kms:store-busy", "only one KMS may use a state folder"},
    {"kms:store-open", "create a state folder: cczoo-kmsd init --state DIR --admin-key FILE"},
    {"kms:master-key", "this master key file belongs to another state folder"},
    {"kms:master-key-exists",
     "a new store beside another one takes its master key only if told: --reuse-master-key; if the "
     "key is that of a store whose database is elsewhere, say where"},
    {"kms:store-identity", "this database is another store's; if it is meant to be used from now "
                           "on, remove the file store.id of the state folder"},
    {"kms:master-kind",
     "say where this store's master key is: --master-key FILE, pkcs11:.., tee:.. or shamir:"},
    {"kms:master-key-size", "the file that cczoo-kmsd init made; it was cut, or is another one"},
    {"kms:master-tee", "an update of the program or another machine needs the key from elsewhere: "
                       "cczoo-kmsd rekey, before"},
    {"kms:sealed", "holders of shares give them with: cczoo kms unseal --from FILE"},
    {"kms:share-wrong", "take the share as it was handed out; the others that were given stay"},
    {"kms:p11", "check the token with its own tools; the module and token are named by "
                "--master-key and --epoch"},
    {"kms:p11-token",
     "pkcs11-tool --list-token-slots shows the tokens, or softhsm2-util --show-slots"},
    {"kms:p11-object", "pkcs11-tool --login --list-objects shows what is in the token"},
    {"kms:p11-pin", "tokens lock after some wrong PINs: look at it before you try again"},
    {"kms:p11-mechanism", "for RSA keys of tokens that know no SHA-256 there: oaep=sha1"},
    {"kms:p11-unwrap", "is this the token, and the key, that the store was made with?"},
    {"kms:p11-pair", "somebody may have put it there to read the master key: remove it, and make "
                     "the pair anew under another label"},
    {"kms:master-readback", "nothing was replaced; a key of a token needs both directions: "
                            "CKA_ENCRYPT and CKA_DECRYPT, without another login for each use"},
    {"kms:p11-extractable",
     "make a key with CKA_SENSITIVE and without CKA_EXTRACTABLE, or name one that is not there"},
    {"kms:rolled-back",
     "an older copy was put back, or a replica was behind; if it was you: stop the servers, with a "
     "counter cczoo-kmsd epoch --epoch WHERE --accept-rolled-back, then start them"},
    {"kms:forked",
     "somebody put back an older copy and went on; if it was you: stop the servers, with a counter "
     "cczoo-kmsd epoch --epoch WHERE --accept-rolled-back, then start them"},
    {"kms:epoch-lost",
     "if the counter is lost, or new for this store: cczoo-kmsd epoch --accept-lost"},
    {"kms:epoch-mac", "after a rekey, start with the new master key; if the counter was lost, and "
                      "this is another one: cczoo-kmsd epoch --accept-lost"},
    {"kms:epoch-required", "say where: --epoch file:PATH or pkcs11:URI"},
    {"kms:epoch-exists", "choose another place; every store has a counter of its own"},
    {"kms:epoch-place", "put it on another disk, or into a token"},
    {"kms:epoch", "nothing is acknowledged until the counter can be advanced; what was recorded "
                  "meanwhile stays"},
    {"kms:init", "choose another folder; deleting this one destroys its keys for good"},
    {"kms:row-mac", "restore the state folder from a backup; see docs/design/kms.md"},
    {"kms:store-connect", "is the database server up? ask again then; nothing was done"},
    {"kms:store-stalled", "nothing of this call was done: ask another server, or again; is the "
                          "disk of the store, or its database server, there?"},
    {"kms:store-conflict", "ask again; nothing was done"},
    {"kms:store-locked",
     "another server of this KMS holds the store: is one of them stopped inside a call?"},
    {"kms:store-setting", "an acknowledged change could be lost: correct postgresql.conf"},
    {"kms:database-password",
     "put it into a passfile of mode 0600; see PostgreSQL, \"The Password File\""},
    {"kms:store-privilege", "the role of the connection string must own the tables"},
    {"kms:store-lost", "ask again; nothing was done"},
    {"kms:store-timeout", "ask again; is the server, or the standby that it waits for, there?"},
    {"kms:store-unreplicated", "it is on record on this server alone, and nothing of it was "
                               "answered; look at the standby, then ask again"},
    {"kms:commit-unknown", "ask again: the audit log tells whether the first call was done"},
    {"kms:rekey-unknown", "start again, with either --master-key: the store says which key it is "
                          "under, and nothing was thrown away"},
    {"kms:key-unmanaged",
     "aes-128 and aes-256 are released, not used inside: cczoo kms key create makes them"},
    {"kms:key-managed", "a new version: cczoo kms key rotate, or key import --new-version"},
    {"kms:key-unattested", "show evidence (--tee), or use a key that was made for clients without"},
    {"kms:key-imported", "import a version instead: cczoo kms key import --new-version"},
    {"kms:key-usage",
     "what a key is for is said when it is made and stays: cczoo kms key create NAME "
     "--alg KIND --ops sign,verify"},
    {"kms:ca-names", "cczoo kms ca create NAME --names als.example,10.0.0.7"},
    {"x509:name-not-allowed", "names that the authority was made with, each as it stands there"},
    {"kms:ca-rotate", "make another one, give clients both certificates, then disable the old key"},
    {"kms:ca-key",
     "a certificate authority is made in the KMS and never leaves; rotate it by hand"},
    {"kms:cert-workload",
     "the request has to come from the workload that it asks a certificate for"},
    {"kms:key-export", "a key that may leave is made so; this one never does"},
    {"kms:key-deleting", "an operator takes that back as long as the window lasts"},
    {"kms:key-expired", "rotate into a key without expiry, or move the expiry"},
    {"kms:key-version-old", "rewrap old ciphertexts, or lower the minimum version of the key"},
    {"kms:key-window", "deleting at once needs its own switch, which nobody can take back"},
    {"kms:key-early", "the window in which the deletion can be taken back has not passed"},
    {"kms:import-expired", "ask for parameters again: they last an hour"},
    {"kms:import-used", "ask for parameters again: they are good for one attempt"},
    {"kms:import-changed", "the key was made anew while this came in: ask for parameters again"},
    {"kms:import-token", "use the parameters that came for this very name, kind and use"},
    {"kms:decision", "a refusal names it, and so does cczoo kms audit"},
    {"kms:token-key-soon", "cczoo kms token-key list shows which one signs"},
    {"kms:token-keys", "each is published for an hour after it has signed last: wait for that"},
    {"kms:not-staged", "stage one: cczoo kms stage NAME FILE --until TIME"},
    {"kms:staged-exists", "to replace it say so: --replace; cczoo kms staged POLICY shows it"},
    {"kms:staged-changed", "look at what is staged now, and decide again"},
    {"kms:staged-ended", "stage it again, with a later end"},
    {"kms:stage-end", "a trial has an end: cczoo kms stage NAME FILE --until 2027-01-31T00:00:00Z"},
    {"kms:reference-exists", "to add a version to it say so: --replace"},
    {"kms:reference-missing", "put the set first: cczoo kms reference put NAME FILE"},
    {"kms:reference-size", "fields of that size need a set of their own"},
    {"kms:reference-namespace", "a policy takes reference values from its own namespace alone"},
    {"kms:reference-in-use", "change that policy first, or put values that end"},
    {"kms:attest-evidence", "raw evidence is kept of those who come by the KBS protocol"},
    {"kms:audit-index", "ask again: each call goes on where the last one ended"},
    {"kms:audit-key-young", "a key of the audit log signs for a day at least"},
    {"kms:consistency-size", "the log has fewer lines than that: was an older copy put back?"},
    {"kms:version-required",
     "say which version: what holds for the latest would hold for another one"},
    {"kms:row-set", "restore the state folder from a backup; see docs/design/kms.md"},
    {"kms:row-older", "restore the state folder from a backup; see docs/design/kms.md"},
};

/* Of "kms:approval-needed", by the method: what cannot be proposed as it is has another way. */
static const struct {
    const char *method, *hint;
} ways[] = {
    {"CreateKey", "make it without --bind, then: cczoo kms propose bind key/NAME POLICY"},
    {"PutSecret", "put it without --bind and \"doors\", then: cczoo kms propose bind secret/NAME "
                  "POLICY, or propose door open"},
    {"ImportToken", IMPORT},
    {"Import", IMPORT},
};

static const char *another_way(const struct ccz_err *err)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(err->where, "kms:approval-needed") == 0 && strcmp(err->got, ways[i].method) == 0)
            return ways[i].hint;
    return NULL;
}

ccz_rc cczi_kms_hint(struct ccz_err *err, ccz_rc rc)
{
    static const char policy[] = "policy:", see[] = "see decision ";
    if (!err || rc == CCZ_OK) /* nobody filled err then */
        return rc;
    if (another_way(err))
        return ccz_hint(err, rc, another_way(err));
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (strcmp(err->where, hints[i].where) == 0)
            return ccz_hint(err, rc, hints[i].hint);
    if (strncmp(err->where, policy, sizeof(policy) - 1) != 0 || rc == CCZ_E_FORMAT)
        return rc; /* of FORMAT: a policy that does not parse */
    char hint[CCZ_ERR_HINT_SIZE];
    if (strncmp(err->expected, see, sizeof(see) - 1) != 0)
        return ccz_hint(err, rc,
                        "the item's policy wants something else: cczoo kms policy show tells what");
    (void)snprintf(hint, sizeof(hint), "an auditor of the KMS sees why: cczoo kms why %.23s",
                   err->expected + sizeof(see) - 1);
    return ccz_hint(err, rc, hint);
}
