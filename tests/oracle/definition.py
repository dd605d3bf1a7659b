"""Whether a result is NXazint1d or NXazint2d by the rules of NeXus's own definition, as nexusformat validates them, with the result's arrays.

usage: definition.py RESULT.h5…
"""
import logging
import sys

import h5py
import numpy
from nexusformat.nexus import validate



class Said(logging.Handler):
    def __init__(self):
        super().__init__()
        self.flaws = []

    def emit(self, record):
        if record.levelno in (logging.WARNING, logging.ERROR):
            self.flaws.append(record.getMessage().strip())


def check(path):
    """Its arrays, and what the validator says."""
    with h5py.File(path) as file:
        # Readers of these files take the first entry.
        name = next(key for key in file if file[key].attrs.get("NX_class") == "NXentry")
        entry = file[name]
        definition = entry["definition"].asstr()[()]
        assert (name, definition) in [("azint1d", "NXazint1d"), ("azint2d", "NXazint2d")], (name, definition)

        process = file["entry_0000/xrdct"]
        result, data = process["result"], entry[entry.attrs["default"]]
        intensity = result["intensity"][()]
        bins = intensity.shape[-1:] if definition == "NXazint1d" else intensity.shape[-2:]
        numpy.testing.assert_array_equal(data["I"][()], intensity.reshape(-1, *bins))
        assert numpy.isfinite(intensity[(0,) * (intensity.ndim - len(bins))]).all()
        assert ("I_errors" in data) == ("errors" in result)
        if "errors" in result:
            numpy.testing.assert_array_equal(data["I_errors"][()], result["errors"][()].reshape(-1, *bins))
        radial = data["radial_axis"]
        ours = result[{"q": "q", "2theta": "2th"}[radial.attrs["long_name"]]]
        numpy.testing.assert_array_equal(radial[()], ours[()])
        unit = {"nm^{-1}": "1/nm", "\\AA^{-1}": "1/angstrom", "deg": "degrees", "rad": "radians"}[ours.attrs["unit"]]
        assert radial.attrs["units"] == unit
        if definition == "NXazint2d":
            numpy.testing.assert_array_equal(data["azimuthal_axis"][()], result["azimuthal"][()])
        factors = process["input"].get("normalization_factor")
        assert bool(entry["monitor_applied"][()]) == (factors is not None)
        if factors is not None:
            numpy.testing.assert_array_equal(entry["monitor/data"][()], factors[()])
        parameters = entry["reduction/input"]
        assert parameters["unit"].asstr()[()] == {"q": "q", "2theta": "2th"}[radial.attrs["long_name"]]
        assert isinstance(parameters["unit"][()], bytes)
        wavelength = entry["instrument/monochromator/wavelength"][()]
        numpy.testing.assert_allclose(wavelength, 1.0)
        numpy.testing.assert_allclose(entry["instrument/monochromator/energy"][()], 12.398419843320026)

    said = Said()
    validate.logger.addHandler(said)
    warnings, errors = validate.validate_application(path, path=f"/{name}")
    validate.logger.removeHandler(said)
    print(definition, path.rsplit("/", 1)[-1], warnings, errors, said.flaws)
    assert (warnings, errors) == (0, 0), said.flaws


for path in sys.argv[1:]:
    check(path)
