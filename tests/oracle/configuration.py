#!/usr/bin/env python3
"""pyFAI 2026.9.0 and xrdct read each other's configurations, and then compute the same numbers.

usage: configuration.py CHECK XRDCT SCRATCH

Every file of ours is one that the program wrote; every file of pyFAI's is written by pyFAI or has the keys that it wrote in that
version. Intensity and standard error of the mean agree within 1e-6 relative for splitting "no" and "bbox", and
within 5e-5 for "full". The last line printed is "N passed, M failed".
"""
import json
import logging
import pathlib
import subprocess
import sys
import warnings

import fabio
import h5py
import numpy
from pyFAI.containers import ErrorModel
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from pyFAI.io.diffmap_config import DiffmapConfig, ListDataSet, MotorRange
from pyFAI.io.integration_config import WorkerConfig
from pyFAI.io.ponifile import PoniFile
from pyFAI.worker import Worker

TOLERANCE = {"no": 1e-6, "bbox": 1e-6, "full": 5e-5}
FRAMES = 4
NPT = 200


class Heard(logging.Handler):
    """What pyFAI complains of."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


HEARD = Heard()
logging.getLogger("pyFAI").addHandler(HEARD)
warnings.simplefilter("ignore")


class Scene:
    """A few simulated frames with a tilted geometry, and images to correct them with."""

    def __init__(self, xrdct, scratch, detector):
        self.xrdct, self.folder = xrdct, scratch / detector
        self.folder.mkdir()
        self.poni = self.folder / "tilted.poni"
        AzimuthalIntegrator(dist=0.2, poni1=0.045, poni2=0.04, rot1=0.02, rot2=-0.013, rot3=0.3, wavelength=1e-10,
                            detector=detector_factory(detector, {"orientation": 3})).save(str(self.poni))
        subprocess.run([xrdct, "simulate", "--poni", self.poni, "-n", str(FRAMES), "-o", self.folder / "scan"], check=True,
                       capture_output=True)
        self.frames = sorted((self.folder / "scan").glob("*.cbf"))
        shape = fabio.open(str(self.frames[0])).data.shape
        rng = numpy.random.default_rng(11)
        mask = numpy.zeros(shape, numpy.uint8)
        mask[60:90, 20:100] = 1
        numpy.save(self.folder / "mask.npy", mask)
        with h5py.File(self.folder / "images.h5", "w") as h5:
            h5["entry/mask"] = mask
        for n in range(2):
            numpy.save(self.folder / f"dark{n}.npy", (3 * rng.random(shape)).astype(numpy.float32))
        numpy.save(self.folder / "flat.npy", (0.9 + 0.2 * rng.random(shape)).astype(numpy.float32))

    def run(self, *arguments):
        """Runs xrdct in the scene's folder; returns its warnings."""
        command = [self.xrdct, "integrate", "--device", "cpu", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: exit {done.returncode}: {done.stderr}")
        # Said of every mask on a detector with one of its own.
        return [line for line in done.stderr.splitlines() if "--mask replaces the mask" not in line]


def patterns(path):
    """Axis, intensities, errors, configuration of a result of ours."""
    with h5py.File(path) as h5:
        process = h5["entry_0000/xrdct"]
        result = process["result"]
        (axis,) = [result[name][()] for name in ("q", "2th", "r", "d*2") if name in result]
        errors = result["errors"][()] if "errors" in result else None
        return axis, result["intensity"][()], errors, json.loads(process["configuration/data"][()])


def worst(ours, theirs):
    """The largest difference, relative, floored by the largest value."""
    ours, theirs = numpy.asarray(ours, float), numpy.asarray(theirs, float)
    return numpy.max(numpy.abs(ours - theirs) / (numpy.abs(theirs) + 1e-3 * numpy.abs(theirs).max() + 1e-30))


def differ(ours, worker, frames, limit):
    """What differs between a result of ours and a worker of pyFAI on the same frames, or None."""
    axis, intensity, errors, _ = ours
    worker.output = "raw"
    for row, frame in enumerate(frames):
        theirs = worker.process(fabio.open(str(frame)).data)
        if not numpy.array_equal(axis, theirs.radial):
            return f"bin centres differ: {axis[:2]} for {theirs.radial[:2]}"
        if not numpy.any(theirs.count > 0):
            return "an empty pattern proves nothing"
        if (off := worst(intensity[row], theirs.intensity)) > limit:
            return f"frame {row}: intensity differs by {off:.3g}"
        if (errors is None) != (theirs.sigma is None):
            return f"errors: ours {errors is not None}, pyFAI's {theirs.sigma is not None}"
        if errors is not None and (off := worst(errors[row], theirs.sigma)) > limit:
            return f"frame {row}: errors differ by {off:.3g}"
    return None


def worker_of(config):
    """A worker of pyFAI; it must understand every key but our own part."""
    HEARD.said.clear()
    worker = Worker()
    worker.set_config(config if isinstance(config, WorkerConfig) else WorkerConfig.from_dict(dict(config)))
    strange = [line for line in HEARD.said
               if not (line.startswith("Those are the parameters which have not been converted !xrdct: ")
                       and "\n" not in line)]
    assert not strange, strange
    return worker


OPTIONS = {
    "plain": [],
    "corrections": ["--polarization", "0.95", "--mask", "mask.npy", "--dark", "dark0.npy", "--flat", "flat.npy",
                    "--error-model", "poisson", "--normalization", "3.5"],
    "two darks": ["--dark", "dark0.npy", "--dark", "dark1.npy", "--error-model", "poisson"],
    "globbed darks": ["--dark", "dark?.npy"],
    "mask in HDF5": ["--mask", "images.h5::/entry/mask", "--no-solid-angle"],
    "dummy": ["--dummy", "3", "--delta-dummy", "1.5"],
    "dummy 0": ["--dummy", "0"],
    "2th": ["--unit", "2th_deg", "--radial-range", "2", "20"],
    "q_A": ["--unit", "q_A^-1", "--azimuth-range", "-100", "45.5"],
    "r": ["--unit", "r_mm", "--polarization", "-1"],
    "d*2": ["--unit", "d*2_nm^-2"],
    "two axes": ["--npt-azim", "24"],
    "two axes, a sector over 180": ["--npt-azim", "24", "--azimuth-range", "150", "200", "--error-model", "poisson"],
}
# pyFAI's first polygon is added to memory that nobody has set: what comes of it differs from run to run.
UNCERTAIN = [("full", "two axes"), ("full", "two axes, a sector over 180")]


def ours(xrdct, scratch):
    """A worker built from our configuration integrates our frames to our numbers: from a result and from --save-config."""
    for detector in ("Pilatus300k", "Eiger500k"):
        scene = Scene(xrdct, scratch, detector)
        for split in TOLERANCE:
            for name, options in OPTIONS.items():
                if (split, name) in UNCERTAIN:
                    continue
                scene.run("--poni", scene.poni, "--npt", str(NPT), "--method", split, *options, "--overwrite",
                          "-o", "ours.h5", "--save-config", "ours.json", "scan")
                result = patterns(scene.folder / "ours.h5")
                worker = worker_of(result[3])
                problem = differ(result, worker, scene.frames, TOLERANCE[split])
                saved = WorkerConfig.from_file(str(scene.folder / "ours.json"))
                if str(saved) != str(WorkerConfig.from_dict(dict(result[3]))):
                    problem = problem or "--save-config says something else than the result"
                yield f"{detector}, {split}, {name}", problem


def integrate(xrdct, scratch):
    """pyFAI-integrate -j runs what we ran, from --save-config and from the configuration in a result."""
    scene = Scene(xrdct, scratch, "Pilatus300k")
    scene.run("--poni", scene.poni, "--npt", str(NPT), *OPTIONS["corrections"], "-o", "ours.h5",
              "--save-config", "saved.json", "scan")
    axis, intensity, errors, config = patterns(scene.folder / "ours.h5")
    (scene.folder / "embedded.json").write_text(json.dumps(config))
    for name in ("saved", "embedded"):
        command = "import sys; from pyFAI.app.integrate import main; main(sys.argv[1:])"
        subprocess.run([sys.executable, "-c", command, "--no-gui", "-j", f"{name}.json", "-o", f"{name}.h5",
                        *map(str, scene.frames)], cwd=scene.folder, check=True, capture_output=True)
        with h5py.File(scene.folder / f"{name}.h5") as h5:
            found = {}
            h5.visititems(lambda key, item: found.update({key.split("/")[-1]: item[()]})
                          if isinstance(item, h5py.Dataset) and item.ndim > 0 else None)
        theirs, sigma = found["data"], found["data_errors"]
        seen = ~numpy.isnan(theirs)
        problem = None
        if not seen.any() or (off := worst(intensity[seen], theirs[seen])) > 1e-6:
            problem = f"intensity differs by {off}"
        elif (off := worst(errors[seen], sigma[seen])) > 1e-6:
            problem = f"errors differ by {off}"
        yield f"pyFAI-integrate -j {name}.json", problem


def maps(xrdct, scratch):
    """pyFAI's viewer opens our map, and pyFAI-diffmap makes the same map of our configuration."""
    import importlib.util
    import os
    import pyFAI
    from pyFAI.diffmap import DiffMap

    # The viewer's package imports Qt; its readers do not need it.
    folder = os.path.join(os.path.dirname(pyFAI.__file__), "gui", "pilx")
    package = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("pyFAI.gui.pilx", loader=None, is_package=True))
    package.__path__ = [folder]
    sys.modules["pyFAI.gui.pilx"] = package
    from pyFAI.gui.pilx.models import ImageIndices
    from pyFAI.gui.pilx.point import Point
    from pyFAI.gui.pilx.utils import compute_radial_values, get_radial_dataset

    scene = Scene(xrdct, scratch, "Pilatus300k")
    shape = (2, 2)
    for name, more in (("map", []), ("errors", ["--error-model", "poisson", "--polarization", "0.9"]),
                       ("zigzag", ["--zigzag"])):
        file = scene.folder / f"{name}.h5"
        scene.run("--poni", scene.poni, "--npt", str(NPT), "--slow", "2", "--fast", "2", *more, "-o", file,
                  "--save-config", f"{name}.json", "scan")
        axis, intensity, errors, config = patterns(file)
        # As MainWindow.initData and Point do.
        worker = worker_of(config)
        read = WorkerConfig.from_dict(dict(config))
        assert compute_radial_values(read).shape == tuple(read.shape)
        with h5py.File(file) as h5:
            data = h5["entry_0000/pyFAI/result"]
            assert numpy.array_equal(get_radial_dataset(data, size=read.nbpt_rad)[()], axis)
            pointer = data["map_ptr"][()]
        for row in range(shape[0]):
            for column in range(shape[1]):
                point = Point(ImageIndices(row, column), url_nxdata_path=f"{file}?/entry_0000/pyFAI/result")
                assert numpy.array_equal(point.get_curve(), intensity[row, column])
        flat = numpy.empty((FRAMES, NPT), numpy.float32)
        flat[pointer.ravel()] = intensity.reshape(FRAMES, NPT)
        sigma = None
        if errors is not None:
            sigma = numpy.empty_like(flat)
            sigma[pointer.ravel()] = errors.reshape(FRAMES, NPT)
        yield f"worker of {name}.h5", differ((axis, flat, sigma, None), worker, scene.frames, 1e-6)

        HEARD.said.clear()
        whole = DiffmapConfig.from_file(str(scene.folder / f"{name}.json"))
        assert (whole.slow_motor.points, whole.fast_motor.points) == shape and whole.zigzag_scan == (name == "zigzag")
        assert [set_.path for set_ in whole.input_data] == [str(f) for f in scene.frames]
        assert all(line.startswith("Those are the parameters which have not been converted !xrdct: ") and "\n" not in line
                   for line in HEARD.said), HEARD.said
        command = ("import sys; from pyFAI.app.diff_map import main; main(sys.argv[1:])")
        subprocess.run([sys.executable, "-c", command, "--no-gui", "--config", f"{name}.json", "-o", f"diffmap-{name}.h5"],
                       cwd=scene.folder, check=True, capture_output=True)
        with h5py.File(scene.folder / f"diffmap-{name}.h5") as h5:
            theirs = h5["entry_0000/pyFAI/result/intensity"][()]
        seen = ~numpy.isnan(theirs)
        off = worst(intensity[seen], theirs[seen]) if seen.any() else numpy.inf
        yield f"pyFAI-diffmap of {name}.json", None if off <= 1e-6 else f"differs by {off}"


