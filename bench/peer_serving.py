#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model server as it is written in Python: TensorFlow behind FastAPI and uvicorn. What bench/serving_bars.sh compares with.

  peer_serving.py export FOLDER                 a SavedModel that costs next to nothing: images float[n,224,224,3] -> y float[n,3], the means
  peer_serving.py serve FOLDER PORT CERT KEY    HTTPS on 127.0.0.1: POST /v1/models/NAME:predict {"instances": [..]}, one model thread

PEER_JSON=plain: FastAPI as its tutorial has it, the body checked by pydantic. PEER_JSON=orjson (default): bytes read and written by
orjson past FastAPI's models, the fastest of the usual ways.
"""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf


def export(folder):
    class Means(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 224, 224, 3], tf.float32, name="images")])
        def serve(self, images):
            return {"y": tf.reduce_mean(images, axis=[1, 2])}

    model = Means()
    tf.saved_model.save(model, folder, signatures={"serving_default": model.serve})


def application(folder):
    import fastapi
    import orjson
    import pydantic
    model = tf.saved_model.load(folder)
    run = model.signatures["serving_default"]
    (name,) = run.structured_input_signature[1]

    def answers(instances):
        out = run(**{name: tf.constant(np.asarray(instances, np.float32))})
        return [dict(zip(out, row)) if len(out) > 1 else row[0] for row in zip(*(t.numpy().tolist() for t in out.values()))]

    class Instances(pydantic.BaseModel):
        instances: list[list[list[list[float]]]]

    app = fastapi.FastAPI()
    if os.environ.get("PEER_JSON", "orjson") == "plain":
        @app.post("/v1/models/{model}:predict")
        def predict(model: str, body: Instances):
            return {"predictions": answers(body.instances)}
    else:
        @app.post("/v1/models/{model}:predict")
        async def predict(model: str, request: fastapi.Request):
            body = orjson.loads(await request.body())
            return fastapi.Response(orjson.dumps({"predictions": answers(body["instances"])}), media_type="application/json")
    return app


def main(argv):
    if argv[1:2] == ["export"] and len(argv) == 3:
        export(argv[2])
    elif argv[1:2] == ["serve"] and len(argv) == 6:
        import uvicorn
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        uvicorn.run(application(argv[2]), host="127.0.0.1", port=int(argv[3]), ssl_certfile=argv[4], ssl_keyfile=argv[5],
                    log_level="warning", loop="uvloop", http="httptools")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv)
