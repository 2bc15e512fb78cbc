#!/usr/bin/env python3
"""protoc-gen-ccz on requests made here: what it refuses, with the reason; packages that are called otherwise in C.

usage: test_generator.py TOOLS CC INCLUDE
"""
import itertools
import pathlib
import re
import subprocess
import sys
import tempfile

tools, cc, include = sys.argv[1:4]
sys.path.insert(0, tools)
sys.dont_write_bytecode = True
from ccz_proto import fields, first, put  # noqa: E402


def message(name, *field_types):
    return put(1, name.encode()) + b"".join(
        put(2, put(1, b"f") + put(3, i + 1) + put(4, 1) + put(5, 11) + put(6, t.encode())) for i, t in enumerate(field_types))


def method(name, request, response, client=0, server=0):
    return put(1, name.encode()) + put(2, request.encode()) + put(3, response.encode()) + put(5, client) + put(6, server)


def file(name, package, messages=(), services=(), imports=(), c_package=None):
    out = put(1, name.encode()) + put(2, package.encode())
    out += b"".join(put(3, i.encode()) for i in imports) + b"".join(put(4, m) for m in messages)
    for service, methods in services:
        out += put(6, put(1, service.encode()) + b"".join(put(2, m) for m in methods))
    if c_package is not None:
        out += put(8, put(1019, put(6, c_package.encode())))
    return out


def run(files, names, parameter=""):
    request = b"".join(put(1, n.encode()) for n in names) + put(2, parameter.encode()) + b"".join(put(15, f) for f in files)
    return raw(request)


def raw(request):
    done = subprocess.run([sys.executable, tools + "/protoc-gen-ccz"], input=request, stdout=subprocess.PIPE, check=True)
    assert first(done.stdout, 2, 0) == 1  # proto3 optional is understood
    return first(done.stdout, 1).decode(), {
        first(v, 1).decode(): first(v, 15).decode() for n, v in fields(done.stdout) if n == 15}


def refused(text, files, names, parameter=""):
    error, made = run(files, names, parameter)
    assert text in error and error.startswith("protoc-gen-ccz: ") and not made, (error, made.keys())
    print("refused:", error)


M = message("M")
one = file("x.proto", "p", [M], [("S", [method("Go", ".p.M", ".p.M")])])
error, made = run([one], ["x.proto"])
assert not error and sorted(made) == ["x.ccz-rpc.c", "x.ccz-rpc.h"], (error, made)
assert "p_s_go_call" in made["x.ccz-rpc.h"] and "P_S_GO_PATH \"/p.S/Go\"" in made["x.ccz-rpc.h"]
assert "descriptors" not in made["x.ccz-rpc.h"]

refused("unknown option: colour", [one], ["x.proto"], "colour")
refused("p.S.GoOn and p.S.Go_on are both called p_s_go_on in C",
        [file("x.proto", "p", [M], [("S", [method("GoOn", ".p.M", ".p.M"), method("Go_on", ".p.M", ".p.M")])])], ["x.proto"])
refused("p.AaBb.Cc and p.Aa.BbCc are both called p_aa_bb_cc",
        [file("x.proto", "p", [M], [("AaBb", [method("Cc", ".p.M", ".p.M")]), ("Aa", [method("BbCc", ".p.M", ".p.M")])])],
        ["x.proto"])
refused("message q.Elsewhere is not in what protoc handed over",
        [file("x.proto", "p", [M], [("S", [method("Go", ".q.Elsewhere", ".p.M")])])], ["x.proto"])

# Cut off: an error that protoc tells, never a traceback.
whole = put(15, one) + put(1, b"x.proto")
for n in range(1, len(whole), 5):
    raw(whole[:n])
error, _ = raw(whole[:-1])
assert "cut off" in error, error