def compare(scene, name, config, split, expect=()):
    """Reads a configuration of pyFAI's with xrdct and with a worker of pyFAI; `expect`: words of our warnings."""
    path = scene.folder / "theirs.json"
    path.write_text(json.dumps(config) if isinstance(config, dict) else config)
    said = scene.run("--config", path, "--overwrite", "-o", "theirs.h5", "scan")
    if len(said) != len(expect) or not all(word in line for word, line in zip(expect, said)):
        return name, f"warnings: {said}, expected {expect}"
    worker = Worker()
    worker.set_config(WorkerConfig.from_file(str(path)))
    return name, differ(patterns(scene.folder / "theirs.h5"), worker, scene.frames, TOLERANCE[split])


def theirs(xrdct, scratch):
    """Worker configurations of every version that pyFAI reads."""
    scene = Scene(xrdct, scratch, "Pilatus300k")
    at = {name: str(scene.folder / name) for name in ("mask.npy", "dark0.npy", "dark1.npy", "flat.npy")}
    poni = PoniFile(str(scene.poni)).as_dict()
    geometry = {key: poni[key] for key in ("dist", "poni1", "poni2", "rot1", "rot2", "rot3", "wavelength")}

    # Version 5: what a worker and the dataclass write.
    for split in TOLERANCE:
        for algo, impl in (("csr", "cython"), ("csr", "opencl"), ("histogram", "cython"), ("lut", "cython")):
            full = WorkerConfig(poni=PoniFile(str(scene.poni)), nbpt_rad=NPT, nbpt_azim=1, unit="q_A^-1",
                                method=(split, algo, impl), polarization_description=(0.9, 0.0),
                                error_model=ErrorModel.POISSON, mask_file=at["mask.npy"], dark_current=[at["dark0.npy"]],
                                flat_field=[at["flat.npy"]], normalization_factor=2.0,
                                # pyFAI's histograms treat pixels that reach into a range in another way than its matrices.
                                radial_range=None if algo == "histogram" else [0.5, 4.0])
            full.save(scene.folder / "saved.json")
            yield compare(scene, f"version 5, {split} {algo} {impl}", (scene.folder / "saved.json").read_text(), split)
    worker = Worker()
    worker.set_config(full)
    worker.save_config(str(scene.folder / "saved.json"))
    yield compare(scene, "version 5 by a worker", (scene.folder / "saved.json").read_text(), "full")
    bare = Worker(azimuthalIntegrator=AzimuthalIntegrator.sload(str(scene.poni)), shapeOut=(1, NPT), unit="2th_deg")
    bare.save_config(str(scene.folder / "saved.json"))
    yield compare(scene, "version 5 by a bare worker", (scene.folder / "saved.json").read_text(), "bbox")
    base = {"application": "pyfai-integrate", "version": 5, "poni": poni, "nbpt_rad": NPT}
    yield compare(scene, "version 5, nothing said", base, "full")
    yield compare(scene, "version 5, no dimension", {**base, "nbpt_azim": None, "unit": "2th_rad", "method": "full_csr"}, "full")
    yield compare(scene, "version 5, dummies", {**base, "val_dummy": 2, "delta_dummy": 1.5, "correct_solid_angle": False,
                                                "method": {"split": "no", "algo": "csr"}}, "no")
    yield compare(scene, "version 5, infinite ranges",
                  {**base, "radial_range": [-numpy.inf, numpy.inf], "azimuth_range": [-60, 100], "method": ["bbox", "csr", "cython"]},
                  "bbox")
    # With the other splittings pyFAI counts pixels on the jump in sectors that they are not in.
    yield compare(scene, "version 5, χ from 0 to 2π",
                  {**base, "chi_discontinuity_at_0": True, "azimuth_range": [95, 175], "method": ["no", "csr", "cython"]}, "no")
    for more in ({}, {"azimuth_range": [-60, 100]}, {"azimuth_range": [95, 275], "chi_discontinuity_at_0": True}):
        yield compare(scene, f"version 5, two axes {more}", {**base, "nbpt_azim": 24, "method": ["bbox", "csr", "cython"], **more},
                      "bbox")
    yield compare(scene, "version 5, unknown keys and a device",
                  {**base, "method": [1, "bbox", "csr", "opencl", None], "opencl_device": [0, 0], "colour": "blue"}, "bbox",
                  ["opencl_device", "colour is not known"])
    yield compare(scene, "version 5, no splitting named", {**base, "method": "csr"}, "no", ["names no pixel splitting"])
    yield compare(scene, "version 5, no splitting named", {**base, "method": ["*", "lut", "cython"]}, "bbox",
                  ["names no pixel splitting"])

    # Version 4: switches, and the names that version 5 changed.
    four = {**base, "version": 4, "unit": "q_nm^-1", "method": ["bbox", "csr", "cython"], "opencl_device": None, "do_2D": False,
            "nbpt_azim": 1, "chi_discontinuity_at_0": False, "do_mask": True, "mask_file": at["mask.npy"], "do_dark": True,
            "dark_current": [at["dark0.npy"], at["dark1.npy"]], "do_flat": True, "flat_field": at["flat.npy"],
            "do_polarization": True, "polarization_factor": 0.8, "do_dummy": False, "val_dummy": 5.0, "delta_dummy": 2.0,
            "do_radial_range": True, "radial_range_min": 5.0, "radial_range_max": 30.0, "do_azimuthal_range": False,
            "azimuth_range_min": 0.0, "azimuth_range_max": 5.0, "do_solid_angle": True, "error_model": "poisson",
            "normalization_factor": 1.0, "integrator_name": "integrate1d_ng"}
    yield compare(scene, "version 4", four, "bbox")
    off = {f"do_{name}": False for name in ("mask", "dark", "flat", "polarization", "radial_range")}
    yield compare(scene, "version 4, all switched off", {**four, **off}, "bbox")
    yield compare(scene, "version 4, older names", {**{k: v for k, v in four.items() if k != "mask_file"},
                                                    "mask_image": at["mask.npy"], "do_poisson": True}, "bbox")

    # Version 3: the geometry beside the rest.
    detector = {"detector": poni["detector"], "detector_config": poni["detector_config"]}
    three = {**{k: v for k, v in four.items() if k != "poni"}, "version": 3, **geometry, **detector}
    yield compare(scene, "version 3", three, "bbox")
    yield compare(scene, "version 3, poni version", {**three, "poni_version": 2.1}, "bbox")

    # Version 2: the method in a word.
    for word, split in (("full_csr", "full"), ("bbox_csr", "bbox"), ("nosplit_csr", "no"), ("bbox_csr_ocl", "bbox")):
        yield compare(scene, f"version 2, {word}", {**three, "version": 2, "method": word}, split)

    # Version 1, as pyFAI-integrate wrote it before 0.17: no version, everything side by side.
    one = {k: v for k, v in three.items() if k not in ("version", "application", "detector_config", "opencl_device", "method",
                                                       "normalization_factor", "integrator_name")}
    one |= {"poni": str(scene.poni), "detector": poni["detector"].lower(), "pixel1": 0.000172, "pixel2": 0.000172,
            "splineFile": "", "do_OpenCL": False, "dark_current": f"{at['dark0.npy']},{at['dark1.npy']}"}
    # Without a method version 1 is a histogram.
    yield compare(scene, "version 1", {**one, "do_radial_range": False}, "bbox")
    one["method"] = "bbox_csr"
    yield compare(scene, "version 1, bbox", one, "bbox")
    yield compare(scene, "version 1, full", {**one, "method": "full_csr"}, "full")
    yield compare(scene, "version 1, lut", {**one, "method": "lut"}, "bbox", ["names no pixel splitting"])
    yield compare(scene, "version 1, another distance", {**one, "dist": 0.25}, "bbox")
    plain = {k: v for k, v in one.items() if k != "poni"}
    yield compare(scene, "version 1, a plain detector",
                  {**plain, "detector": "detector", "shape": list(fabio.open(str(scene.frames[0])).data.shape)}, "bbox")
    yield compare(scene, "version 1, only a PONI file",
                  {"poni": str(scene.poni), "nbpt_rad": NPT, "unit": "q_nm^-1", "do_mask": False, "mask_file": "nowhere.npy"}, "bbox")


