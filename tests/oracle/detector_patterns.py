#!/usr/bin/env python3
"""xrdct against pyFAI 2026.9.0 where pixels are no regular grid, in every radial unit, and with parallax: the same patterns.

usage: detector_patterns.py XRDCT DATA SCRATCH        (DATA is not used)

Frames are made up (what the geometry does to them is the question), geometries tilted. Bin centres must be equal to 1e-6 of the range of
the axis (its ends are positions in float32, and pyFAI's numexpr and numpy differ from the C library in the last bit), and equal to the
last bit for 2th, q and r of flat detectors without parallax. Intensities and standard errors agree within 1e-6 relative for "no" and
"bbox", 5e-5 for "full", as in conformance.py; where places differ in the last bit of float32 (units evaluated by numexpr, cylinders,
the CirPAD, parallax) single pixels may change bins, so 2e-4 of the largest intensity is the limit there.
The last line printed is "N passed, M failed".
"""
import json
import pathlib
import subprocess
import sys
import warnings

import h5py
import numpy
import pyFAI
import pyFAI.detectors
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

NPT = 300
SPLITS = ("no", "bbox", "full")
UNITS = ["q_nm^-1", "q_A^-1", "2th_deg", "2th_rad", "r_mm", "r_m", "d_m", "d_nm", "d_A", "d*2_nm^-2", "d*2_A^-2", "log10(q.m)_None",
         "log(q.nm)_None", "log(1+q.nm)_None", "log(1+q.A)_None", "arcsinh(q.nm)_None", "arcsinh(q.A)_None", "qx_nm^-1", "qy_nm^-1"]
FAST = ("q_nm^-1", "q_A^-1", "2th_deg", "2th_rad", "r_mm", "r_m")


def frame(shape, seed=5):
    rng = numpy.random.default_rng(seed)
    y, x = numpy.ogrid[:shape[0], :shape[1]]
    return rng.poisson(200 + 100 * numpy.sin(y / 23.0) + 50 * numpy.cos(x / 17.0)).astype(numpy.int32)


def say_binning(poni, detector):
    """pyFAI does not write the binning of a cylinder."""
    lines = poni.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Detector_config:"))
    config = json.loads(lines[at].split(":", 1)[1])
    config.update(binning=detector.binning, pixel1=detector.pixel1 / detector.binning[0], pixel2=detector.pixel2 / detector.binning[1])
    lines[at] = f"Detector_config: {json.dumps(config)}"
    poni.write_text("\n".join(lines) + "\n")


def setting(scratch, name, detector, tilt=(0.02, -0.013, 0.3), distance=0.1, center=(-0.3, 0.45), parallax=False, energy=None):
    """A geometry that keeps the beam off the detector, so that d-spacings are finite, saved as a PONI; and a frame."""
    folder = scratch / name.replace(" ", "_")
    folder.mkdir()
    corners = detector.get_pixel_corners() if not detector.uniform_pixel or not detector.IS_FLAT else None
    size = [detector.shape[0] * detector.pixel1, detector.shape[1] * detector.pixel2]
    if corners is not None:
        size = [float(numpy.nanmax(corners[..., 1])), float(numpy.nanmax(corners[..., 2]))]
    ai = AzimuthalIntegrator(dist=distance, poni1=center[0] * size[0], poni2=center[1] * size[1], rot1=tilt[0], rot2=tilt[1],
                             rot3=tilt[2], wavelength=1.0e-10 if energy is None else 12.398419843320026e-10 / energy, detector=detector)
    if parallax:
        ai.enable_parallax()
    ai.save(str(folder / "geometry.poni"))
    if type(detector).__name__ == "Rapid":
        say_binning(folder / "geometry.poni", detector)
    image = frame(detector.shape)
    numpy.save(folder / "frame.npy", image)
    return {"name": name, "folder": folder, "image": image, "parallax": parallax,
            "exact": not parallax and type(detector).__name__ not in ("Aarhus", "Rapid", "Cirpad") and detector.IS_FLAT}


