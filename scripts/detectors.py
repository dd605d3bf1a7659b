#!/usr/bin/env python3
"""The table of detectors, src/geometry/catalogue/table.rs, made from the registry of an installed pyFAI.

usage: detectors.py > src/geometry/catalogue/table.rs        (with the python that has pyFAI 2026.9.0: .tools/oracle/bin/python)

A row is what a class of pyFAI's says of itself: names, size, pixels, modules, dummies, the keys of Detector_config that its
constructor takes. Where a class computes instead (masks, positions, what a pixel size means for the size of an image) the row names a
rule that src/geometry has; which one, the class that pyFAI computes it in decides. A class that computes in a way that is not known here
ends this script, so a newer pyFAI cannot slip in unnoticed. Whether rules and rows are right is not this script's business:
tests/detectors.rs compares every pixel with pyFAI's.
"""
import inspect
import logging
import sys

logging.disable(logging.CRITICAL)

import numpy  # noqa: E402
import pyFAI  # noqa: E402
import pyFAI.detectors as detectors  # noqa: E402
from pyFAI.detectors import _common, _dectris, _esrf, _hexagonal, _imxpad, _non_flat, _psi, _rayonix, _xspectrum  # noqa: E402

VERSION = "2026.9.0"
# Base classes: nobody has such a detector, and "Detector" is not in a table.
BASES = {"Detector", "NexusDetector", "ModuleDetector", "CylindricalDetector", "HexDetector"}


def owner(cls, method):
    """The class that defines a method."""
    return next(c for c in cls.__mro__ if method in vars(c))


def number(value):
    text = repr(float(value))
    return text if "." in text or "e" in text else text + ".0"


def pair(values):
    return "(" + ", ".join(number(v) for v in values) + ")"


def wholes(values):
    return "(" + ", ".join(str(int(v)) for v in values) + ")"


def sizes(cls):
    """What a pixel size in Detector_config means for the size of an image."""
    special = {"Perkin": "Halves(200e-6)", "Pixium": "Multiples(154e-6)", "Mar345": "Scaled(100e-6)"}
    keys = inspect.getfullargspec(cls).args
    if cls.__name__ in special:
        return special[cls.__name__]
    if hasattr(cls, "BINNED_PIXEL_SIZE"):
        modes = ", ".join(f"({b}, {number(p)})" for b, p in cls.BINNED_PIXEL_SIZE.items())
        return f"Modes(&[{modes}])"
    if "pixel1" not in keys or issubclass(cls, _hexagonal.HexDetector):
        return "Fixed"
    if cls.force_pixel and hasattr(cls, "PIXEL_SIZE"):
        return f"Binned{pair(cls.PIXEL_SIZE)}"
    return "Free"


def layout(cls):
    """Where pixels are."""
    where = owner(cls, "calc_cartesian_positions")
    if where is _imxpad.Cirpad:
        return "Cirpad"
    if where is _imxpad.Xpad_flat:
        return f"Spaced {{ border: {number(cls.BORDER_SIZE_RELATIVE)}, gap: {pair(cls.MODULE_GAP)} }}"
    if where is _psi.Jungfrau:
        return f"Tiles {{ border: {number(cls.BORDER_SIZE_RELATIVE)}, turn: Turn::Integrated }}"
    if where is _imxpad.ImXPadS10:
        return f"Tiles {{ border: {number(cls.BORDER_SIZE_RELATIVE)}, turn: Turn::Corners }}"
    if where is _non_flat.CylindricalDetector:
        return f"Cylinder({number(cls().radius)})"
    if issubclass(cls, _hexagonal.HexDetector):
        return f"Hexagons({number(cls().pitch)})"
    if where in (_common.Detector, _dectris.Eiger, _dectris.Pilatus):
        return "Grid"
    sys.exit(f"{cls.__name__}: positions by {where.__name__} are not known")


WAFERS = {_dectris.PilatusCdTe: (-1, 3), _dectris.Eiger2CdTe: (-1, 2), _dectris.Pilatus4_CdTe: (0, 1)}


def runs(lines):
    """Stretches of masked lines: first and how many."""
    edges = numpy.flatnonzero(numpy.diff(numpy.concatenate([[0], lines.astype(int), [0]])))
    return "&[" + ", ".join(f"({a}, {b - a})" for a, b in zip(edges[::2], edges[1::2])) + "]"


