# SPDX-License-Identifier: Apache-2.0
"""Keras networks for federated learning. Each function takes the shape of an image, the number of classes and a kind of
normalisation (those that it has no use for are ignored) and returns a keras.Model from float32 [n, ...] to logits
[n, classes], or [n, 1] for a yes or no."""
import keras
from keras import layers, ops

FILMS = 16384     # rows of the embedding of films: the row in movies.csv, at most
USERS = 4096      # rows of the embedding of users: the user's number modulo this
GENRES = 20


def uniform(layer, *args, **options):
    """A layer whose weights start uniform in +-1/sqrt(fan_in), as PyTorch's do: published settings of federated
    learning are tuned for it."""
    return layer(*args, kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"), **options)


def lenet(shape, classes, norm):
    """LeCun's network with ReLU: 44,426 weights for 28x28x1. It has no normalisation."""
    x = inputs = layers.Input(shape)
    for filters in (6, 16):
        x = uniform(layers.Conv2D, filters, 5, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = uniform(layers.Dense, 120, activation="relu")(x)
    x = uniform(layers.Dense, 84, activation="relu")(x)
    return keras.Model(inputs, uniform(layers.Dense, classes)(x), name="lenet")


def normalise(x, norm):
    if norm == "batch":
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    if norm == "group":
        return layers.GroupNormalization(groups=min(8, x.shape[-1]), epsilon=1e-5)(x)
    return x


def resnet(shape, classes, norm, blocks):
    """The residual network of He et al. (2016), section 4.2, for images of 28x28 or 32x32: 6 blocks + 2 layers. Shortcuts
    are identities, with padding where the width doubles."""
    def conv(x, filters, stride=1):
        x = layers.Conv2D(filters, 3, stride, "same", use_bias=norm == "none", kernel_initializer="he_normal",
                          kernel_regularizer=keras.regularizers.L2(5e-5))(x)
        return normalise(x, norm)

    inputs = layers.Input(shape)
    x = layers.ReLU()(conv(inputs, 16))
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            y = layers.ReLU()(conv(x, filters, stride))
            y = conv(y, filters)
            if stride == 2:
                x = layers.AveragePooling2D(2, padding="same")(x)
                x = ops.pad(x, [[0, 0], [0, 0], [0, 0], [filters // 4, filters // 4]])
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, kernel_initializer="he_normal")(x), name=f"resnet{6 * blocks + 2}")


def columns(x):
    """What dataset.h puts into a row of MovieLens: user, film, year, genres."""
    user = ops.mod(ops.cast(x[:, 0], "int32"), USERS)
    film = ops.minimum(ops.cast(x[:, 1], "int32"), FILMS - 1)
    return user, film, x[:, 2:]


def wide_deep(shape, classes, norm):
    """Wide & Deep (Cheng et al. 2016): a weight for each user, film and genre, beside a perceptron on embeddings."""
    inputs = layers.Input((3 + GENRES,))
    user, film, dense = columns(inputs)
    wide = layers.Add()([layers.Embedding(USERS, 1, embeddings_initializer="zeros", name="wide_user")(user),
                         layers.Embedding(FILMS, 1, embeddings_initializer="zeros", name="wide_film")(film),
                         layers.Dense(1, name="wide_genre")(dense)])
    deep = layers.Concatenate()([layers.Embedding(USERS, 8, name="user")(user),
                                 layers.Embedding(FILMS, 8, name="film")(film), dense])
    for width in (64, 32):
        deep = layers.Dense(width, activation="relu")(deep)
    return keras.Model(inputs, layers.Add()([wide, layers.Dense(1)(deep)]), name="wide_deep")


def dlrm(shape, classes, norm):
    """DLRM (Naumov et al. 2019), small: dense features through a bottom network, embeddings of users and films of the
    same width, all products of two of the three, a top network."""
    width = 16
    inputs = layers.Input((3 + GENRES,))
    user, film, dense = columns(inputs)
    bottom = dense
    for n in (64, width):
        bottom = layers.Dense(n, activation="relu")(bottom)
    vectors = [bottom, layers.Embedding(USERS, width, name="user")(user), layers.Embedding(FILMS, width, name="film")(film)]
    products = [layers.Dot(1)([vectors[i], vectors[j]]) for i in range(3) for j in range(i)]
    bias = layers.Add()([layers.Embedding(USERS, 1, embeddings_initializer="zeros", name="user_bias")(user),
                         layers.Embedding(FILMS, 1, embeddings_initializer="zeros", name="film_bias")(film)])
    top = layers.Concatenate()([bottom, bias] + products)
    for n in (64, 32):
        top = layers.Dense(n, activation="relu")(top)
    return keras.Model(inputs, layers.Dense(1)(top), name="dlrm")


def tiny(shape, classes, norm):
    """For tests: 6 numbers, batch normalisation, a random layer."""
    x = inputs = layers.Input((6,))
    x = layers.Dense(8, activation="relu")(x)
    x = layers.Dropout(0.25)(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(inputs, layers.Dense(3)(x), name="tiny")


NETWORKS = {
    "tiny": tiny,
    "lenet": lenet,
    "resnet8": lambda *a: resnet(*a, blocks=1),
    "resnet20": lambda *a: resnet(*a, blocks=3),
    "wide_deep": wide_deep,
    "dlrm": dlrm,
}
