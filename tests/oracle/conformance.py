#!/usr/bin/env python3
"""xrdct against pyFAI 2026.9.0 on real detector frames: the same numbers, option by option.

usage: conformance.py XRDCT DATA SCRATCH

Every case runs the xrdct program as a user would and the same options through pyFAI's ("…", "csr", "cython")
integrators, in one dimension and in two. Bin centres must be equal; intensity and standard error of the mean agree within 1e-6 relative
for splitting "no" and "bbox", and within 5e-5 for "full", where pyFAI's polygon areas live in a float32 buffer.

Where pyFAI's own engines disagree in two dimensions:
* χ from 0 to 360 degrees (setChiDiscAtZero) without a sector: for "bbox" its sparse matrices are not told and lose what lies above 180
  degrees, its histogram is told and is followed; it treats pixels at the ends of the axes otherwise, so those bins are left out. For "no"
  neither is told; the sector from 0 to 360 has all.
* Poisson errors with a dark: in two dimensions it adds the dark to a pixel's variance, in one it does not. As in one, so here, or azimuths
  together would not be the powder pattern; it is given the variance of one dimension.
* "full", χ from 0: with chi_deg it takes 360 radians for a turn and smears polygons on the cut over the whole circle, with chi_rad it does
  not, and is followed.
* "full": the areas of its first pixel are added to memory that nobody has set. The bins of that pixel are left out.
The last line printed is "N passed, M failed".
"""
import itertools
import json
import pathlib
import subprocess
import sys
import warnings

import fabio
import h5py
import numpy
import pyFAI
import pyFAI.detectors
import pyFAI.units
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from pyFAI.utils.mathutil import deg2rad

TOLERANCE = {"no": 1e-6, "bbox": 1e-6, "full": 5e-5}
NPT = 500
NPT_AZIM = 60


def scene(scratch, name, frame, detector, orientation=3, tilt=(0.02, -0.013, 0.3), distance=0.3, center=(0.45, 0.52)):
    """A real frame with a made-up, tilted geometry: PONI file, calibration images, and the image itself."""
    folder = scratch / name
    folder.mkdir()
    image = fabio.open(str(frame)).data
    det = pyFAI.detectors.detector_factory(detector, {"orientation": orientation})
    assert det.shape == image.shape, (det.shape, image.shape)
    ai = AzimuthalIntegrator(dist=distance, poni1=center[0] * det.shape[0] * det.pixel1,
                             poni2=center[1] * det.shape[1] * det.pixel2, rot1=tilt[0], rot2=tilt[1], rot3=tilt[2],
                             wavelength=1.0e-10, detector=det)
    ai.save(str(folder / "geometry.poni"))
    rng = numpy.random.default_rng(2026)
    mask = numpy.zeros(image.shape, numpy.uint8)
    mask[100:140, 50:200] = 1
    mask[rng.integers(0, mask.shape[0], 500), rng.integers(0, mask.shape[1], 500)] = 1
    images = {
        "mask": mask,
        "dark": (3.0 * rng.random(image.shape)).astype(numpy.float32),
        "flat": (0.9 + 0.2 * rng.random(image.shape)).astype(numpy.float32),
    }
    for kind, array in images.items():
        numpy.save(folder / f"{kind}.npy", array)
    fabio.edfimage.EdfImage(data=mask).write(str(folder / "mask.edf"))
    return {"name": name, "frame": str(frame), "folder": folder, "image": image, "detector": detector, **images}


def variations(scene_):
    """Options for xrdct beside arguments for pyFAI. Names say what is tested."""
    at = scene_["folder"]
    everything = (
        ["--polarization", "0.99", "--mask", at / "mask.npy", "--dark", at / "dark.npy", "--flat", at / "flat.npy",
         "--error-model", "poisson", "--normalization", "3.5"],
        {"polarization_factor": 0.99, "mask": scene_["mask"], "dark": scene_["dark"], "flat": scene_["flat"],
         "error_model": "poisson", "normalization_factor": 3.5},
    )
    return {
        "plain": ([], {}),
        "no solid angle": (["--no-solid-angle"], {"correctSolidAngle": False}),
        "polarisation": (["--polarization", "0.99"], {"polarization_factor": 0.99}),
        "mask": (["--mask", at / "mask.edf"], {"mask": scene_["mask"]}),
        "dark": (["--dark", at / "dark.npy"], {"dark": scene_["dark"]}),
        "flat": (["--flat", at / "flat.npy"], {"flat": scene_["flat"]}),
        "poisson": (["--error-model", "poisson"], {"error_model": "poisson"}),
        "poisson, dark": (["--error-model", "poisson", "--dark", at / "dark.npy"],
                          {"error_model": "poisson", "dark": scene_["dark"]}),
        "dummy": (["--dummy", "0", "--delta-dummy", "0.5"], {"dummy": 0, "delta_dummy": 0.5}),
        "normalisation": (["--normalization", "1234.5"], {"normalization_factor": 1234.5}),
        "radial range": (["--radial-range", "RANGE"], {"radial_range": "RANGE"}),
        "azimuth range": (["--azimuth-range", "-70", "100"], {"azimuth_range": (-70, 100)}),
        "both ranges": (["--radial-range", "RANGE", "--azimuth-range", "10", "95"],
                        {"radial_range": "RANGE", "azimuth_range": (10, 95)}),
        "all corrections": everything,
    }


