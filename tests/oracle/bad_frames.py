#!/usr/bin/env python3
"""What a run with one bad frame (row 3 of 6) left behind, as h5py sees it.  usage: bad_frames.py OUT.h5 STATUS"""
import sys

import h5py
import numpy

with h5py.File(sys.argv[1]) as h5:
    result = h5["/entry_0000/xrdct/result"]
    rows = result["intensity"][()]
    assert rows.shape[0] == 6, rows.shape
    good = [i for i in range(6) if i != 3]
    assert numpy.isnan(rows[3]).all() and numpy.isfinite(rows[good]).all(), rows
    assert (rows[good] > 0).any(axis=1).all()
    status = h5["/entry_0000/xrdct/frame_status"]
    words = status.attrs["legend"]
    words = words if isinstance(words, str) else " ".join(map(str, words))
    assert sys.argv[2] in words, words
    values = status[()]
    assert (values[good] == 0).all() and values[3] > 1, values
    messages = [m.decode() for m in h5["/entry_0000/xrdct/bad_frames"][()].ravel()] \
        if "bad_frames" in h5["/entry_0000/xrdct"] else [m.decode() for m in result["bad_frames"][()].ravel()]
    assert any("small_00003.cbf" in m for m in messages), messages
print("rows 0 1 2 4 5 are good, row 3 is NaN, status and message are kept")
