"""Spoils a result and a tomogram in every way that a file can be spoilt without being no HDF5 file, for tests/hostile.rs.

usage: hostile_results.py FOLDER RESULT.h5 TOMO.h5

Writes FOLDER/result_NAME.h5 and FOLDER/tomo_NAME.h5.
"""
import os
import shutil
import sys

import h5py
import numpy

folder, result, tomo = sys.argv[1:]
nan, inf = numpy.nan, numpy.inf
ODD = {"nan": nan, "inf": inf, "negative": -1.0, "immense": 1e300, "tiny": 5e-324}


def spoilt(source, name):
    """A copy, open for changes."""
    kind = "result" if source == result else "tomo"
    path = os.path.join(folder, f"{kind}_{name}.h5")
    shutil.copy(source, path)
    return h5py.File(path, "r+")


def replace(group, name, *arguments, **options):
    attributes = dict(group[name].attrs) if name in group else {}
    if name in group:
        del group[name]
    made = group.create_dataset(name, *arguments, **options)
    for key, value in attributes.items():
        made.attrs[key] = value


def huge(shape, dtype):
    """A shape that no byte stands behind."""
    return {"shape": shape, "dtype": dtype, "chunks": tuple(min(s, 64) for s in shape)}


PROCESS = "entry_0000/xrdct"
DATA = PROCESS + "/result"
with h5py.File(result) as h5:
    rows, npt = h5[DATA]["intensity"].shape[:-1], h5[DATA]["intensity"].shape[-1]
    axis = [name for name in h5[DATA].attrs["axes"] if name not in ("slow", "fast", "frame", ".")][0]

for name, value in ODD.items():
    with spoilt(result, f"duration_{name}") as h5:
        replace(h5[PROCESS], "duration", data=value)
    with spoilt(result, f"values_{name}") as h5:
        replace(h5[DATA], "intensity", data=numpy.full((*rows, npt), value, "f8").astype("f4"))
    with spoilt(result, f"axis_{name}") as h5:
        replace(h5[DATA], axis, data=numpy.full(npt, value))
    with spoilt(result, f"axis_begins_{name}") as h5:
        values = numpy.linspace(1, 2, npt)
        values[0] = value
        replace(h5[DATA], axis, data=values)
    with spoilt(result, f"numbers_{name}") as h5:
        for number in [n for n in h5[PROCESS]["input"] if h5[PROCESS]["input"][n].dtype.kind == "f"]:
            values = h5[PROCESS]["input"][number][()]
            values[::2] = value
            replace(h5[PROCESS]["input"], number, data=values)
shapes = {
    "no_rows": (0, npt),
    "no_bins": (4, 0),
    "none": (0, 0),
    "many_rows": (1 << 40, npt),
    "many_points": (1 << 31, 1 << 31, npt),
    "overflowing": (1 << 40, 1 << 40, npt),
    "line": (npt,),
    "cube": (2, 2, 2, npt),
    "more_rows": (70_000, npt),
}
for name, shape in shapes.items():
    with spoilt(result, f"shape_{name}") as h5:
        if 0 in shape:
            replace(h5[DATA], "intensity", shape=shape, dtype="f4")
            if shape[-1] == 0:
                replace(h5[DATA], axis, shape=(0,), dtype="f8")
        else:
            replace(h5[DATA], "intensity", **huge(shape, "f4"))
        if len(shape) == 3:
            replace(h5[DATA], "map_ptr", **huge(shape[:2], "i4"))
with spoilt(result, "wide") as h5:
    replace(h5[DATA], "intensity", **huge((*rows, 1 << 34), "f4"))
    replace(h5[DATA], axis, **huge((1 << 34,), "f8"))
with spoilt(result, "statuses_huge") as h5:
    replace(h5[PROCESS], "frame_status", **huge((1 << 42,), "u1"))
with spoilt(result, "statuses_bad") as h5:
    h5[PROCESS]["frame_status"][...] = 77
with spoilt(result, "rows_elsewhere") as h5:
    if "map_ptr" in h5[DATA]:
        h5[DATA]["map_ptr"][...] = numpy.iinfo("i4").max
    replace(h5[PROCESS], "offset", data=numpy.iinfo("i8").min)
