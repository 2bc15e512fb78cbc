# SPDX-License-Identifier: Apache-2.0
"""The Python packages of the interop tests, in a virtual environment of their own that is made when it is missing.

It lives in ${CCZOO_CACHE:-$HOME/.cache/cczoo}/interop-venv; other pins make it anew.
"""
import fcntl
import hashlib
import os
import subprocess
import sys
import venv


def enter(name="requirements"):
    """Returns inside the environment of NAME.txt: re-runs this script there if need be. Exit 77 if it cannot be made."""
    pins = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".txt")
    cache = os.environ.get("CCZOO_CACHE") or os.path.expanduser("~/.cache/cczoo")
    home = os.path.join(cache, "interop-venv" + name[len("requirements"):])
    if os.path.realpath(sys.prefix) == os.path.realpath(home):
        return
    python, stamp = os.path.join(home, "bin", "python"), os.path.join(home, "pins.sha256")
    want = hashlib.sha256(open(pins, "rb").read()).hexdigest()
    try:
        os.makedirs(cache, exist_ok=True)
        with open(home + ".lock", "w") as lock:  # tests may run at the same time
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(stamp) or open(stamp).read() != want:
                venv.create(home, with_pip=True, clear=True)
                subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                                "--require-hashes", "--only-binary=:all:", "--requirement", pins],
                               check=True, stdout=sys.stderr)
                with open(stamp, "w") as f:
                    f.write(want)
    except (OSError, subprocess.CalledProcessError) as e:
        print("skipped: the Python packages of tests/interop/%s.txt cannot be installed: %s" % (name, e))
        sys.exit(77)
    os.execv(python, [python] + sys.argv)
