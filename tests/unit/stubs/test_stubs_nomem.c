/* SPDX-License-Identifier: Apache-2.0 */
/* What stubs do with messages, the k-th allocation failing, for every k: the reason is memory, and nothing is lost (asan). */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include "ccz_test.h"
#include "zoo.ccz-rpc.c" /* its static functions */

static char leaf[] = "a leaf that is longer than a pointer";

static ccz_rc once(const Zoo__KeepV1__Tree *tree)
{
    CCZ_AUTO_BUF bytes;
    ProtobufCMessage *m = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = stub_pack(&bytes, (const ProtobufCMessage *)tree, "stub:test", &err);
    if (rc == CCZ_OK)
        rc = stub_unpack(&m, &zoo__keep_v1__tree__descriptor, true, ccz_buf_span(&bytes),
                         "stub:test", &err);
    CHECK((rc == CCZ_OK) == (m != NULL));
    CHECK(rc == CCZ_OK || strcmp(err.where, "stub:test") == 0);
    if (rc == CCZ_OK) {
        CCZ_AUTO(Zoo__KeepV1__Tree) copy = zoo_keep_v1_zoo_grow_copy((Zoo__KeepV1__Tree *)m);
        rc = copy ? CCZ_OK : CCZ_E_NOMEM;
        CHECK(!copy || strcmp(copy->branches[1]->box->tree->leaf, leaf) == 0);
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return rc;
}

static void test_nomem(void)
{
    Zoo__KeepV1__Tree tree = ZOO__KEEP_V1__TREE__INIT, one = tree, two = tree, inner = tree;
    Zoo__KeepV1__Tree *branches[] = {&one, &two};
    Zoo__KeepV1__Box box = ZOO__KEEP_V1__BOX__INIT;
    inner.leaf = one.leaf = leaf;
    box.tree = &inner;
    two.box = &box;
    tree.n_branches = 2;
    tree.branches = branches;
    long k = 0;
    for (bool failed = true; failed; k++) {
        nomem_left = k;
        ccz_rc rc = once(&tree);
        failed = nomem_left < 0;
        nomem_left = -1;
        CHECK(rc == (failed ? CCZ_E_NOMEM : CCZ_OK));
    }
    CHECK(k > 15); /* the wrappers are in place */
}

static const struct ccz_test tests[] = {{"stubs.nomem", test_nomem}};

int main(int argc, char **argv)
{
    CHECK(nomem_openssl());
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
