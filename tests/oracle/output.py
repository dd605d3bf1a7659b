"""What h5py, silx and pyFAI's map viewer see in the files that tests/output.rs writes.

usage: output.py CHECK FILE [ARGUMENT…] [+ CHECK FILE …]

Frame n of a test file has intensity 1000·n + bin; errors and sums are multiples of it. It has one of three sets of norms
(see `pattern` there).
Exits with a traceback when something is not as it should be.
"""
import json
import sys
import zlib

import h5py
import numpy
from silx.io.nxdata import NXdata
from silx.io.utils import h5py_read_dataset


def follow_defaults(file):
    """The NXdata that a reader reaches from the root by `default` attributes alone."""
    group = file
    while group.attrs["NX_class"] != "NXdata":
        assert isinstance(group.attrs["default"], str)
        group = group[group.attrs["default"]]
    return group


def expected(frames, npt):
    """intensity of frames that came; NaN rows for the others, given as -1."""
    rows = 1000.0 * numpy.asarray(frames)[..., None] + numpy.arange(npt)
    rows[numpy.asarray(frames) < 0] = numpy.nan
    return rows


def same(dataset, values, dtype):
    assert dataset.dtype == dtype, (dataset.name, dataset.dtype)
    assert dataset.shape == values.shape, (dataset.name, dataset.shape, values.shape)
    assert dataset.chunks is None, dataset.name
    numpy.testing.assert_array_equal(dataset[()], values.astype(dtype), err_msg=dataset.name)


def check_rows(process, frames, npt, errors, sets):
    """Every array of a file whose row i holds frame frames[i] (-1: none), with so many sets of norms (0: no sums)."""
    rows = expected(frames, npt)
    same(process["result/intensity"], rows, "f4")
    assert ("errors" in process["result"]) == errors
    if errors:
        for name, part in (("errors", 8), ("std", 4), ("count", 2)):
            same(process[f"result/{name}"], rows / part, "f4")
    assert process["frame_status"].shape == rows.shape[:-1]
    assert ("sums" in process) == (sets > 0)
    if sets:
        zero = numpy.nan_to_num(rows, nan=0.0)
        same(process["sums/signal"], zero * 2, "f8")
        if errors:
            same(process["sums/variance"], zero * 3, "f8")
        assert set(process["sums"]) == {"signal", "norms", "norms_of"} | ({"variance"} if errors else set())
        check_norms(process["sums"], frames, npt, sets)
        # Zeros for rows without a frame, and each set once, unless it came again after eight others.
        come = numpy.asarray(frames)[numpy.asarray(frames) >= 0]
        least, most = 1 + numpy.unique(come % sets).size, 1 + come.size
        there, bins = process["sums/norms"].shape
        assert bins == npt and (there == least if sets <= 8 else least <= there <= most), (there, least, most)


def check_norms(sums, frames, npt, sets=3):
    """The norms of each row, read as README.md says."""
    frames = numpy.asarray(frames)
    norms = sums["norms"][()][sums["norms_of"][()]]
    assert norms.shape == frames.shape + (npt,)
    values = 1000.0 * (frames[..., None] % sets) + numpy.arange(npt) + 1
    values[frames < 0] = 0
    for name, factor in (("normalization", 4), ("normalization_squared", 5), ("count", 6)):
        numpy.testing.assert_array_equal(norms[name], values * factor, err_msg=name)


