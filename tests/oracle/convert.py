#!/usr/bin/env python3
"""`xrdct convert` against FabIO on every real frame: each pixel equal, and gzip changes nothing.

usage: convert.py XRDCT FOLDER SCRATCH
The last line printed is "N passed, M failed".
"""
import pathlib
import subprocess
import sys

import fabio
import h5py
import numpy


def stack(xrdct, output, options, files):
    done = subprocess.run([xrdct, "convert", "-o", output, "--quiet", "--overwrite", *options, *files],
                          capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()}")
    with h5py.File(output) as h5:
        return h5["/entry_0000/data/data"][()]


def main():
    xrdct, folder, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    output = str(scratch / "stack.h5")
    series = sorted(str(f) for f in (folder / "series_p03").glob("*.cbf"))
    cases = [(f.name, [str(f)], []) for f in sorted(folder.glob("*.cbf*"))]
    cases += [("series", series, []), ("series, gzip", series[:2], ["--gzip"]), ("series, unverified", series, ["--no-verify"])]
    failed = 0
    for name, files, options in cases:
        try:
            ours = stack(xrdct, output, options, files)
            theirs = numpy.array([fabio.open(f).data for f in files])
            problem = None
            if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
                problem = f"{ours.dtype} {ours.shape}, FabIO has {theirs.dtype} {theirs.shape}"
            elif not numpy.array_equal(ours, theirs):
                problem = f"{(ours != theirs).sum()} pixels differ"
        except Exception as error:  # every case is to be reported
            problem = str(error)
        if problem:
            failed += 1
            print("FAILED", name, problem)
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
