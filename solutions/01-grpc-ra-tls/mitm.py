#!/usr/bin/env python3
"""A man in the middle for break.sh, with TLS of its own to each side and a certificate of its own.

usage: mitm.py CERT_AND_KEY.pem [--listen PORT_FILE] [--target HOST:PORT]
With both it hands everything on; with one of them it sends everything back to where it came from, as if it were its own.
"""
import argparse
import select
import socket
import ssl

ROLE_AT, NONCE_AT, HELLO_SIZE = 7, 9, 41  # of the first message, docs/design/ratls.md


def tls(sock, pem, server):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    ctx.load_cert_chain(pem)
    ctx.set_alpn_protocols(["ccz-ratls/1"])
    return ctx.wrap_socket(sock, server_side=server)


def read(end):
    data = end.recv(65536)
    while end.pending():
        data += end.recv(65536)
    return data


def relay(a, b):
    while True:
        for end in select.select([a, b], [], [])[0]:
            data = read(end)
            if not data:
                return
            (b if end is a else a).sendall(data)


def reflect(end):
    hello = bytearray(read(end))
    while len(hello) < HELLO_SIZE:
        hello += read(end)
    hello[ROLE_AT] ^= ord("s") ^ ord("c")  # the other role, and not the same nonce: those two are looked at first
    hello[NONCE_AT] ^= 1
    end.sendall(hello)
    while data := read(end):
        end.sendall(data)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("pem")
    p.add_argument("--listen")
    p.add_argument("--target")
    args = p.parse_args()
    client = server = None
    if args.listen:
        listener = socket.create_server(("127.0.0.1", 0))
        with open(args.listen, "w", encoding="ascii") as f:
            f.write("%d\n" % listener.getsockname()[1])
        client = tls(listener.accept()[0], args.pem, True)
    if args.target:
        host, port = args.target.rsplit(":", 1)
        server = tls(socket.create_connection((host, int(port))), args.pem, False)
    try:
        if client and server:
            relay(client, server)
        else:
            reflect(client or server)
    except OSError:  # the victim has hung up
        pass


main()
