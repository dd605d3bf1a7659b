#!/usr/bin/env python3
"""xrdct's statistics and error models against pyFAI 2026.9.0 itself, on real detector frames.

usage: statistics.py XRDCT DATA SCRATCH

Every case runs the xrdct program as a user would, with its sums, and pyFAI's Cython CSR engine: what a user gets by default. Compared are
intensity, standard error and all five sums: within 1e-6 relative, 5e-5 for "full", whose polygon areas live in a float32 buffer.

Where pyFAI's engines disagree, or one of them cannot be right, this is followed:
- azimuthal variance: Cython's, one pass in ascending pixels. pyFAI's Python engine sums squares around the final mean instead, which
  differs by up to 0.5 % without and 30 % with pixel splitting; printed at the end.
- clip with pixel splitting: Cython throws pixels out of one buffer that all bins share, so what the next bin has depends on its threads. What is
  followed is the same engine with a copy of each pixel for each of its bins.
- clip: Cython counts 3 in a bin of 1 or 2 pixels of which none is thrown out. The pixels are counted here.
- clip without errors: Cython takes a deviation of 0, Python azimuthal errors: Python's is followed.
- quantile: pixels that are invalid in a frame are NaN in what Cython sorts, which leaves it unsorted. Here they are masked for both.
- quantile: of pixels with equal intensities (in float32) Cython takes any. So frames are real ones with a random fraction added to each
  pixel, and bins in which two that are still equal meet at a limit are left out and counted; with "full" those, too, whose limit
  is within its noise of the next pixel. Of frames as they are only the intensity is compared.
- quantile with azimuthal errors: pyFAI gives none; xrdct refuses.
The last line printed is "N passed, M failed".
"""
import itertools
import json
import logging
import pathlib
import subprocess
import sys
import warnings

import fabio
import h5py
import numpy
import pyFAI
import pyFAI.detectors
from pyFAI.containers import ErrorModel
from pyFAI.ext.splitBBoxCSR import CsrIntegrator
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

logging.disable(logging.WARNING)
TOLERANCE = {"no": 1e-6, "bbox": 1e-6, "full": 5e-5}
NPT = 400


class Apart(CsrIntegrator):
    """pyFAI's engine, with a copy of each pixel for each of its bins."""
    bin_centers = None
    check_mask = False
    cmask = None


def scene(scratch, name, frame, detector):
    """A real frame with a made-up, tilted geometry: PONI file, calibration images, and the image itself."""
    folder = scratch / name
    folder.mkdir()
    image = fabio.open(str(frame)).data
    det = pyFAI.detectors.detector_factory(detector)
    ai = AzimuthalIntegrator(dist=0.3, poni1=0.45 * det.shape[0] * det.pixel1, poni2=0.52 * det.shape[1] * det.pixel2,
                             rot1=0.02, rot2=-0.013, rot3=0.3, wavelength=1.0e-10, detector=det)
    ai.save(str(folder / "geometry.poni"))
    rng = numpy.random.default_rng(2027)
    # All that is invalid in the frame, the detector's mask, and some more.
    mask = (det.mask != 0) | (image < 0)
    mask[rng.integers(0, mask.shape[0], 500), rng.integers(0, mask.shape[1], 500)] = True
    images = {
        "mask": mask.astype(numpy.uint8),
        "dark": (3.0 * rng.random(image.shape)).astype(numpy.float32),
        "flat": (0.9 + 0.2 * rng.random(image.shape)).astype(numpy.float32),
        "variance": (0.5 + image.clip(0) * rng.random(image.shape)).astype(numpy.float32),
        "dithered": (image + rng.permutation(image.size).reshape(image.shape) / image.size).astype(numpy.float32),
    }
    for kind, array in images.items():
        numpy.save(folder / f"{kind}.npy", array)
    return {"name": name, "folder": folder, "frame": str(frame), "image": image, **images}


