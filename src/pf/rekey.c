/* SPDX-License-Identifier: Apache-2.0 */
/* The key opens node 0 only; everything below it has random keys of its own. A new key is therefore
 * a new node 0: fresh nonce, so a fresh metadata key, and the same contents. */
#include "pf_priv.h"

ccz_rc ccz_pf_rekey(const struct ccz_pf_io *io, const struct ccz_secret *old_key,
                    const struct ccz_secret *new_key, const struct ccz_pf_cfg *cfg,
                    struct ccz_err *err)
{
    ccz_rc rc = cczi_pf_key_check(new_key, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_pf_reader)
    r = NULL; /* size, path and root are checked before anything is written */
    rc = ccz_pf_reader_open(&r, io, old_key, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_aead) aead = NULL;
    uint8_t node[PF_NODE_SIZE];
    rc = ccz_aead_new(&aead, CCZ_AES_128_GCM);
    if (rc == CCZ_OK)
        rc = cczi_pf_meta_seal(node, aead, cczi_pf_reader_meta(r), ccz_secret_view(new_key));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "pf:crypto", 0, "%s", ccz_rc_str(rc));
    struct cczi_pf_name name = cczi_pf_name(cfg);
    rc = io->write_at(io->arg, 0, CCZ_SPAN(node, sizeof(node)), err);
    if (rc == CCZ_OK)
        rc = io->flush(io->arg, err);
    return rc == CCZ_OK ? CCZ_OK : cczi_pf_io_fail(err, rc, &name);
}
