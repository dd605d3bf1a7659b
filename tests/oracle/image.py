"""Writes random images in every format that FabIO, NumPy and h5py write, each beside its pixels as f64.

usage: image.py FOLDER

Prints one line an image: its name as xrdct is given it, a tab, the file of its pixels (f64, little-endian, C order),
rows, columns. FabIO's own reading is compared with the pixels first, where it reads the format.
"""
import bz2
import gzip
import os
import sys

import fabio
import h5py
import numpy
from fabio.cbfimage import CbfImage
from fabio.edfimage import EdfImage
from fabio.tifimage import TifImage
from PIL import Image

folder = sys.argv[1]
random = numpy.random.default_rng(20260101)
count = 0


def pixels(dtype, shape=(7, 11)):
    dtype = numpy.dtype(dtype)
    if dtype.kind == "f":
        values = random.normal(0, 100, shape)
        values.flat[:4] = numpy.inf, -numpy.inf, numpy.nan, 6e-8
        return values.astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    info = numpy.iinfo(dtype)
    values = random.integers(info.min, info.max, shape, dtype=dtype.newbyteorder("="), endpoint=True).astype(dtype)
    if dtype.itemsize == 8:
        values >>= 11  # f64 holds 53 bits
    values.flat[0] = 0
    return values


def put(name, values, data=None):
    """Announces an image; `name` is a file in the folder, perhaps with `::path`."""
    global count
    path = os.path.join(folder, name)
    if data is None and fabio is not None and not name.endswith(".npy") and "[" not in name:
        read = fabio.open(path).data
        numpy.testing.assert_array_equal(numpy.asarray(read, "f8"), numpy.asarray(values, "f8"), err_msg=name)
    raw = os.path.join(folder, f"pixels_{count}.f64")
    count += 1
    numpy.ascontiguousarray(values, "<f8").tofile(raw)
    print(path, raw, *values.shape, sep="\t")


INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
FLOATS = ["f4", "f8"]

for dtype in INTEGERS + FLOATS + ["f2", "b1"]:
    for order in "<>":
        values = pixels(order + dtype)
        for layout in "CF":
            name = f"n_{dtype}_{'le' if order == '<' else 'be'}_{layout}.npy"
            numpy.save(os.path.join(folder, name), numpy.asarray(values, order=layout))
            put(name, values)
for version in (1, 0), (2, 0), (3, 0):
    values = pixels("<f4", (1, 5, 3))
    with open(os.path.join(folder, f"v{version[0]}.npy"), "wb") as file:
        numpy.lib.format.write_array(file, values, version=version)
    put(f"v{version[0]}.npy", values[0])

for dtype in INTEGERS + FLOATS:
    values = pixels(dtype)
    name = f"e_{dtype}.edf"
    EdfImage(data=values, header={"Title": "a } b"}).write(os.path.join(folder, name))
    put(name, values)
    for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress)):
        with open(os.path.join(folder, name), "rb") as file:
            packed = pack(file.read())
        with open(os.path.join(folder, name + suffix), "wb") as file:
            file.write(packed)
        put(name + suffix, values)
    with h5py.File(os.path.join(folder, "images.h5"), "a") as file:
        file[f"plain_{dtype}"] = values
        file[f"group_{dtype}/data"] = values.astype(numpy.dtype(dtype).newbyteorder(">"))
        file.create_dataset(f"packed_{dtype}", data=values, chunks=(4, 4), compression="gzip", shuffle=True)
    for kind in "plain", "group", "packed":
        put(f"images.h5::/{kind}_{dtype}", values)

for type_name, dtype in (("UnsignedShort", "u2"), ("SignedLong", "i4"), ("FloatIEEE32", "f4"), ("Double", "f8")):
    values = pixels(">" + dtype)
    name = f"big_{dtype}.edf"
    header = f"{{\r\nbyteorder = HighByteFirst ;\r\nDATATYPE = {type_name} ;\r\ndim_1 = 11 ; Dim_2 = 7 ;\r\n"
    with open(os.path.join(folder, name), "wb") as file:
        file.write(header.ljust(1021).encode() + b"}\r\n" + values.tobytes())
    put(name, values)

for dtype in "u1", "i1", "u2", "i2", "u4", "i4", "f4":  # FabIO narrows wider types
    values = pixels(dtype)
    TifImage(data=values).write(os.path.join(folder, f"t_{dtype}.tif"))
    put(f"t_{dtype}.tif", values)
for dtype, compression in (("u1", "tiff_lzw"), ("u2", "tiff_adobe_deflate"), ("i4", None), ("f4", None)):
    values = pixels(dtype)
    name = f"pil_{dtype}.tiff"
    Image.fromarray(values).save(os.path.join(folder, name), compression=compression)
    put(name, values, data="PIL")

for dtype in "i4", "u4", "i2":
    values = pixels(dtype)
    values[:3] = -2 if dtype[0] == "i" else 7
    name = f"c_{dtype}.cbf"
    CbfImage(data=values).write(os.path.join(folder, name))
    with open(os.path.join(folder, name), "rb") as file:
        packed = gzip.compress(file.read())
    with open(os.path.join(folder, name + ".gz"), "wb") as file:
        file.write(packed)
    put(name, values)
    put(name + ".gz", values)

with h5py.File(os.path.join(folder, "stack.h5"), "w") as file:
    stack = pixels("u2", (3, 5, 4))
    file["stack"] = stack
    file["one"] = stack[:1]
    file["mask"] = stack[0] % 2 == 0
    file["masks"] = stack % 2 == 0
    file.create_group("entry").attrs["signal"] = "picture"
    file["entry/picture"] = stack[1]
for n in range(3):
    put(f"stack.h5::/stack[{n}]", stack[n])
put("stack.h5::one", stack[0])
put("stack.h5::/mask", stack[0] % 2 == 0, data="h5py")
put("stack.h5::/masks[2]", stack[2] % 2 == 0)
put("stack.h5::/entry", stack[1], data="h5py")
