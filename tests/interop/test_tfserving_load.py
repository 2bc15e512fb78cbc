#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cczoo-served under load and with bad clients: nothing is lost, nobody waits for them, memory stays.

usage: test_tfserving_load.py PORT REST_PORT PID IMAGES LABELS     (see tfserving_client.sh)
"""
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

from test_tfserving_client import Images, channel, expect

from tensorflow_serving.apis import prediction_service_pb2_grpc

CONCURRENT, REQUESTS, WARM_UP = 2000, 20000, 4000
GROWTH_KB = 16384  # what VmRSS may grow after the warm-up


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def stub(port):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel(port))


def concurrent(port, data):
    """All calls are on their way before the first answer is looked at."""
    stubs = [stub(port) for _ in range(8)]
    want = [stubs[0].Predict(data.request(k, 1), timeout=60) for k in range(16)]
    start = time.time()
    calls = [(k % 16, stubs[k % 8].Predict.future(data.request(k % 16, 1, True), timeout=120)) for k in range(CONCURRENT)]
    bad = sum(f.result() != want[k] for k, f in calls)
    expect(bad == 0, "%d of %d concurrent calls got another answer" % (bad, CONCURRENT))
    print("ok concurrent: %d calls at a time, all right, %.1f s" % (CONCURRENT, time.time() - start))


def steady(port, pid, data):
    """A window of 64 calls in flight until all were made."""
    stubs = [stub(port) for _ in range(4)]
    request, flight, done, before = data.request(0, 1, True), [], 0, 0
    start = time.time()
    want = stubs[0].Predict(request, timeout=60)
    while done < WARM_UP + REQUESTS:
        while len(flight) < 64 and done + len(flight) < WARM_UP + REQUESTS:
            flight.append(stubs[len(flight) % 4].Predict.future(request, timeout=60))
        expect(flight.pop(0).result() == want, "an answer under load")
        done += 1
        if done == WARM_UP:
            before = rss_kb(pid)
    after = rss_kb(pid)
    print("ok steady: %d requests, %.0f/s, VmRSS %d kB after %d requests, %d kB at the end" %
          (done, done / (time.time() - start), before, WARM_UP, after))
    expect(after - before < GROWTH_KB, "memory grew by %d kB" % (after - before))


def dial(port, *alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context, context.wrap_socket(socket.create_connection(("127.0.0.1", port)))


def slow(port, rest, data):
    """Clients that send by drops, stop in the middle, or do not read; meanwhile others are served as ever."""
    held = []
    body = json.dumps({"instances": [data.image(0)] * 200}).encode()
    head = b"POST /v1/models/fashion-mnist:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for _ in range(20):  # an answer that is not read, a body that stops, a header that stops
        for part in (head + body, head + body[:1000], head[:30]):
            s = dial(rest)[1]
            s.sendall(part)
            held.append(s)
    for _ in range(20):  # HTTP/2 that stops in its preface; a TLS handshake that is never made
        s = dial(port, "h2")[1]
        s.sendall(b"PRI * HTTP/2.0\r\n")
        held += [s, socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", rest))]
    mine, context, times = stub(port), dial(rest)[0], []
    for k in range(100):
        start = time.time()
        mine.Predict(data.request(k % 16, 1, True), timeout=20)
        url = "https://127.0.0.1:%d/v1/models/fashion-mnist" % rest
        with urllib.request.urlopen(url, context=context, timeout=20) as answer:
            expect(answer.status == 200, "status while others are slow")
        times.append(time.time() - start)
        held[k].sendall(b"x")
    times.sort()
    for s in held:
        s.close()
    print("ok slow: %d idle or slow clients; a call and a status on a new connection take %.1f ms (median), %.1f ms (p99)" %
          (len(held), times[50] * 1000, times[99] * 1000))


def killed(port, pid, data):
    """Clients that die in the middle of a call."""
    before = rss_kb(pid)
    for k in range(20):
        client = subprocess.Popen([sys.executable, __file__, "victim", str(port), *sys.argv[4:]], stdout=subprocess.PIPE)
        client.stdout.readline()  # its calls are on the way
        time.sleep(0.01 * k)
        client.send_signal(signal.SIGKILL)
        client.wait()
    start = time.time()
    stub(port).Predict(data.request(0, 1), timeout=20)
    print("ok killed: 20 clients died with 8 large calls each in flight; the next call took %.0f ms, VmRSS %d -> %d kB" %
          ((time.time() - start) * 1000, before, rss_kb(pid)))


def victim(port, data):
    request = data.request(0, 100, True)
    mine = stub(port)
    calls = [mine.Predict.future(request, timeout=60) for _ in range(8)]
    print("sent", flush=True)
    for f in calls:
        f.result()
    time.sleep(60)


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "victim":
        victim(int(sys.argv[2]), Images(sys.argv[3], sys.argv[4], 100))
    elif len(sys.argv) == 6:
        PORT, REST, PID = map(int, sys.argv[1:4])
        DATA = Images(sys.argv[4], sys.argv[5], 100)
        concurrent(PORT, DATA)
        slow(PORT, REST, DATA)
        killed(PORT, PID, DATA)
        steady(PORT, PID, DATA)
    else:
        sys.exit(__doc__)