# A package with another name in C (option of protobuf-c), a type that holds itself through another file.
a = file("dir/a.proto", "long.package.name", [message("Node", ".other.Holder")], imports=["b.proto"], c_package="short.nm",
         services=[("Svc", [method("Go", ".long.package.name.Node", ".other.Flat", 1, 0)])])
b = file("b.proto", "other", [message("Holder", ".long.package.name.Node"), message("Flat")])
error, made = run([b, a], ["dir/a.proto"], "descriptors")
assert not error, error
header, source = made["dir/a.ccz-rpc.h"], made["dir/a.ccz-rpc.c"]
assert "short_nm_svc_go_open" in header and "Short__Nm__Node" in header and "Other__Flat" in header
assert '"/long.package.name.Svc/Go"' in header, "on the wire it keeps its name"
assert "&short__nm__node__descriptor, true" in source and "&other__flat__descriptor, false" in source
assert "struct ccz_span dir_a_descriptors(void);" in header

# Without services there is nothing to call; the files exist, and compile.
error, made = run([file("n.proto", "p", [M])], ["n.proto"])
assert not error and sorted(made) == ["n.ccz-rpc.c", "n.ccz-rpc.h"]
with tempfile.TemporaryDirectory() as folder:
    for name, text in {**made, "n.pb-c.h": "#include <protobuf-c/protobuf-c.h>\n"}.items():
        pathlib.Path(folder, name).write_text(text)
    subprocess.run([cc, "-std=c17", "-Wall", "-Wextra", "-Werror", "-I", include, "-I", folder, "-fsyntax-only", folder + "/n.ccz-rpc.c"],
                   check=True)

# Each combination of kinds has what it needs, and nothing that is not used.
KINDS = {"Unary": ("", ""), "Down": ("", "stream "), "Up": ("stream ", ""), "Both": ("stream ", "stream ")}
STRICT = ["-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wmissing-prototypes", "-Wundef", "-Werror"]
with tempfile.TemporaryDirectory() as folder:
    for n in range(1, 5):
        for names in itertools.combinations(KINDS, n):
            name = "".join(names).lower()
            rpcs = "".join("rpc %s(%sM) returns (%sM);" % (k, *KINDS[k]) for k in names)
            pathlib.Path(folder, name + ".proto").write_text(
                'syntax = "proto3"; package p.%s; message M { repeated M m = 1; } service S { %s }' % (name, rpcs))
            subprocess.run(["protoc", "--plugin=protoc-gen-ccz=" + tools + "/protoc-gen-ccz", "--ccz_out=messages:" + folder,
                            "-I", folder, name + ".proto"], check=True)
            subprocess.run([cc, *STRICT, "-I", include, "-I", folder, "-fsyntax-only", "%s/%s.ccz-rpc.c" % (folder, name)], check=True)

# docs/reference/grpc.md: what it calls exists, and its .proto is the example's.
root = pathlib.Path(tools).parent
page = (root / "docs/reference/grpc.md").read_text()
example = root / "examples/greeter/greeter.proto"
with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["protoc", "--plugin=protoc-gen-ccz=" + tools + "/protoc-gen-ccz", "--ccz_out=messages,descriptors:" + folder,
                    "-I", str(example.parent), example.name], check=True)
    known = " ".join(f.read_text() for f in [*pathlib.Path(folder).iterdir(), *pathlib.Path(include, "cczoo").iterdir()])
    declared = set(re.findall(r"\w+", known))
    used = set(re.findall(r"\b(?:ccz_(?:rpc|party|span)_\w+|CCZ_[A-Z_]+[A-Z]|greeter_v1_\w+|greeter_descriptors|G(?:reeter|REETER)__\w+)", page))
    assert len(used) > 40 and used <= declared, used - declared


def bare(text):
    return re.sub(r"//[^\n]*|\s+", "", text)


block = re.search(r"```proto\n(.*?)```", page, re.S)[1]
assert bare(block) == bare(example.read_text()), "the page shows another greeter.proto"
print("ok")