def masking(cls):
    """Which pixels are none."""
    where = owner(cls, "calc_mask")
    if where in WAFERS:
        return f"Modules {{ gap: {wholes(cls.MODULE_GAP)}, wafer: Some({WAFERS[where]}) }}"
    if where in (_dectris._Dectris, _xspectrum._Lambda, _esrf.Maxipix):
        return f"Modules {{ gap: {wholes(cls.MODULE_GAP)}, wafer: None }}"
    if where in (_imxpad.ImXPadS10, _imxpad.Xpad_flat):
        return "Borders"
    if where in (_rayonix.Rayonix133, _rayonix.RayonixSx165, _rayonix.Mar345):
        return "Disc"
    if where is _psi.Jungfrau8M:
        return "Chips(&JUNGFRAU_8M)"
    if where is _psi.Jungfrau_16M_cor:
        mask = cls().mask
        return f"Lines({runs(mask.all(axis=1))}, {runs(mask.all(axis=0))})"
    # A Lambda 9M says that its mask is each detector's own; a FReLoN's comes with its spline.
    if where in (_common.Detector, _dectris.Mythen, _xspectrum.Lambda9M, _esrf.FReLoN):
        return "Nothing"
    sys.exit(f"{cls.__name__}: a mask by {where.__name__} is not known")


def dummy(cls):
    if cls.DUMMY is None:
        return "None"
    delta = float(numpy.finfo("float32").eps) if cls.DELTA_DUMMY is None else cls.DELTA_DUMMY
    return f"Some(({int(cls.DUMMY)}, {number(delta)}))"


def row(cls, keys):
    quoted = ", ".join(f'"{alias}"' for alias in dict.fromkeys(cls.aliases)) if "MAX_SHAPE" in dir(cls) else ""
    size = f"Some({wholes(cls.MAX_SHAPE)})" if hasattr(cls, "MAX_SHAPE") else "None"
    module = getattr(cls, "MODULE_SIZE", (None,))
    module = "None" if None in module or isinstance(module[0], tuple) else f"Some({wholes(module)})"
    detector = cls()
    if int(detector.orientation) != 3:
        sys.exit(f"{cls.__name__}: orientation {detector.orientation} by default is not known")
    arguments = tuple(k.lower() for k in inspect.getfullargspec(cls).args if k != "self")
    name = keys.setdefault(arguments, f"KEYS_{len(keys)}")
    return (f'    "{cls.__name__}", [{quoted}], {size}, {module}, {pair((detector.pixel1, detector.pixel2))}, {sizes(cls)}, '
            f"{layout(cls)},\n        {masking(cls)}, {dummy(cls)}, {name};")


def main():
    if pyFAI.version != VERSION:
        sys.exit(f"pyFAI {VERSION} is wanted, this is {pyFAI.version}")
    classes = {n: c for n, c in vars(detectors).items()
               if inspect.isclass(c) and issubclass(c, detectors.Detector) and not n.startswith("_") and n not in BASES}
    classes = {c.__name__: c for c in classes.values()}
    missing = {c.__name__ for c in detectors.Detector.registry.values()} - set(classes) - BASES
    if missing:
        sys.exit(f"in the registry only: {missing}")
    keys = {}
    # Base classes first, then as pyFAI's modules have them.
    order = sorted(classes.values(), key=lambda c: (hasattr(c, "MAX_SHAPE"), c.__module__, inspect.getsourcelines(c)[1]))
    rows = [row(c, keys) for c in order]
    print(f"//! Every detector class of pyFAI {VERSION}: made by scripts/detectors.py, not by hand.")
    print()
    print("use super::Masking::*;")
    print("use super::PixelLayout::*;")
    print("use super::PixelSizes::*;")
    print("use super::{Class, Turn, class_table};")
    print()
    for arguments, name in keys.items():
        quoted = ", ".join(f'"{a}"' for a in arguments)
        print("#[rustfmt::skip]")
        print(f"const {name}: &[&str] = &[{quoted}];")
    print()
    positions = detectors.Jungfrau8M.module_positions
    print("/// First row and column of each chip of a Jungfrau 8M.")
    print("#[rustfmt::skip]")
    print(f"static JUNGFRAU_8M: [(usize, usize); {len(positions)}] = [")
    for i in range(0, len(positions), 8):
        print("    " + " ".join(f"({a}, {b})," for a, b in positions[i:i + 8]))
    print("];")
    print()
    print("/// Every class; those without a size, which only others are made of, first.")
    print("pub static CLASSES: &[Class] = class_table! {")
    print("\n".join(rows))
    print("};")


if __name__ == "__main__":
    main()
