#!/usr/bin/env python3
"""xrdct against pyFAI 2026.9.0 on the frames of real HDF5 files, with the masks and dummies of those files.

usage: hdf5_patterns.py XRDCT DATA SCRATCH

xrdct is given the files as a user would give them; pyFAI the frames that h5py and hdf5plugin read of them. Every frame of a file is
compared, as in conformance.py. The last line printed is "N passed, M failed".
"""
import pathlib
import shutil
import subprocess
import sys
import warnings

import h5py
import hdf5plugin  # noqa: F401
import numpy
import pyFAI
import pyFAI.detectors
from conformance import TOLERANCE, worst
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

NPT = 400
IMAGES = "/entry/data/data"


def read(files):
    stacks = []
    for file in files:
        with h5py.File(file) as h5:
            stack = h5[IMAGES][()]
        stacks.append(stack.reshape((-1,) + stack.shape[-2:]))
    return numpy.concatenate(stacks)


class Scene:
    """Files, the frames in them, a geometry, and what the files say is no count."""

    def __init__(self, scratch, name, inputs, frames, detector, mask=None, dummy=None, **geometry):
        self.name, self.inputs, self.frames = name, inputs, frames
        self.folder = scratch / name
        self.folder.mkdir()
        det = pyFAI.detectors.detector_factory(detector)
        assert det.shape == frames.shape[1:], (det.shape, frames.shape)
        tilted = {"dist": 0.21, "poni1": 0.4 * det.shape[0] * det.pixel1, "poni2": 0.55 * det.shape[1] * det.pixel2,
                  "rot1": 0.03, "rot2": -0.02, "rot3": 0.2, "wavelength": 0.95e-10}
        AzimuthalIntegrator(detector=det, **{**tilted, **geometry}).save(str(self.folder / "geometry.poni"))
        # What pyFAI must be told and xrdct finds in the files.
        self.arguments = dummy or {}
        if mask is not None:
            self.arguments = {**self.arguments, "mask": mask | (det.mask if det.mask is not None else 0)}
        rng = numpy.random.default_rng(2026)
        self.user_mask = (rng.random(det.shape) < 0.05).astype(numpy.uint8)
        self.dark = rng.random(det.shape).astype(numpy.float32)
        self.flat = (0.9 + 0.2 * rng.random(det.shape)).astype(numpy.float32)
        for image in ("user_mask", "dark", "flat"):
            numpy.save(self.folder / f"{image}.npy", getattr(self, image))

    def variations(self):
        at = self.folder
        mask = self.arguments.get("mask")
        if mask is None:
            mask = pyFAI.load(str(at / "geometry.poni")).detector.mask
        both = self.user_mask if mask is None else mask | self.user_mask
        return {
            "the file's own": ([], {}),
            "a dummy of all bits": (["--dummy", "4294967295", "--delta-dummy", "2"], {"dummy": 4294967295, "delta_dummy": 2}),
            "a mask besides": (["--mask", at / "user_mask.npy", "--combine-mask"], {"mask": both}),
            "all corrections": (
                ["--polarization", "0.99", "--dark", at / "dark.npy", "--flat", at / "flat.npy", "--error-model", "poisson",
                 "--normalization", "3.5"],
                {"polarization_factor": 0.99, "dark": self.dark, "flat": self.flat, "error_model": "poisson",
                 "normalization_factor": 3.5},
            ),
        }


