# SPDX-License-Identifier: Apache-2.0
"""The workloads of bench/mpc_peers.sh on SPU (PyPI `spu`): two processes on loopback, one thread each.
usage: peer_spu.py PROTOCOL WORKLOAD    PROTOCOL: cheetah, semi2k (triples of the first party, which knows all masks)
lines: first (with connecting and set-up) or again (on the same connection), wall seconds, CPU seconds of each party, bytes on
the loopback, greatest error against numpy. To be run in a network namespace of its own, where nobody else uses the loopback.
Compiling and importing are not counted, sharing of inputs neither: shares are made in one place and handed over.
"""
import multiprocessing
import os
import resource
import socket
import sys
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---------------------------------------------------------------------------------- workloads
# Each: a function of arrays, the arrays, and the party that owns each (-1: both have shares of it).


def matvec(np, jnp):
    r = np.random.default_rng(1)
    return lambda x, w: x @ w, [r.integers(-8000, 8000, s).astype(np.int32) for s in ((1, 784), (784, 128))], [0, 1]


def relu(np, jnp):
    return lambda x: jnp.maximum(x, 0), [np.random.default_rng(2).uniform(-8, 8, (65536,))], [-1]


def lr(np, jnp, columns, batch, batches):
    """Columns of both, labels of the first party; three pieces; each gets nothing back here but a share of the weights."""
    r = np.random.default_rng(3)
    half, rows, rate = columns // 2, batch * batches, 0.125
    x = [r.uniform(-1, 1, (rows, half)), r.uniform(-1, 1, (rows, columns - half))]
    y = (x[0][:, :1] > 0).astype(float)

    def train(a, b, y):
        w = [jnp.zeros((half, 1)), jnp.zeros((columns - half, 1))]
        c = jnp.zeros((1, 1))
        for i in range(batches):
            at = slice(i * batch, (i + 1) * batch)
            z = a[at] @ w[0] + b[at] @ w[1] + c
            e = jnp.clip(z + 0.5, 0, 1) - y[at]
            w[0] = w[0] - a[at].T @ e * (rate / batch)
            w[1] = w[1] - b[at].T @ e * (rate / batch)
            c = c - jnp.sum(e) * (rate / batch)
        return jnp.concatenate([w[0], w[1], c])

    return train, x + [y], [0, 1, 0]


def mlp(np, jnp, batch):
    r = np.random.default_rng(4)
    sizes = [784, 128, 128, 10]
    w = [r.normal(0, 1 / 28, (sizes[i], sizes[i + 1])) for i in range(3)]

    def infer(x, a, b, c):
        return jnp.maximum(jnp.maximum(x @ a, 0) @ b, 0) @ c

    return infer, [r.uniform(0, 1, (batch, 784))] + w, [0, 1, 1, 1]


WORKLOADS = {
    "matvec": matvec,
    "relu": relu,
    "lr100": lambda np, jnp: lr(np, jnp, 100, 128, 8),
    "lr10": lambda np, jnp: lr(np, jnp, 10, 128, 10),
    "mlp1": lambda np, jnp: mlp(np, jnp, 1),
    "mlp32": lambda np, jnp: mlp(np, jnp, 32),
}


def config(spu, protocol, workload):
    c = spu.RuntimeConfig()
    c.protocol = spu.libspu.ProtocolKind.CHEETAH if protocol == "cheetah" else spu.libspu.ProtocolKind.SEMI2K
    c.field = spu.libspu.FieldType.FM32 if workload == "relu" else spu.libspu.FieldType.FM64
    c.fxp_fraction_bits = 12 if workload == "relu" else 18
    c.max_concurrency = 1
    c.experimental_enable_colocated_optimization = True  # what one party owns stays there
    c.experimental_enable_intra_op_par = False
    return c


# ------------------------------------------------------------------------------------ a party


def cpu_s():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def loopback():
    """Bytes that this network namespace's loopback has carried, headers included."""
    for line in open("/proc/self/net/dev"):
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[0])
    return 0


def party(rank, ports, protocol, workload, code, names, shares, start, results):
    import spu

    os.sched_setaffinity(0, {rank % os.cpu_count()})
    desc = spu.libspu.link.Desc()
    for i, port in enumerate(ports):
        desc.add_party("party-%d" % i, "127.0.0.1:%d" % port)
    runtime, figures = None, []
    executable = spu.Executable(name="w", input_names=names["in"], output_names=names["out"], code=code)
    for _ in range(2):
        start.wait()
        size, wall, cpu = loopback(), time.monotonic(), cpu_s()
        if runtime is None:
            link = spu.libspu.link.create_brpc(desc, rank)
            runtime = spu.Runtime(link, config(spu, protocol, workload))
        for name, (meta, chunks) in zip(names["in"], shares):
            share = spu.libspu.Share()
            share.meta, share.share_chunks = meta, chunks
            runtime.set_var(name, share)
        runtime.run(executable)
        out = [runtime.get_var(name) for name in names["out"]]
        wall, cpu = time.monotonic() - wall, cpu_s() - cpu
        start.wait()  # what the other one has sent is there
        figures.append((wall, cpu, loopback() - size))
        start.wait()
    results.put((rank, figures, [(s.meta, s.share_chunks) for s in out]))
    start.wait()
    link.stop_link()


def main(protocol, workload):
    import jax.numpy as jnp
    import numpy as np
    import spu
    import spu.utils.frontend as frontend

    f, arrays, owners = WORKLOADS[workload](np, jnp)
    arrays = [a if a.dtype == np.int32 else a.astype(np.float32) for a in arrays]
    vis = [spu.libspu.Visibility.VIS_SECRET if o < 0 else spu.libspu.Visibility.VIS_PRIVATE for o in owners]
    copts = spu.libspu.CompilerOptions()
    executable, _ = frontend.compile(
        frontend.Kind.JAX, f, arrays, {}, ["in%d" % i for i in range(len(arrays))], vis,
        lambda flat: ["out%d" % i for i in range(len(flat))], copts=copts)
    io = spu.Io(2, config(spu, protocol, workload))
    shares = [io.make_shares(a, spu.libspu.Visibility.VIS_SECRET, o) for a, o in zip(arrays, owners)]
    names = {"in": list(executable.input_names), "out": list(executable.output_names)}
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(2), spawn.Queue()
    ports = [free_port(), free_port()]
    parties = [
        spawn.Process(target=party, args=(
            r, ports, protocol, workload, executable.code, names, [(s[r].meta, list(s[r].share_chunks)) for s in shares],
            start, results))
        for r in range(2)
    ]
    for p in parties:
        p.start()
    got = sorted(results.get(timeout=600) for _ in range(2))
    for p in parties:
        p.join()
    outs = []
    for i in range(len(names["out"])):
        pair = []
        for r in range(2):
            share = spu.libspu.Share()
            share.meta, share.share_chunks = got[r][2][i]
            pair.append(share)
        outs.append(io.reconstruct(pair))
    error = float(np.max(np.abs(outs[0] - np.asarray(f(*arrays)))))
    for which, a, b in zip(("first", "again"), got[0][1], got[1][1]):
        print("%s\t%.3f\t%.3f\t%.3f\t%d\t%.2g" % (which, max(a[0], b[0]), a[1], b[1], a[2], error), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
