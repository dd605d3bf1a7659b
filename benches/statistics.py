"""Seconds a frame that pyFAI's Cython needs for one statistic of frames in memory, and the intensities of frame 0.

    statistics.py FRAMES.npy GEOMETRY.poni THREADS REPEATS RADIAL AZIMUTHAL SPLIT FUNCTION ARGUMENTS

AZIMUTHAL is 0 for bins of one axis, FUNCTION a method of its CSR engine, ARGUMENTS what it is told, as JSON.

Fair to it: the frames are decoded already, its matrix is made before anything is timed, the solid angle is resident, its engine is called
itself, without the checksums of integrate1d. In THREADS processes of one thread each, and in one process of THREADS threads; the faster
of the two counts. One pass that is not timed comes first.
"""
import json
import multiprocessing
import os
import sys
import time

frames, poni, threads, repeats, radial, azimuthal = *sys.argv[1:3], *map(int, sys.argv[3:7])
split, function, arguments = *sys.argv[7:9], json.loads(sys.argv[9])


class Peer:
    """An engine, made once."""

    def __init__(self):
        import logging
        import numpy
        import pyFAI
        from pyFAI.containers import ErrorModel
        logging.disable(logging.WARNING)
        self.frames = numpy.load(frames)
        ai = pyFAI.load(poni)
        dummy, delta = ai.detector.get_dummies(self.frames[0])
        bins = [radial, azimuthal] if azimuthal else [radial]
        integrate = ai.integrate2d if azimuthal else ai.integrate1d
        integrate(self.frames[0], *bins, unit="q_nm^-1", method=(split, "csr", "cython"))
        csr = next(e.engine for e in ai.engines.values() if e.engine is not None)
        solid, _ = ai._normalize_solidangle(self.frames[0].shape, True, with_checksum=True)
        self.told = dict(arguments, dummy=dummy, delta_dummy=delta, solidangle=solid)
        if "error_model" in self.told:
            self.told["error_model"] = ErrorModel.parse(self.told["error_model"])
        self.run = getattr(csr, function)

    def integrate(self, index):
        return self.run(self.frames[index % len(self.frames)], **self.told)


def worker(count, ready, go, done):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    peer = Peer()
    peer.integrate(0)
    ready.wait()
    go.wait()
    for index in range(repeats):
        peer.integrate(index)
    done.wait()


def seconds(processes, count):
    """Seconds a frame of so many processes of so many threads."""
    context = multiprocessing.get_context("fork")
    ready, go, done = (context.Barrier(processes + 1) for _ in range(3))
    workers = [context.Process(target=worker, args=(count, ready, go, done), daemon=True) for _ in range(processes)]
    for one in workers:
        one.start()
    ready.wait()
    begun = time.perf_counter()
    go.wait()
    done.wait()
    took = time.perf_counter() - begun
    for one in workers:
        one.join()
    return took / (processes * repeats)


def main():
    ways = [("pyFAI's Cython, one process", 1, threads)]
    if threads > 1:
        ways.append((f"pyFAI's Cython, {threads} processes", threads, 1))
    took, how = min((seconds(processes, count), name) for name, processes, count in ways)
    import numpy
    first = Peer().integrate(0)
    with numpy.errstate(invalid="ignore"):
        intensities = numpy.nan_to_num(numpy.asarray(first.signal) / numpy.asarray(first.normalization))
    print(json.dumps({"seconds": took, "how": how, "intensities": intensities.ravel().tolist()}))


main()
