"""Results made of parts, or of segments, beside those of one run: WHOLE OTHER [WHOLE OTHER ...]. Every dataset has the same type, shape and bytes and every
attribute the same value, but for what says when, by whom and of what; silx finds the same curves and images."""

import json
import sys

import h5py
import numpy
from silx.io import nxdata, open as silx_open

RUNS_OWN = ("end_time", "start_time", "duration", "entry_identifier_uuid", "file_times", "file_time")
PROCESS = "/entry_0000/xrdct"


def run_s_own(name):
    return name.split("/")[-1] in RUNS_OWN or name == PROCESS[1:] + "/date"


def all_of(file):
    found = {"": file}
    file.visititems(lambda name, item: found.update({name: item}))
    own = ("/merged_from", "/measured", "/segments")
    return {name: item for name, item in found.items() if not any(part in name for part in own)}


def but_for_segments(configuration):
    settings = json.loads(configuration)
    settings["xrdct"].pop("segments", None)
    return json.dumps(settings)


def bytes_of(name, value):
    if name == PROCESS[1:] + "/configuration/data":
        value = but_for_segments(value)
    value = numpy.asarray(value)
    return value.tolist() if value.dtype == object else value.tobytes()


def compare(whole, other):
    one, two = all_of(whole), all_of(other)
    assert one.keys() == two.keys(), one.keys() ^ two.keys()
    for name, item in one.items():
        twin = two[name]
        assert item.attrs.keys() == twin.attrs.keys(), name
        for key, value in item.attrs.items():
            assert run_s_own(key) or bytes_of(key, value) == bytes_of(key, twin.attrs[key]), (name, key)
        if isinstance(item, h5py.Dataset) and not run_s_own(name):
            assert (item.shape, item.dtype) == (twin.shape, twin.dtype), name
            assert bytes_of(name, item[()]) == bytes_of(name, twin[()]), name


def seen(name):
    with silx_open(name) as file:
        default = nxdata.get_default(file)
        axes = [None if axis is None else axis[()].tobytes() for axis in default.axes]
        return default.signal_name, default.signal[()].tobytes(), default.axes_names, axes


for whole, other in zip(sys.argv[1::2], sys.argv[2::2]):
    with h5py.File(whole) as one, h5py.File(other) as two:
        try:
            compare(one, two)
        except AssertionError as different:
            sys.exit(f"{whole} {other}: {different}")
        assert two[PROCESS]["status"][()] == b"complete", other
        shown = [two[f"{PROCESS}/{name}"].is_virtual for name in ("result/intensity", "frame_status", "input/date")]
    assert seen(whole) == seen(other), other
    print("virtual" if all(shown) else "copied", "same")
