#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exports a Keras model as a SavedModel that programs without Python train: signatures for training steps, evaluation and
the exchange of weights. Runs at set-up only.

    export_train.py --model lenet --shape 28x28x1 --classes 10 --out DIR
    export_train.py --model my_model.keras --out DIR          any Keras 3 model that returns logits
    export_train.py --all DIR                                 every network of fl_networks.py, below DIR
    import export_train; export_train.export(model, "DIR")    the same from Python

docs/reference/federated-model.md explains what a model needs. Signatures (n = samples of a batch, any number):

  train            x float32 [n, ...], y int32 [n], lr, momentum, prox_mu float32 []
                   -> loss float32 [] (mean before the step), correct int32 []
                   One step of the optimizer on: gradient + prox_mu (w - centre) + correction
  eval             x, y -> loss (mean), correct
  begin            seed int64 [] -> ok int32 []
                   Starts a local training: optimizer state = 0, centre = weights, correction = 0, random layers seeded
  get_weights      -> w0000_NAME ..: every weight, trainable or not, in the order of Keras
  set_weights      w0000_NAME .. -> ok
  set_correction   w0000_NAME .. of those that are trainable -> ok         (SCAFFOLD; after `begin`)
  serving_default  x -> scores float32 [n, classes]: softmax, or the logistic function for one logit

Beside the SavedModel, DIR.json names the weights and says what is what.
"""
import argparse
import json
import os
import pathlib
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

OPTIMIZERS = ("sgd", "adagrad", "adam")


def keys(variables):
    """Names of signature inputs and outputs: the number keeps the order, the rest is for people."""
    return [f"w{i:04d}_" + re.sub(r"[^A-Za-z0-9]+", "_", v.path).strip("_")[:96] for i, v in enumerate(variables)]


class Trainable:
    """A Keras model as functions of plain variables, with an optimizer of a few lines: its state can be set to zero, and
    nothing else is in it. The variables are copies: Keras's own would be saved twice, once without a value."""

    def __init__(self, model, loss, optimizer):
        self.model, self.loss, self.optimizer = model, loss, optimizer
        if not model.trainable_variables:
            sys.exit("error: the model has no trainable weight")
        for v in model.weights:
            if v.dtype != "float32":
                sys.exit(f"error: weight {v.path} is {v.dtype}, not float32")
        mine = {id(v): tf.Variable(v.numpy(), trainable=False) for v in model.variables}
        pick = lambda variables: [mine[id(v)] for v in variables]
        self.all, self.trained = pick(model.weights), pick(model.trainable_variables)
        self.others = pick(model.non_trainable_variables)  # statistics, and the states of random layers
        weights = {id(v) for v in model.weights}
        self.seeds = pick(v for v in model.non_trainable_variables if id(v) not in weights)
        zeros = lambda: [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.trained]
        self.first, self.second = zeros(), zeros() if optimizer == "adam" else []
        self.steps = tf.Variable(0.0, trainable=False)
        self.centre, self.correction = zeros(), zeros()
        self.keys = keys(model.weights)

    def holder(self):
        """What a SavedModel keeps: the variables."""
        m = tf.Module()
        m.state = [*self.all, *self.seeds, *self.first, *self.second, self.steps, *self.centre, *self.correction]
        return m

    def forward(self, trained, x, training):
        """Logits, new values of the other variables, losses of regularisers."""
        others = [tf.convert_to_tensor(v) for v in self.others]
        y, others, losses = self.model.stateless_call(trained, others, x, training=training, return_losses=True)
        return tf.cast(y, tf.float32), others, losses

    def logits(self, x):
        return self.forward([tf.convert_to_tensor(v) for v in self.trained], x, False)[0]

    def measure(self, y, logits):
        """Mean loss and number of right answers."""
        if self.loss == "binary":
            logit = logits[:, 0]
            loss = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(y, tf.float32), logit)
            right = tf.equal(logit > 0, y > 0)
        else:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), y)
        return tf.reduce_mean(loss), tf.reduce_sum(tf.cast(right, tf.int32))

    def step(self, i, g, lr, momentum):
        """What weight i moves by, against its gradient."""
        if self.optimizer == "sgd":
            return lr * self.first[i].assign(momentum * self.first[i] + g)
        if self.optimizer == "adagrad":
            return lr * g / (tf.sqrt(self.first[i].assign_add(g * g)) + 1e-7)
        beta1, beta2 = momentum, 0.999
        m = self.first[i].assign(beta1 * self.first[i] + (1 - beta1) * g)
        v = self.second[i].assign(beta2 * self.second[i] + (1 - beta2) * g * g)
        return lr * m / (1 - beta1 ** self.steps) / (tf.sqrt(v / (1 - beta2 ** self.steps)) + 1e-7)

    def train(self, x, y, lr, momentum, prox_mu):
        weights = [tf.convert_to_tensor(v) for v in self.trained]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, others, losses = self.forward(weights, x, True)
            loss, correct = self.measure(y, logits)
            total = tf.add_n([loss] + list(losses))
        gradients = tape.gradient(total, weights)
        self.steps.assign_add(1)
        for v, new in zip(self.others, others):
            v.assign(new)
        for i, (w, g) in enumerate(zip(weights, gradients)):
            g = tf.zeros(w.shape) if g is None else tf.convert_to_tensor(g)
            g += prox_mu * (w - self.centre[i])
            # The correction goes past momentum: what SCAFFOLD makes of steps * lr is then the right size.
            self.trained[i].assign(w - self.step(i, g, lr, momentum) - lr * self.correction[i])
        return {"loss": loss, "correct": correct}

    def eval(self, x, y):
        loss, correct = self.measure(y, self.logits(x))
        return {"loss": loss, "correct": correct}

    def begin(self, seed):
        for v in self.first + self.second + self.correction:
            v.assign(tf.zeros(v.shape))
        self.steps.assign(0)
        for c, v in zip(self.centre, self.trained):
            c.assign(v)
        for i, s in enumerate(self.seeds):
            halves = tf.stack([tf.bitwise.bitwise_and(seed, 0xffffffff), tf.constant(i, tf.int64)])
            s.assign(tf.cast(halves, s.dtype))
        return {"ok": tf.constant(1)}

    def set_correction(self, *values):
        for c, v in zip(self.correction, values):
            c.assign(v)
        return {"ok": tf.constant(1)}

    def get_weights(self):
        return {k: tf.identity(v) for k, v in zip(self.keys, self.all)}

    def set_weights(self, *values):
        for v, new in zip(self.all, values):
            v.assign(new)
        return {"ok": tf.constant(1)}

    def scores(self, x):
        logits = self.logits(x)
        return {"scores": tf.sigmoid(logits) if self.loss == "binary" else tf.nn.softmax(logits)}

    def signatures(self):
        x = tf.TensorSpec([None, *self.model.inputs[0].shape[1:]], tf.float32, "x")
        y = tf.TensorSpec([None], tf.int32, "y")
        number = lambda name: tf.TensorSpec([], tf.float32, name)
        named = {id(v): tf.TensorSpec(v.shape, tf.float32, k) for k, v in zip(self.keys, self.all)}
        like = lambda variables: [named[id(v)] for v in variables]
        specs = {
            "train": (self.train, [x, y, number("lr"), number("momentum"), number("prox_mu")]),
            "eval": (self.eval, [x, y]),
            "begin": (self.begin, [tf.TensorSpec([], tf.int64, "seed")]),
            "set_correction": (self.set_correction, like(self.trained)),
            "get_weights": (self.get_weights, []),
            "set_weights": (self.set_weights, like(self.all)),
            "serving_default": (self.scores, [x]),
        }
        return {name: tf.function(f).get_concrete_function(*spec) for name, (f, spec) in specs.items()}