def series(path, frames, npt, errors, sets):
    """A plain series, frames 3 and 4 bad."""
    frames, npt, errors, sets = int(frames), int(npt), errors == "errors", int(sets)
    with h5py.File(path, "r") as file:
        data = follow_defaults(file)
        process = file["entry_0000/xrdct"]
        assert data == process["result"] and file["entry_0000/pyFAI"] == process
        present = numpy.arange(frames)
        present[3:5] = -1
        check_rows(process, present, npt, errors, sets)
        status = process["frame_status"]
        assert list(status[:6]) == [0, 0, 0, 5, 2, 0] and set(status[6:]) == {0}
        assert "5 = truncated" in status.attrs["legend"]

        nx = NXdata(data)
        assert nx.is_valid, nx.issues
        assert nx.signal.shape == (frames, npt) and nx.axes_names == ["Frame", "Scattering vector"]
        assert (nx.errors is not None) == errors
        axis = data["q"]
        assert axis.attrs["unit"] == axis.attrs["units"] == "nm^-1"
        numpy.testing.assert_array_equal(axis[()], 0.5 + numpy.arange(npt))

        entry = file["entry_0000"]
        assert h5py_read_dataset(entry["program_name"]) == "xrdct"
        assert h5py_read_dataset(entry["title"]) == "a série"
        assert entry["start_time"].asstr()[()] <= entry["end_time"].asstr()[()]
        assert process["status"].asstr()[()] == "complete"
        assert json.loads(process["configuration/data"][()])["answer"] == 42
        assert list(process["bad_frames"].asstr()) == ["frame 3: too short — é", "frame 4: gone"]
        inputs = process["input"]
        assert list(inputs["file_names"].asstr()) == [f"f_{n:05}.cbf" for n in range(frames)]
        assert list(process["inputfiles"].asstr()[:2]) == ["f_00000.cbf", "f_00001.cbf"]
        assert set(inputs) == {"file_names", "file_sizes", "file_times", "file_heads", "date", "exposure_time", "omega"}
        assert inputs["omega"].attrs["units"] == "deg" and inputs["exposure_time"].attrs["units"] == "s"
        omega = numpy.arange(frames) * 0.5
        omega[3:5] = numpy.nan
        numpy.testing.assert_array_equal(inputs["omega"][()], omega)
        assert inputs["date"].asstr()[2] == "2024-01-01T00:00:02"
        assert inputs["date"].asstr()[3] == ""


def scan(path, slow, fast, zigzag, frames, npt, errors, sets, offset):
    """A map; the last points may lack their frames."""
    slow, fast, frames, npt, offset = map(int, (slow, fast, frames, npt, offset))
    errors, sets = errors == "errors", int(sets)
    order = numpy.arange(slow * fast).reshape(slow, fast)
    if zigzag == "zigzag":
        order[1::2] = order[1::2, ::-1]
    order[order >= frames] = -1
    with h5py.File(path, "r") as file:
        data = follow_defaults(file)
        process = file["entry_0000/pyFAI"]
        check_rows(process, order, npt, errors, sets)
        assert data["intensity"].is_virtual == data["map"].is_virtual == (frames <= (slow - 1) * fast)
        same(data["map"], numpy.moveaxis(expected(order, npt), 2, 0), "f4")
        pointer = numpy.where(order < 0, -1, order + offset)
        assert data["map_ptr"].dtype == "i4"
        numpy.testing.assert_array_equal(data["map_ptr"][()], pointer)
        numpy.testing.assert_array_equal(process["frame_status"][()], numpy.where(order < 0, 1, 0))
        nx = NXdata(data)
        assert nx.is_valid, nx.issues
        assert data.attrs["signal"] == ("intensity" if errors else "map")
        assert process["offset"][()] == offset
        for dim, (name, points) in enumerate((("slow", slow), ("fast", fast))):
            motor = process[f"dim{dim}"]
            assert motor[()] == points and motor.attrs["axis"] == name
            numpy.testing.assert_array_equal(motor.attrs["range"], [0, points - 1])
            numpy.testing.assert_array_equal(data[name][()], numpy.arange(points))
        assert process["dim2"][()] == npt
        assert process["status"].asstr()[()] == "interrupted" if frames < slow * fast else "complete"


def viewer(path, slow, fast, npt):
    """Reads what pyFAI-diffmap-view reads, with its own functions, in its order (MainWindow.initData, Point)."""
    import importlib.util
    import os
    import pyFAI

    # The package imports Qt; its readers do not need it.
    folder = os.path.join(os.path.dirname(pyFAI.__file__), "gui", "pilx")
    package = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("pyFAI.gui.pilx", loader=None, is_package=True))
    package.__path__ = [folder]
    sys.modules["pyFAI.gui.pilx"] = package
    from pyFAI.gui.pilx.models import ImageIndices
    from pyFAI.gui.pilx.point import Point
    from pyFAI.gui.pilx.utils import (compute_radial_values, get_axes_dataset, get_axes_index, get_dataset,
                                      get_radial_dataset, get_signal_dataset)
    from pyFAI.io.integration_config import WorkerConfig

    slow, fast, npt = int(slow), int(fast), int(npt)
    with h5py.File(path, "r") as file:
        process = file["/entry_0000/pyFAI"]
        data = process["result"]
        signal = get_signal_dataset(data, default="intensity")
        index = get_axes_index(signal)
        assert signal[()].sum(axis=index.radial).shape == (slow, fast)
        assert get_axes_dataset(data, dim=index.slow, default="slow").attrs["long_name"] == "slow"
        assert get_axes_dataset(data, dim=index.fast, default="fast").attrs["long_name"] == "fast"
        config = json.loads(get_dataset(parent=process, path="configuration/data")[()])
        worker = WorkerConfig.from_dict(config, inplace=True)
        assert worker.nbpt_rad == npt
        assert get_radial_dataset(data, size=worker.nbpt_rad).name.endswith("/q")
        assert int(process["offset"][()]) == 0
        pointer = get_dataset(data, "map_ptr")[()]
    assert compute_radial_values(worker).shape == tuple(worker.shape)
    point = Point(ImageIndices(1, 0), url_nxdata_path=f"{path}?/entry_0000/pyFAI/result")
    numpy.testing.assert_array_equal(point.get_curve(), 1000 * pointer[1, 0] + numpy.arange(npt))
    assert point._x_name == "Scattering vector"