def corrections(of, name):
    """Options for xrdct and arguments for pyFAI."""
    at = of["folder"]
    if name == "plain":
        return ["--mask", at / "mask.npy"], {"mask": of["mask"]}
    if name == "dummies":
        # Those of the frame, gaps among them, are left out by their values.
        return ["--mask", at / "none.npy", "--dummy", "-2", "--delta-dummy", "1.5"], {"mask": of["none"], "dummy": -2, "delta_dummy": 1.5}
    return (["--polarization", "0.99", "--mask", at / "mask.npy", "--dark", at / "dark.npy", "--flat", at / "flat.npy",
             "--normalization", "3.5"],
            {"polarization_factor": 0.99, "mask": of["mask"], "dark": of["dark"], "flat": of["flat"], "normalization_factor": 3.5})


def errors(of, name):
    if name == "variance":
        return ["--variance", of["folder"] / "variance.npy"], {"variance": of["variance"]}
    return ["--error-model", name], {"error_model": {"none": "no"}.get(name, name)}


def ours(xrdct, of, frame, split, unit, options, scratch):
    output = scratch / "ours.h5"
    command = [xrdct, "integrate", "--poni", of["folder"] / "geometry.poni", "-o", output, frame, "--npt", NPT, "--unit", unit, "--method",
               split, "--overwrite", "--quiet", "--sums", *options]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()}")
    found = {}
    with h5py.File(output) as h5:
        process = h5[h5["/"].attrs["default"]]["xrdct"]
        found["intensity"] = process["result/intensity"][0]
        if "errors" in process["result"]:
            found["sem"] = process["result/errors"][0]
            found["sum_variance"] = process["sums/variance"][0]
        if "std" in process["result"]:
            found["std"] = process["result/std"][0]
        found["sum_signal"] = process["sums/signal"][0]
        norms = process["sums/norms"][process["sums/norms_of"][0]]
        for ours_, theirs in {"normalization": "sum_normalization", "normalization_squared": "sum_normalization2", "count": "count"}.items():
            found[theirs] = norms[ours_]
        # Where a frame's own counts decide which pixels count, it is told of each frame.
        chooses = {"--clip", "--clip-cycles", "--quantile"} & set(map(str, options)) or {"clip", "median"} & set(map(str, options))
        assert ("count" in process["result"]) == bool(chooses), options
        if chooses:
            numpy.testing.assert_array_equal(process["result/count"][0], found["count"].astype(numpy.float32))
    return found


def integrator(of):
    return pyFAI.load(str(of["folder"] / "geometry.poni"))


def pattern(result):
    """What a result of pyFAI holds, under its own names."""
    found = {name: getattr(result, name) for name in
             ("intensity", "sem", "std", "sum_signal", "sum_variance", "sum_normalization", "sum_normalization2", "count")}
    return {name: values for name, values in found.items() if values is not None}


def theirs(of, image, split, unit, statistic, arguments):
    ai = integrator(of)
    method = (split, "csr", "cython")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if statistic[0] == "mean":
            return pattern(ai.integrate1d(image, NPT, unit=unit, method=method, **arguments))
        if statistic[0] == "cake":
            return cake(ai, image, split, unit, statistic[1], method, dict(arguments))
        if statistic[0] == "clip":
            found = ai.sigma_clip(image, NPT, unit=unit, method=method, thres=statistic[1], max_iter=statistic[2], **arguments)
            return pattern(found if split == "no" else apart(ai, image, split, statistic, arguments))
        return pattern(ai.medfilt1d_ng(image, NPT, unit=unit, method=method, percentile=statistic[1], **arguments))


