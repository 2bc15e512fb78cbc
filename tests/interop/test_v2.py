#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stock client of the Open Inference Protocol (tritonclient, HTTP and gRPC) against cczoo-served with a recommender.

usage: test_v2.py GRPC-PORT REST-PORT     (a server with --insecure-tls-only; see recsys_v2.sh)
"""
import socket
import ssl
import sys

import interop_venv

interop_venv.enter("requirements-triton")

import gevent.ssl  # noqa: E402
import grpc  # noqa: E402
import numpy as np  # noqa: E402
import tritonclient.grpc  # noqa: E402
import tritonclient.http  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402


def expect(cond, what):
    if not cond:
        sys.exit("failed: %s" % (what,))


def certificate(port):
    """As ssl.get_server_certificate(), which does not say that it wants HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port)) as s, context.wrap_socket(s) as tls:
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True)).encode()


def clients(grpc_port, rest_port):
    creds = grpc.ssl_channel_credentials(certificate(grpc_port))
    args = [("grpc.ssl_target_name_override", "cczoo-ratls")]
    yield "grpc", tritonclient.grpc, tritonclient.grpc.InferenceServerClient(
        "127.0.0.1:%d" % grpc_port, creds=creds, channel_args=args)
    yield "http", tritonclient.http, tritonclient.http.InferenceServerClient(
        "127.0.0.1:%d" % rest_port, ssl=True, insecure=True, ssl_context_factory=gevent.ssl._create_unverified_context)


def users(kit, names, **how):
    value = np.array([n.encode() for n in names], dtype=np.object_)
    t = kit.InferInput("user_id", list(value.shape), "BYTES")
    t.set_data_from_numpy(value, **how)
    return t


def number(kit, name, value, dtype, **how):
    value = np.array(value, dtype=dtype)
    t = kit.InferInput(name, list(value.shape), {"int64": "INT64", "float32": "FP32"}[value.dtype.name])
    t.set_data_from_numpy(value, **how)
    return t


def refused(what, text, call):
    try:
        call()
    except InferenceServerException as e:
        expect(text in e.message(), "%s: %r is not in %r" % (what, text, e.message()))
        return
    sys.exit("failed: %s was not refused" % what)


def test(name, kit, c):
    expect(c.is_server_live() and c.is_server_ready(), name + ": live, ready")
    expect(c.is_model_ready("films") and c.is_model_ready("films", "1"), name + ": model ready")
    expect(not c.is_model_ready("films", "2") and not c.is_model_ready("other"), name + ": others not")
    how = {"as_json": True} if name == "grpc" else {}
    meta = c.get_server_metadata(**how)
    expect(meta["name"] == "cczoo" and meta["extensions"] == ["binary_tensor_data"], meta)
    meta = c.get_model_metadata("films", **how)
    expect(meta["name"] == "films" and meta["versions"] == ["1"] and meta["platform"] == "als", meta)
    inputs = {i["name"]: (i["datatype"], [int(d) for d in i.get("shape", [])]) for i in meta["inputs"]}
    expect(inputs == {"exclude": ("BYTES", [-1, -1]), "k": ("INT64", [-1]), "user_id": ("BYTES", [-1])}, inputs)

    # both forms of values each way give the same lists
    forms = [{}] if name == "grpc" else [{"binary_data": True}, {"binary_data": False}]
    lists = []
    for form in forms:
        outputs = [kit.InferRequestedOutput(o, **form) for o in ("scores", "item_ids")]
        for wanted in (None, outputs):
            r = c.infer("films", [users(kit, ["u1", "u2"], **form), number(kit, "k", [4], np.int64, **form)],
                        outputs=wanted, request_id="seven")
            answer = r.get_response(**how)
            expect(answer["id"] == "seven" and answer["model_version"] == "1", answer)
            ids, scores = r.as_numpy("item_ids"), r.as_numpy("scores")
            expect(ids.shape == (2, 4) and scores.shape == (2, 4) and scores.dtype == np.float32, (ids, scores))
            expect((np.diff(scores) <= 0).all(), scores)
            lists.append([[i.decode() if isinstance(i, bytes) else i for i in row] for row in ids.tolist()])
    expect(all(one == lists[0] for one in lists), lists)
    expect(all(int(i.split()[1]) % 3 == 1 for i in lists[0][0]), "user 1 likes films of kind 1: %s" % lists[0][0])

    # another signature by a parameter; what was excluded does not come
    rated = np.array([["film 3".encode(), "film 6".encode(), "film 9".encode()]], dtype=np.object_)
    t = kit.InferInput("rated_items", [1, 3], "BYTES")
    t.set_data_from_numpy(rated)
    r = c.infer("films", [t, number(kit, "ratings", [[5, 4, 5]], np.float32)], parameters={"signature_name": "fold_in"})
    ids = [i.decode() for i in r.as_numpy("item_ids")[0]]
    expect(len(ids) == 10 and not set(ids) & {"film 3", "film 6", "film 9"}, ids)
    expect(sum(int(i.split()[1]) % 3 == 0 for i in ids[:5]) >= 4, ids)
    t2 = kit.InferInput("exclude", [1, 1], "BYTES")
    t2.set_data_from_numpy(np.array([[ids[0].encode()]], dtype=np.object_))
    r = c.infer("films", [t, number(kit, "ratings", [[5, 4, 5]], np.float32), t2], parameters={"signature_name": "fold_in"})
    expect(ids[0] not in [i.decode() for i in r.as_numpy("item_ids")[0]], "excluded")

    refused(name + ": unknown user", "user number 1 is not known", lambda: c.infer("films", [users(kit, ["u1", "nobody"])]))
    refused(name + ": unknown model", "Servable not found", lambda: c.infer("other", [users(kit, ["u1"])]))
    refused(name + ": unknown version", "Servable not found", lambda: c.infer("films", [users(kit, ["u1"])], model_version="7"))
    refused(name + ": no input", "input user_id is missing", lambda: c.infer("films", [number(kit, "k", [4], np.int64)]))
    refused(name + ": k", "k is 0", lambda: c.infer("films", [users(kit, ["u1"]), number(kit, "k", [0], np.int64)]))
    return lists[0]


def main():
    found = [test(*one) for one in clients(int(sys.argv[1]), int(sys.argv[2]))]
    expect(found[0] == found[1], "gRPC and HTTP answer alike: %s" % found)
    print("ok: tritonclient over gRPC and HTTP")


main()