def killed(path, npt):
    """A file whose writer was killed: it opens, and its good rows are whole. Prints how many there are."""
    npt = int(npt)
    with h5py.File(path, "r") as file:
        process = file["entry_0000/xrdct"]
        status = process["frame_status"][()]
        assert set(numpy.unique(status)) <= {0, 1, 5}, numpy.unique(status)
        good = numpy.flatnonzero(status.ravel() == 0)
        frames = process["result/map_ptr"][()].ravel()[good] if "map" in process["result"] else good
        rows = expected(frames, npt)
        intensity = process["result/intensity"][()].reshape(-1, npt)
        numpy.testing.assert_array_equal(intensity[good], rows.astype("f4"))
        if "sums" in process:
            numpy.testing.assert_array_equal(process["sums/signal"][()].reshape(-1, npt)[good], rows * 2)
            present = numpy.full(status.size, -1)
            present[good] = frames
            sets = numpy.where(status == 0, process["sums/norms_of"][()], 0)
            check_norms({"norms": process["sums/norms"], "norms_of": sets}, present.reshape(status.shape), npt)
        if "map" in process["result"]:
            turned = process["result/map"][()].reshape(npt, -1).T[good]
            numpy.testing.assert_array_equal(turned, rows.astype("f4"))
        word = process["status"].asstr()[()]
        assert word in ("running", "complete"), word
        for name in ("end_time", "result/q", "configuration/data", "input/file_names"):
            parent = file["entry_0000"] if name == "end_time" else process
            parent[name][()]
        print(len(good), word)


def stack(path, dtype, gzip):
    """Five frames of 4 x 6: n·100 + pixel; frame 3 is bad, frame 4 never came."""
    with h5py.File(path, "r") as file:
        data = follow_defaults(file)
        nx = NXdata(data)
        assert nx.is_valid, nx.issues
        dataset = file["entry_0000/data/data"]
        assert nx.signal == dataset and dataset.attrs["interpretation"] == "image"
        assert dataset.dtype == dtype and dataset.shape == (5, 4, 6)
        assert dataset.chunks == (None if gzip == "none" else (1, 4, 6))
        assert dataset.compression == (None if gzip == "none" else "gzip") and dataset.shuffle == (gzip != "none")
        if gzip != "none":
            assert dataset.compression_opts == int(gzip)
        values = (numpy.arange(5)[:, None] * 20 + numpy.arange(24)).reshape(5, 4, 6).astype(dtype)
        values[3:] = -1 if numpy.dtype(dtype).kind == "i" else numpy.iinfo(dtype).max
        numpy.testing.assert_array_equal(dataset[()], values)
        assert list(file["entry_0000/frame_status"]) == [0, 0, 0, 2, 1]
        crcs = [zlib.crc32(image.tobytes()) for image in dataset[:3]] + [0, 0]
        assert list(file["entry_0000/image_crc"]) == crcs
        assert file["entry_0000/status"][()] == b"complete" and file["entry_0000/end_time"][()]
        assert list(file["entry_0000/bad_frames"].asstr()) == ["frame 3: gone"]
        assert list(file["entry_0000/input/file_names"].asstr()) == list("abcde")


if __name__ == "__main__":
    checks = [[]]
    for argument in sys.argv[1:]:
        if argument == "+":
            checks.append([])
        else:
            checks[-1].append(argument)
    for check, *arguments in checks:
        globals()[check](*arguments)
