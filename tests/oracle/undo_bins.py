"""Makes a tomogram look as if its run had been killed half way: undo_bins.py TOMO.h5"""
import sys

import h5py

with h5py.File(sys.argv[1], "r+") as h5:
    tomo = h5["/entry_0000/tomo"]
    done = tomo["bin_done"][()]
    half = len(done) // 2
    done[half:] = 0
    tomo["bin_done"][...] = done
    tomo["tomogram/tomogram"][half:] = 0
    for region in tomo["regions"].values():
        region["tomogram/tomogram"][...] = 0
