"""Writes series of random images in every format and number type that FabIO and NumPy write, each beside what FabIO reads of it.

usage: series.py FOLDER

Prints one line a file: its name, the file of its pixels (little-endian, C order), their number type, images, rows, columns; tabs between.
"""
import bz2
import gzip
import os
import sys

import fabio
import numpy
from fabio.edfimage import EdfImage
from fabio.tifimage import TifImage
from PIL import Image

folder = sys.argv[1]
random = numpy.random.default_rng(20260102)
count = 0


def pixels(dtype, images=1, shape=(7, 11)):
    dtype = numpy.dtype(dtype)
    if dtype.kind == "f":
        values = random.normal(0, 100, (images, *shape))
        values.flat[:4] = numpy.inf, -numpy.inf, numpy.nan, 6e-8
        return values.astype(dtype)
    info = numpy.iinfo(dtype)
    native = dtype.newbyteorder("=")
    return random.integers(info.min, info.max, (images, *shape), dtype=native, endpoint=True).astype(dtype)


def put(name, values, by_fabio=True):
    """Announces a file of the folder that has these images; FabIO must read the same."""
    global count
    path = os.path.join(folder, name)
    if by_fabio:
        with fabio.open(path) as image:
            read = [image.get_frame(n).data if image.nframes > 1 else image.data for n in range(image.nframes)]
        numpy.testing.assert_array_equal(numpy.stack(read), values, err_msg=name)
        assert read[0].dtype.newbyteorder("=") == values.dtype.newbyteorder("="), (name, read[0].dtype)
    values = values.astype("<f4") if values.dtype.itemsize == 2 and values.dtype.kind == "f" else values
    raw = os.path.join(folder, f"pixels_{count}.raw")
    count += 1
    numpy.ascontiguousarray(values, values.dtype.newbyteorder("<")).tofile(raw)
    print(path, raw, values.dtype.newbyteorder("=").name, *values.shape, sep="\t")


def packed(name, values):
    with open(os.path.join(folder, name), "rb") as file:
        whole = file.read()
    for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress)):
        with open(os.path.join(folder, name + suffix), "wb") as file:
            file.write(pack(whole))
        put(name + suffix, values)


INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
FLOATS = ["f4", "f8"]

for dtype in INTEGERS + FLOATS:
    for images in 1, 3:
        values = pixels(dtype, images)
        name = f"e_{dtype}_{images}.edf"
        edf = EdfImage(data=values[0], header={"Title": "a } b", "count_time": "0.5"})
        for more in values[1:]:
            edf.append_frame(data=more, header={"count_time": "0.5"})
        edf.write(os.path.join(folder, name))
        put(name, values)
        packed(name, values)

        for order in "<>":
            stack = values.astype(numpy.dtype(order + dtype))
            name = f"n_{dtype}_{images}_{'le' if order == '<' else 'be'}.npy"
            numpy.save(os.path.join(folder, name), stack if images > 1 else stack[0])
            put(name, stack)

for dtype in ["f2"]:
    values = pixels(dtype, 2)
    numpy.save(os.path.join(folder, "half.npy"), values)
    put("half.npy", values, by_fabio=False)
values = pixels("u2", 6)
numpy.save(os.path.join(folder, "four.npy"), values.reshape(2, 3, 7, 11))
put("four.npy", values)
values = pixels("i4")
numpy.save(os.path.join(folder, "turned.npy"), numpy.asfortranarray(values[0]))
put("turned.npy", values)

for dtype in "u1", "i1", "u2", "i2", "u4", "i4", "f4":  # FabIO narrows wider types
    values = pixels(dtype)
    TifImage(data=values[0]).write(os.path.join(folder, f"t_{dtype}.tif"))
    put(f"t_{dtype}.tif", values)
for dtype, compression in (("u1", "tiff_lzw"), ("u2", "tiff_adobe_deflate"), ("u1", "packbits"), ("i4", None), ("f4", None)):
    values = pixels(dtype)
    name = f"pil_{dtype}_{compression}.tiff"
    Image.fromarray(values[0]).save(os.path.join(folder, name), compression=compression)
    put(name, values, by_fabio=False)
values = pixels("u2", 4)
pages = [Image.fromarray(page) for page in values]
pages[0].save(os.path.join(folder, "pages.tif"), save_all=True, append_images=pages[1:])
put("pages.tif", values)