texts = {
    "deep": "[" * 200_000,
    "deep_objects": '{"a":' * 200_000,
    "number": "7",
    "nothing": "",
    "list": "[1, 2]",
    "wrong": '{"xrdct": {"nbpt_rad": "many", "threads": -1}, "unit": 5, "poni": [], "method": 3, "nbpt_rad": 1e300}',
    "large": '{"nbpt_rad": 1e999, "threads": 99999999999, "xrdct": {"threads": 200000, "nbpt_rad": 18446744073709551615}}',
    "long": '"' + "x" * (8 << 20) + '"',
}
for name, text in texts.items():
    for source, process in [(result, PROCESS), (tomo, "entry_0000/tomo")]:
        with spoilt(source, f"configuration_{name}") as h5:
            replace(h5[process]["configuration"], "data", data=text)
for name, axes in {"numbers": [1, 2], "none": numpy.zeros(0, "f4"), "odd": ["/", ""], "loop": ["frame", "loop"]}.items():
    with spoilt(result, f"axes_{name}") as h5:
        h5[DATA].attrs["axes"] = axes
        h5[DATA]["loop"] = h5py.SoftLink(f"/{DATA}/loop")
for name in ["intensity", axis, "map_ptr"]:
    with spoilt(result, f"group_{name}") as h5:
        if name in h5[DATA]:
            del h5[DATA][name]
        h5[DATA].create_group(name)
    with spoilt(result, f"text_{name}") as h5:
        replace(h5[DATA], name, data="a text")
for name in ["status", "version", "title", "bad_frames", "frame_status"]:
    with spoilt(result, f"number_{name}") as h5:
        group = h5["entry_0000"] if name == "title" else h5[PROCESS]
        replace(group, name, data=5.0)
with spoilt(result, "names_many") as h5:
    replace(h5[PROCESS]["input"], "file_names", **huge((1 << 40,), h5py.string_dtype()))
with spoilt(result, "outside") as h5:
    del h5[DATA]["intensity"]
    h5[DATA]["intensity"] = h5py.ExternalLink("nowhere.h5", "/data")

TOMO = "entry_0000/tomo"
for name, value in ODD.items():
    with spoilt(tomo, f"values_{name}") as h5:
        for where in ["sinogram/sinogram", "tomogram/tomogram"]:
            h5[TOMO][where][...] = value
        replace(h5[TOMO]["mean_pattern"], "intensity", data=numpy.full(npt, value, "f8").astype("f4"))
        replace(h5[TOMO], "duration", data=value)
        replace(h5[TOMO], "axis", data=value)
    with spoilt(tomo, f"positions_{name}") as h5:
        for where in ["sinogram/rotation", "sinogram/translation", "tomogram/x", "tomogram/y"]:
            group, number = where.split("/")
            replace(h5[TOMO][group], number, data=numpy.full(h5[TOMO][where].shape, value))
for name, shape in {"empty": (0, 0, 0), "huge": (1 << 30, 1 << 30, 1 << 30), "flat": (5,), "short": (1, 2, 2)}.items():
    for where in ["sinogram", "tomogram"]:
        with spoilt(tomo, f"{where}_{name}") as h5:
            replace(h5[TOMO][where], where, **(huge(shape, "f4") if 0 not in shape else {"shape": shape, "dtype": "f4"}))
for name, count in {"none": 0, "huge": 1 << 36}.items():
    for where in ["sinogram/rotation", "tomogram/x"]:
        with spoilt(tomo, f"{where.split('/')[1]}_{name}") as h5:
            group, number = where.split("/")
            replace(h5[TOMO][group], number, **(huge((count,), "f8") if count else {"shape": (0,), "dtype": "f8"}))
with spoilt(tomo, "regions_many") as h5:
    first = next(iter(h5[TOMO]["regions"]))
    for i in range(400):
        h5.copy(h5[TOMO]["regions"][first], h5[TOMO]["regions"], name=f"r{i} <&>\u202e\x1b[31m")
with spoilt(tomo, "regions_odd") as h5:
    for region in h5[TOMO]["regions"].values():
        region.attrs["range"] = [nan, -inf]
with spoilt(tomo, "done") as h5:
    replace(h5[TOMO], "bin_done", **huge((1 << 40,), "u1"))
