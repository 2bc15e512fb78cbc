#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exports the two sides of a split network as SavedModels that are trained from C (include/cczoo/vfl.h).

Runs at set-up only; nothing at run time needs Python. export() takes any Keras models; the command
line exports one of the presets below. It writes below --out

  leader/top/  leader/bottom/  leader/split.json      what the party with the labels needs (bottom only if it has columns)
  follower-1/bottom/  follower-1/split.json  ...      what the others need; split.json is the same for all
  whole/                                              the same network in one piece, to compare with

and split.json says what the parties agree on: names, shapes and widths. Signatures (all float32 unless said otherwise):

  bottom  forward    columns -> act [n, width], and r000 ..: what the backward pass needs of the forward pass
          backward   grad [n, width], r000 .. -> ok       computes gradients, applies the optimizer
          infer      columns -> act                       without dropout, changes nothing
  top     step       act_00 .., label -> loss, grad_00 .. one training step; gradients of the mean loss
          infer      act_00 .. -> score [n, outputs]
  both    get_state  -> s000 .., g000 ..      set_state  s000 .., g000 .. -> ok
          s: weights, optimizer and counters, which several workers of a party have alike; g: random generators, each its own

The backward pass of dense layers does not repeat the forward pass: what leads from one to the other leaves as outputs of
`forward` and comes back as inputs of `backward`. Convolutions would keep large maps that TensorFlow then cannot fuse away:
to repeat their forward pass is faster (docs/design/vfl.md). --recompute yes or no decides otherwise.
"""
import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
tf.get_logger().setLevel("ERROR")


class State:
    """Everything that training changes, in one fixed order: taken from a Keras model outside of any graph, then made
    variables of a graph. The optimizer is one of tf.compat.v1.train, whose updates are single operations of a graph."""

    def __init__(self, model):
        self.values = [[np.asarray(v) for v in variables]
                       for variables in (model.trainable_variables, model.non_trainable_variables)]
        self.random = [v.path.split("/")[-1] == "seed_generator_state" for v in model.non_trainable_variables]

    def make(self):
        self.trainable, self.other = ([v1.Variable(v, use_resource=True, name=f"{prefix}{i:03d}")
                                       for i, v in enumerate(values)] for prefix, values in zip("wn", self.values))
        self.optimizer = []

    def apply(self, optimizer, gradients):
        """Applies an update once all gradients are there: a weight that is still to be read is not changed yet."""
        applied = optimizer.apply_gradients(list(zip(tf.tuple(gradients), self.trainable)))
        self.optimizer = optimizer.variables()
        return [applied]

    def all(self):
        return self.trainable + self.other + self.optimizer

    def names(self):
        """Random generators are g000 .., all else s000 .. ."""
        generators = {id(v) for v, random in zip(self.other, self.random) if random}
        return [f"{'g' if id(v) in generators else 's'}{i:03d}" for i, v in enumerate(self.all())]


def tensors(variables):
    return [tf.convert_to_tensor(v) for v in variables]


def dense(gradients):
    """Those of embeddings come as rows of a table: as the whole table."""
    return [tf.convert_to_tensor(g) for g in gradients]


def done(operations):
    """A number that is there when the operations are: something to fetch."""
    with tf.control_dependencies(operations):
        return tf.identity(tf.constant(1, tf.int32), name="ok")


def assign(variables, values):
    return [v.assign(tf.cast(x, v.dtype)).op for v, x in zip(variables, values)]


def reaches(targets, stop=()):
    """Operations that lead to the targets; the search ends at tensors of operations in `stop`, which are collected."""
    seen, cut, todo = set(), {}, [t.op for t in targets]
    while todo:
        op = todo.pop()
        if op in seen:
            continue
        seen.add(op)
        for t in op.inputs:
            if t.op in stop:
                cut[t.name] = t
            else:
                todo.append(t.op)
        todo.extend(c for c in op.control_inputs if c not in stop)
    return seen, [cut[name] for name in sorted(cut)]


def varying(sources):
    """Operations whose results depend on the batch or on state other than weights: not to be computed twice."""
    seen, todo = set(), [t.op for t in sources]
    while todo:
        op = todo.pop()
        if op not in seen:
            seen.add(op)
            todo.extend(c for t in op.outputs for c in t.consumers())
    return seen


def detach(gradients, kept, grad):
    """The backward pass once more, with placeholders where it begins. TensorFlow can feed any tensor of a graph, but its
    optimizer may have led around one (an addition of 0). Variables are the same: they are known by their names."""
    graph = v1.get_default_graph()
    back = [v1.placeholder(t.dtype, t.shape) for t in kept]
    nodes = v1.graph_util.extract_sub_graph(graph.as_graph_def(), [g.op.name for g in gradients])
    fed = {t.name: p for t, p in zip(kept, back)} | {grad.name: grad}
    fed = {name: p for name, p in fed.items() if name.split(":")[0] in {n.name for n in nodes.node}}
    return tf.import_graph_def(nodes, fed, [g.name for g in gradients], name="back"), back


def signature(inputs, outputs):
    info = v1.saved_model.utils.build_tensor_info
    return v1.saved_model.signature_def_utils.build_signature_def(
        {k: info(t) for k, t in inputs.items()}, {k: info(t) for k, t in outputs.items()},
        "cczoo/vfl")


def state_signatures(state):
    variables = state.all()
    fed = [v1.placeholder(v.dtype, v.shape) for v in variables]
    names = state.names()
    # Identity: what is read must not share memory with the variable.
    return {"get_state": signature({}, dict(zip(names, [tf.identity(t) for t in tensors(variables)]))),
            "set_state": signature(dict(zip(names, fed)), {"ok": done(assign(variables, fed))})}


def save(path, signatures):
    with v1.Session(config=v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)) as s:
        s.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(s, ["serve"], signature_def_map=signatures)
        builder.save()


def feeds(model):
    """A placeholder for each input of a Keras model, by its name."""
    return {t.name: v1.placeholder(t.dtype, t.shape, name=t.name) for t in model.inputs}


def call(model, weights, other, inputs, training):
    outputs, other = model.stateless_call(weights, other, list(inputs.values()) if len(inputs) > 1
                                          else next(iter(inputs.values())), training=training)
    return outputs, other


def repeats(model):
    """Whether the forward pass is repeated unless said otherwise: what has convolutions, and no state that would move on."""
    return not model.non_trainable_variables and any("Conv" in type(layer).__name__ for layer in model.layers)


def export_bottom(path, model, optimizer, recompute=None):
    """A model with one output [n, width], untrained or trained. recompute: None, as repeats() says."""
    recompute = repeats(model) if recompute is None else recompute
    (width,) = model.output_shape[1:]
    state = State(model)
    with tf.Graph().as_default():
        state.make()
        inputs = feeds(model)
        weights, other = tensors(state.trainable), tensors(state.other)
        act, new_other = call(model, weights, other, inputs, True)
        grad = v1.placeholder(tf.float32, [None, width], name="grad")
        gradients = dense(tf.gradients(act, weights, grad_ys=grad))
        forward = varying([*inputs.values(), *other]) & reaches([act])[0]
        kept = list(inputs.values()) if recompute else reaches(gradients, forward)[1]
        gradients, back = detach(gradients, kept, grad)
        names = [f"r{i:03d}" for i in range(len(kept))]
        # What is fed cannot be fetched: columns come back by another name.
        given = dict(zip(names, [tf.identity(t) if t.op.type == "Placeholder" else t for t in kept]))
        if other and recompute:
            sys.exit("error: --recompute: this model has random or other state, which would have moved on")
        # The forward pass moves the other state on (random generators), once.
        with tf.control_dependencies([act.op, *(t.op for t in new_other)]):
            moved = assign(state.other, new_other)
        with tf.control_dependencies(moved):
            act_out = tf.identity(act, name="act")
        inferred = call(model, weights, other, inputs, False)[0]
        applied = done(state.apply(optimizer(), gradients))
        save(path, {"forward": signature(inputs, {"act": act_out, **given}),
                    "backward": signature({"grad": grad, **dict(zip(names, back))}, {"ok": applied}),
                    "infer": signature(inputs, {"act": inferred}), **state_signatures(state)})
    return width


def export_top(path, model, optimizer, loss, score, label_type):
    """A model with one input [n, width] per party. loss(labels, outputs) -> [n] or a number; score(outputs) -> [n, k]."""
    state = State(model)
    with tf.Graph().as_default():
        state.make()
        acts = {f"act_{i:02d}": v1.placeholder(tf.float32, t.shape, name=f"act_{i:02d}")
                for i, t in enumerate(model.inputs)}
        label = v1.placeholder(label_type, [None], name="label")
        weights, other = tensors(state.trainable), tensors(state.other)
        outputs, new_other = call(model, weights, other, acts, True)
        mean = tf.reduce_mean(loss(label, outputs))
        gradients = dense(tf.gradients(mean, [*weights, *acts.values()]))
        updates = state.apply(optimizer(), gradients[:len(weights)])
        with tf.control_dependencies([mean.op, *(t.op for t in new_other)]):
            updates += assign(state.other, new_other)
        with tf.control_dependencies(updates):
            out = {"loss": tf.identity(mean)}
            for i, g in enumerate(gradients[len(weights):]):
                out[f"grad_{i:02d}"] = tf.identity(g)
        inferred = score(call(model, weights, other, acts, False)[0])
        save(path, {"step": signature({**acts, "label": label}, out),
                    "infer": signature(acts, {"score": inferred}), **state_signatures(state)})
        return int(inferred.shape[1])


def export_whole(path, bottoms, top, optimizer, loss, score, label_type):
    """The same network in one piece, for comparing: step, infer as a top model has them, on the columns of all parties."""
    states = [State(m) for m in [*bottoms.values(), top]]
    with tf.Graph().as_default():
        inputs, acts, inferred, weights, moved = {}, {}, {}, [], []
        for state in states:
            state.make()
        for i, (model, state) in enumerate(zip(bottoms.values(), states)):
            own = {k: v1.placeholder(t.dtype, t.shape) for k, t in zip(feeds(model), model.inputs)}
            inputs |= {f"{k}_{i:02d}": t for k, t in own.items()}
            reads, other = tensors(state.trainable), tensors(state.other)
            acts[i], new_other = call(model, reads, other, own, True)
            inferred[i] = call(model, reads, other, own, False)[0]
            weights.append(reads)
            moved += list(zip(state.other, new_other))
        label = v1.placeholder(label_type, [None], name="label")
        reads, other = tensors(states[-1].trainable), tensors(states[-1].other)
        outputs, new_other = call(top, reads, other, acts, True)
        weights.append(reads)
        moved += list(zip(states[-1].other, new_other))
        mean = tf.reduce_mean(loss(label, outputs))
        gradients = dense(tf.gradients(mean, sum(weights, [])))
        updates = []
        for state in states:
            own, gradients = gradients[:len(state.trainable)], gradients[len(state.trainable):]
            updates += state.apply(optimizer(), own)
        with tf.control_dependencies(updates):
            updates += [v.assign(x).op for v, x in moved]
        with tf.control_dependencies(updates):
            mean = tf.identity(mean)
        scored = score(call(top, reads, other, inferred, False)[0])
        save(path, {"step": signature({**inputs, "label": label}, {"loss": mean}),
                    "infer": signature(inputs, {"score": scored})})


def head(classes):
    """Loss, score and type of labels: two classes by one number, more by softmax, 0 = a number."""
    if classes == 0:
        return (lambda y, z: tf.square(tf.reshape(z, [-1]) - y) / 2, lambda z: tf.reshape(z, [-1, 1]), tf.float32)
    if classes == 2:
        return (lambda y, z: tf.nn.sigmoid_cross_entropy_with_logits(
                    labels=tf.cast(y, tf.float32), logits=tf.reshape(z, [-1])),
                lambda z: tf.sigmoid(tf.reshape(z, [-1, 1])), tf.int32)
    return (lambda y, z: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z),
            tf.nn.softmax, tf.int32)


def export(out, bottoms, top, optimizer, classes, recompute=None, whole=True):
    """bottoms: {"leader": model, "follower-1": model, ..}, the leader's may be missing; top: one input per bottom, in that
    order. optimizer: makes a new one of tf.compat.v1.train at each call."""
    out.mkdir(parents=True)
    parties = []
    for name, model in bottoms.items():
        width = export_bottom(out / name / "bottom", model, optimizer, recompute)
        parties.append({"name": name, "width": width, "inputs": {
            t.name: {"type": t.dtype, "shape": [-1, *t.shape[1:]]} for t in model.inputs}})
    loss, score, label_type = head(classes)
    if whole:
        export_whole(out / "whole", bottoms, top, optimizer, loss, score, label_type)
    outputs = export_top(out / "leader" / "top", top, optimizer, loss, score, label_type)
    text = json.dumps({"version": 1, "tensorflow": tf.__version__, "classes": classes, "outputs": outputs,
                       "parties": parties}, indent=1) + "\n"
    for name in {"leader", *bottoms}:
        (out / name / "split.json").write_text(text)


# ------------------------------------------------------------------------------------ presets

L = keras.layers


def image_bottom(args, shape):
    x = y = keras.Input(shape, dtype="uint8", name="image")
    y = L.Rescaling(1 / 255, dtype="float32")(y)
    if args.conv:
        y = L.Conv2D(16, 3, padding="same", activation="relu")(y)
        y = L.MaxPooling2D()(y)
        y = L.Conv2D(32, 3, padding="same", activation="relu")(y)
        y = L.MaxPooling2D()(y)
        y = L.Flatten()(y)
    else:
        y = L.Flatten()(y)
        y = L.Dense(args.hidden, activation="relu")(y)
    y = L.Dense(args.width, activation="relu")(y)
    return keras.Model(x, y)


def table_bottom(args, columns):
    x = keras.Input((columns,), dtype="float32", name="x")
    y = L.Dense(args.hidden, activation="relu")(x)
    if args.dropout:
        y = L.Dropout(args.dropout)(y)
    return keras.Model(x, L.Dense(args.width, activation="relu")(y))


def embedding_bottom(args, rows, columns):
    """A number of a row (a user, a film) through a table of its own, beside plain columns. Wide & Deep (Cheng et al. 2016): one
    more activation, the linear part of this party's columns."""
    index = keras.Input((1,), dtype="int32", name="index")
    y = L.Flatten()(L.Embedding(rows, args.embedding)(index))
    wide = [L.Flatten()(L.Embedding(rows, 1, embeddings_initializer="zeros")(index))]
    inputs = [index]
    if columns:
        inputs.append(keras.Input((columns,), dtype="float32", name="x"))
        y = L.Concatenate()([y, inputs[-1]])
        wide.append(L.Dense(1, use_bias=False)(inputs[-1]))
    y = L.Dense(args.hidden, activation="relu")(y)
    y = L.Dense(args.width, activation="relu")(y)
    if not args.wide:
        return keras.Model(inputs, y)
    return keras.Model(inputs, L.Concatenate()([y, L.Add()(wide) if columns else wide[0]]))