RANGES = {"q_nm^-1": (8, 20), "q_A^-1": (0.8, 2.0), "2th_deg": (8, 20), "2th_rad": (0.1, 0.3), "r_mm": (20, 60), "r_m": (0.02, 0.06),
          "d*2_nm^-2": (1, 9), "d*2_A^-2": (0.01, 0.09)}


def worst(ours, theirs):
    """Largest difference, relative to pyFAI's value; equal values (both 0, say) differ by nothing, and NaN is only NaN's equal."""
    if ours.shape != theirs.shape or not numpy.array_equal(numpy.isnan(ours), numpy.isnan(theirs)):
        return float("inf")
    difference = numpy.abs(ours.astype(float) - theirs.astype(float))
    scale = numpy.where(difference > 0, numpy.abs(theirs.astype(float)), 1.0)
    with numpy.errstate(divide="ignore"):
        return float(numpy.nanmax(difference / scale))


# Those for which pyFAI has no right answer where pixels are not split.
ONLY_SPLIT = ("cut at 0", "cut at 0, poisson")


def two_dimensions():
    """The same for bins of two axes alone; pyFAI is told where to cut the circle."""
    return {
        "over 180": (["--azimuth-range", "100", "250"], {"azimuth_range": (100, 250), "cut": 0}),
        "whole circle from 0": (["--azimuth-range", "0", "360"], {"azimuth_range": (0, 360), "cut": 0}),
        "cut at 0, a sector": (["--chi-discontinuity-at-0", "--azimuth-range", "20", "300"], {"azimuth_range": (20, 300), "cut": 0}),
        "cut at 0": (["--chi-discontinuity-at-0"], {"cut": 0}),
        "cut at 0, poisson": (["--chi-discontinuity-at-0", "--error-model", "poisson"], {"cut": 0, "error_model": "poisson"}),
        "many bins": (["--npt-azim", "360", "--npt", "1000", "--error-model", "poisson"],
                      {"npt_azim": 360, "npt": 1000, "error_model": "poisson"}),
    }


