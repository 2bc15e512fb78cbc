# SPDX-License-Identifier: Apache-2.0
"""What the interop tests share: servers as child processes, and Go programs."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def skip(text):
    print("skipped: " + text)
    sys.exit(77)


def fail(text):
    sys.exit("failed: " + text)


def expect(cond, what):
    if not cond:
        fail(what)


class Server:
    """A server that prints its port, perhaps its certificate, and serves until its standard input ends."""

    def __init__(self, command, certificate=None):
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        expect(line.strip().isdigit(), "%s did not start" % command[0])
        self.address = "127.0.0.1:%d" % int(line)
        self.cert = certificate or os.path.join(self.folder.name, "cert.pem")
        if not certificate:  # ours comes behind the port
            with open(self.cert, "wb") as f:
                f.writelines(iter(self.process.stdout.readline, b"\n"))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.stdin.close()
        code = self.process.wait(20)
        self.folder.cleanup()
        if kind is None:
            expect(code == 0, "the server's end: exit code %d" % code)


def identity(folder):
    """Files of a self-made certificate and key for stock servers."""
    key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return cert, key


def go_program(package, folder):
    """Builds a program of the module grpcgo, or one that it pins. What Go needs is kept in ${CCZOO_CACHE:-$HOME/.cache/cczoo}/go."""
    cache = pathlib.Path(os.environ.get("CCZOO_CACHE") or os.path.expanduser("~/.cache/cczoo")) / "go"
    if not shutil.which("go"):
        skip("go is not installed")
    env = dict(os.environ, GOMODCACHE=str(cache / "mod"), GOCACHE=str(cache / "build"), GOTOOLCHAIN="local",
               GOFLAGS="-mod=readonly -modcacherw -buildvcs=false", CGO_ENABLED="0")
    listing = subprocess.run(["go", "list", "-deps", package], cwd=HERE / "grpcgo", env=env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    if listing.returncode:
        skip("the modules of tests/interop/grpcgo cannot be had: %s" % " ".join(listing.stderr.decode().split())[-300:])
    program = os.path.join(folder, "program")
    subprocess.run(["go", "build", "-ldflags=-s -w", "-o", program, package], cwd=HERE / "grpcgo", env=env, check=True)
    return program


def run_case(command, name):
    """Runs one case; @return None, or what it complained about."""
    try:
        done = subprocess.run([str(c) for c in command] + [name], timeout=60, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    except subprocess.TimeoutExpired:
        return "no end within 60 s"
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[-500:] or "it failed"


def run_cases(command, names, what):
    for name in names:
        problem = run_case(command, name)
        expect(problem is None, "%s: %s: %s" % (what, name, problem))
    print("ok %s: %d cases: %s" % (what, len(names), " ".join(names)))