def cake(ai, image, split, unit, npt_azim, method, arguments):
    """Bins of two axes, those that can be relied upon; NaN elsewhere."""
    if "dark" in arguments and arguments.get("error_model") in ("poisson", "hybrid"):
        # In two dimensions pyFAI adds the dark to the variance, in one it does not.
        del arguments["error_model"]
        arguments["variance"] = numpy.maximum(image, 1).astype(numpy.float32)
    found = pattern(ai.integrate2d(image, NPT, npt_azim, unit=unit, method=method, **arguments))
    found["sure"] = numpy.ones((npt_azim, NPT), bool)
    if split == "full":
        # The first pixel of all is in bins that are not its own: see conformance.py.
        engine = next(e.engine for e in ai.engines.values() if hasattr(e.engine, "indptr"))
        row = numpy.repeat(numpy.arange(NPT * npt_azim), numpy.diff(engine.indptr))
        first = row[engine.indices == engine.indices.min()]
        found["sure"][first % npt_azim, first // npt_azim] = False
    return found


def apart(ai, image, split, statistic, arguments):
    """pyFAI's own clipping, on a matrix in which no pixel has two bins."""
    engine = next(e.engine for m, e in ai.engines.items() if e.engine is not None and m.split_lower == split)
    data, indices, indptr = engine.data, engine.indices, engine.indptr
    copies = Apart((data, numpy.arange(len(indices), dtype=numpy.int32), indptr), len(indices), 0.0)
    images = {name: arguments.get(name) for name in ("dark", "flat", "variance")}
    images["solidangle"] = ai.solidAngleArray(image.shape, True)
    if "polarization_factor" in arguments:
        images["polarization"] = ai.polarization(image.shape, arguments["polarization_factor"])
    images = {name: None if values is None else numpy.ascontiguousarray(values.ravel()[indices]) for name, values in images.items()}
    model = ErrorModel.VARIANCE if arguments.get("variance") is not None else ErrorModel.parse(arguments["error_model"])
    found = copies.sigma_clip(numpy.ascontiguousarray(image.ravel()[indices]), error_model=model, cutoff=statistic[1], cycle=statistic[2],
                              dummy=arguments.get("dummy"), delta_dummy=arguments.get("delta_dummy"),
                              normalization_factor=arguments.get("normalization_factor", 1.0), **images)

    class Result:
        intensity, sem, std, count = found.intensity, found.sem, found.std, found.count
        sum_signal, sum_variance, sum_normalization, sum_normalization2 = (
            found.signal, found.variance, found.normalization, found.norm_sq)
    return Result


def worst(one, other):
    """Largest difference, relative to pyFAI's value; equal values differ by nothing."""
    difference = numpy.abs(one.astype(float) - other.astype(float))
    scale = numpy.where(difference > 0, numpy.abs(other.astype(float)), 1.0)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return float(numpy.max(numpy.where(difference > 0, difference / scale, 0.0)))


def ambiguous(of, image, split, unit, statistic, arguments):
    """Bins in which it is not determined which pixel is at a limit: equal ones meet there, or pyFAI's own noise decides."""
    ai = integrator(of)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ai.medfilt1d_ng(image, NPT, unit=unit, method=(split, "csr", "cython"), mask=arguments["mask"])
    engine = next(e.engine for m, e in ai.engines.items() if e.engine is not None and m.split_lower == split)
    norm = numpy.full(image.shape, arguments.get("normalization_factor", 1.0), numpy.float32)
    signal = image.astype(numpy.float32)
    if "dark" in arguments:
        signal = signal - arguments["dark"]
    if "flat" in arguments:
        norm = norm * arguments["flat"]
    if "polarization_factor" in arguments:
        norm = norm * ai.polarization(image.shape, arguments["polarization_factor"])
    norm = (norm * ai.solidAngleArray(image.shape, True)).ravel().astype(numpy.float32)
    signal = signal.ravel()
    data, indices, indptr = numpy.asarray(engine.data), numpy.asarray(engine.indices), numpy.asarray(engine.indptr)
    percents = statistic[1] if isinstance(statistic[1], tuple) else (statistic[1],)
    noise = 5e-6 if split == "full" else 2e-7
    found = numpy.zeros(NPT, bool)
    for bin_ in range(NPT):
        pixels = indices[indptr[bin_]:indptr[bin_ + 1]]
        b = signal[pixels] / norm[pixels]
        order = numpy.argsort(b, kind="stable")
        b, sums = b[order], numpy.cumsum((data[indptr[bin_]:indptr[bin_ + 1]] * norm[pixels])[order].astype(float))
        if not len(b):
            continue
        for limit in (percent / 100 * sums[-1] for percent in percents):
            near = numpy.flatnonzero(numpy.abs(sums - limit) <= noise * sums[-1])
            at = numpy.searchsorted(sums, limit)
            here = {*near.tolist(), *(near + 1).tolist(), at - 1, at, at + 1}
            here = sorted(k for k in here if 0 <= k < len(b))
            # Of all but one weight, a limit between pixels is one by rounding.
            found[bin_] |= bool(numpy.any(numpy.diff(b[here[0]:here[-1] + 1]) == 0)) or (len(near) > 0 and split != "no")
    return found


def compare(found, expected, limit, statistic, names):
    if not numpy.any(expected["intensity"]):
        return "an empty pattern proves nothing"
    for name in names:
        if name not in found:
            continue
        one, other = found[name], numpy.asarray(expected[name])
        if name in ("sem", "std", "sum_variance"):
            # Of pixels that all count the same rounding makes pyFAI a variance below 0, and NaN of it.
            lost = numpy.isnan(other) | (numpy.asarray(expected["sum_variance"]) < 0)
            if numpy.any(one[lost] > 1e-6 * numpy.abs(expected["intensity"][lost]) + 1e-12):
                return f"{name} is not 0 where pyFAI has a negative variance"
            # What is left of counts that are all but equal is noise of either.
            noise = numpy.asarray(expected["sum_variance"]) < 1e-20 * numpy.asarray(expected["sum_signal"]) ** 2
            one, other = one[~(lost | noise)], other[~(lost | noise)]
        if name == "sum_signal":
            # It may cancel, where darks are subtracted.
            scale = numpy.abs(expected["sum_normalization"]) * numpy.median(numpy.abs(expected["intensity"]))
            off = float(numpy.max(numpy.abs(one - other) / numpy.maximum(numpy.maximum(numpy.abs(other), scale), 1e-300)))
        elif name == "intensity":
            scale = numpy.maximum(numpy.abs(other), numpy.median(numpy.abs(other)))
            off = float(numpy.max(numpy.abs(one - other) / scale))
        else:
            if name == "count" and statistic[0] == "clip":
                one, other = numpy.maximum(one, 3.0) * (other > 0), numpy.maximum(other, 3.0) * (other > 0)
            off = worst(one, other)
            if name == "count" and statistic[0] == "quantile" and limit == TOLERANCE["full"]:
                # A pixel of which the noise leaves a bin 1e-6, or nothing, is one or none.
                off = float(numpy.max(numpy.abs(one - other)) > 1.0)
        if not off <= limit:
            return f"{name} differs by {off:.3g}"
    return None


MEANS = [("mean",)]
CAKES = [("cake", 12)]
CLIPS = [("clip", 5.0, 5), ("clip", 0.0, 3), ("clip", 3.0, 1)]
QUANTILES = [("quantile", 50), ("quantile", (25, 75)), ("quantile", (0, 90)), ("quantile", 10)]
SUMS = ("sum_signal", "sum_variance", "sum_normalization", "sum_normalization2", "count")


def words(statistic):
    if statistic[0] == "clip":
        return ["--clip", statistic[1], "--clip-cycles", statistic[2]]
    if statistic == ("quantile", 50):
        return ["--statistic", "median"]
    if statistic[0] == "cake":
        return ["--npt-azim", statistic[1]]
    if statistic[0] == "quantile":
        low, high = statistic[1] if isinstance(statistic[1], tuple) else (statistic[1], statistic[1])
        return ["--quantile", low / 100, high / 100]
    return []


def cases():
    """Split, unit, statistic, error model, corrections, whether the frame is as it is."""
    yield from itertools.product(("no", "bbox", "full"), ("q_nm^-1", "2th_deg", "r_mm"), MEANS,
                                 ("poisson", "azimuthal", "hybrid", "variance"), ("plain", "all", "dummies"), (True,))
    yield from itertools.product(("no", "bbox", "full"), ("q_nm^-1", "2th_deg"), CAKES, ("none", "poisson", "azimuthal", "hybrid", "variance"),
                                 ("plain", "all", "dummies"), (True,))
    yield from itertools.product(("no", "bbox", "full"), ("q_nm^-1", "2th_deg"), CLIPS, ("poisson", "azimuthal", "hybrid", "variance"),
                                 ("plain", "all", "dummies"), (True,))
    yield from itertools.product(("no", "bbox", "full"), ("q_nm^-1",), QUANTILES, ("none", "poisson", "hybrid", "variance"),
                                 ("plain", "all"), (False,))
    yield from itertools.product(("no", "bbox"), ("2th_deg",), QUANTILES[:1], ("poisson",), ("plain", "all"), (True,))


def of_another():
    """Some of them, for another detector's frame."""
    yield from itertools.product(("no", "bbox", "full"), ("2th_deg",), [*MEANS, *CAKES, CLIPS[0]], ("azimuthal", "poisson"), ("all",), (True,))
    yield from itertools.product(("no", "bbox", "full"), ("q_nm^-1",), QUANTILES[:1], ("poisson",), ("all",), (False,))


def main():
    xrdct, data, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    only = sys.argv[4:]
    small = scene(scratch, "300k", data / "cbf/in16c_010001.cbf", "Pilatus300k")
    large = scene(scratch, "1M", data / "cbf/pilatus_1M_desy.cbf", "Pilatus1M")
    for of in (small, large):
        none = numpy.zeros(of["image"].shape, numpy.uint8)
        none[0, 0] = 1
        numpy.save(of["folder"] / "none.npy", none)
        of["none"] = none
    count, failed, left_out = 0, [], []
    all_cases = [(small, case) for case in cases()] + [(large, case) for case in of_another()]
    for of, (split, unit, statistic, model, correction, as_it_is) in all_cases:
        name = f"{of['name']}, {split}, {unit}, {statistic}, {model}, {correction}, {'counts' if as_it_is else 'fractions'}"
        if only and not all(word in name for word in only):
            continue
        count += 1
        options, arguments = corrections(of, correction)
        more, and_more = errors(of, model)
        image = of["image"] if as_it_is else of["dithered"]
        frame = of["frame"] if as_it_is else of["folder"] / "dithered.npy"
        names = ("intensity", "sem", "std", *SUMS)
        if statistic[0] == "quantile" and as_it_is:
            names = ("intensity",)
        if model == "none":
            names = ("intensity", "sum_signal", "sum_normalization", "sum_normalization2", "count")
        try:
            found = ours(xrdct, of, frame, split, unit, [*options, *more, *words(statistic)], scratch)
            expected = theirs(of, image, split, unit, statistic, {**arguments, **and_more})
            if statistic[0] == "quantile" and not as_it_is:
                unclear = ambiguous(of, image, split, unit, statistic, arguments)
                left_out.append(int(unclear.sum()))
                if unclear.mean() > 0.1:
                    raise RuntimeError(f"{unclear.sum()} bins are ambiguous: they prove nothing")
                found = {name: values[~unclear] for name, values in found.items()}
                expected = {name: numpy.asarray(values)[~unclear] for name, values in expected.items()}
            if "sure" in expected:
                sure = expected.pop("sure")
                # pyFAI's result of two axes has no sum of squared norms.
                names = [name for name in names if name in expected]
                found = {name: values.reshape(sure.shape)[sure] for name, values in found.items()}
                expected = {name: numpy.asarray(values)[sure] for name, values in expected.items()}
            problem = compare(found, expected, TOLERANCE[split], statistic, names)
        except RuntimeError as error:
            problem = str(error)
        if problem:
            failed.append(f"{name}: {problem}")
            print("FAILED", failed[-1], flush=True)
    # How far pyFAI's engines are from each other.
    apart_by = {}
    for split in ("no", "bbox", "full"):
        found = [integrator(small).integrate1d(small["image"], NPT, method=(split, "csr", engine), error_model="azimuthal",
                                               mask=small["mask"]).sum_variance for engine in ("cython", "python")]
        there = found[0] > 0
        apart_by[split] = float(numpy.max(numpy.abs(found[1][there] / found[0][there] - 1)))
    print(json.dumps({"pyFAI": pyFAI.version, "cases": count, "bins left out of quantiles": sum(left_out), "azimuthal, Python's against Cython's": apart_by}))
    print(f"{count - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
