"""Writes HDF5 files in every form that images come in, and what h5py reads of them.

usage: hdf5.py FOLDER

FOLDER/cases.json: one object a case, {"name", "inputs", "channel", "frames": N, "dtype", "bad": {frame: [status, word, ...]},
"notes": [word, ...]} or {"name", "inputs", "error": [word, ...]}; FOLDER/NAME.raw: the pixels of all frames, little endian;
those of bad frames are zero.
"""
import json
import os
import sys

import h5py
import hdf5plugin
import numpy

folder = sys.argv[1]
os.chdir(folder)
random = numpy.random.default_rng(1)
NY, NX = 61, 47
cases = []


def images(count, dtype="u4", shape=(NY, NX), seed=None):
    """Sparse counts, with values of every size that the type has."""
    own = random if seed is None else numpy.random.default_rng(seed)
    dtype = numpy.dtype(dtype)
    data = own.poisson(0.7, (count,) + shape)
    if dtype.kind in "iu":
        big = own.random(data.shape) < 0.01
        info = numpy.iinfo(dtype)
        data[big] = own.integers(max(info.min, -2**62), min(info.max, 2**62), big.sum())
        data[..., 0, 0], data[..., -1, -1] = min(info.max, 2**63 - 1), info.min
    return data.astype(dtype) if dtype.kind in "iu" else (data * 0.37).astype(dtype)


def case(name, inputs, frames, *, channel=None, bad=(), notes=()):
    frames = numpy.ascontiguousarray(frames)
    frames = frames.reshape((-1,) + frames.shape[-2:])
    frames = frames.astype(frames.dtype.newbyteorder("<"))
    bad = dict(bad)
    for at in bad:
        frames[at] = 0
    frames.tofile(name + ".raw")
    cases.append({
        "name": name, "inputs": inputs, "channel": channel, "frames": len(frames), "dtype": frames.dtype.name,
        "shape": frames.shape[1:], "bad": {str(at): words for at, words in bad.items()}, "notes": list(notes),
    })


def refused(name, inputs, words, channel=None):
    cases.append({"name": name, "inputs": inputs, "channel": channel, "error": words})


def entry(file, path="entry/data"):
    """A group of NeXus."""
    group = file.require_group(path)
    file[path.split("/")[0]].attrs["NX_class"] = "NXentry"
    group.attrs["NX_class"] = "NXdata"
    return group


def read_back(name, path):
    with h5py.File(name) as file:
        return file[path][()]


