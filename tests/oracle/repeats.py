#!/usr/bin/env python3
"""Whether result files are the same in every dataset but those that tell which run it was, and when.  usage: repeats.py A.h5 B.h5 …"""
import sys

import h5py
import numpy

TIMES = {"entry_0000/entry_identifier_uuid", "entry_0000/start_time", "entry_0000/end_time", "entry_0000/xrdct/date", "entry_0000/xrdct/duration"}


def datasets(name):
    found = {}
    with h5py.File(name) as h5:
        h5.visititems(lambda key, item: found.update({key: item[()]}) if isinstance(item, h5py.Dataset) else None)
    # Sets of norms stand in the order in which they came: what counts is which numbers a row has.
    if "entry_0000/xrdct/sums/norms" in found:
        found["norms"] = found.pop("entry_0000/xrdct/sums/norms")[found.pop("entry_0000/xrdct/sums/norms_of")]
    return {key: value for key, value in found.items() if key not in TIMES}


first = datasets(sys.argv[1])
assert TIMES & set(first) == set() and "entry_0000/xrdct/configuration/data" in first, sorted(first)
assert numpy.nanmax(first["entry_0000/xrdct/result/intensity"]) > 0
for name in sys.argv[2:]:
    other = datasets(name)
    assert set(other) == set(first), (name, set(other) ^ set(first))
    for key, value in first.items():
        a, b = numpy.asarray(value), numpy.asarray(other[key])
        assert (a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()), (name, key, value, other[key])
print(len(sys.argv) - 1, "files repeat the run")
