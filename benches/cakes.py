"""Seconds a frame that pyFAI's Cython needs to integrate frames in memory to bins of two axes, and the sums of frame 0.

    cakes.py FRAMES.npy GEOMETRY.poni RADIAL AZIMUTHAL THREADS REPEATS

Fair to it: the frames are decoded already, its matrix (CSR of bounding boxes) is made before anything is timed, the solid angle is resident.
In THREADS processes of one thread each, and in one process of THREADS threads; the faster of the two counts. One pass that is not timed
comes first.
"""
import json
import multiprocessing
import os
import sys
import time

frames, poni, radial, azimuthal, threads, repeats = *sys.argv[1:3], *map(int, sys.argv[3:7])


class Peer:
    """An integrator, made once."""

    def __init__(self):
        import numpy
        import pyFAI
        self.frames = numpy.load(frames)
        ai = pyFAI.load(poni)
        ai.integrate2d(self.frames[0], radial, azimuthal, unit="q_nm^-1", method=("bbox", "csr", "cython"))
        self.csr = next(e.engine for e in ai.engines.values() if e.engine is not None)
        self.dummy, self.delta = ai.detector.get_dummies(self.frames[0])
        self.solid, _ = ai._normalize_solidangle(self.frames[0].shape, True, with_checksum=True)

    def cake(self, index):
        frame = self.frames[index % len(self.frames)]
        return self.csr.integrate_ng(frame, dummy=self.dummy, delta_dummy=self.delta, solidangle=self.solid)


def worker(count, ready, go, done):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    peer = Peer()
    peer.cake(0)
    ready.wait()
    go.wait()
    for index in range(repeats):
        peer.cake(index)
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
    first = Peer().cake(0).signal.T.ravel()
    print(json.dumps({"seconds": took, "how": how, "sums": first.tolist()}))


main()
