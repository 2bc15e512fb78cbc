#!/usr/bin/env python3
"""forward.py HOST PORT_FILE SOCKET: forwards TCP connections to a unix socket, both ways, until it is killed. Stopped (SIGSTOP) it is a network that takes bytes and
delivers none."""
import os, socket, sys, threading

host, port_file, target = sys.argv[1:]

def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

server = socket.create_server((host, 0))
with open(port_file + ".tmp", "w") as f:
    f.write(f"{server.getsockname()[1]}\n")
os.rename(port_file + ".tmp", port_file)
while True:
    a = server.accept()[0]
    b = socket.socket(socket.AF_UNIX)
    try:
        b.connect(target)
    except OSError:
        a.close()
        continue
    for pair in ((a, b), (b, a)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