def run_case(xrdct, scene, split, unit, variation, scratch):
    options, arguments = scene.variations()[variation]
    arguments = {**scene.arguments, **arguments}
    output = scratch / "ours.h5"
    done = subprocess.run([xrdct, "integrate", *scene.inputs, "--poni", scene.folder / "geometry.poni", "-o", output, "--npt", str(NPT),
                           "--unit", unit, "--method", split, "--overwrite", "--quiet", *options], capture_output=True, text=True)
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr.strip()}"
    with h5py.File(output) as h5:
        result = h5[h5["/"].attrs["default"]]["xrdct/result"]
        centres = result[[n for n in result.attrs["axes"] if n in result and n not in ("frame", "frames", ".")][-1]][()]
        intensity = result["intensity"][()]
        errors = result["errors"][()] if "errors" in result else None
    if len(intensity) != len(scene.frames):
        return f"{len(intensity)} patterns of {len(scene.frames)} frames"
    integrator, limit, lit = pyFAI.load(str(scene.folder / "geometry.poni")), TOLERANCE[split], False
    for number, frame in enumerate(scene.frames):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = integrator.integrate1d_ng(frame, NPT, unit=unit, method=(split, "csr", "cython"), **arguments)
        if not numpy.array_equal(centres, theirs.radial):
            return f"bin centres differ by {numpy.abs(centres - theirs.radial).max():.3g}"
        if (off := worst(intensity[number], theirs.intensity)) > limit:
            return f"frame {number}: intensity differs by {off:.3g}"
        if (errors is None) != (theirs.sigma is None):
            return f"errors: ours {errors is not None}, pyFAI's {theirs.sigma is not None}"
        if errors is not None and (off := worst(errors[number], theirs.sigma)) > limit:
            return f"frame {number}: errors differ by {off:.3g}"
        lit |= bool(numpy.any(theirs.intensity))
    return None if lit else "empty patterns prove nothing"


def master_with_its_data(scratch, master, data, frames):
    """The real master beside frames under the name that its link has, with a pixel mask as DECTRIS writes it; and that mask."""
    folder = scratch / "scan"
    folder.mkdir()
    shutil.copyfile(data, folder / "example_1_data_000001.h5")
    shutil.copyfile(master, folder / master.name)
    rng = numpy.random.default_rng(303)
    mask = numpy.where((frames == 0xFFFFFFFF).all(axis=0), 1, 0).astype(numpy.uint32)
    mask[rng.random(mask.shape) < 0.02] |= 1 << 4
    with h5py.File(folder / master.name, "r+") as h5:
        h5["/entry/instrument/detector/detectorSpecific/pixel_mask"] = mask
    return folder / master.name, (mask != 0).astype(numpy.uint8)


def main():
    xrdct, data, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    nearly_dark = data / "ANSTOtest_303_data_000001.h5"
    frames = read([nearly_dark])
    master, mask = master_with_its_data(scratch, data / "example_1_master.h5", nearly_dark, frames)
    lab6 = data / "LaB6_Normal_0042.hdf"
    titanium = [data / f"EIG500_Ti_1_A-2_1_0_data_00000{n}.h5" for n in (1, 2)]
    # As the PONI of the Ti frames, which names a detector of another size.
    fitting = {"dist": 0.50668, "poni1": 0.02089981, "poni2": 0.077413, "rot1": -0.278333, "rot2": 0.00660641,
               "rot3": 2.647233580167256e-05, "wavelength": 1.535883535871171e-11}
    scenes = [
        Scene(scratch, "1M, a data file", [nearly_dark], frames, "Eiger2_1M"),
        Scene(scratch, "1M, a master", [master], frames, "Eiger2_1M", mask, {"dummy": 4294967294, "delta_dummy": 1.5}),
        Scene(scratch, "1M-W, LaB6", [lab6], read([lab6]), "Eiger2CdTe_1MW"),
        Scene(scratch, "500k, Ti", titanium, read(titanium), "Eiger2CdTe_500k", **fitting),
    ]
    cases = [(scene, split, unit, "the file's own")
             for scene in scenes for split, unit in (("no", "q_nm^-1"), ("bbox", "q_nm^-1"), ("full", "q_nm^-1"), ("bbox", "2th_deg"))]
    cases += [(scene, split, "q_nm^-1", name) for scene in scenes for split, name in (
        ("bbox", "a dummy of all bits"), ("bbox", "a mask besides"), ("bbox", "all corrections"), ("full", "all corrections"))]
    failed = []
    for scene, split, unit, name in cases:
        if problem := run_case(xrdct, scene, split, unit, name, scratch):
            failed.append(f"{scene.name}, {split}, {unit}, {name}: {problem}")
            print("FAILED", failed[-1], flush=True)
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
