#!/usr/bin/env python3
"""kms_core.py FOLDER DAEMON ARG...: a daemon that crashes leaves no core. It sets its limit to 0, whatever it inherits; and it is not
dumpable, which also keeps other processes of its user out of its memory. A program without secrets shows that both can be seen here."""
import os, re, resource, signal, subprocess, sys, time

folder, *argv = sys.argv[1:]
port_file = argv[argv.index("--port-file") + 1]
PLAIN = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []  # a root that is nobody special
INF = resource.RLIM_INFINITY

def start(argv):
    pid = os.fork()
    if pid:
        return pid
    os.chdir(folder)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (INF, INF))
    except ValueError:  # not ours to raise
        pass
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    argv = PLAIN + argv
    os.execvp(argv[0], argv)

def crash(pid):
    """@return whether the kernel wrote, or handed over, a core."""
    os.kill(pid, signal.SIGSEGV)
    status = os.waitpid(pid, 0)[1]
    if not os.WIFSIGNALED(status):
        sys.exit(f"it did not crash: {status}")
    return os.WCOREDUMP(status) or any(n.startswith("core") for n in os.listdir(folder))

def readable(pid):
    """Whether a process of the same user may look into it: of one that is not dumpable only who is privileged may."""
    return subprocess.run(PLAIN + ["cat", f"/proc/{pid}/environ"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

def daemon():
    if os.path.exists(port_file):
        os.unlink(port_file)
    pid = start(argv)
    for _ in range(600):
        if os.path.exists(port_file):
            return pid
        if os.waitpid(pid, os.WNOHANG)[0]:
            break
        time.sleep(0.05)
    sys.exit("the daemon does not start")

os.makedirs(folder)
pid = daemon()
limits = re.search(r"^Max core file size +(\S+) +(\S+)", open(f"/proc/{pid}/limits").read(), re.M).groups()
if limits != ("0", "0"):
    sys.exit(f"its limit is {limits}")
if crash(pid):
    sys.exit("a core of the daemon")
pid = start(["sleep", "60"])
while open(f"/proc/{pid}/comm").read() != "sleep\n":
    time.sleep(0.05)
if not readable(pid):
    sys.exit("not even that of a program without secrets can be read")
if not crash(pid):
    print("   no program leaves a core here: the limit was seen")
pid = daemon()
if readable(pid):
    sys.exit("others of its user can read the memory of the daemon: it is dumpable")
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
print("   no core, and nobody else reads its memory")
