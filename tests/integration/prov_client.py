#!/usr/bin/env python3
"""A client of secret provisioning, version 1, on Python's ssl module; nothing of CCZoo in it.

usage: prov_client.py PORT CA CERT|- KEY 1.2|1.3 [wrong|no-nul|cut|slow|silent SECONDS]
Writes the secret to stdout. Exit status 1: the server gave none.
"""
import socket, ssl, struct, sys, time

REQUEST = b"SECRET_PROVISION_RA_TLS_REQUEST_V1\0"
HEAD = b"SECRET_PROVISION_RA_TLS_RESPONSE_V1:\0"
port, ca, cert, key, version, *how = sys.argv[1:]
how = how[0] if how else ""
context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
context.minimum_version = context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
if cert != "-":
    context.load_cert_chain(cert, key)


def exactly(s, size):
    got = b""
    while len(got) < size:
        piece = s.recv(size - len(got))
        if not piece:
            raise EOFError(f"{len(got)} bytes of {size}")
        got += piece
    return got


try:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as plain:
        if how == "silent":
            time.sleep(float(sys.argv[7]))
            sys.exit(1)
        with context.wrap_socket(plain, server_hostname="localhost") as s:
            assert s.version() == "TLSv" + version
            if how == "wrong":
                s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            elif how == "no-nul":
                s.sendall(REQUEST[:-1] + b" ")
            elif how == "cut":
                s.sendall(REQUEST[:20])
                plain = s.unwrap()
            elif how == "slow":
                for i in range(len(REQUEST)):
                    s.sendall(REQUEST[i:i + 1])
                    time.sleep(0.02)
            else:
                s.sendall(REQUEST)
            head = exactly(s, 41)
            assert head[:37] == HEAD, head
            secret = exactly(s, struct.unpack(">I", head[37:])[0])
            assert s.recv(1) == b"", "bytes behind the secret"  # close_notify, not a cut
except (OSError, EOFError, ValueError) as e:
    print(f"{type(e).__name__}: {e}", file=sys.stderr)
    sys.exit(1)
sys.stdout.buffer.write(secret)
