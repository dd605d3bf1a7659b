"""Seconds a frame that h5py + hdf5plugin + pyFAI need on the frames of an Eiger's master, written to HDF5, and the pattern of frame 0.

    eiger.py MASTER.h5 GEOMETRY.poni PATTERNS.h5 BINS THREADS FRAMES

Fair to them: their fast path (CSR of bounding boxes, made before anything is timed, solid angle resident and known by checksum), in
THREADS processes of one thread each, and in one process of THREADS threads; the faster of the two counts. One pass that is not timed comes first.
"""
import json
import multiprocessing
import os
import sys
import time

master, poni, output, bins, threads, frames = *sys.argv[1:4], *map(int, sys.argv[4:7])


class Peer:
    """An integrator, made once."""

    def __init__(self):
        import h5py
        import hdf5plugin  # noqa: F401, it registers its filters
        import numpy
        import pyFAI
        self.file = h5py.File(master)
        names = sorted(name for name in self.file["entry/data"] if name.startswith("data_"))
        self.stacks = [self.file["entry/data"][name] for name in names]
        self.places = [(stack, n) for stack in self.stacks for n in range(len(stack))]
        ai = pyFAI.load(poni)
        mask = self.file["entry/instrument/detector/detectorSpecific/pixel_mask"][()] != 0
        ai.detector.mask = mask | (ai.detector.mask != 0)
        self.frame = numpy.empty(mask.shape, self.stacks[0].dtype)
        image = self.read(0)
        ai.integrate1d(image, bins, unit="q_nm^-1", method=("bbox", "csr", "cython"))
        self.csr = next(e.engine for e in ai.engines.values() if e.engine is not None)
        self.dummy, self.delta = ai.detector.get_dummies(image)
        self.solid, _ = ai._normalize_solidangle(image.shape, True, with_checksum=True)

    def read(self, index):
        """The pixels of a frame."""
        stack, n = self.places[index]
        stack.read_direct(self.frame, n)
        return self.frame

    def pattern(self, index):
        """A frame's pattern."""
        image = self.read(index)
        return self.csr.integrate_ng(image, dummy=self.dummy, delta_dummy=self.delta, solidangle=self.solid).intensity


def with_threads(count):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)


def write(rows):
    import h5py
    with h5py.File(output, "w") as file:
        file["patterns"] = rows


def one_process(rows):
    peer = Peer()
    peer.pattern(0)
    begun = time.perf_counter()
    for index in range(frames):
        rows[index] = peer.pattern(index)
    write(rows)
    return time.perf_counter() - begun


def many_processes(rows):
    context = multiprocessing.get_context("fork")
    ready, go = context.Barrier(threads + 1), context.Barrier(threads + 1)
    done = context.Barrier(threads + 1)

    def work(first):
        peer = Peer()
        peer.pattern(0)
        ready.wait()
        go.wait()
        for index in range(first, frames, threads):
            rows[index] = peer.pattern(index)
        done.wait()

    workers = [context.Process(target=work, args=(first,), daemon=True) for first in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = time.perf_counter()
    go.wait()
    done.wait()
    write(rows)
    seconds = time.perf_counter() - begun
    for worker in workers:
        worker.join()
    return seconds


def alone(way, count, rows):
    """A way in a process of its own: libraries read how many threads there are when they are loaded."""
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()

    def work():
        with_threads(count)
        answer.put(way(rows))

    process = context.Process(target=work)
    process.start()
    seconds = answer.get()
    process.join()
    return seconds


def main():
    import mmap

    import numpy
    shared = mmap.mmap(-1, 4 * frames * bins)
    rows = numpy.frombuffer(shared, numpy.float32).reshape(frames, bins)
    ways = [("h5py + hdf5plugin + pyFAI, one process", one_process, threads)]
    if threads > 1:
        ways.append((f"h5py + hdf5plugin + pyFAI, {threads} processes", many_processes, 1))
    seconds, how = min((alone(way, count, rows), name) for name, way, count in ways)
    print(json.dumps({"seconds": seconds / frames, "how": how, "first": rows[0].tolist()}))


main()
