#!/usr/bin/env python3
"""Ten frames as a map of 3 x 4 points, straight and zig-zag.  usage: maps.py PLAIN.h5 MAP.h5 ZIGZAG.h5"""
import sys

import h5py
import numpy

plain, straight, zigzag = (h5py.File(name)["/entry_0000/xrdct"] for name in sys.argv[1:])
rows = plain["result/intensity"][()]
assert rows.shape[0] == 10
for result, reverse in ((straight, False), (zigzag, True)):
    points = result["result/intensity"][()]
    assert points.shape == (3, 4, rows.shape[1]), points.shape
    status = result["frame_status"][()].reshape(3, 4)
    assert status.sum() == 2, "two points were never measured"
    for n in range(12):
        slow, fast = divmod(n, 4)
        if reverse and slow % 2:
            fast = 3 - fast
        if n < 10:
            assert numpy.array_equal(points[slow, fast], rows[n]), (n, slow, fast)
            assert status[slow, fast] == 0
        else:
            assert numpy.isnan(points[slow, fast]).all() and status[slow, fast] == 1
print("3 x 4 points, rows where they belong, 2 pending")