# Filters and layouts of a plain stack.
plugin = hdf5plugin
packings = {
    "contiguous": {},
    "raw": {"chunks": (1, NY, NX)},
    "gzip": {"chunks": (1, NY, NX), "compression": "gzip", "compression_opts": 1},
    "shuffle_gzip": {"chunks": (1, NY, NX), "compression": "gzip", "shuffle": True},
    "fletcher": {"chunks": (1, NY, NX), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "fletcher_raw": {"chunks": (1, NY, NX), "fletcher32": True},
    "lzf": {"chunks": (1, NY, NX), "compression": "lzf"},
    "shuffle_lzf": {"chunks": (1, NY, NX), "compression": "lzf", "shuffle": True},
    "scaleoffset": {"chunks": (1, NY, NX), "scaleoffset": 0},
    "several": {"chunks": (4, NY, NX), "compression": "gzip"},
    "several_raw": {"chunks": (4, NY, NX)},
    "tiles": {"chunks": (1, 20, 30), "compression": "gzip"},
    "tiles_raw": {"chunks": (1, 16, 47)},
    "tiles_of_several": {"chunks": (3, 20, 30), "compression": "gzip", "shuffle": True},
    "too_large": {"chunks": (1, 70, 60), "maxshape": (None, None, None), "compression": "gzip"},
}
packed = {
    "lz4": {"chunks": (1, NY, NX), **plugin.LZ4()},
    "lz4_blocks": {"chunks": (1, NY, NX), **plugin.LZ4(nbytes=1024)},
    "bslz4": {"chunks": (1, NY, NX), **plugin.Bitshuffle()},
    "bslz4_blocks": {"chunks": (1, NY, NX), **plugin.Bitshuffle(nelems=128)},
    "bitshuffle": {"chunks": (1, NY, NX), **plugin.Bitshuffle(cname="none")},
    "bszstd": {"chunks": (1, NY, NX), **plugin.Bitshuffle(cname="zstd")},
    "zstd": {"chunks": (1, NY, NX), **plugin.Zstd()},
    "shuffle_zstd": {"chunks": (1, NY, NX), "shuffle": True, **plugin.Zstd()},
    "several_bslz4": {"chunks": (4, NY, NX), **plugin.Bitshuffle()},
    "tiles_bslz4": {"chunks": (1, 20, 30), **plugin.Bitshuffle()},
}
packings.update(packed)
for name, options in packings.items():
    for dtype in ["u1", "u2", "u4", "i2", "i4", ">u2", ">i4", "f4", ">f4"]:
        if "scaleoffset" in name and dtype not in ("u2", "u4", "i4", ">u2"):
            continue
        data = images(9, dtype)
        if "scaleoffset" in name:
            data %= 1000
        full = f"{name}_{numpy.dtype(dtype).name}{'_big' if dtype[0] == '>' else ''}"
        with h5py.File(full + ".h5", "w") as file:
            entry(file).create_dataset("data", data=data, **options)
        case(full, [full + ".h5"], read_back(full + ".h5", "entry/data/data"),
             notes=["through the HDF5 library"] if "scaleoffset" in name else [])
for dtype in ["i1", "u8", "i8", "f8"]:
    with h5py.File(f"wide_{dtype}.h5", "w") as file:
        file.create_dataset("stack", data=images(3, dtype), chunks=(2, NY, NX))
    case(f"wide_{dtype}", [f"wide_{dtype}.h5"], read_back(f"wide_{dtype}.h5", "stack"))

# Old and new formats of the file itself, and a user block.
for name, options in {"old": {"libver": "earliest"}, "new": {"libver": "latest"}, "block": {"userblock_size": 1024}}.items():
    for many in (3, 700):
        full = f"{name}_{many}"
        data = images(many, "u2", (16, 17))
        with h5py.File(full + ".h5", "w", **options) as file:
            file.create_dataset("x/images", data=data, chunks=(1, 16, 17), maxshape=(None, 16, 17), compression="gzip")
        case(full, [full + ".h5"], data)

# Compact.
data = images(1, "u2", (20, 30))
with h5py.File("compact.h5", "w") as file:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file.id, b"images", h5py.h5t.STD_U16BE, h5py.h5s.create_simple((1, 20, 30)), plist)
    file["images"][...] = data
case("compact", ["compact.h5"], data, notes=["through the HDF5 library", "compact"])

# A single image; an image and its mask; maps of four dimensions; one dimension too many.
data = images(1)
with h5py.File("single.h5", "w") as file:
    file["entry/data/data"] = data[0]
    file["entry/instrument/detector/data"] = file["entry/data/data"]
    file["entry/instrument/detector/pixel_mask"] = numpy.zeros((NY, NX), "u4")
case("single", ["single.h5"], data)
data = images(12).reshape((3, 4, NY, NX))
for name, chunks in {"map": (1, 1, NY, NX), "map_of_several": (2, 3, NY, NX), "map_contiguous": None}.items():
    with h5py.File(name + ".h5", "w") as file:
        file.create_dataset("map", data=data, chunks=chunks)
    case(name, [name + ".h5"], data)
with h5py.File("five.h5", "w") as file:
    file["five"] = images(4).reshape((2, 2, 1, NY, NX))
case("five", ["five.h5::/five"], read_back("five.h5", "five"))
refused("five_unnamed", ["five.h5"], ["five.h5", "no images", "::/path"])

# Filter masks: chunks that skipped filters.
data = images(6, "u4")
with h5py.File("masks.h5", "w") as file:
    stack = file.create_dataset("s", shape=data.shape, dtype="u4", chunks=(1, NY, NX), shuffle=True, compression="gzip")
    import zlib
    planes = lambda image: image.view("u1").reshape(-1, 4).T.tobytes()
    for at, image in enumerate(data):
        raw = image.tobytes()
        blob = [zlib.compress(planes(image)), planes(image), zlib.compress(raw), raw][at % 4]
        stack.id.write_direct_chunk((at, 0, 0), blob, [0, 2, 1, 3][at % 4])
