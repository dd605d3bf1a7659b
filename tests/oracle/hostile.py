"""Writes HDF5 files for tests/hostile.rs: masks of the small frames in every layout, and files that claim what they do not hold.

usage: hostile.py FOLDER
"""
import os
import sys

import h5py
import numpy

folder = sys.argv[1]
SHAPE = (61, 47)
mask = numpy.zeros(SHAPE, "u1")
mask[3:9, 5:30] = 1


def file(name, **options):
    return h5py.File(os.path.join(folder, name), "w", **options)


layouts = {
    "contiguous": {},
    "chunked": {"chunks": (16, 16)},
    "gzip": {"chunks": (16, 16), "compression": "gzip"},
    "shuffle": {"chunks": (61, 47), "compression": "gzip", "shuffle": True, "fletcher32": True},
}
for name, layout in layouts.items():
    for dtype in ["u1", "f4", "?"]:
        with file(f"mask_{name}_{numpy.dtype(dtype).name}.h5") as h5:
            h5.create_dataset("data", data=mask.astype(dtype), **layout)
for name, options in [("old", {"libver": "earliest"}), ("new", {"libver": "latest"})]:
    with file(f"mask_{name}.h5", **options) as h5:
        data = h5.create_group("data")
        data.attrs["signal"] = "image"
        data.attrs["axes"] = numpy.array(["y", "x"], dtype=h5py.string_dtype())
        data.create_dataset("image", data=mask, chunks=(61, 47), compression="gzip", maxshape=(None, 47))
        data["title"] = "a mask"
        data.create_dataset("names", data=["one", "two"], dtype=h5py.string_dtype())

with file("huge.h5") as h5:
    h5.create_dataset("data", shape=(1 << 31, 1 << 31), dtype="u1", chunks=(1024, 1024))
    h5.create_dataset("line", shape=(1 << 40,), dtype="f4", chunks=(1024,))
with file("outside.h5") as h5:
    h5["data"] = h5py.ExternalLink("mask_gzip_uint8.h5", "/data")
layout = h5py.VirtualLayout(SHAPE, "u1")
layout[...] = h5py.VirtualSource("mask_gzip_uint8.h5", "data", SHAPE)
with file("virtual.h5") as h5:
    h5.create_virtual_dataset("data", layout)
