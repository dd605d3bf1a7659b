#!/usr/bin/env python3
"""--poni auto against the vectors and transformations that h5py writes as NXmx: each pixel is where they put it, or the file is refused.

usage: placement.py XRDCT _ SCRATCH

Places are computed here with 4 x 4 matrices as NXtransformations defines them; pyFAI 2026.9.0 says where the geometry in xrdct's result
puts the pixels. The last line printed is "N passed, M failed".
"""
import json
import pathlib
import subprocess
import sys

import h5py
import numpy
import pyFAI

SHAPE, PIXEL = (31, 43), (150e-6, 100e-6)
LEFT, RIGHT, UP, DOWN = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)
AT = "/entry/instrument/detector/"


def rotation(axis, angle):
    axis = numpy.asarray(axis, float) / numpy.linalg.norm(axis)
    cross = numpy.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = numpy.eye(4)
    turn[:3, :3] += numpy.sin(angle) * cross + (1 - numpy.cos(angle)) * cross @ cross
    return turn


def translation(vector):
    shift = numpy.eye(4)
    shift[:3, 3] = vector
    return shift


class Master:
    """A master with images of nothing much; what it says is added."""

    def __init__(self, folder, module=True, pixel_size=True):
        self.path = folder / "master.h5"
        self.h5 = h5py.File(self.path, "w")
        self.h5["/entry/data/data"] = numpy.full((2,) + SHAPE, 7, "uint16")
        self.detector = self.h5.create_group(AT)
        self.h5["/entry/instrument/beam/incident_wavelength"] = 1.0
        self.h5["/entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
        if pixel_size:
            for axis, size in zip("yx", PIXEL):
                self.plain(f"{axis}_pixel_size", size, "m")
        if module:
            self.detector.create_group("module").attrs["NX_class"] = "NXdetector_module"

    def plain(self, name, value, units=None):
        self.detector[name] = value
        if units:
            self.detector[name].attrs["units"] = units

    def step(self, name, value, **attributes):
        """A transformation, or a direction."""
        self.detector[name] = value
        for key, attribute in attributes.items():
            self.detector[name].attrs[key] = attribute

    def directions(self, fast, slow, sizes=PIXEL, **attributes):
        for name, vector, size in (("fast", fast, sizes[1]), ("slow", slow, sizes[0])):
            self.step(f"module/{name}_pixel_direction", size, vector=numpy.array(vector, float), units="m",
                      transformation_type="translation", offset=[0.0, 0.0, 0.0], **attributes)

    def unplaced(self, fast=RIGHT, slow=DOWN, z=0.2):
        """As DECTRIS writes it where nobody said where the module is."""
        self.directions(fast, slow, depends_on=AT + "module/module_offset")
        self.step("module/module_offset", [0.0, 0.0, 0.0], vector=[0.0, 0.0, 0.0], offset=[0.0, 0.0, 0.0], units="m",
                  transformation_type="translation", depends_on=AT + "transformations/translation")
        self.step("transformations/translation", z, vector=[0.0, 0.0, 1.0], units="m", transformation_type="translation", depends_on=".")

    def placed(self, fast, slow, corner, next_one="."):
        self.directions(fast, slow, depends_on="module_offset")
        length = numpy.linalg.norm(corner)
        self.step("module/module_offset", length * 1e3, vector=numpy.array(corner) / length, units="mm",
                  transformation_type="translation", depends_on=next_one)


def places(fast, slow, corner, chain=numpy.eye(4)):
    """Centres of pixels, after a chain of transformations."""
    rows, columns = (numpy.arange(n) + 0.5 for n in SHAPE)
    grid = (numpy.array(corner, float) + rows[:, None, None] * PIXEL[0] * numpy.array(slow, float)
            + columns[None, :, None] * PIXEL[1] * numpy.array(fast, float))
    return grid @ chain[:3, :3].T + chain[:3, 3]


def across(fast, slow, distance, centre):
    """The corner of a detector across the beam, that the beam meets at a pixel (slow, fast)."""
    return (-centre[0] * PIXEL[0] * numpy.array(slow) - centre[1] * PIXEL[1] * numpy.array(fast)
            + numpy.array([0, 0, distance]))


def good(master, case):
    """Cases that are followed: where the pixels are."""
    centre = (13.25, 20.5)
    plain = lambda distance=0.2, centre=centre: [
        master.plain("detector_distance", distance, "m"), master.plain("beam_center_y", centre[0], "pixel"),
        master.plain("beam_center_x", centre[1], "pixel")]
    ways = {"right, down": (RIGHT, DOWN), "right, up": (RIGHT, UP), "left, down": (LEFT, DOWN), "left, up": (LEFT, UP),
            "turned": (DOWN, LEFT), "turned back": (UP, LEFT)}
    if case in ways:
        fast, slow = ways[case]
        master.unplaced(fast, slow)
        plain()
        return places(fast, slow, across(fast, slow, 0.2, centre))
    if case == "placed":
        corner = (0.0021, 0.0034, 0.15)
        master.placed(RIGHT, DOWN, corner)
        return places(RIGHT, DOWN, corner)
    if case == "placed, and said":
        master.placed(RIGHT, DOWN, across(RIGHT, DOWN, 0.2, centre))
        plain(centre=(centre[0] + 0.5, centre[1] + 0.5))
        return places(RIGHT, DOWN, across(RIGHT, DOWN, 0.2, (centre[0] + 0.5, centre[1] + 0.5)))
    if case == "distance of the chain":
        master.unplaced(z=0.31)
        master.plain("beam_center_y", centre[0], "pixel")
        master.plain("beam_center_x", centre[1], "pixel")
        return places(RIGHT, DOWN, across(RIGHT, DOWN, 0.31, centre))
    if case == "tilted":
        corner = (0.0021, 0.0034, 0.0)
        master.placed(RIGHT, DOWN, corner, AT + "transformations/pitch")
        master.step("transformations/pitch", 10.0, vector=[1.0, 0.0, 0.0], units="deg", transformation_type="rotation", depends_on="yaw")
        master.step("transformations/yaw", [-0.1, -0.1], vector=[0.0, 2.0, 0.0], units="rad", transformation_type="rotation",
                    offset=[0.0, 1.0, 200.0], offset_units="mm", depends_on=".")
        return places(RIGHT, DOWN, corner, translation((0, 0.001, 0.2)) @ rotation((0, 1, 0), -0.1) @ rotation((1, 0, 0), numpy.radians(10)))
    if case == "on an arm":
        corner = (0.0021, -0.0034, 0.02)
        fast, slow = (RIGHT, UP)
        master.directions(fast, slow)
        length = numpy.linalg.norm(corner)
        master.step("module/module_offset", length, vector=numpy.array(corner) / length, units="m", transformation_type="translation")
        master.detector["depends_on"] = "transformations/distance"
        master.step("transformations/distance", 15.0, vector=[0.0, 0.0, 1.0], units="cm", transformation_type="translation", depends_on="two_theta")
        master.step("transformations/two_theta", 40.0, vector=[-1.0, 0.0, 0.0], units="degrees", transformation_type="rotation", depends_on=".")
        master.plain("distance", 0.17, "m")
        return places(fast, slow, corner, rotation((-1, 0, 0), numpy.radians(40)) @ translation((0, 0, 0.15)))
    if case == "no vectors":
        plain()
        return places(RIGHT, UP, across(RIGHT, UP, 0.2, centre))
    raise KeyError(case)


GOOD = ["right, down", "right, up", "left, down", "left, up", "turned", "turned back", "placed", "placed, and said",
        "distance of the chain", "tilted", "on an arm", "no vectors"]


def refused(master, case):
    """Cases that are not: words of the reason."""
    if case == "another distance":
        master.unplaced(z=0.25)
        master.plain("detector_distance", 0.2, "m")
        master.plain("beam_center_y", 1.0)
        master.plain("beam_center_x", 2.0)
        return ["0.2 m", "0.25 m"]
    if case == "upstream":
        master.unplaced(z=-0.2)
        master.plain("detector_distance", 0.2, "m")
        return ["0.2 m", "-0.2 m, upstream"]
    if case == "upstream, alone":
        master.unplaced(z=-0.2)
        master.plain("beam_center_y", 1.0)
        master.plain("beam_center_x", 2.0)
        return ["0.2 m upstream"]
    if case == "upstream, placed":
        # Backscattering, or somebody whose z runs towards the source.
        master.placed(LEFT, DOWN, (0.0021, 0.0034, -0.15))
        return ["0.15 m upstream"]
    if case == "another centre":
        master.placed(RIGHT, DOWN, across(RIGHT, DOWN, 0.2, (10.0, 12.0)))
        master.plain("beam_center_y", 10.5)
        master.plain("beam_center_x", 14.5)
        return ["10.50 (slow), 14.50 (fast)", "10.00, 12.00"]
    if case == "another pixel":
        master.directions(RIGHT, DOWN, (150e-6, 172e-6))
        return ["0.000172", "0.0001 m", "x_pixel_size"]
    if case == "no centre":
        master.unplaced()
        return ["does not say the beam centre"]
    if case == "turned, and not placed":
        master.directions(RIGHT, DOWN, depends_on=AT + "transformations/turn")
        master.step("transformations/turn", 5.0, vector=[0.0, 1.0, 0.0], units="deg", transformation_type="rotation", depends_on=".")
        master.plain("detector_distance", 0.2, "m")
        master.plain("beam_center_y", 1.0)
        master.plain("beam_center_x", 2.0)
        return ["5.000°", "first pixel"]
    if case == "turned without a module":
        del master.detector["module"]
        master.detector["depends_on"] = AT + "transformations/turn"
        master.step("transformations/turn", 5.0, vector=[0.0, 1.0, 0.0], units="deg", transformation_type="rotation", depends_on=".")
        return ["depends_on", "turns the detector"]
    if case == "two modules":
        master.unplaced()
        master.detector.create_group("another").attrs["NX_class"] = "NXdetector_module"
        return ["2 modules"]
    if case == "circle":
        master.directions(RIGHT, DOWN, depends_on="module_offset")
        master.step("module/module_offset", 1.0, vector=[0.0, 0.0, 1.0], units="m", transformation_type="translation",
                    depends_on="module_offset")
        return ["circle"]
    if case == "nothing there":
        master.placed(RIGHT, DOWN, (0.001, 0.001, 0.2), AT + "transformations/stage")
        return [AT + "transformations/stage", "not there"]
    if case == "skewed":
        master.placed((-1, 0.01, 0), DOWN, (0.001, 0.001, 0.2))
        return ["90.573°", "90°"]
    if case == "moving":
        master.placed(RIGHT, DOWN, (0.001, 0.001, 0.2), AT + "transformations/stage")
        master.step("transformations/stage", [0.1, 0.2], vector=[0.0, 0.0, 1.0], units="m", transformation_type="translation", depends_on=".")
        return ["transformations/stage", "several values"]
    if case == "another unit":
        master.placed(RIGHT, DOWN, (0.001, 0.001, 0.2), AT + "transformations/stage")
        master.step("transformations/stage", 0.1, vector=[0.0, 0.0, 1.0], units="inch", transformation_type="translation", depends_on=".")
        return ["inch", "no length"]
    if case == "no kind":
        master.placed(RIGHT, DOWN, (0.001, 0.001, 0.2), AT + "transformations/stage")
        master.step("transformations/stage", 0.1, vector=[0.0, 0.0, 1.0], units="m", depends_on=".")
        return ["transformation_type"]
    raise KeyError(case)


REFUSED = ["another distance", "upstream", "upstream, alone", "upstream, placed", "another centre", "another pixel", "no centre", "turned, and not placed",
           "turned without a module", "two modules", "circle", "nothing there", "skewed", "moving", "another unit", "no kind"]


def run(xrdct, folder):
    command = [xrdct, "integrate", "master.h5", "--poni", "auto", "--npt", "20", "-o", "r.h5", "--device", "cpu"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def follow(xrdct, folder, case):
    master = Master(folder, module=case != "no vectors", pixel_size=case != "placed")
    wanted = good(master, case)
    master.h5.close()
    done = run(xrdct, folder)
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr.strip()}"
    with h5py.File(folder / "r.h5") as h5:
        poni = json.loads(h5["/entry_0000/xrdct/configuration/data"][()])["poni"]
    ai = pyFAI.load(poni)
    x, y, z = numpy.moveaxis(wanted, -1, 0)
    two_theta = numpy.abs(ai.center_array(SHAPE, unit="2th_rad", scale=False) - numpy.arctan2(numpy.hypot(x, y), z)).max()
    if not two_theta < 1e-9:
        return f"2theta differs by {two_theta} rad: {done.stderr.strip()}"
    # pyFAI's axes are y up and x to the right, seen along the beam.
    turn = ai.center_array(SHAPE, unit="chi_rad", scale=False) - numpy.arctan2(y, -x)
    chi = numpy.abs(numpy.angle(numpy.exp(1j * turn))).max()
    return None if chi < 1e-9 else f"chi differs by {chi} rad: {done.stderr.strip()}"


def refuse(xrdct, folder, case):
    master = Master(folder)
    words = refused(master, case)
    master.h5.close()
    done = run(xrdct, folder)
    lacking = [word for word in words if word not in done.stderr]
    if done.returncode != 4 or lacking or "--poni auto: " not in done.stderr or (folder / "r.h5").exists():
        return f"exit {done.returncode}, without {lacking}: {done.stderr.strip()}"
    shown = subprocess.run([xrdct, "info", "master.h5"], capture_output=True, text=True, cwd=folder)
    return None if shown.returncode == 0 else f"info: {shown.stderr.strip()}"


def main():
    xrdct, scratch = sys.argv[1], pathlib.Path(sys.argv[3])
    cases = [(follow, case) for case in GOOD] + [(refuse, case) for case in REFUSED]
    failed = 0
    for number, (check, case) in enumerate(cases):
        folder = scratch / str(number)
        folder.mkdir()
        if problem := check(xrdct, folder, case):
            failed += 1
            print(f"FAILED {case}: {problem}", flush=True)
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
