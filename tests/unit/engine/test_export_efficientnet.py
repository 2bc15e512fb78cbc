#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reader of PyTorch weights calls nothing that a pickle names, apart from the constructors of tensors. Needs no package."""
import collections
import importlib.util
import io
import os
import pathlib
import pickle
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.modules["numpy"] = types.SimpleNamespace(float32="float32", int64="int64")  # names only: nothing is computed here
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("exporter", ROOT / "models" / "export_efficientnet.py")
exporter = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exporter)


class Call:
    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


class WithId(pickle.Pickler):
    def persistent_id(self, value):
        return ("module", value.module) if isinstance(value, types.SimpleNamespace) else None


def refused(stream):
    try:
        exporter.Restricted(io.BytesIO(stream)).load()
    except pickle.UnpicklingError as e:
        return str(e)
    return None


def main():
    with tempfile.TemporaryDirectory() as folder:
        mark = os.path.join(folder, "mark")
        for call in (Call(os.system, f"touch {mark}"), Call(eval, f"open({mark!r}, 'w')"),
                     collections.OrderedDict(a=Call(os.mkdir, mark))):
            for protocol in range(6):
                stream = pickle.dumps(call, protocol)
                assert "wants" in (refused(stream) or ""), (call, protocol)
                assert not os.path.exists(mark)
        pickle.loads(pickle.dumps(Call(os.mkdir, mark)))
        assert os.path.exists(mark)  # an ordinary reader would have done it
    out = io.BytesIO()
    WithId(out, 2).dump(types.SimpleNamespace(module="os"))
    assert "refers to a module" in refused(out.getvalue())
    allowed = pickle.dumps(collections.OrderedDict(a=1), 2)
    assert exporter.Restricted(io.BytesIO(allowed)).load() == {"a": 1}


main()
