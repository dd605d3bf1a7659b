"""What pyFAI says about detectors, PONI files and matrices; the Rust tests compare.

geometry.py detectors                  JSON of every detector class: size, pixels, mask, dummies, names
geometry.py places CASES FOLDER        where pixels are: raw arrays for each case of CASES (JSON)
geometry.py ponis FILE...              JSON of each file as pyFAI reads it
geometry.py matrices CASES FOLDER      one folder of raw arrays for each case of CASES (JSON)
geometry.py units                      JSON of every radial unit
"""

import json
import logging
import sys
import time
import warnings
import zlib
from pathlib import Path

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

import numpy  # noqa: E402
import pyFAI  # noqa: E402
import pyFAI.detectors  # noqa: E402
import pyFAI.units  # noqa: E402
import scipy.sparse  # noqa: E402
from pyFAI.io.ponifile import PoniFile  # noqa: E402
from pyFAI.utils.mathutil import deg2rad  # noqa: E402

DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


BASES = {"Detector", "NexusDetector", "ModuleDetector", "CylindricalDetector", "HexDetector"}


def detectors():
    found = {}
    for name, cls in vars(pyFAI.detectors).items():
        if not (isinstance(cls, type) and issubclass(cls, pyFAI.detectors.Detector)) or name.startswith("_") or name in BASES:
            continue
        detector = cls()
        one = {
            "shape": detector.shape,
            "pixel": [detector.pixel1, detector.pixel2],
            "orientation": int(detector.orientation),
            "names": [k for k, v in pyFAI.detectors.Detector.registry.items() if v is cls],
            "dummies": {},
        }
        if detector.shape is not None:
            mask = detector.mask
            if mask is not None and mask.any():
                one["mask"] = {"count": int((mask != 0).sum()), "crc": zlib.crc32((mask != 0).tobytes())}
        for dtype in DTYPES:
            dummy, delta = detector.get_dummies(numpy.dtype(dtype))
            one["dummies"][dtype] = None if dummy is None else [float(dummy), float(delta)]
        found[cls.__name__] = one
    return found