def their_maps(xrdct, scratch):
    """Configurations of pyFAI-diffmap, and its results, read by --config."""
    scene = Scene(xrdct, scratch, "Pilatus300k")
    frames = [str(frame) for frame in scene.frames]
    ai = WorkerConfig(poni=PoniFile(str(scene.poni)), nbpt_rad=NPT, nbpt_azim=1, unit="2th_deg", polarization_description=(0.9, 0),
                      method=("bbox", "csr", "cython"), mask_file=str(scene.folder / "mask.npy"))
    config = DiffmapConfig(experiment_title="a map", slow_motor=MotorRange(0.5, 1.5, 2, "samy"), zigzag_scan=True, offset=0,
                           fast_motor=MotorRange(-1.0, 1.0, 2, "samx"), ai=ai, output_file=str(scene.folder / "named.h5"),
                           input_data=ListDataSet.from_serialized((frame, None) for frame in frames))
    config.save(scene.folder / "map.json")
    old = {"ai": ai.as_dict(), "experiment_title": "a map", "nbpt_slow": 2, "nbpt_fast": 2, "slow_motor_name": "samy",
           "fast_motor_name": "samx", "slow_motor_range": [0.5, 1.5], "fast_motor_range": [-1.0, 1.0], "offset": None,
           "zigzag_scan": True, "input_data": [[frame, "", None] for frame in frames], "output_file": None}
    (scene.folder / "old.json").write_text(json.dumps(old, default=list))
    command = ("import sys; from pyFAI.app.diff_map import main; main(sys.argv[1:])")
    subprocess.run([sys.executable, "-c", command, "--no-gui", "--config", "map.json", "-o", "diffmap.h5"], cwd=scene.folder,
                   check=True, capture_output=True)
    with h5py.File(scene.folder / "diffmap.h5") as h5:
        theirs_ = h5["entry_0000/pyFAI/result/intensity"][()]
        positions = {name: h5[f"entry_0000/pyFAI/result/{name}"][()] for name in ("slow", "fast")}
    for name, arguments in (("named", ["--config", "map.json"]), ("old", ["--config", "old.json", "-o", "old.h5"]),
                            ("again", ["--config", "diffmap.h5", "-o", "again.h5", "--slow", "2", "--fast", "2", "--zigzag", "scan"])):
        problem = None
        if said := scene.run(*arguments):
            problem = f"warnings: {said}"
        axis, intensity, _, _ = patterns(scene.folder / f"{name}.h5")
        # A zig-zag in pyFAI-diffmap writes where ours does.
        seen = ~numpy.isnan(theirs_)
        if (off := worst(intensity[seen], theirs_[seen])) > 1e-6:
            problem = f"differs by {off}"
        with h5py.File(scene.folder / f"{name}.h5") as h5:
            result = h5["entry_0000/xrdct/result"]
            if name != "again":
                for motor, long_name in (("slow", "samy"), ("fast", "samx")):
                    assert result[motor].attrs["long_name"] == long_name
                    numpy.testing.assert_array_equal(result[motor][()], positions[motor])
                assert h5["entry_0000/title"].asstr()[()] == "a map"
        yield name, problem


def main():
    check, xrdct, scratch = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    passed, failed = 0, 0
    for name, problem in globals()[check](xrdct, scratch):
        if problem is None:
            passed += 1
        else:
            failed += 1
            print("FAILED", name, "-", problem, flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
