"""What h5py reads of the real HDF5 files, for tests/source/hdf5.rs.

usage: hdf5_real.py FOLDER DATA
"""
import json
import os
import sys

import h5py
import hdf5plugin  # noqa: F401
import numpy

folder, data = sys.argv[1:]
at = lambda name: os.path.join(data, name)
cases = []


def case(name, inputs, files, path="/entry/data/data", **more):
    frames = []
    for file in files:
        with h5py.File(at(file)) as h5:
            stack = h5[path][()]
            frames.append(stack.reshape((-1,) + stack.shape[-2:]))
    frames = numpy.concatenate(frames)
    frames.tofile(os.path.join(folder, name + ".raw"))
    cases.append({"name": name, "inputs": inputs, "channel": None, "frames": len(frames), "dtype": frames.dtype.name,
                  "shape": frames.shape[1:], "bad": {}, "notes": [], **more})


eiger_1m, eiger_500k = "ANSTOtest_303_data_000001.h5", [f"EIG500_Ti_1_A-2_1_0_data_00000{n}.h5" for n in (1, 2)]
case("bslz4", [at(eiger_1m)], [eiger_1m])
case("uncompressed", [at(name) for name in eiger_500k], eiger_500k)
case("area_detector", [at("LaB6_Normal_0042.hdf")], ["LaB6_Normal_0042.hdf"])
case("named", [at("LaB6_Normal_0042.hdf") + "::/entry/instrument/detector/data"], ["LaB6_Normal_0042.hdf"])
case("master", [at("test_00_master.h5")], ["test_00_data_000001.h5"])
case("its_data", [at("test_00_data_000001.h5")], ["test_00_data_000001.h5"])
case("master_and_data", [at("test_00_data_000001.h5"), at("test_00_master.h5")], ["test_00_data_000001.h5"], notes=["read once"])
cases.append({"name": "without_data", "inputs": [at("example_1_master.h5")], "channel": None, "error": ["example_1_data_000001.h5", "not there"]})
with open(os.path.join(folder, "cases.json"), "w") as file:
    json.dump(cases, file)
