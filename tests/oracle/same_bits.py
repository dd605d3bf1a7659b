#!/usr/bin/env python3
"""Whether result files hold the same bits in every dataset of their results, made with --sums.  usage: same_bits.py A.h5 B.h5 …"""
import sys

import h5py
import numpy


def arrays(name):
    found = {}
    with h5py.File(name) as h5:
        h5["/entry_0000/xrdct"].visititems(
            lambda key, item: found.update({key: item[()]})
            if isinstance(item, h5py.Dataset) and key.split("/")[0] in ("result", "sums", "frame_status") else None)
    # Sets of norms stand in the order in which they came: what counts is which numbers a row has.
    found["norms"] = found.pop("sums/norms")[found.pop("sums/norms_of")]
    return found


first = arrays(sys.argv[1])
assert {"result/intensity", "frame_status", "sums/signal", "norms"} <= set(first), sorted(first)
assert (first["frame_status"] == 0).all() and numpy.any(first["result/intensity"])
for name in sys.argv[2:]:
    other = arrays(name)
    assert set(other) == set(first), (name, sorted(other))
    for key, value in first.items():
        assert numpy.asarray(value).tobytes() == numpy.asarray(other[key]).tobytes(), (name, key)
print(len(sys.argv) - 1, "files hold the same bits")
