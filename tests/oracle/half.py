#!/usr/bin/env python3
"""Whether B's intensities are half of A's: it was normalised by twice as much.  usage: half.py A.h5 B.h5"""
import sys

import h5py
import numpy

a, b = (h5py.File(name)["/entry_0000/xrdct/result/intensity"][()] for name in sys.argv[1:])
print("half" if numpy.any(a) and numpy.allclose(a, 2 * b, rtol=1e-6) else "not half")