def export(model, out, loss=None, optimizer="sgd"):
    """Writes the SavedModel @out and @out.json. `loss`: "classes" (softmax over logits), "binary" (one logit), None: by the
    shape of the output. Weights of the optimizer that the model was compiled with are not looked at."""
    out = pathlib.Path(out)
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        sys.exit("error: the model must have one input, and one output [n, classes]")
    width = model.outputs[0].shape[1]
    loss = loss or ("binary" if width == 1 else "classes")
    if optimizer not in OPTIMIZERS or loss not in ("classes", "binary") or (loss == "binary") != (width == 1):
        sys.exit(f"error: loss {loss}, optimizer {optimizer}, {width} outputs do not go together")
    module = Trainable(model, loss, optimizer)
    tf.saved_model.save(module.holder(), str(out), signatures=module.signatures())
    finger = out / "fingerprint.pb"   # holds a random number: two exports of one model are to be equal
    finger.unlink(missing_ok=True)
    trained = {id(v) for v in module.trained}
    weights = [{"key": k, "name": w.path, "shape": list(w.shape), "trained": id(v) in trained}
               for k, w, v in zip(module.keys, model.weights, module.all)]
    total = int(sum(np.prod(w["shape"], dtype=np.int64) for w in weights))
    out.with_name(out.name + ".json").write_text(json.dumps({
        "model": model.name, "tensorflow": tf.__version__, "keras": keras.__version__, "loss": loss,
        "optimizer": optimizer, "parameters": total, "input": list(model.inputs[0].shape[1:]), "outputs": width,
        "weights": weights}, indent=1) + "\n")
    return total


def main():
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    import fl_networks

    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", help=f"one of {', '.join(fl_networks.NETWORKS)}, or a .keras file")
    p.add_argument("--shape", default="28x28x1", help="of an image: height x width x channels")
    p.add_argument("--classes", type=int, default=10)
    p.add_argument("--norm", choices=("group", "batch", "none"), default="group",
                   help="of residual networks; statistics of `batch` are weights that are averaged like others")
    p.add_argument("--optimizer", choices=OPTIMIZERS, default="sgd", help="of members; its state lives for one round")
    p.add_argument("--loss", choices=("classes", "binary"), help="default: by the shape of the output")
    p.add_argument("--seed", type=int, default=1, help="of the first weights")
    p.add_argument("--out", type=pathlib.Path, help="folder to create")
    p.add_argument("--all", type=pathlib.Path, help="folder to create, with every network as the demonstrations use it")
    args = p.parse_args()
    if args.all:
        for name in fl_networks.NETWORKS:
            keras.utils.set_random_seed(args.seed)
            model = fl_networks.NETWORKS[name]((28, 28, 1), 10, "group")
            # As the original demonstrations: momentum for images, Adagrad for embeddings.
            optimizer = "adagrad" if model.outputs[0].shape[1] == 1 else "sgd"
            print(f"{name}: {export(model, args.all / name, optimizer=optimizer)} parameters")
        return
    if not args.model or not args.out:
        p.error("--model and --out, or --all, are needed")
    if args.out.exists():
        sys.exit(f"error: {args.out} exists")
    keras.utils.set_random_seed(args.seed)
    if args.model.endswith(".keras"):
        model = keras.models.load_model(args.model, compile=False)
    elif args.model in fl_networks.NETWORKS:
        shape = tuple(int(n) for n in args.shape.split("x"))
        model = fl_networks.NETWORKS[args.model](shape, args.classes, args.norm)
    else:
        sys.exit(f"error: no such model: {args.model}")
    print(f"{model.name}: {export(model, args.out, args.loss, args.optimizer)} parameters")


if __name__ == "__main__":
    main()
