#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a network as the file that private inference reads (include/cczoo/mpcml_nn.h). Runs at set-up only.

    export_mpc.py --model DIR --out net.nn            a SavedModel, signature serving_default
    export_mpc.py --model net.keras --out net.nn      a Keras 3 model
    export_mpc.py --model net.onnx --out net.nn       needs the Python package onnx, and no TensorFlow
    export_mpc.py --train mlp --out net.nn            a network of this file or of fl_networks.py, trained on Fashion-MNIST
    import export_mpc; export_mpc.from_keras(model).write("net.nn")

Beside net.nn, which is the server's, net.nn.public is written: the same without weights, for clients.

What can be written are chains of dense layers, convolutions (square stride, no dilation, no groups, padding that is the same on
all sides), maximum and average pools without padding, ReLU, flattening, and at the end softmax or argmax. Anything else is
refused by name. Layers of training alone (dropout) leave no trace in a graph for inference.
"""
import argparse
import gzip
import math
import os
import pathlib
import struct
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

KINDS = {name: i + 1 for i, name in enumerate(
    ("dense", "conv2d", "max_pool", "avg_pool", "relu", "flatten", "softmax", "argmax"))}


class Unsupported(Exception):
    pass


class Network:
    """Layers, in order, with numpy arrays: dense [in, out], convolutions [kh, kw, in, out]."""

    def __init__(self, shape, low=0.0, high=1.0):
        self.shape = shape if len(shape) == 3 else (1, 1, int(np.prod(shape)))
        self.low, self.high, self.layers, self.params = low, high, [], []

    def add(self, kind, out=0, window=(0, 0), stride=0, pad=0):
        self.layers.append((KINDS[kind], out, *window, stride, pad))

    def linear(self, kind, weights, **options):
        weights = np.asarray(weights, "<f4")
        self.add(kind, out=weights.shape[-1], **options)
        self.params.append([weights, np.zeros(weights.shape[-1], "<f4")])

    def bias(self, values):
        values = np.asarray(values, "<f4").reshape(-1)
        last = KINDS["dense"], KINDS["conv2d"]
        if not self.layers or self.layers[-1][0] not in last or values.size not in (1, self.layers[-1][1]):
            raise Unsupported("an addition that is not the bias of a dense layer or convolution")
        self.params[-1][1] = self.params[-1][1] + values

    def bytes(self, weights=True):
        largest = max((float(np.abs(w).max()) for w, _ in self.params), default=0)
        out = b"cczoo-nn" + struct.pack("<5I2f2I", 1, int(weights), *self.shape, self.low, self.high,
                                        max(1, math.ceil(largest)), len(self.layers))
        out += b"".join(struct.pack("<6I", *layer) for layer in self.layers)
        if weights:
            out += b"".join(v.astype("<f4").tobytes() for pair in self.params for v in pair)
        return out

    def write(self, path):
        pathlib.Path(path).write_bytes(self.bytes())
        pathlib.Path(f"{path}.public").write_bytes(self.bytes(weights=False))


def same(size, window, stride, what):
    """Padding "SAME" of TensorFlow as one number, if it is as much on both sides."""
    total = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
    if total % 2:
        raise Unsupported(f"{what}: padding that differs from side to side")
    return total // 2


# ------------------------------------------------------------------------------------- TensorFlow

class TensorFlowGraph:
    """A concrete function with frozen weights, followed from its output to its input."""

    def __init__(self, function):
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
        self.graph = convert_variables_to_constants_v2(function).graph
        self.input = [op for op in self.graph.get_operations() if op.type == "Placeholder"]
        if len(self.input) != 1:
            raise Unsupported(f"{len(self.input)} inputs instead of one")

    def constant(self, tensor):
        """The value of a tensor that does not depend on the input; None if it does."""
        import tensorflow as tf
        op = tensor.op
        if op.type == "Const":
            return tf.make_ndarray(op.get_attr("value"))
        inputs = [self.constant(t) for t in op.inputs]
        if op.type in ("Identity", "Reshape", "Squeeze") and all(v is not None for v in inputs):
            return {"Reshape": lambda: inputs[0].reshape(inputs[1]), "Squeeze": lambda: inputs[0].squeeze()}.get(
                op.type, lambda: inputs[0])()
        return None

    def chain(self, output):
        """Operations from the input on, each with the constants among its inputs."""
        ops, tensor = [], output
        while tensor.op.type != "Placeholder":
            constants = [self.constant(t) for t in tensor.op.inputs]
            data = [t for t, c in zip(tensor.op.inputs, constants) if c is None]
            if tensor.op.type == "Reshape":
                data = data[:1]  # the shape may be computed from the number of images
            if len(data) != 1:
                raise Unsupported(f"operation {tensor.op.type} with {len(data)} inputs that are not constant")
            ops.append((tensor.op, data[0], [c for c in constants if c is not None]))
            tensor = data[0]
        return reversed(ops)

    def windows(self, op, data, kind):
        if op.get_attr("data_format") != b"NHWC":
            raise Unsupported(f"{op.type} with channels first")
        strides = op.get_attr("strides")
        if strides[1] != strides[2] or (kind == "conv2d" and list(op.get_attr("dilations")) != [1, 1, 1, 1]):
            raise Unsupported(f"{op.type} with unequal strides, or dilation")
        stride = strides[1]
        window = list(op.inputs[1].shape[:2]) if kind == "conv2d" else list(op.get_attr("ksize")[1:3])
        if op.get_attr("padding") == b"SAME":
            pads = {same(int(n), int(k), stride, op.type) for n, k in zip(data.shape[1:3], window)}
        elif op.get_attr("padding") == b"EXPLICIT":
            pads = set(op.get_attr("explicit_paddings")[2:6])
        else:
            pads = {0}
        if len(pads) != 1 or (kind != "conv2d" and pads != {0}):
            raise Unsupported(f"{op.type} with padding of unequal sides, or a pool with padding")
        return dict(window=tuple(int(k) for k in window), stride=int(stride), pad=int(pads.pop()))

    def add(self, net, op, data, constants):
        kind = op.type
        if kind == "MatMul":
            weights = constants[0].T if op.get_attr("transpose_b") else constants[0]
            net.linear("dense", weights)
        elif kind == "Conv2D":
            net.linear("conv2d", constants[0], **self.windows(op, data, "conv2d"))
        elif kind in ("BiasAdd", "Add", "AddV2"):
            net.bias(constants[0])
        elif kind in ("MaxPool", "AvgPool"):
            name = "max_pool" if kind == "MaxPool" else "avg_pool"
            net.add(name, **self.windows(op, data, name))
        elif kind == "Mean" and sorted(np.atleast_1d(constants[0])) == [1, 2]:
            net.add("avg_pool", window=(int(data.shape[1]), int(data.shape[2])), stride=1)
            if not op.get_attr("keep_dims"):
                net.add("flatten")
        elif kind == "Reshape" and op.outputs[0].shape.rank == 2:
            net.add("flatten")
        elif kind == "Relu":
            net.add("relu")
        elif kind in ("Softmax", "ArgMax"):
            net.add(kind.lower())
        elif kind not in ("Identity", "StopGradient"):
            raise Unsupported(f"operation {kind} ({op.name})")

    def network(self, output, low, high):
        net = Network([int(n) for n in self.input[0].outputs[0].shape[1:]], low, high)
        for op, data, constants in self.chain(output):
            self.add(net, op, data, constants)
        return net


def from_keras(model, low=0.0, high=1.0):
    """Of a Keras model with one input [n, ...] and one output."""
    import tensorflow as tf
    run = tf.function(lambda x: model(x, training=False))
    graph = TensorFlowGraph(run.get_concrete_function(
        tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32)))
    return graph.network(graph.graph.outputs[0], low, high)


def from_saved_model(path, output=None, low=0.0, high=1.0):
    """Of serving_default; with several outputs, the one named."""
    import tensorflow as tf
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    names = sorted(function.structured_outputs)
    if output is None and len(names) > 1:
        raise Unsupported(f"several outputs, name one with --output: {', '.join(names)}")
    graph = TensorFlowGraph(function)
    return graph.network(graph.graph.outputs[names.index(output or names[0])], low, high)


# ------------------------------------------------------------------------------------------- ONNX

class OnnxGraph:
    """An ONNX graph whose images are [n, channels, height, width]."""

    def __init__(self, model):
        import onnx
        self.onnx, self.graph = onnx, onnx.shape_inference.infer_shapes(model).graph
        self.constants = {t.name: onnx.numpy_helper.to_array(t) for t in self.graph.initializer}
        inputs = [i for i in self.graph.input if i.name not in self.constants]
        if len(inputs) != 1 or len(self.graph.output) != 1:
            raise Unsupported("a graph with more than one input or output")
        self.input = inputs[0].name
        values = list(self.graph.input) + list(self.graph.value_info) + list(self.graph.output)
        self.shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    def windows(self, node, a, size):
        k, stride, pads = a["kernel_shape"], a.get("strides", [1, 1]), a.get("pads", [0] * 4)
        mode = a.get("auto_pad", b"NOTSET")
        if mode in (b"SAME_UPPER", b"SAME_LOWER"):
            pads = [same(n, w, s, node.op_type) for n, w, s in zip(size, k, stride)] * 2
        if stride[0] != stride[1] or len(set(pads)) != 1 or a.get("group", 1) != 1 or \
                set(a.get("dilations", [1, 1])) != {1} or a.get("ceil_mode", 0) or \
                (node.op_type != "Conv" and pads[0]):
            raise Unsupported(f"{node.op_type} with unequal strides or padding, dilation, groups, or a pool with padding")
        return dict(window=tuple(k), stride=stride[0], pad=pads[0])

    def rows(self, weights, image):
        """A dense layer behind flattening: from [channel][height][width] to [height][width][channel]."""
        if image is None:
            return weights
        return weights.reshape(*image, -1).transpose(1, 2, 0, 3).reshape(weights.shape)

    def add(self, net, node, state):
        helper, kind = self.onnx.helper, node.op_type
        a = {x.name: helper.get_attribute_value(x) for x in node.attribute}
        shape = self.shapes.get(state["name"], [])
        constants = [self.constants[i] for i in node.input if i in self.constants]
        if kind == "Conv":
            a.setdefault("kernel_shape", list(constants[0].shape[2:]))
            net.linear("conv2d", constants[0].transpose(2, 3, 1, 0), **self.windows(node, a, shape[2:]))
            if len(constants) > 1:
                net.bias(constants[1])
        elif kind in ("Gemm", "MatMul"):
            if a.get("alpha", 1) != 1 or a.get("beta", 1) != 1 or a.get("transA", 0) or not constants:
                raise Unsupported(f"{kind} with factors, or without constant weights")
            weights = constants[0].T if a.get("transB", 0) else constants[0]
            net.linear("dense", self.rows(weights, state.pop("image", None)))
            if len(constants) > 1:
                net.bias(constants[1])
        elif kind == "Add" and constants:
            net.bias(constants[0])
        elif kind in ("MaxPool", "AveragePool"):
            net.add("max_pool" if kind == "MaxPool" else "avg_pool", **self.windows(node, a, shape[2:]))
        elif kind == "GlobalAveragePool":
            net.add("avg_pool", window=tuple(shape[2:]), stride=1)
        elif kind in ("Flatten", "Reshape"):
            if len(self.shapes.get(node.output[0], [])) != 2 or a.get("axis", 1) != 1:
                raise Unsupported(f"{kind} to anything but [n, numbers]")
            if len(shape) == 4:
                state["image"] = shape[1:]
                net.add("flatten")
        elif kind == "Relu":
            net.add("relu")
        elif kind in ("Softmax", "ArgMax"):
            net.add(kind.lower())
        elif kind not in ("Identity", "Dropout"):
            raise Unsupported(f"operation {kind} ({node.name})")

    def network(self, low, high):
        for node in self.graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = self.onnx.numpy_helper.to_array(node.attribute[0].t)
        shape = self.shapes[self.input][1:]
        net = Network([shape[1], shape[2], shape[0]] if len(shape) == 3 else shape, low, high)
        state = {"name": self.input}
        for node in self.graph.node:
            if node.op_type == "Constant":
                continue
            if state["name"] not in node.input:
                raise Unsupported(f"{node.op_type} ({node.name}): the graph is not a chain")
            self.add(net, node, state)
            state["name"] = node.output[0]
        return net


def from_onnx(path, low=0.0, high=1.0):
    import onnx
    return OnnxGraph(onnx.load(str(path))).network(low, high)


# --------------------------------------------------------------------------------------- training

def mlp(shape, classes):
    """784-128-128-10 for images of 28 x 28."""
    import keras
    layers = keras.layers
    return keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(128, "relu"),
                             layers.Dense(128, "relu"), layers.Dense(classes)])


def idx(path, skip):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=skip)


def train(name, data, epochs, seed):
    """Adam with weight decay, which also keeps weights small enough for a ring of 32 bits."""
    import keras
    import fl_networks
    keras.utils.set_random_seed(seed)
    sets = [(idx(data / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1).astype("f4") / 255,
             idx(data / f"{part}-labels-idx1-ubyte.gz", 8).astype("i4")) for part in ("train", "t10k")]
    model = mlp((28, 28, 1), 10) if name == "mlp" else fl_networks.NETWORKS[name]((28, 28, 1), 10, "none")
    steps = epochs * math.ceil(len(sets[0][1]) / 128)
    model.compile(keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(2e-3, steps), weight_decay=0.01),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(*sets[0], batch_size=128, epochs=epochs, verbose=2)
    print(f"test accuracy {model.evaluate(*sets[1], verbose=0)[1]:.4f}")
    return model


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", type=pathlib.Path, help="SavedModel folder, .keras or .onnx file")
    p.add_argument("--train", metavar="NAME", help="mlp, or lenet of fl_networks.py")
    p.add_argument("--out", required=True, type=pathlib.Path)
    p.add_argument("--output", help="of a SavedModel with several")
    p.add_argument("--range", default="0,1", help="least and largest number in an image")
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    p.add_argument("--epochs", type=int, default=8)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    low, high = (float(v) for v in args.range.split(","))
    if bool(args.model) == bool(args.train):
        p.error("one of --model and --train is needed")
    if args.out.exists():
        sys.exit(f"error: {args.out} exists")
    try:
        if args.train:
            net = from_keras(train(args.train, args.data, args.epochs, args.seed), low, high)
        elif args.model.suffix == ".onnx":
            net = from_onnx(args.model, low, high)
        elif args.model.suffix == ".keras":
            import keras
            net = from_keras(keras.models.load_model(args.model, compile=False), low, high)
        else:
            net = from_saved_model(args.model, args.output, low, high)
    except Unsupported as e:
        sys.exit(f"error: this network cannot be written: {e}")
    net.write(args.out)
    print(f"{args.out}: {len(net.layers)} layers, {sum(w.size + b.size for w, b in net.params)} parameters")


if __name__ == "__main__":
    main()
