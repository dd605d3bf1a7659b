#!/usr/bin/env python3
"""The table of absorption in sensors, src/geometry/parallax/attenuation.txt, made from an installed pyFAI.

usage: sensors.py > src/geometry/parallax/attenuation.txt    (with the python that has pyFAI 2026.9.0: .tools/oracle/bin/python)

A material is its name and its density in g/cm³; then, for each stretch between two absorption edges, lines of energy in MeV and mass
attenuation coefficient in cm²/g, as NIST's tables and pyFAI's resources have them; a blank line ends a stretch.
"""
import logging
import pathlib

logging.disable(logging.CRITICAL)

import pyFAI  # noqa: E402
from pyFAI.detectors.sensors import ALL_MATERIALS  # noqa: E402

FOLDER = pathlib.Path(pyFAI.__file__).parent / "resources/sensors"

for name, material in ALL_MATERIALS.items():
    print(name, material.rho)
    for line in (FOLDER / f"{name}.abs").read_text(encoding="utf-8").splitlines():
        if "#" in line:
            continue
        words = line.split()
        if any(edge in line for edge in "KLM"):
            print()
        print(*words[-3:-1])
    print()