def top_model(args, parties, classes):
    inputs = [keras.Input((args.width + args.wide,), name=f"act_{i:02d}") for i in range(parties)]
    deep = [x[:, :args.width] for x in inputs] if args.wide else inputs
    y = L.Concatenate()(deep) if parties > 1 else deep[0]
    if args.top_hidden:
        y = L.Dense(args.top_hidden, activation="relu")(y)
    y = L.Dense(classes if classes > 2 else 1)(y)
    if args.wide: # what is linear reaches the score as it is
        y = L.Add()([y, *(x[:, args.width:] for x in inputs)])
    return keras.Model(inputs, y)


def numbers(text):
    return [int(n) for n in text.split(",")]


def preset(args):
    if args.preset == "fashion-mnist":
        bottoms = {n: image_bottom(args, (28, 14, 1)) for n in ("leader", "follower-1")}
    elif args.preset == "table":
        names = ["leader", *(f"follower-{i}" for i in range(1, len(args.columns)))]
        bottoms = {n: table_bottom(args, c) for n, c in zip(names, args.columns) if c}
    else:
        users, films, columns = args.columns
        bottoms = {"leader": embedding_bottom(args, users, 0),
                   "follower-1": embedding_bottom(args, films, columns)}
    return bottoms, top_model(args, len(bottoms), args.classes)


