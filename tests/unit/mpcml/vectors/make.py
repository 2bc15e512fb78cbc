#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the vectors of this folder: networks with random weights, exported by models/export_mpc.py, and what TensorFlow and the
reference implementation of ONNX compute with the originals. Needs TensorFlow and onnx; see README.md."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "../../../../models"))
import export_mpc

import keras
import numpy as np
import onnx
import onnx.reference
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

layers = keras.layers
rng = np.random.default_rng(1)


def write(name, net, images, logits):
    net.write(HERE / f"{name}.nn")
    (HERE / f"{name}.nn.public").unlink()
    rows = [" ".join(f"{v:.9g}" for v in np.concatenate([x.ravel(), y])) for x, y in zip(images, logits)]
    (HERE / f"{name}.txt").write_text(f"{len(images)} {images[0].size} {logits.shape[1]}\n" + "\n".join(rows) + "\n")


def keras_chain():
    """Same and valid padding, a stride, both pools, dropout, a mean over all places."""
    return keras.Sequential([
        layers.Input((9, 8, 2)), layers.Conv2D(3, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(4, 2, strides=1), layers.AveragePooling2D((2, 1), strides=1), layers.ReLU(), layers.Dropout(0.5),
        layers.Flatten(), layers.Dense(5, activation="relu"), layers.Dense(3)])


def keras_mean():
    return keras.Sequential([
        layers.Input((7, 7, 1)), layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", use_bias=False),
        layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")])


def onnx_chain():
    """Channels first; what dense layers see has to be turned around. Gemm, and MatMul with Add."""
    weights = {"k": (3, 2, 3, 3), "kb": (3,), "w1": (3 * 3 * 3, 6), "b1": (6,), "w2": (4, 6), "b2": (4,)}
    values = {n: rng.normal(0, 0.4, s).astype("f4") for n, s in weights.items()}
    node = helper.make_node
    nodes = [node("Conv", ["x", "k", "kb"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]),
             node("Relu", ["a"], ["b"]), node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
             node("Flatten", ["c"], ["d"]), node("MatMul", ["d", "w1"], ["e"]), node("Add", ["e", "b1"], ["f"]),
             node("Relu", ["f"], ["g"]), node("Gemm", ["g", "w2", "b2"], ["y"], transB=1)]
    graph = helper.make_graph(nodes, "chain", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 6, 7])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
                              [numpy_helper.from_array(v, n) for n, v in values.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def main():
    keras.utils.set_random_seed(1)
    model = keras_chain()
    images = rng.random((4, 9, 8, 2), "f4")
    write("keras", export_mpc.from_keras(model), images, model(images, training=False).numpy())
    model = keras_mean()
    images = rng.random((4, 7, 7, 1), "f4")
    inner = keras.Model(model.inputs, model.layers[-2].output)
    weights, bias = model.layers[-1].get_weights()
    with tempfile.TemporaryDirectory() as folder:  # through a SavedModel, whose output is behind softmax
        model.export(folder, verbose=False)
        net = export_mpc.from_saved_model(folder)
    write("saved_model", net, images, inner(images).numpy() @ weights + bias)
    model = onnx_chain()
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/chain.onnx")
        net = export_mpc.from_onnx(f"{folder}/chain.onnx")
    images = rng.random((4, 2, 6, 7), "f4")
    logits = np.concatenate([onnx.reference.ReferenceEvaluator(model).run(None, {"x": x[None]})[0] for x in images])
    write("onnx", net, images.transpose(0, 2, 3, 1), logits)


if __name__ == "__main__":
    main()
