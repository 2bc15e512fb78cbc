#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a convolutional classifier on the full Fashion-MNIST and exports it as a TF2 SavedModel.

Runs at set-up only (scripts/train-model calls it); nothing at run time needs Python. Writes below --out:

  1/saved_model.pb  1/variables/...   the model, version 1, as a model server expects it
  model.json                          what TensorFlow itself computes on the 10,000 test images with
                                      the exported model, and the SHA-256 of every exported file

Signatures of the exported model:

  serving_default  images  float32 [n,28,28,1] in 0..1  ->  scores float32 [n,10], softmax
                                                            classes string [n], the most likely label
  classify         inputs  string [n], serialized tf.Example with a float feature `images` of 784 values
                           ->  scores float32 [n,10], classes string [n,10], all labels in score order
                           of the network: the pair that TensorFlow Serving's Classify expects
"""
import argparse
import gzip
import hashlib
import json
import os
import pathlib
import struct
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
SIDE = 28
BATCH_TRAIN = 128
ACCURACY_MIN = 0.90


def read_idx(path, dims):
    """The array in a gzipped IDX file of unsigned bytes (the MNIST container), shape checked."""
    data = gzip.decompress(path.read_bytes())
    magic = struct.unpack_from(">HBB", data)
    shape = struct.unpack_from(f">{magic[2]}I", data, 4)
    if magic != (0, 0x08, len(dims)) or any(d not in (None, s) for d, s in zip(dims, shape)):
        sys.exit(f"error: {path} is not an IDX file of bytes with shape {dims}")
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * magic[2])
    if values.size != np.prod(shape):
        sys.exit(f"error: {path} is truncated or has trailing bytes")
    return values.reshape(shape)


def load(data, part, count):
    images = read_idx(data / f"{part}-images-idx3-ubyte.gz", (count, SIDE, SIDE))
    labels = read_idx(data / f"{part}-labels-idx1-ubyte.gz", (count,))
    return images[..., np.newaxis].astype(np.float32) / 255, labels.astype(np.int64)


def network():
    """About 4.4 million floating-point operations per image and 225,000 weights."""
    layers = tf.keras.layers
    return tf.keras.Sequential([
        layers.Input((SIDE, SIDE, 1)),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(len(LABELS)),
    ])


def augment(images, labels):
    """Half of the images mirrored: a garment stays what it is."""
    return tf.image.random_flip_left_right(images), labels


def train(images, labels, epochs, seed):
    tf.keras.utils.set_random_seed(seed)
    steps = epochs * (len(labels) // BATCH_TRAIN)
    data = (tf.data.Dataset.from_tensor_slices((images, labels))
            .shuffle(len(labels), seed=seed).batch(BATCH_TRAIN, drop_remainder=True)
            .map(augment).prefetch(2))
    model = network()
    model.compile(
        optimizer=tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(data, epochs=epochs, shuffle=False, verbose=2)  # `data` shuffles itself
    return model


class Servable(tf.Module):
    """What is exported: the trained weights as plain variables, and the network once more in TensorFlow's
    own operations. So the graph holds no trace of the training, and every runtime restores it."""

    def __init__(self, trained):
        super().__init__()
        self.weights = [tf.Variable(w, trainable=False, name=f"w{i}")
                        for i, w in enumerate(trained.get_weights())]
        self.labels = tf.constant(LABELS)

    def scores(self, images):
        kernel1, bias1, kernel2, bias2, kernel3, bias3, dense1, offset1, dense2, offset2 = self.weights
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel1, 1, "SAME"), bias1))
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel2, 1, "SAME"), bias2))
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel3, 1, "SAME"), bias3))
        x = tf.reshape(x, [-1, dense1.shape[0]])
        x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, dense1), offset1))
        return tf.nn.softmax(tf.nn.bias_add(tf.matmul(x, dense2), offset2))

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 1], tf.float32, "images")])
    def serve(self, images):
        scores = self.scores(images)
        return {"scores": scores, "classes": tf.gather(self.labels, tf.argmax(scores, axis=1))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(self, inputs):
        features = tf.io.parse_example(inputs, {"images": tf.io.FixedLenFeature([SIDE, SIDE, 1], tf.float32)})
        scores = self.scores(features["images"])
        return {"scores": scores, "classes": tf.tile(self.labels[tf.newaxis], [tf.shape(scores)[0], 1])}


def predict(saved, images, batch):
    """Class numbers computed by the exported model, `batch` images per call."""
    run = saved.signatures["serving_default"]
    return np.concatenate([run(images=tf.constant(images[i:i + batch]))["scores"].numpy().argmax(axis=1)
                           for i in range(0, len(images), batch)]).astype(np.uint8)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", required=True, type=pathlib.Path, help="folder to create 1/ and model.json in")
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"),
                   help="folder of the four IDX files (Debian package dataset-fashion-mnist)")
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()

    began = time.monotonic()
    model = train(*load(args.data, "train", 60000), args.epochs, args.seed)
    servable = Servable(model)
    version = args.out / "1"
    tf.saved_model.save(servable, str(version), signatures={
        "serving_default": servable.serve, "classify": servable.classify})

    # From here on only the exported files count.
    saved = tf.saved_model.load(str(version))
    images, labels = load(args.data, "t10k", 10000)
    classes = predict(saved, images, 32)
    if not np.array_equal(classes, predict(saved, images, 1000)):
        sys.exit("error: the predicted classes depend on the batch size; train with another --seed")
    correct = int((classes == labels).sum())
    accuracy = correct / len(labels)
    print(f"test accuracy {accuracy:.4f} ({correct} of {len(labels)}), "
          f"{time.monotonic() - began:.0f} s in all")
    if accuracy < ACCURACY_MIN:
        sys.exit(f"error: accuracy {accuracy:.4f} is below {ACCURACY_MIN}: use more --epochs")
    files = {str(f.relative_to(args.out)): hashlib.sha256(f.read_bytes()).hexdigest()
             for f in sorted(version.rglob("*")) if f.is_file()}
    (args.out / "model.json").write_text(json.dumps({
        "model": "fashion_mnist", "version": 1, "tensorflow": tf.__version__,
        "epochs": args.epochs, "seed": args.seed, "labels": LABELS,
        "test_images": len(labels), "test_correct": correct, "test_accuracy": accuracy,
        "test_classes_sha256": hashlib.sha256(classes.tobytes()).hexdigest(),
        "files_sha256": files}, indent=1) + "\n")


if __name__ == "__main__":
    main()