def parser():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", required=True, type=pathlib.Path, help="folder to create")
    p.add_argument("--all", action="store_true", help="every preset that the solution uses, below --out")
    p.add_argument("--preset", choices=["fashion-mnist", "table", "ratings"], default="fashion-mnist")
    p.add_argument("--columns", type=numbers, default=[10, 10],
                   help="table: columns of leader, follower-1, ..; ratings: users, films, columns of a film")
    p.add_argument("--classes", type=int, default=2, help="0: labels are numbers")
    p.add_argument("--conv", action="store_true", help="convolutions in place of a dense layer")
    p.add_argument("--hidden", type=int, default=128)
    p.add_argument("--width", type=int, default=32, help="activations per row of a party")
    p.add_argument("--top-hidden", type=int, default=0)
    p.add_argument("--embedding", type=int, default=16)
    p.add_argument("--wide", action="store_true", help="ratings: Wide & Deep, two classes")
    p.add_argument("--dropout", type=float, default=0)
    p.add_argument("--optimizer", choices=["adam", "sgd", "adagrad"], default="adam")
    p.add_argument("--rate", type=float, default=1e-3)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--recompute", choices=["auto", "yes", "no"], default="auto", help="the forward pass in the backward pass")
    return p


# What scripts/export-split makes; the names are those of the folders.
ALL = {
    "fashion-mnist": [],
    "fashion-mnist-10": ["--classes", "10"],
    "fashion-mnist-conv": ["--classes", "10", "--conv", "--top-hidden", "64"],
    "fashion-mnist-kept": ["--classes", "10", "--conv", "--top-hidden", "64", "--recompute", "no"],
    "credit": ["--preset", "table", "--columns", "4,7", "--hidden", "32", "--width", "8"],
    "ratings": ["--preset", "ratings", "--columns", "1000,10000,21"],
    "ratings-wide-deep": ["--preset", "ratings", "--columns", "1000,10000,21", "--wide", "--top-hidden", "32"],
    "tiny": ["--preset", "table", "--columns", "3,4", "--hidden", "8", "--width", "4", "--dropout", "0.2"],
}


def run(args):
    keras.utils.set_random_seed(args.seed)
    make = {"adam": lambda: v1.train.AdamOptimizer(args.rate),
            "sgd": lambda: v1.train.MomentumOptimizer(args.rate, 0.9),
            "adagrad": lambda: v1.train.AdagradOptimizer(args.rate)}[args.optimizer]
    bottoms, top = preset(args)
    export(args.out, bottoms, top, make, args.classes,
           {"auto": None, "yes": True, "no": False}[args.recompute])


def main():
    args = parser().parse_args()
    if not args.all:
        run(args)
        return
    for name, options in ALL.items():
        run(parser().parse_args([*options, "--out", str(args.out / name)]))


if __name__ == "__main__":
    main()