def pattern(xrdct, scene, split, unit, options, output):
    command = [xrdct, "integrate", "--poni", str(scene["folder"] / "geometry.poni"), "-o", str(output), str(scene["folder"] / "frame.npy"),
               "--npt", str(NPT), "--unit", unit, "--method", split, "--overwrite", "--quiet", "--error-model", "poisson", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return None, f"exit {done.returncode}: {done.stderr.strip()}"
    with h5py.File(output) as h5:
        result = h5[h5["/"].attrs["default"]]["xrdct/result"]
        axis = result[[n for n in result.attrs["axes"] if n in result and n not in ("frame", "frames", ".")][-1]]
        theirs = pyFAI.units.to_unit(unit)
        if (axis.attrs["units"], axis.attrs["long_name"]) != (theirs.unit_symbol, theirs.label):
            return None, f"the axis says {axis.attrs['units']!r}, {axis.attrs['long_name']!r}"
        return (axis[()], result["intensity"][0], result["errors"][0]), None


def case(xrdct, scene, split, unit, scratch, options=(), arguments=None):
    ours, problem = pattern(xrdct, scene, split, unit, options, scratch / "ours.h5")
    if problem:
        return problem
    ai = pyFAI.load(str(scene["folder"] / "geometry.poni"))
    if (ai.parallax is not None) != scene["parallax"]:
        return "pyFAI does not correct parallax"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ai.integrate1d(scene["image"], NPT, unit=unit, method=(split, "csr", "cython"), error_model="poisson", **(arguments or {}))
    exact = scene["exact"] and unit in FAST
    centres, intensity, errors = ours
    span = abs(theirs.radial[-1] - theirs.radial[0])
    off = numpy.abs(centres - theirs.radial).max()
    if off > (0 if exact else 1e-6 * span):
        return f"bin centres differ by {off:.3g} of {span:.3g}"
    if not numpy.any(theirs.intensity):
        return "an empty pattern proves nothing"
    for what, a, b in (("intensity", intensity, theirs.intensity), ("errors", errors, theirs.sigma)):
        difference = numpy.abs(a.astype(float) - b)
        if not numpy.array_equal(numpy.isnan(a), numpy.isnan(b)):
            return f"{what}: NaN where pyFAI has none"
        if exact:
            limit = (5e-5 if split == "full" else 1e-6) * numpy.abs(b)
        else:
            limit = 2e-4 * numpy.abs(b).max()
        bad = numpy.flatnonzero(difference > limit)
        if bad.size > (0 if exact else NPT // 20):
            worst = bad[numpy.argmax(difference[bad])]
            return f"{what} of {bad.size} bins differs, most in bin {worst}: {a[worst]!r} for {b[worst]!r}"
    return None


def nexus(scratch, name, detector, change=None):
    """A detector as pyFAI saves it to a file."""
    path = scratch / f"{name}.h5"
    if change:
        change(detector)
    detector.save(str(path))
    return pyFAI.detectors.NexusDetector(str(path))


def main():
    xrdct, scratch = sys.argv[1], pathlib.Path(sys.argv[3])
    make = pyFAI.detectors.detector_factory
    cases = []
    flat = setting(scratch, "100k", make("Pilatus100k"))
    cases += [(flat, split, unit) for split in SPLITS for unit in UNITS]
    for name in ("ImXPadS10", "ImXPadS140", "Jungfrau", "Xpad_flat", "Pixirad1", "Lambda250k", "Maxipix5x1", "Rayonix133"):
        for orientation in (3, 2) if name in ("ImXPadS140", "Jungfrau", "Xpad_flat", "Pixirad1") else (3,):
            scene = setting(scratch, f"{name} {orientation}", make(name, {"orientation": orientation}))
            splits = SPLITS[:2] if name == "Pixirad1" else SPLITS
            cases += [(scene, split, unit) for split in splits for unit in ("q_nm^-1", "2th_deg", "log(1+q.nm)_None")
                      if (name != "Pixirad1" or unit in FAST) and (orientation == 3 or unit in FAST)]
    # A cylinder has the sample on its axis; a smaller one is quicker.
    cylinder = setting(scratch, "cylinder", make("Rapid", {"binning": 4}), tilt=(0.0, 0.01, 0.0), distance=0.12726, center=(0.5, -0.2))
    cases += [(cylinder, split, unit) for split in SPLITS for unit in ("q_nm^-1", "2th_deg", "d_A")]
    cirpad = setting(scratch, "cirpad", make("Cirpad"), tilt=(0.0, 0.0, 0.0), distance=0.65, center=(0.02, 0.5))
    cases += [(cirpad, split, "2th_deg") for split in SPLITS]

    def bend(detector):
        corners = detector.get_pixel_corners().copy()
        corners[..., 0] = 3.0 * (corners[..., 1] - 0.015) ** 2
        corners[..., 1] *= 1.0 + 0.02 * corners[..., 2]
        corners[40, 30:35] = numpy.nan
        detector.set_pixel_corners(corners)
        detector.IS_FLAT = False
        rng = numpy.random.default_rng(3)
        detector.flatfield = (0.9 + 0.2 * rng.random(detector.shape)).astype(numpy.float32)
        detector.darkcurrent = (5 * rng.random(detector.shape)).astype(numpy.float32)
        mask = numpy.zeros(detector.shape, numpy.int8)
        mask[10:20, 100:140] = 1
        detector.mask = mask

    def taper(detector):
        corners = detector.get_pixel_corners().copy()
        corners[..., 1] += 2e-5 * numpy.sin(300 * corners[..., 2])
        corners[..., 2] *= 1.01
        detector.set_pixel_corners(corners)
        detector.IS_CONTIGUOUS = True

    small = {"pixel1": 172e-6, "pixel2": 172e-6, "max_shape": (195, 300)}
    for name, detector in [
        ("bent file", nexus(scratch, "bent", make("Detector", small), bend)),
        ("taper file", nexus(scratch, "taper", make("Detector", small), taper)),
        ("plain file", nexus(scratch, "plain", make("Pilatus100k"))),
        ("tiled file", nexus(scratch, "tiled", make("ImXPadS140"))),
    ]:
        scene = setting(scratch, name, detector)
        cases += [(scene, split, unit) for split in SPLITS for unit in ("q_nm^-1", "r_mm", "d*2_nm^-2")]
    for name, sensor, energy in [("Pilatus100k", {"material": "Si", "thickness": 320e-6}, 17.0), ("Maxipix5x1", {"material": "CdTe"}, 60.0),
                                 ("ImXPadS140", {"material": "Si", "thickness": 500e-6}, 12.0)]:
        scene = setting(scratch, f"parallax {name}", make(name, {"sensor": sensor}), distance=0.05, parallax=True, energy=energy)
        cases += [(scene, split, unit) for split in SPLITS for unit in ("q_nm^-1", "2th_deg", "d_A")]
    failed = []
    for scene, split, unit in cases:
        # Half of a CirPAD's modules face away from any sample in front of it: pyFAI counts with negative solid angles there.
        without = (["--no-solid-angle"], {"correctSolidAngle": False}) if scene is cirpad else ([], {})
        problem = case(xrdct, scene, split, unit, scratch, *without)
        if problem:
            failed.append(f"{scene['name']}, {split}, {unit}: {problem}")
            print("FAILED", failed[-1], flush=True)
    cut = [s for s, split, unit in cases if s["name"] in ("100k", "Xpad_flat 3", "bent file") and (split, unit) == ("no", "q_nm^-1")]
    for sector in ((-40, 75), (60, 110)):
        for scene in cut:
            for split in SPLITS:
                problem = case(xrdct, scene, split, "q_nm^-1", scratch, ["--azimuth-range", *map(str, sector)], {"azimuth_range": sector})
                cases.append(sector)
                if problem:
                    failed.append(f"{scene['name']}, {split}, {sector}: {problem}")
                    print("FAILED", failed[-1], flush=True)
    print(json.dumps({"pyFAI": pyFAI.version, "cases": len(cases)}))
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