def theirs_2d(ai, image, npt, npt_azim, unit, split, cut=None, **arguments):
    """pyFAI's result, and which of its bins can be relied upon."""
    if cut == 0:
        ai.setChiDiscAtZero()
    sure = numpy.ones((npt_azim, npt), bool)
    algorithm = "csr"
    if cut == 0 and "azimuth_range" not in arguments and split != "full":
        algorithm = "histogram"
        sure[[0, -1]] = sure[:, [0, -1]] = False
    if "dark" in arguments and arguments.pop("error_model", None):
        arguments["variance"] = numpy.maximum(image, 1).astype(numpy.float32)
    if cut == 0 and split == "full":
        unit = (unit, "chi_rad")
        if "azimuth_range" in arguments:
            arguments["azimuth_range"] = [deg2rad(end, False) for end in arguments["azimuth_range"]]
    result = ai.integrate2d(image, npt, npt_azim, unit=unit, method=(split, algorithm, "cython"), **arguments)
    if split == "full":
        engine = next(e.engine for e in ai.engines.values() if hasattr(e.engine, "indptr"))
        row = numpy.repeat(numpy.arange(npt * npt_azim), numpy.diff(engine.indptr))
        # Bins of pyFAI's matrix have the azimuth fastest.
        first = row[engine.indices == engine.indices.min()]
        sure[first % npt_azim, first // npt_azim] = False
    return result, sure


def run_case(xrdct, scene_, split, unit, variation, options, arguments, scratch, npt_azim=None):
    options = list(itertools.chain.from_iterable(
        [str(v) for v in RANGES[unit]] if o == "RANGE" else [str(o)] for o in options))
    arguments = {k: RANGES[unit] if isinstance(v, str) and v == "RANGE" else v for k, v in arguments.items()}
    output = scratch / "ours.h5"
    sizes = [] if "--npt" in options else ["--npt", str(NPT), *(["--npt-azim", str(npt_azim)] if npt_azim else [])]
    command = [xrdct, "integrate", "--poni", str(scene_["folder"] / "geometry.poni"), "-o", str(output), scene_["frame"],
               *sizes, "--unit", unit, "--method", split, "--overwrite", "--quiet", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr.strip()}"
    with h5py.File(output) as h5:
        result = h5[h5["/"].attrs["default"]]["xrdct/result"]
        *azimuths, centres = [result[n][()] for n in result.attrs["axes"] if n in result and n not in ("frame", "frames", ".")]
        intensity = result["intensity"][0]
        errors = result["errors"][0] if "errors" in result else None
    # A fresh integrator each time: no state of an earlier case can leak into this one.
    ai = pyFAI.load(str(scene_["folder"] / "geometry.poni"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if npt_azim is None:
            theirs = ai.integrate1d(scene_["image"], NPT, unit=unit, method=(split, "csr", "cython"), **arguments)
            sure = numpy.ones(NPT, bool)
        else:
            npt, npt_azim = arguments.pop("npt", NPT), arguments.pop("npt_azim", npt_azim)
            theirs, sure = theirs_2d(ai, scene_["image"], npt, npt_azim, unit, split, **arguments)
            degrees = theirs.azimuthal * (pyFAI.units.CHI_DEG.scale if str(theirs.azimuthal_unit) == "chi_rad" else 1.0)
            if len(azimuths) != 1 or not numpy.array_equal(azimuths[0], degrees):
                return f"azimuths differ: {azimuths} for {degrees}"
    if intensity.shape != theirs.intensity.shape:
        return f"{intensity.shape} bins, pyFAI has {theirs.intensity.shape}"
    if not numpy.array_equal(centres, theirs.radial):
        return f"bin centres differ by {numpy.abs(centres - theirs.radial).max():.3g}"
    limit = TOLERANCE[split]
    if (off := worst(intensity[sure], theirs.intensity[sure])) > limit:
        where = numpy.unravel_index(numpy.nanargmax(numpy.where(sure, numpy.abs(intensity - theirs.intensity), 0)), sure.shape)
        return f"intensity differs by {off:.3g} (bin {where}: {intensity[where]!r} for {theirs.intensity[where]!r})"
    if (errors is None) != (theirs.sigma is None):
        return f"errors: ours {errors is not None}, pyFAI's {theirs.sigma is not None}"
    if errors is not None and (off := worst(errors[sure], theirs.sigma[sure])) > limit:
        return f"errors differ by {off:.3g}"
    if not numpy.any(theirs.intensity):
        return "an empty pattern proves nothing"
    return None


def main():
    xrdct, data, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    cbf = data / "cbf"
    small = scene(scratch, "300k", cbf / "in16c_010001.cbf", "Pilatus300k")
    cases = [(small, split, unit, name)
             for split in ("no", "bbox", "full") for unit in ("q_nm^-1", "2th_deg", "r_mm") for name in variations(small)]
    cases += [(small, "bbox", unit, name) for unit in ("q_A^-1", "2th_rad", "r_m", "d*2_nm^-2", "d*2_A^-2")
              for name in ("plain", "radial range")]
    for orientation in (1, 2, 3, 4):
        turned = scene(scratch, f"orientation{orientation}", cbf / "in16c_010001.cbf", "Pilatus300k", orientation)
        cases += [(turned, split, "q_nm^-1", name) for split in ("no", "bbox", "full")
                  for name in ("all corrections", "azimuth range")]
    # Every other real frame, whole, once a splitting: other detectors, 2M and 6M, no tilt.
    for name, frame, detector in [
        ("100k", cbf / "pilatus_100k_lavue.cbf", "Pilatus100k"),
        ("1M", cbf / "pilatus_1M_desy.cbf", "Pilatus1M"),
        ("2M CdTe", cbf / "series_p03/jg_gisaxs_4nm_old_3ml_insitu_ds03_00001_00006.cbf", "PilatusCdTe2M"),
        ("2M", cbf / "pilatus3_2M_fragmax.cbf", "Pilatus2M"),
        ("6M", cbf / "run2_1_00148.cbf.bz2", "Pilatus6M"),
    ]:
        flat = scene(scratch, name, frame, detector, tilt=(0.0, 0.0, 0.0))
        cases += [(flat, "bbox", "q_nm^-1", "all corrections")]
        if name == "2M CdTe":
            cases += [(flat, split, unit, "poisson") for split in ("no", "full") for unit in ("q_nm^-1", "2th_deg")]
    cases = [(*case, None) for case in cases]
    cases += [(small, split, unit, name, NPT_AZIM) for split in ("no", "bbox", "full") for unit in ("q_nm^-1", "2th_deg", "r_mm")
              for name in (*variations(small), *two_dimensions()) if not (split == "no" and name in ONLY_SPLIT)]
    cases += [(small, split, unit, "both ranges", NPT_AZIM) for split in ("no", "bbox", "full")
              for unit in ("q_A^-1", "2th_rad", "r_m", "d*2_nm^-2", "d*2_A^-2")]
    for scene_ in {case[0]["name"]: case[0] for case in cases if case[0] is not small}.values():
        cases += [(scene_, split, "q_nm^-1", "all corrections", NPT_AZIM) for split in ("no", "bbox", "full")]
    failed = []
    for scene_, split, unit, name, npt_azim in cases:
        options, arguments = {**variations(scene_), **two_dimensions()}[name]
        problem = run_case(xrdct, scene_, split, unit, name, options, arguments, scratch, npt_azim)
        if problem:
            failed.append(f"{scene_['name']}, {split}, {unit}, {name}, azimuthal bins {npt_azim}: {problem}")
            print("FAILED", failed[-1], flush=True)
    print(json.dumps({"pyFAI": pyFAI.version, "cases": len(cases)}))
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
