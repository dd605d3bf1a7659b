#!/usr/bin/env python3
"""xrdct's statistics and error models beside pyFAI's Cython CSR engine, on the same threads, in the same run.

usage: peer_statistics.py XRDCT FOLDER [--threads N] [--frames N] [--npt N] [--runs N]

FOLDER is what `xrdct simulate` makes: frames and geometry.poni. Runs alternate; medians are told. xrdct reads, verifies, decodes,
integrates and writes, as its summary counts; pyFAI has decoded frames in memory, matrix and solid angle resident, and only
integrates: its engine is called itself, without the checksums of integrate1d.
"""
import argparse
import json
import logging
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

CASES = {
    "mean": ("bbox", [], "integrate_ng", {}),
    "mean, azimuthal errors": ("bbox", ["--error-model", "azimuthal"], "integrate_ng", {"error_model": "azimuthal"}),
    "clip, 5 cycles, azimuthal": ("no", ["--statistic", "clip"], "sigma_clip", {"error_model": "azimuthal", "cutoff": 5.0, "cycle": 5}),
    "clip, 5 cycles, poisson": ("no", ["--statistic", "clip", "--error-model", "poisson"], "sigma_clip",
                                {"error_model": "poisson", "cutoff": 5.0, "cycle": 5}),
    "median": ("bbox", ["--statistic", "median"], "medfilt", {"quant_min": 0.5, "quant_max": 0.5}),
    "median, not split": ("no", ["--statistic", "median", "--method", "no"], "medfilt", {"quant_min": 0.5, "quant_max": 0.5}),
    "quantiles 0.1 to 0.9": ("bbox", ["--quantile", "0.1", "0.9"], "medfilt", {"quant_min": 0.1, "quant_max": 0.9}),
}


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("xrdct")
    parse.add_argument("folder", type=pathlib.Path)
    parse.add_argument("--threads", type=int, default=2)
    parse.add_argument("--frames", type=int, default=4)
    parse.add_argument("--npt", type=int, default=1000)
    parse.add_argument("--runs", type=int, default=3)
    told = parse.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(told.threads)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:told.threads])
    import fabio
    import h5py
    import pyFAI
    from pyFAI.containers import ErrorModel
    logging.disable(logging.WARNING)
    names = sorted(told.folder.glob("*.cbf"))
    images = [fabio.open(str(name)).data for name in names[:told.frames]]
    ai = pyFAI.load(str(told.folder / "geometry.poni"))
    dummy, delta = ai.detector.get_dummies(images[0])
    solid = ai.solidAngleArray(images[0].shape, True)
    engines = {}
    for split in ("no", "bbox"):
        ai.integrate1d(images[0], told.npt, method=(split, "csr", "cython"))
        engines[split] = next(e.engine for m, e in ai.engines.items() if e.engine is not None and m.split_lower == split)

    def theirs(split, function, arguments):
        arguments = dict(arguments)
        if "error_model" in arguments:
            arguments["error_model"] = ErrorModel.parse(arguments["error_model"])
        begun = time.perf_counter()
        for image in images:
            getattr(engines[split], function)(image, dummy=dummy, delta_dummy=delta, solidangle=solid, **arguments)
        return len(images) / (time.perf_counter() - begun)

    def ours(options):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as scratch:
            output = os.path.join(scratch, "out.h5")
            command = [told.xrdct, "integrate", "--poni", str(told.folder / "geometry.poni"), "--npt", str(told.npt), "--device", "cpu", "--threads",
                       str(told.threads), "--readers", "1", "-q", "-o", output, *options, str(told.folder)]
            subprocess.run(command, check=True)
            with h5py.File(output) as h5:
                process = h5[h5["/"].attrs["default"]]["xrdct"]
                return len(names) / float(process["duration"][()])

    table = {}
    for name, (split, options, function, arguments) in CASES.items():
        theirs(split, function, arguments)
        ours(options)
        pairs = [(ours(options), theirs(split, function, arguments)) for _ in range(told.runs)]
        mine, other = (statistics.median(rates) for rates in zip(*pairs))
        table[name] = {"xrdct": round(mine, 1), "pyFAI": round(other, 2), "ratio": round(mine / other, 1)}
        print(f"{name:<28}{mine:>9.1f}{other:>9.2f} frames/s{mine / other:>8.1f} x", flush=True)
    print(json.dumps({"pyFAI": pyFAI.version, "threads": told.threads, "frames": len(names), "npt": told.npt, "cases": table}))


if __name__ == "__main__":
    sys.exit(main())