def sample(pixels):
    """Some lines of an axis: both ends, and eight between."""
    return sorted({0, min(1, pixels - 1), pixels - 1} | {pixels * k // 9 for k in range(1, 9)})


def places(cases, folder):
    """For each detector, orientation and configuration: where its pixels are, in float64, as pyFAI has it for centres, for corners that
    it integrates over in 2th, q and r, and for its table of corners; all columns of some rows, then all rows of some columns."""
    for i, case in enumerate(json.loads(Path(cases).read_text())):
        def fresh():
            return pyFAI.detectors.detector_factory(case["name"], {"orientation": case["orientation"], **case["config"]})
        detector = fresh()
        slow, fast = detector.shape
        at = [(r, c) for r in sample(slow) for c in range(fast)] + [(r, c) for c in sample(fast) for r in range(slow)]
        rows, columns = numpy.array(at).T
        d1, d2 = rows.astype(float), columns.astype(float)
        plain = [numpy.zeros(len(at))]

        def flat(p):
            return numpy.stack([numpy.asarray(v, dtype=float) for v in ((plain[0] if p[2] is None else p[2]), p[0], p[1])], axis=-1)

        centres = flat(detector.calc_cartesian_positions(d1, d2))
        around = [(0, 0), (1, 0), (1, 1), (0, 1)]
        # Large detectors that are regular grids: their table of corners is their grid in float32.
        is_grid = detector.uniform_pixel and detector.IS_FLAT and detector.IS_CONTIGUOUS and detector._pixel_corners is None \
            and type(detector).calc_cartesian_positions is not pyFAI.detectors.Jungfrau.calc_cartesian_positions
        if is_grid and slow * fast > 3e6:
            table = numpy.stack([flat(fresh().calc_cartesian_positions((d1 + a).astype("float32"), (d2 + b).astype("float32"), center=False))
                                 for a, b in around], axis=1).astype("float32")
        else:
            table = fresh().get_pixel_corners()[rows, columns]
        if fresh().IS_CONTIGUOUS:
            corners = numpy.stack([flat(fresh().calc_cartesian_positions(d1 + a, d2 + b, center=False)) for a, b in around], axis=1)
        else:
            corners = table
        for kind, values in (("centres", centres), ("corners", corners), ("table", table)):
            numpy.ascontiguousarray(values, dtype=numpy.float64).tofile(Path(folder) / f"{i}.{kind}")
    return True


def describe(path):
    try:
        poni = PoniFile(path)
        detector = poni.detector
        return {
            "numbers": [poni.dist, poni.poni1, poni.poni2, poni.rot1, poni.rot2, poni.rot3],
            "wavelength": poni.wavelength,
            "version": float(poni.API_VERSION),
            "detector": type(detector).__name__,
            "pixel": [detector.pixel1, detector.pixel2],
            "shape": detector.shape,
            "binning": list(detector.binning),
            "orientation": int(detector.orientation),
            "sensor": None if detector.sensor is None else detector.sensor.as_dict(),
        }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def units():
    fibre = pyFAI.units.UnitFiber
    return {
        name: {"scale": unit.scale, "label": unit.label, "symbol": unit.unit_symbol, "positive": unit.positive}
        for name, unit in pyFAI.units.RADIAL_UNITS.items()
        if not isinstance(unit, fibre)
    }


def matrix(case, folder):
    folder.mkdir()
    poni = folder / "geometry.poni"
    poni.write_text(case["poni"])
    ai = pyFAI.load(str(poni))
    if case["chi_at_zero"]:
        ai.setChiDiscAtZero()
    shape = tuple(case["shape"])
    frame = numpy.ones(shape, dtype=numpy.float32)
    if case["mask"] == "default":
        mask = None
    elif case["mask"] is None:
        mask = numpy.zeros(shape, dtype=numpy.int8)
    else:
        mask = numpy.fromfile(case["mask"], dtype=numpy.int8).reshape(shape)
    began = time.perf_counter()
    arguments = {
        "unit": case["unit"], "method": (case["split"], "csr", "cython"), "mask": mask, "correctSolidAngle": False,
        "radial_range": case["radial_range"], "azimuth_range": case["azimuth_range"],
    }
    npt_azim = case.get("npt_azim")
    if npt_azim is None:
        result = ai.integrate1d(frame, case["npt"], **arguments)
    else:
        degrees = 1.0
        if case["split"] == "full" and case["chi_at_zero"]:
            # With chi_deg pyFAI takes 360 radians for a turn: polygons on the cut at 0 are smeared over the whole circle. With chi_rad it does not.
            arguments["unit"] = (case["unit"], "chi_rad")
            degrees = pyFAI.units.CHI_DEG.scale
            if case["azimuth_range"]:
                arguments["azimuth_range"] = [deg2rad(end, False) for end in case["azimuth_range"]]
        result = ai.integrate2d(frame, case["npt"], npt_azim, **arguments)
        (numpy.asarray(result.azimuthal, dtype=numpy.float64) * degrees).tofile(folder / "azimuthal")
    seconds = time.perf_counter() - began
    engine = next(e.engine for e in ai.engines.values() if e.engine is not None and hasattr(e.engine, "indptr"))
    data, indices, indptr = engine.lut
    if npt_azim is not None:
        # pyFAI numbers bins with the azimuth fastest; its results are turned afterwards.
        rows = scipy.sparse.csr_matrix((data, indices, indptr), shape=(case["npt"] * npt_azim, frame.size))
        rows = rows[numpy.arange(case["npt"] * npt_azim).reshape(case["npt"], npt_azim).T.ravel()]
        data, indices, indptr = rows.data, rows.indices, rows.indptr
    numpy.asarray(result.radial, dtype=numpy.float64).tofile(folder / "centres")
    numpy.asarray(data, dtype=numpy.float32).tofile(folder / "weights")
    numpy.asarray(indices, dtype=numpy.uint32).tofile(folder / "indices")
    numpy.asarray(indptr, dtype=numpy.uint32).tofile(folder / "indptr")
    if case["corrections"]:
        fresh = pyFAI.load(str(poni))
        fresh.solidAngleArray(shape).astype(numpy.float32).tofile(folder / "solid_angle")
        fresh.polarization(shape, case["polarization"]).astype(numpy.float32).tofile(folder / "polarization")
        fresh.center_array(shape, "2th_rad", scale=False).tofile(folder / "two_theta")
        fresh.center_array(shape, "chi_rad", scale=False).tofile(folder / "chi")
        fresh.center_array(shape, case["unit"], scale=False).tofile(folder / "radial")
    return seconds


def matrices(cases, folder):
    cases = json.loads(Path(cases).read_text())
    return [matrix(case, Path(folder) / str(i)) for i, case in enumerate(cases)]


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "detectors":
        answer = detectors()
    elif what == "ponis":
        answer = [describe(path) for path in arguments]
    elif what == "places":
        answer = places(*arguments)
    elif what == "units":
        answer = units()
    else:
        answer = matrices(*arguments)
    print(json.dumps(answer))
