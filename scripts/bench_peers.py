#!/usr/bin/env python3
"""Times xrdct beside FabIO + pyFAI on the same frames, and checks that they agree.

Fair to the peer: its documented fast path, ("bbox", "csr", "cython"), no MD5, the matrix and the solid angle
resident and known by checksum, one warm-up frame; its file is written as HDF5 too (one dataset, a row a frame).
Everything runs on the same cores (taskset), the files are in the page cache, and the runs alternate, because
machines drift: read the ratios, not the seconds.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import fabio
import h5py
import numpy
import pyFAI


def peer_setup(poni, shape, npt):
    """Integrator with its matrix built; seconds that the matrix took."""
    ai = pyFAI.load(str(poni))
    start = time.perf_counter()
    ai.integrate1d(numpy.zeros(shape, numpy.int32), npt, unit="q_nm^-1", method=("bbox", "csr", "cython"))
    return ai, time.perf_counter() - start


def peer_run(ai, files, npt, output):
    """Sequential: read, integrate, write, one frame after the other. Seconds, and the patterns."""
    start = time.perf_counter()
    with h5py.File(output, "w") as h5:
        rows = h5.create_dataset("intensity", (len(files), npt), "f4")
        for i, name in enumerate(files):
            image = fabio.cbfimage.CbfImage().read(name, check_MD5=False).data
            rows[i] = ai.integrate1d(image, npt, unit="q_nm^-1", method=("bbox", "csr", "cython")).intensity
    seconds = time.perf_counter() - start
    with h5py.File(output) as h5:
        return seconds, h5["intensity"][()]


def ours_run(xrdct, poni, folder, npt, output, strategy, threads):
    """The whole program, start to exit: frames a second of wall time, its peak memory, and the patterns."""
    command = [xrdct, "integrate", "--poni", poni, "-o", output, "--npt", npt, "--strategy", strategy,
               "--threads", threads, "--device", "cpu", "--overwrite", "--quiet", folder]
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        sys.exit(f"xrdct failed with status {status}: {' '.join(map(str, command))}")
    with h5py.File(output) as h5:
        result = h5["/entry_0000/xrdct/result"]
        return seconds, usage.ru_maxrss / 1024, result["intensity"][()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--xrdct", required=True)
    parser.add_argument("--frames", required=True, type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--npt", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures here")
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])

    files = sorted(str(f) for f in args.frames.glob("*.cbf"))
    poni = next(args.frames.glob("*.poni"))
    size = sum(os.path.getsize(f) for f in files)
    for name in files:  # into the page cache
        pathlib.Path(name).read_bytes()
    shape = fabio.open(files[0]).data.shape
    print(f"{len(files)} frames of {shape[0]} x {shape[1]}, {size / len(files) / 1e6:.2f} MB each, in the page cache; "
          f"{args.npt} bins, bbox; {args.threads} threads")
    print(f"pyFAI {pyFAI.version}, FabIO {fabio.version}, numpy {numpy.__version__}")

    ai, peer_matrix = peer_setup(poni, shape, args.npt)
    rates = {"FabIO + pyFAI, sequential": [], "xrdct, sequential": [], "xrdct, pool": []}
    memory = {}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for _ in range(args.runs):
            seconds, theirs = peer_run(ai, files, args.npt, scratch / "peer.h5")
            rates["FabIO + pyFAI, sequential"].append(len(files) / seconds)
            for strategy in ("sequential", "pool"):
                seconds, peak, ours = ours_run(args.xrdct, poni, args.frames, args.npt, scratch / "ours.h5",
                                               strategy, args.threads if strategy == "pool" else 1)
                rates[f"xrdct, {strategy}"].append(len(files) / seconds)
                memory[f"xrdct, {strategy}"] = peak
                scale = numpy.abs(theirs).max()
                worst = numpy.abs(ours - theirs).max() / scale
                if not worst < 1e-6:
                    sys.exit(f"results differ by {worst:.2e} of the largest intensity: not a benchmark")

    base = statistics.median(rates["FabIO + pyFAI, sequential"])
    print(f"\n{'whole corridor, files to HDF5':<32}{'frames/s':>10}{'ratio':>8}{'peak memory':>14}")
    for name, values in rates.items():
        median = statistics.median(values)
        peak = f"{memory[name]:.0f} MB" if name in memory else ""
        print(f"{name:<32}{median:>10.1f}{median / base:>8.1f}{peak:>14}")
    print("(xrdct's rows are the whole program, start to exit, matrix included; the peer's leave start and matrix out)")
    print(f"\npyFAI's matrix and first frame: {peer_matrix:.2f} s; xrdct's: `cargo bench --bench matrix`, "
          "or the summary of `xrdct integrate`")
    if args.json:
        record = {"frames": len(files), "bytes": size, "threads": args.threads, "pyFAI": pyFAI.version,
                  "matrix_seconds_peer": peer_matrix, "frames_per_second": rates, "peak_memory_MB": memory}
        args.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
