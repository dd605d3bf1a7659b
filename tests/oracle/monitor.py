"""Patterns of frames that were divided by the number `I0` of their headers, beside pyFAI's with that normalization factor.

usage: monitor.py FOLDER     (scan/*.cbf, small.poni, divided.h5)
"""
import pathlib
import re
import sys

import fabio
import h5py
import numpy
import pyFAI

folder = pathlib.Path(sys.argv[1])
ai = pyFAI.load(str(folder / "small.poni"))
with h5py.File(folder / "divided.h5") as file:
    process = file["entry_0000/xrdct"]
    result = process["result"]
    radial = result["q"][()]
    compared = 0
    for n, name in enumerate(sorted((folder / "scan").glob("*.cbf"))):
        said = re.search(rb"# I0 ([0-9.]+)", name.read_bytes())
        value = float(said.group(1)) if said else 0.0
        assert (process["frame_status"][n] == 0) == (value > 0), n
        if value <= 0:
            assert numpy.isnan(result["intensity"][n]).all(), n
            continue
        assert process["input/normalization_factor"][n] == value
        image = fabio.open(str(name)).data
        theirs = ai.integrate1d_ng(image, 40, unit="q_nm^-1", method=("bbox", "csr", "cython"), error_model="poisson",
                                   dummy=-2, delta_dummy=1.5, normalization_factor=value)
        numpy.testing.assert_allclose(radial, theirs.radial, rtol=1e-6)
        for ours, part in (("intensity", theirs.intensity), ("errors", theirs.sem), ("std", theirs.std)):
            numpy.testing.assert_allclose(result[ours][n], part, rtol=2e-6, err_msg=f"{name}: {ours}")
        compared += 1
    assert compared == 10, compared
print(f"{compared} frames as pyFAI's")