case("masks", ["masks.h5"], read_back("masks.h5", "s"))

# DECTRIS masters.
NAMES = "scan_data_{:06d}.h5"


def dectris(folder, counts, *, missing=(), nimages=None, dtype="u4", extra=None, **options):
    """A master and its data files; the images of all of them."""
    os.makedirs(folder, exist_ok=True)
    options = options or {"chunks": (1, NY, NX), "compression": "gzip"}
    data = []
    with h5py.File(f"{folder}/scan_master.h5", "w") as master:
        group = entry(master)
        for number, count in enumerate(counts, 1):
            name = NAMES.format(number)
            data.append(images(count, dtype))
            group[f"data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
            if number in missing:
                continue
            with h5py.File(f"{folder}/{name}", "w") as file:
                entry(file).create_dataset("data", data=data[-1], **options)
        detector = master.require_group("entry/instrument/detector/detectorSpecific")
        detector["pixel_mask"] = numpy.zeros((NY, NX), "u4")
        detector["flatfield"] = numpy.ones((NY, NX), "f4")
        if nimages:
            detector["nimages"], detector["ntrigger"] = nimages
        master["entry/definition"] = "NXmx"
    return numpy.concatenate(data)


def gone(frames, *words):
    return {at: ["unreadable", *words] for at in frames}


data = dectris("whole", [5, 5, 3])
case("master", ["whole/scan_master.h5"], data)
case("master_and_data", ["whole/scan_data_000001.h5", "whole/scan_data_000003.h5", "whole/scan_master.h5"], data,
     notes=["read once"])
case("data_files", ["whole/scan_data_000001.h5", "whole/scan_data_000003.h5"], numpy.concatenate([data[:5], data[10:]]))
case("data_files_of_which_one_is_missing", [f"whole/scan_data_00000{n}.h5" for n in (1, 7, 2)],
     numpy.concatenate([data[:5], data[:5], data[5:10]]), bad=gone(range(5, 10), "scan_data_000007.h5"))
case("group_of_a_master", ["whole/scan_master.h5::/entry/data"], data)
case("link_of_a_master", ["whole/scan_master.h5::/entry/data/data_000002"], data[5:10])
data = dectris("middle", [5, 5, 3], missing=[2])
case("middle_missing", ["middle/scan_master.h5"], data, bad=gone(range(5, 10), "scan_data_000002.h5", "data_000002", "not there"))
data = dectris("last", [5, 5, 3], missing=[3])
case("last_missing", ["last/scan_master.h5"], data[:10], notes=["scan_data_000003.h5", "not known"])
data = dectris("last_known", [5, 5, 3], missing=[3], nimages=(13, 1))
case("last_missing_known", ["last_known/scan_master.h5"], data, bad=gone(range(10, 13), "scan_data_000003.h5"))
data = dectris("all_gone", [5, 5], missing=[1, 2])
refused("all_missing", ["all_gone/scan_master.h5"], ["scan_data_000001.h5", "none of the 2 files"])
data = dectris("other_shape", [5, 5])
with h5py.File("other_shape/scan_data_000002.h5", "w") as file:
    file["entry/data/data"] = numpy.zeros((5, NY + 1, NX), "u4")
case("another_shape", ["other_shape/scan_master.h5"], data,
     bad={at: ["other_shape", "62 x 47 uint32", "61 x 47 uint32"] for at in range(5, 10)})
data = dectris("damaged", [5, 5])
with open("damaged/scan_data_000002.h5", "r+b") as file:
    file.write(b"nonsense")
case("damaged_superblock", ["damaged/scan_master.h5"], data[:5], notes=["scan_data_000002.h5", "not known"])
with h5py.File("old_master.h5", "w") as file:
    file["entry/data_01"] = h5py.ExternalLink("whole/scan_data_000001.h5", "/entry/data/data")
    file["entry/data_02"] = h5py.ExternalLink("/nowhere/scan_data_000002.h5", "/entry/data/data")
os.link("whole/scan_data_000002.h5", "scan_data_000002.h5")
case("old_master_with_an_absolute_link_that_moved", ["old_master.h5"],
     numpy.concatenate([read_back(f"whole/scan_data_00000{n}.h5", "entry/data/data") for n in (1, 2)]))

# Virtual datasets.
whole = read_back("whole/scan_data_000001.h5", "entry/data/data")
second = read_back("whole/scan_data_000002.h5", "entry/data/data")
third = read_back("whole/scan_data_000003.h5", "entry/data/data")


def virtual(name, shape, maps, dtype="u4", path="entry/data/data", definition=None):
    layout = h5py.VirtualLayout(shape, dtype)
    for here, file, dataset, size, there in maps:
        layout[here] = h5py.VirtualSource(file, dataset, size)[there]
    with h5py.File(name, "a") as file:
        entry(file)
        file.create_virtual_dataset(path, layout, fillvalue=77)
        if definition:
            file["entry/definition"] = definition


def source(number, count, there=numpy.s_[:]):
    return (f"whole/scan_data_00000{number}.h5", "/entry/data/data", (count, NY, NX), there)


virtual("virtual.h5", (13, NY, NX), [(numpy.s_[:5],) + source(1, 5), (numpy.s_[5:10],) + source(2, 5), (numpy.s_[10:],) + source(3, 3)])
case("virtual", ["virtual.h5"], numpy.concatenate([whole, second, third]))
virtual("virtual_gone.h5", (15, NY, NX), [(numpy.s_[:5],) + source(1, 5), (numpy.s_[5:10],) + source(8, 5), (numpy.s_[10:13],) + source(3, 3)])
expected = numpy.concatenate([whole, second, third, third[:2]])
case("virtual_with_a_missing_file_and_a_gap", ["virtual_gone.h5"], expected,
     bad={**gone(range(5, 10), "scan_data_000008.h5", "not there"), **gone(range(13, 15), "virtual_gone.h5", "none of its parts")})
virtual("interleaved.h5", (10, NY, NX), [(numpy.s_[0::2],) + source(1, 5), (numpy.s_[1::2],) + source(2, 5)])
case("interleaved", ["interleaved.h5"], numpy.stack([whole, second], 1))
virtual("part.h5", (4, NY, NX), [(numpy.s_[:2],) + source(1, 5, numpy.s_[1:4:2]), (numpy.s_[2:],) + source(2, 5, numpy.s_[3:])])
case("parts", ["part.h5"], numpy.concatenate([whole[1:4:2], second[3:]]))
virtual("beyond.h5", (7, NY, NX), [(numpy.s_[:],) + source(1, 7)])
case("a_source_that_is_shorter", ["beyond.h5"], numpy.concatenate([whole, whole[:2]]),
     bad=gone([5, 6], "scan_data_000001.h5", "only 5 images"))
virtual("nested.h5", (9, NY, NX), [(numpy.s_[:4], "part.h5", "/entry/data/data", (4, NY, NX), numpy.s_[:]), (numpy.s_[4:],) + source(1, 5)])
case("nested", ["nested.h5"], numpy.concatenate([whole[1:4:2], second[3:], whole]))
with h5py.File("own.h5", "w") as file:
    file["hidden/pixel_mask_like/mask"] = whole[:, :, :10]
    for at in range(5):
        file[f"raw/image_{at}"] = whole[at]
virtual("own.h5", (5, NY, NX), [(at, ".", f"/raw/image_{at}", (NY, NX), numpy.s_[:]) for at in range(5)])
case("virtual_of_images_in_its_own_file", ["own.h5"], whole)
virtual("itself.h5", (5, NY, NX), [(numpy.s_[:], ".", "/entry/data/data", (5, NY, NX), numpy.s_[:])])
refused("virtual_of_itself", ["itself.h5"], ["itself.h5", "made of itself"])
virtual("all_gone.h5", (5, NY, NX), [(numpy.s_[:], "nowhere.h5", "/x", (5, NY, NX), numpy.s_[:])])
refused("virtual_without_any_file", ["all_gone.h5"], ["nowhere.h5", "not there"])
virtual("tiled.h5", (5, NY, 2 * NX), [(numpy.s_[:, :, :NX],) + source(1, 5), (numpy.s_[:, :, NX:],) + source(2, 5)])
refused("virtual_of_pieces", ["tiled.h5"], ["tiled.h5", "part 0", "pieces of images"])
layout = h5py.VirtualLayout((5, NY, NX), "u4", maxshape=(None, NY, NX))
layout[0:h5py.h5s.UNLIMITED] = h5py.VirtualSource("whole/scan_data_000001.h5", "/entry/data/data", (5, NY, NX), maxshape=(None, NY, NX))[0:h5py.h5s.UNLIMITED]
with h5py.File("endless.h5", "w") as file:
    file.create_virtual_dataset("images", layout)
refused("virtual_without_an_end", ["endless.h5::/images"], ["endless.h5", "without an end"])

# NXmx with channels, in one file and as a virtual dataset.
data = images(10).reshape((5, 2, NY, NX))
with h5py.File("nxmx.h5", "w") as file:
    entry(file).create_dataset("data", data=data, chunks=(1, 1, NY, NX), compression="gzip")
    file["entry/definition"] = "NXmx"
    file["entry/instrument/detector/pixel_mask"] = numpy.zeros((2, NY, NX), "u4")
case("nxmx", ["nxmx.h5"], data[:, 0], notes=["2 channels"])
case("nxmx_second", ["nxmx.h5"], data[:, 1], channel=1)
refused("nxmx_third", ["nxmx.h5"], ["no channel 2", "2"], channel=2)
virtual("nxmx_virtual.h5", (10, 2, NY, NX), [(numpy.s_[:5], "nxmx.h5", "/entry/data/data", (5, 2, NY, NX), numpy.s_[:]),
                                           (numpy.s_[5:, 1], "nxmx.h5", "/entry/data/data", (5, 2, NY, NX), numpy.s_[:, 0])], definition="NXmx")
case("nxmx_virtual", ["nxmx_virtual.h5"], numpy.concatenate([data[:, 1], data[:, 0]]), channel=1)
refused("no_channels", ["whole/scan_master.h5"], ["no channels"], channel=1)

# ESRF.
data = images(6, "u2")
with h5py.File("lima.h5", "w") as file:
    file.create_dataset("entry_0000/ESRF-ID11/eiger/data", data=data, chunks=(1, NY, NX), compression="gzip")
    file["entry_0000/measurement/data"] = h5py.SoftLink("/entry_0000/ESRF-ID11/eiger/data")
    file["entry_0000/ESRF-ID11/eiger/plot/data"] = h5py.SoftLink("/entry_0000/measurement/data")
    file["entry_0000/measurement/times"] = numpy.arange(6.0)
case("lima", ["lima.h5"], data)
case("lima_named", ["lima.h5::/entry_0000/measurement/data"], data)
os.makedirs("scan0001", exist_ok=True)
os.rename("lima.h5", "scan0001/eiger_0000.h5")
cases[-1]["inputs"] = ["scan0001/eiger_0000.h5::/entry_0000/measurement/data"]
cases[-2]["inputs"] = ["scan0001/eiger_0000.h5"]
layout = h5py.VirtualLayout((6, NY, NX), "u2")
layout[:] = h5py.VirtualSource("scan0001/eiger_0000.h5", "/entry_0000/measurement/data", (6, NY, NX))
with h5py.File("bliss.h5", "w") as file:
    file.create_virtual_dataset("1.1/instrument/eiger/data", layout)
    file["1.1/measurement/eiger"] = h5py.SoftLink("/1.1/instrument/eiger/data")
    file["1.1/measurement/fluo"] = numpy.zeros((6, 4096), "u4")
    file["1.1/measurement/rot"] = numpy.arange(6.0)
    file["1.2/measurement/mono"] = numpy.arange(9.0)
case("bliss", ["bliss.h5"], data)
with h5py.File("proposal.h5", "w") as file:
    file["sample_0001_1.1"] = h5py.ExternalLink("bliss.h5", "/1.1")
case("bliss_proposal", ["proposal.h5"], data)
case("bliss_group", ["bliss.h5::/1.1"], data)

# Defaults of NeXus, and two that might be meant.
data, other = images(4, "u2"), images(5, "u2")
with h5py.File("two.h5", "w") as file:
    file["a/first"], file["b/second"] = data, other
refused("two", ["two.h5"], ["`/a/first` (4 x 61 x 47)", "`/b/second` (5 x 61 x 47)", "two.h5::/a/first"])
case("one_of_two", ["two.h5::/b/second"], other)
case("group_of_one", ["two.h5::b"], other)
with h5py.File("default.h5", "w") as file:
    file["scan/a/first"], file["scan/b/second"] = data, other
    file.attrs["default"], file["scan"].attrs["default"], file["scan/b"].attrs["signal"] = "scan", "b", "second"
case("default", ["default.h5"], other)
with h5py.File("entries.h5", "w") as file:
    file["a/data/data"], file["b/data/data"] = data, other
refused("two_entries", ["entries.h5"], ["2 entries", "::/a/data", "::/b/data"])

# Nothing to be had.
with h5py.File("empty.h5", "w") as file:
    file.create_dataset("entry/data/data", shape=(0, NY, NX), dtype="u2", maxshape=(None, NY, NX), chunks=(1, NY, NX))
refused("empty", ["empty.h5"], ["empty.h5", "no images"])
with h5py.File("nothing.h5", "w") as file:
    file["times"] = numpy.arange(9.0)
refused("nothing", ["nothing.h5"], ["nothing.h5", "no images"])
with h5py.File("texts.h5", "w") as file:
    file["texts"] = numpy.full((20, 20, 20), b"x")
    file["compound"] = numpy.zeros((3, 20, 20), [("a", "u1"), ("b", "f4")])
refused("texts", ["texts.h5::/texts"], ["texts", "not pixels"])
refused("compound", ["texts.h5::/compound"], ["compound", "not pixels"])
refused("no_such_dataset", ["two.h5::/c/third"], ["two.h5", "`/c`"])
refused("dangling", ["old_master.h5::/entry/data_03"], ["old_master.h5", "`/entry/data_03`"])
with open("no.h5", "wb") as file:
    file.write(b"\x89HDF\r\n\x1a\nand no more")
refused("no_hdf5", ["no.h5"], ["no.h5", "not an HDF5 file, or it is damaged"])
with h5py.File("circle.h5", "w") as file:
    file["a"] = h5py.SoftLink("/b")
    file["b"] = h5py.SoftLink("/a")
    file["x/y/z"] = h5py.SoftLink("/x")
    file["out"] = h5py.ExternalLink("circle.h5", "/out")
    file["group/again"] = file.require_group("group")
refused("circle", ["circle.h5::/a"], ["circle.h5", "`/a`", "come to an end"])
refused("circle_of_files", ["circle.h5::/out"], ["circle.h5", "`/out`", "without an end"])
refused("circles", ["circle.h5"], ["circle.h5", "no images"])
for name, filters in {"blosc": plugin.Blosc(), "zfp": plugin.Zfp(reversible=True)}.items():
    with h5py.File(name + ".h5", "w") as file:
        file.create_dataset("s", data=images(2, "i4"), chunks=(1, NY, NX), **filters)
    refused(name, [name + ".h5"], [name + ".h5", {"blosc": "Blosc (filter 32001)", "zfp": "ZFP (filter 32013)"}[name]])

# Frames that nobody wrote, and chunks that are not what they should be.
data = images(6, "u2")
with h5py.File("unwritten.h5", "w") as file:
    for name, options in {"chunked": {"chunks": (1, NY, NX)}, "several": {"chunks": (2, NY, NX)}, "tiles": {"chunks": (1, 31, 47)}}.items():
        stack = file.create_dataset(name, shape=data.shape, dtype="u2", fillvalue=3, **options)
        stack[:2] = data[:2]
        if name == "tiles":
            stack[3, :20] = data[3, :20]
    file.create_dataset("contiguous", shape=data.shape, dtype="u2")
for name in ["chunked", "several", "tiles"]:
    case("unwritten_" + name, [f"unwritten.h5::/{name}"], data, bad=gone(range(2, 6), "never written"))
case("unwritten_contiguous", ["unwritten.h5::/contiguous"], data, bad=gone(range(6), "never written"))
with h5py.File("sizes.h5", "w") as file:
    for name, options in {"raw": {}, "gzip": {"compression": "gzip"}}.items():
        stack = file.create_dataset(name, shape=data.shape, dtype="u2", chunks=(1, NY, NX), **options)
        for at, image in enumerate(data):
            blob = image.tobytes()
            blob = [blob, blob[:-1], blob + b"x", blob[:7], blob * 9, blob][at]
            pack = {"raw": bytes, "gzip": zlib.compress}[name]
            stack.id.write_direct_chunk((at, 0, 0), pack(blob))
short, long = ["truncated", "image"], ["overlong", "image"]
for name in ["raw", "gzip"]:
    case("sizes_" + name, [f"sizes.h5::/{name}"], data, bad={1: short, 2: long, 3: short, 4: long})
with h5py.File("sums.h5", "w") as file:
    stack = file.create_dataset("s", data=data, chunks=(1, NY, NX), fletcher32=True)
    place, size = stack.id.get_chunk_info(2).byte_offset, stack.id.get_chunk_info(2).size
with open("sums.h5", "r+b") as file:
    file.seek(place + 100)
    byte = file.read(1)
    file.seek(place + 100)
    file.write(bytes([byte[0] ^ 4]))
case("sums", ["sums.h5"], data, bad={2: ["corrupt", "fletcher32"]})

# Chunks of blocks that are not what they should be: header, length, tail.
data = images(6, "u4")
with h5py.File("blocks.h5", "w") as file:
    good = file.create_dataset("good", data=data, chunks=(1, NY, NX), **plugin.Bitshuffle())
    for name, count in {"one": 1, "several": 2}.items():
        stack = file.create_dataset(name, shape=data.shape, dtype="u4", chunks=(count, NY, NX), **plugin.Bitshuffle())
        for at in range(0, 6, count):
            if count > 1:
                stack[at:at + count] = data[at:at + count]
            blob = bytearray(stack.id.read_direct_chunk((at, 0, 0))[1] if count > 1 else good.id.read_direct_chunk((at, 0, 0))[1])
            if at // count == 1:
                blob[4] ^= 1
            if at // count == 2:
                blob = blob[:-20]
            if at == 4 and count == 1:
                blob[12] = 0x7f
            if at == 5:
                blob += b"tail"
            stack.id.write_direct_chunk((at, 0, 0), bytes(blob))
case("blocks_one", ["blocks.h5::/one"], data, bad={1: ["corrupt", "header says"], 2: ["truncated"], 4: ["truncated"], 5: ["overlong", "left"]})
case("blocks_several", ["blocks.h5::/several"], data, bad={2: ["corrupt", "header says"], 3: ["corrupt"], 4: ["truncated"], 5: ["truncated"]})

# Files that end too early, and one that was never closed.
with h5py.File("cut.h5", "w") as file:
    stack = file.create_dataset("s", data=data, chunks=(1, NY, NX))
    places = [stack.id.get_chunk_info(at).byte_offset for at in range(6)]
assert places == sorted(places), places
os.truncate("cut.h5", places[4] + 100)
case("cut", ["cut.h5"], data, bad={at: ["truncated", "not complete"] for at in (4, 5)}, notes=["ends too early"])
with h5py.File("cut_contiguous.h5", "w") as file:
    file["s"] = data
    place = file["s"].id.get_offset()
os.truncate("cut_contiguous.h5", place + data[0].nbytes * 5 // 2)
case("cut_contiguous", ["cut_contiguous.h5"], data, bad={at: ["truncated", "not complete"] for at in range(2, 6)}, notes=["ends too early"])
unclosed = h5py.File("unclosed.h5", "w", libver="latest")
stack = unclosed.create_dataset("s", data=data, chunks=(1, NY, NX), maxshape=(None, NY, NX))
unclosed.flush()
case("unclosed", ["unclosed.h5"], data, notes=["not closed by its writer"])

with open("cases.json", "w") as file:
    json.dump(cases, file)
sys.stdout.flush()
# As a writer that is killed.
os._exit(0)
