"""What a scientist finds in a tomogram file, following the default attributes alone; correlations with the truth.

tomo_file.py TOMO.h5 TRUTH.h5: one line a region, `<name> <correlation>`, then each repair as `repair: …`.
"""
import sys

import h5py
import numpy

with h5py.File(sys.argv[1]) as h5, h5py.File(sys.argv[2]) as true:
    group = h5
    while "default" in group.attrs:
        group = group[group.attrs["default"]]
    assert group.attrs["NX_class"] == "NXdata", group
    signal, axes = group[group.attrs["signal"]], [group[name] for name in group.attrs["axes"]]
    assert signal.shape == tuple(len(axis) for axis in axes), (signal.shape, axes)
    assert all(numpy.all(numpy.diff(axis) > 0) for axis in axes), "axes ascend"
    assert numpy.all(numpy.isfinite(signal)), "every slice is there"
    tomo = h5["/entry_0000/tomo"]
    assert tomo["status"].asstr()[()] == "complete" and numpy.all(tomo["bin_done"][()] == 1)
    for name, region in tomo["regions"].items():
        found, truth = region["tomogram/tomogram"][()], true[f"phantom/{name}/map"][()]
        print(name, numpy.corrcoef(found.ravel(), truth.ravel())[0, 1])
    for line in tomo["repairs"].asstr()[()]:
        print("repair:", line)
