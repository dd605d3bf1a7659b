#!/usr/bin/env python3
"""Chunks of HDF5's filters 32004 and 32008, as hdf5plugin packs and reads them.

usage: blocks.py write FOLDER       packs images; for each NAME.packed, NAME.bytes and a line on standard output
       blocks.py read FOLDER        reads NAME.packed of each line of FOLDER/list through the filter: it must be NAME.bytes
       blocks.py chunks FOLDER DIR  every such chunk of the HDF5 files in DIR, as `write` does

A line is "NAME FILTER SIZE BLOCK ELEMENTS": lz4, none, bslz4 or bszstd; bytes of an element; elements of a block (0: default).
"""
import pathlib
import sys

import h5py
import hdf5plugin
import numpy

COMPRESSIONS = {"none": 0, "bslz4": 2, "bszstd": 3}


def options(filter_name, size, block):
    """What create_dataset takes for a filter."""
    if filter_name == "lz4":
        return {"compression": hdf5plugin.LZ4.filter_id, "compression_opts": (block * size,)}
    return {"compression": hdf5plugin.Bitshuffle.filter_id, "compression_opts": (block, COMPRESSIONS[filter_name])}


def counts(rng, dtype, elements):
    data = rng.poisson(1.5, elements).astype(dtype)
    data[rng.integers(0, elements, elements // 50)] = rng.integers(0, numpy.iinfo(dtype).max, elements // 50, dtype=dtype)
    data[elements // 2:elements // 2 + elements // 10] = numpy.iinfo(dtype).max
    return data


def save(folder, name, packed, data, line):
    (folder / f"{name}.packed").write_bytes(packed)
    (folder / f"{name}.bytes").write_bytes(data.tobytes())
    print(line)


def write(folder):
    rng = numpy.random.default_rng(7)
    with h5py.File(folder / "written.h5", "w") as h5:
        for filter_name in ("lz4", "none", "bslz4", "bszstd"):
            for dtype in ("u1", "u2", "u4", "u8"):
                for elements in (1, 8, 100, 2048, 30001):
                    for block in (0, 8, 520):
                        data = counts(rng, dtype, elements)
                        size = data.itemsize
                        name = f"{filter_name}-{dtype}-{elements}-{block}"
                        dataset = h5.create_dataset(name, data=data, chunks=data.shape, **options(filter_name, size, block))
                        mask, packed = dataset.id.read_direct_chunk((0,))
                        assert mask == 0, name
                        assert (dataset[()] == data).all(), name
                        save(folder, name, packed, data, f"{name} {filter_name} {size} {block} {elements}")


def read(folder):
    lines = (folder / "list").read_text().splitlines()
    with h5py.File(folder / "read.h5", "w") as h5:
        for line in lines:
            name, filter_name, size, block, elements = line.split()
            size, block, elements = int(size), int(block), int(elements)
            dataset = h5.create_dataset(name, (elements,), f"u{size}", chunks=(elements,), **options(filter_name, size, block))
            dataset.id.write_direct_chunk((0,), (folder / f"{name}.packed").read_bytes())
    with h5py.File(folder / "read.h5") as h5:
        for line in lines:
            name = line.split()[0]
            assert h5[name][()].tobytes() == (folder / f"{name}.bytes").read_bytes(), line
    print(f"{len(lines)} chunks read")


def chunks(folder, source):
    names = {number: name for name, number in COMPRESSIONS.items()}
    for path in sorted(source.glob("*.h5")):
        with h5py.File(path) as h5:
            found = []
            h5.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in found:
                dataset = h5[name]
                plist = dataset.id.get_create_plist()
                filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
                if len(filters) != 1 or filters[0][0] not in (hdf5plugin.LZ4.filter_id, hdf5plugin.Bitshuffle.filter_id):
                    continue
                number, _, values, _ = filters[0]
                is_lz4 = number == hdf5plugin.LZ4.filter_id
                filter_name, block = ("lz4", 0) if is_lz4 else (names[values[4] if len(values) > 4 else 0], values[3])
                for i in range(dataset.id.get_num_chunks()):
                    offset = dataset.id.get_chunk_info(i).chunk_offset
                    mask, packed = dataset.id.read_direct_chunk(offset)
                    area = tuple(slice(o, o + c) for o, c in zip(offset, dataset.chunks))
                    data = dataset[area]
                    if mask or data.shape != dataset.chunks:
                        continue
                    label = f"{path.stem}-{name.replace('/', '-')}-{i}"
                    save(folder, label, packed, data, f"{label} {filter_name} {data.itemsize} {block} {data.size}")


def main():
    folder = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "write":
        write(folder)
    elif sys.argv[1] == "read":
        read(folder)
    else:
        chunks(folder, pathlib.Path(sys.argv[3]))


if __name__ == "__main__":
    main()
