#!/usr/bin/env python3
"""What a killed run left behind: rows 0 to 4 were written before.  usage: killed.py OUT.h5"""
import sys

import h5py
import numpy

with h5py.File(sys.argv[1]) as h5:
    result = h5["/entry_0000/xrdct"]
    status = result["frame_status"][()]
    assert (status[:5] == 0).all() and (status[5:] == 1).all(), status
    rows = result["result/intensity"][()]
    assert numpy.isfinite(rows[:5]).all() and (rows[:5] > 0).any(axis=1).all()
print("rows marked good are whole")
