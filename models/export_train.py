#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exports a Keras model as a SavedModel that programs without Python train: signatures for training steps, evaluation and
the exchange of weights. Runs at set-up only.

    export_train.py --model lenet --shape 28x28x1 --classes 10 --out DIR
    export_train.py --model my_model.keras --out DIR          any Keras 3 model that returns logits
    import export_train; export_train.export(model, "DIR")    the same from Python

docs/howto/federated-model.md explains what a model needs. Signatures (n = samples of a batch, any number):

  train            x float32 [n, ...], y int32 [n], lr, momentum, prox_mu float32 []
                   -> loss float32 [] (mean before the step), correct int32 []
                   One step of the optimizer on: gradient + prox_mu (w - centre) + correction
  eval             x, y -> loss (mean), correct
  begin            seed int64 [] -> ok int32 []
                   Starts a local training: optimizer state = 0, centre = weights, correction = 0, random layers seeded
  set_correction   c0000_NAME ..: one for each trainable weight -> ok      (SCAFFOLD; after `begin`)
  get_weights      -> w0000_NAME ..: every float weight, trainable or not, in the order of Keras
  set_weights      w0000_NAME .. -> ok
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


def keys(prefix, variables):
    """Names of signature inputs and outputs: the number keeps the order, the rest is for people."""
    return [f"{prefix}{i:04d}_" + re.sub(r"[^A-Za-z0-9]+", "_", v.path).strip("_")[:96] for i, v in enumerate(variables)]


class Trainable(tf.Module):
    """A Keras model with an optimizer of a few lines: its state can be set to zero, and nothing else is in it."""

    def __init__(self, model, loss, optimizer):
        super().__init__()
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.all = list(model.weights)
        self.trained = list(model.trainable_weights)
        if not self.trained:
            sys.exit("error: the model has no trainable weight")
        for v in self.all:
            if v.dtype != "float32":
                sys.exit(f"error: weight {v.path} is {v.dtype}, not float32")
        zeros = lambda: [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.trained]
        self.first, self.second = zeros(), zeros() if optimizer == "adam" else []
        self.steps = tf.Variable(0.0, trainable=False)
        self.centre, self.correction = zeros(), zeros()
        # The states of random layers; not weights, but variables of the model all the same.
        known = {id(v) for v in self.all}
        self.seeds = [v for v in model.variables if id(v) not in known and "seed" in v.path]

    def logits(self, x, training):
        return tf.cast(self.model(x, training=training), tf.float32)

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
        with tf.GradientTape() as tape:
            loss, correct = self.measure(y, self.logits(x, True))
            total = tf.add_n([loss] + list(self.model.losses))
        gradients = tape.gradient(total, [v.value for v in self.trained])
        self.steps.assign_add(1)
        for i, (v, g) in enumerate(zip(self.trained, gradients)):
            g = tf.zeros(v.shape) if g is None else tf.convert_to_tensor(g)
            g += prox_mu * (v.value - self.centre[i])
            # The correction goes past momentum: what SCAFFOLD makes of steps * lr is then the right size.
            v.assign(v.value - self.step(i, g, lr, momentum) - lr * self.correction[i])
        return {"loss": loss, "correct": correct}

    def eval(self, x, y):
        loss, correct = self.measure(y, self.logits(x, False))
        return {"loss": loss, "correct": correct}

    def begin(self, seed):
        for v in self.first + self.second + self.correction:
            v.assign(tf.zeros(v.shape))
        self.steps.assign(0)
        for c, v in zip(self.centre, self.trained):
            c.assign(v.value)
        for i, s in enumerate(self.seeds):
            halves = tf.stack([tf.bitwise.bitwise_and(seed, 0xffffffff), tf.constant(i, tf.int64)])
            s.assign(tf.cast(halves, tf.as_dtype(s.dtype)))
        return {"ok": tf.constant(1)}

    def set_correction(self, *values):
        for c, v in zip(self.correction, values):
            c.assign(v)
        return {"ok": tf.constant(1)}

    def get_weights(self):
        return {k: tf.identity(v.value) for k, v in zip(keys("w", self.all), self.all)}

    def set_weights(self, *values):
        for v, new in zip(self.all, values):
            v.assign(new)
        return {"ok": tf.constant(1)}

    def scores(self, x):
        logits = self.logits(x, False)
        return {"scores": tf.sigmoid(logits) if self.loss == "binary" else tf.nn.softmax(logits)}

    def signatures(self):
        x = tf.TensorSpec([None, *self.model.inputs[0].shape[1:]], tf.float32, "x")
        y = tf.TensorSpec([None], tf.int32, "y")
        number = lambda name: tf.TensorSpec([], tf.float32, name)
        like = lambda prefix, vs: [tf.TensorSpec(v.shape, tf.float32, k) for k, v in zip(keys(prefix, vs), vs)]
        specs = {
            "train": (self.train, [x, y, number("lr"), number("momentum"), number("prox_mu")]),
            "eval": (self.eval, [x, y]),
            "begin": (self.begin, [tf.TensorSpec([], tf.int64, "seed")]),
            "set_correction": (self.set_correction, like("c", self.trained)),
            "get_weights": (self.get_weights, []),
            "set_weights": (self.set_weights, like("w", self.all)),
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
    signatures = module.signatures()
    tf.saved_model.save(module, str(out), signatures=signatures)
    finger = out / "fingerprint.pb"   # holds a random number: two exports of one model are to be equal
    finger.unlink(missing_ok=True)
    trained = {id(v) for v in module.trained}
    weights = [{"key": k, "name": v.path, "shape": list(v.shape), "trained": id(v) in trained}
               for k, v in zip(keys("w", module.all), module.all)]
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
    p.add_argument("--model", required=True, help=f"one of {', '.join(fl_networks.NETWORKS)}, or a .keras file")
    p.add_argument("--shape", default="28x28x1", help="of an image: height x width x channels")
    p.add_argument("--classes", type=int, default=10)
    p.add_argument("--norm", choices=("group", "batch", "none"), default="group",
                   help="of residual networks; statistics of `batch` are weights that are averaged like others")
    p.add_argument("--optimizer", choices=OPTIMIZERS, default="sgd", help="of members; its state lives for one round")
    p.add_argument("--loss", choices=("classes", "binary"), help="default: by the shape of the output")
    p.add_argument("--seed", type=int, default=1, help="of the first weights")
    p.add_argument("--out", required=True, type=pathlib.Path, help="folder to create")
    args = p.parse_args()
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
