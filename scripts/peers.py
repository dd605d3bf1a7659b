#!/usr/bin/env python3
"""Today's other programs on the frames of `xrdct bench table1 --peers`: FabIO + pyFAI, and silx + pyFAI on OpenCL.

    peers.py REQUEST.json ANSWER.json

xrdct writes the request and reads the answer; the script is embedded in it. Fair to the peers: their documented fast paths
(CSR of bounding boxes, no MD5 check, matrix and solid angle resident and known by checksum, no sums that nobody asked for),
one warm-up before anything is timed, medians. What is timed is what xrdct times of itself: from the first file that is
opened to the last pattern in the HDF5 dataset; making and closing the file are left out.

Rows: one process that does everything in turn (on the CPU, OpenMP as they like it; on OpenCL); a pool of reading threads
before one integrator (the paper's second strategy); processes that each do everything on one core; silx's byte-offset
decoder on the device before pyFAI's integrator there (the paper's third strategy), in one and in several processes.
"""
import ctypes
import json
import multiprocessing
import os
import queue
import sys
import threading
import time

PROCESSES_OPENCL = (4, 8, 14)
READERS = (2, 4)
# A run that is not measured comes first; it ends after so many seconds.
WARM_UP = 1.0


def versions():
    """Versions of everything that takes part."""
    import fabio
    import h5py
    import numpy
    import pyFAI
    import silx
    found = {"python": sys.version.split()[0], "FabIO": fabio.version, "pyFAI": pyFAI.version, "silx": silx.version,
             "numpy": numpy.__version__, "h5py": h5py.__version__}
    try:
        import pyopencl
        found["pyopencl"] = pyopencl.VERSION_TEXT
    except ImportError:
        pass
    return found


def opencl_target():
    """(platform, device, name) of the first GPU, else of the first device; or the reason why there is none."""
    try:
        import pyopencl
        platforms = pyopencl.get_platforms()
    except Exception as error:  # the loader has its own exceptions, and raises ImportError for a missing library
        return None, f"no OpenCL for the peers: {type(error).__name__}: {error}"
    devices = [(p, d, device) for p, platform in enumerate(platforms) for d, device in enumerate(platform.get_devices())]
    gpus = [found for found in devices if found[2].type & pyopencl.device_type.GPU]
    for platform, device, found in gpus or devices:
        return (platform, device, found.name.strip()), None
    return None, "no OpenCL device for the peers"


class Peer:
    """Integrators of one process, made when first used and kept."""

    def __init__(self, request):
        import fabio.cbfimage
        import numpy
        import pyFAI
        self.numpy, self.cbf = numpy, fabio.cbfimage.CbfImage
        self.files, self.npt = request["files"], request["npt"]
        first = self.decoded(0)
        self.shape, self.dtype = first.shape, first.dtype
        ai = pyFAI.load(request["poni"])
        ai.integrate1d(first, self.npt, unit=request["unit"], method=("bbox", "csr", "cython"))
        self.csr = next(e.engine for e in ai.engines.values() if e.engine is not None)
        self.dummy, self.delta = ai.detector.get_dummies(first)
        self.solid, self.solid_crc = ai._normalize_solidangle(first.shape, True, with_checksum=True)
        self.target, self.ocl, self.decoder = request.get("opencl"), None, None

    def raw(self, index):
        """The packed bytes of a frame."""
        return self.cbf().read(self.files[index], check_MD5=False, only_raw=True)

    def decoded(self, index):
        """The pixels of a frame."""
        return self.cbf().read(self.files[index], check_MD5=False).data

    def cython(self, image):
        """pyFAI on the CPU."""
        return self.csr.integrate_ng(image, dummy=self.dummy, delta_dummy=self.delta, solidangle=self.solid).intensity

    def opencl(self, image):
        """pyFAI on the device."""
        if self.ocl is None:
            from pyFAI.opencl.azim_csr import OCL_CSR_Integrator
            self.ocl = OCL_CSR_Integrator(self.csr.lut, image_size=self.shape[0] * self.shape[1],
                                          checksum=self.csr.lut_checksum, empty=0.0, unit=self.csr.unit,
                                          bin_centers=self.csr.bin_centers, platformid=self.target[0],
                                          deviceid=self.target[1], mask_checksum=self.csr.mask_checksum)
        return self.ocl.integrate_ng(image, dummy=self.dummy, delta_dummy=self.delta, solidangle=self.solid,
                                     solidangle_checksum=self.solid_crc, out_merged=False, out_sem=False,
                                     out_std=False).intensity

    def silx(self, raw):
        """silx decodes on the device, pyFAI integrates there."""
        if self.decoder is None:
            from silx.opencl.codec.byte_offset import ByteOffset
            self.opencl(self.decoded(0))
            self.decoder = ByteOffset(len(raw), self.shape[0] * self.shape[1], ctx=self.ocl.ctx)
            # One queue for both: what is decoded is there before it is integrated.
            self.decoder.queue = self.ocl.queue
        raw = self.numpy.frombuffer(raw, dtype=self.numpy.int8)
        return self.opencl(self.decoder.decode(raw, as_float=True))

    def one(self, kind, index):
        """Everything for one frame."""
        if kind == "silx":
            return self.silx(self.raw(index))
        return getattr(self, kind)(self.decoded(index))


class Sequential:
    """One frame after the other on one thread."""

    def __init__(self, peer, kind):
        self.peer, self.kind = peer, kind

    def run(self, rows, deadline):
        for index in range(len(self.peer.files)):
            rows[index] = self.peer.one(self.kind, index)
            if time.perf_counter() > deadline:
                return index + 1
        return len(self.peer.files)


class Pool:
    """Threads that read and decode; the caller's thread integrates and writes."""

    def __init__(self, peer, kind, readers):
        self.peer, self.kind, self.readers = peer, kind, readers

    def run(self, rows, deadline):
        count = len(self.peer.files)
        todo, ready = iter(range(count)), queue.Queue(maxsize=2 * self.readers)
        lock, integrate = threading.Lock(), getattr(self.peer, self.kind)

        def read():
            while time.perf_counter() < deadline:
                with lock:
                    index = next(todo, None)
                if index is None:
                    break
                ready.put((index, self.peer.decoded(index)))
            ready.put(None)

        threads = [threading.Thread(target=read, daemon=True) for _ in range(self.readers)]
        for thread in threads:
            thread.start()
        done = open_threads = 0
        while open_threads < self.readers:
            item = ready.get()
            if item is None:
                open_threads += 1
                continue
            rows[item[0]] = integrate(item[1])
            done += 1
        for thread in threads:
            thread.join()
        return done


def work(request, patterns, next_frame, pipe):
    """A process that does everything for the frames that it takes; waits for orders in between."""
    try:
        import numpy
        # Patterns are written where the parent process reads them.
        rows = numpy.frombuffer(patterns, dtype=numpy.float32).reshape(-1, request["npt"])
        peer = Peer(request)
        pipe.send(None)
        while (order := pipe.recv()) is not None:
            kind, seconds = order
            try:
                done, deadline = 0, time.perf_counter() + seconds
                while time.perf_counter() < deadline:
                    with next_frame.get_lock():
                        index = next_frame.value
                        next_frame.value += 1
                    if index >= len(peer.files):
                        break
                    rows[index] = peer.one(kind, index)
                    done += 1
                pipe.send(done)
            except Exception as error:
                pipe.send(f"{type(error).__name__}: {error}")
    except (EOFError, KeyboardInterrupt):
        pass
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


class Workers:
    """Processes, started once and used by several rows."""

    def __init__(self, request, count):
        context = multiprocessing.get_context("spawn")
        self.count, self.npt = len(request["files"]), request["npt"]
        self.patterns = context.RawArray(ctypes.c_float, self.count * self.npt)
        self.next_frame = context.Value("q", 0)
        # Each on one core: they share the machine among themselves.
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"
        self.pipes, self.processes = [], []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(request, self.patterns, self.next_frame, theirs), daemon=True)
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
        for pipe in self.pipes:
            if (failure := pipe.recv()) is not None:
                raise RuntimeError(failure)

    def close(self):
        for pipe, process in zip(self.pipes, self.processes):
            pipe.send(None)
            process.join()


class Processes:
    """Some of the workers."""

    def __init__(self, workers, kind, count):
        self.workers, self.kind, self.count = workers, kind, count

    def run(self, rows, deadline):
        import numpy
        self.workers.next_frame.value = 0
        pipes = self.workers.pipes[: self.count]
        for pipe in pipes:
            pipe.send((self.kind, deadline - time.perf_counter()))
        answers = [pipe.recv() for pipe in pipes]
        failures = [answer for answer in answers if isinstance(answer, str)]
        if failures:
            raise RuntimeError(failures[0])
        done = sum(answers)
        found = numpy.frombuffer(self.workers.patterns, dtype=numpy.float32).reshape(-1, self.workers.npt)
        rows[:done] = found[:done]
        return done


def chill(files):
    """Drops the files' pages from the cache; xrdct has verified that this works for them."""
    for name in files:
        descriptor = os.open(name, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def warm(files):
    """Reads every file once."""
    for name in files:
        with open(name, "rb", buffering=0) as file:
            file.readall()


def timed(row, request, seconds):
    """One run of a row: frames a second, frames, and the pattern of frame 0."""
    import h5py
    output = os.path.join(request["results"], "peer.h5")
    with h5py.File(output, "w") as h5:
        rows = h5.create_dataset("intensity", (len(request["files"]), request["npt"]), "f4")
        start = time.perf_counter()
        done = row.run(rows, start + seconds)
        elapsed = time.perf_counter() - start
        first = rows[0].tolist()
    os.remove(output)
    return done / elapsed, done, first


def plan(request):
    """Every row: key, name, words, whether it needs OpenCL, and how it is made."""
    threads = request["threads"]
    device = request["opencl"][2] if request["opencl"] else "no device"

    def sequential(kind):
        return lambda peer, workers: Sequential(peer, kind)

    def pool(kind, readers):
        return lambda peer, workers: Pool(peer, kind, readers)

    def processes(kind, count):
        return lambda peer, workers: Processes(workers, kind, count)

    rows = [("peer-sequential", "FabIO + pyFAI, sequential", f"one thread reads, {threads} integrate (Cython CSR)", False,
             sequential("cython"))]
    rows += [(f"peer-pool-{n}", f"FabIO pool of {n} + pyFAI", f"{n} threads read, {threads} integrate (Cython CSR)", False,
              pool("cython", n)) for n in READERS]
    rows += [("peer-processes", f"FabIO + pyFAI, {threads} processes", "each reads and integrates on one core (Cython CSR)",
              False, processes("cython", threads)),
             ("peer-opencl", "FabIO + pyFAI OpenCL", f"one thread, {device}", True, sequential("opencl"))]
    rows += [(f"peer-opencl-pool-{n}", f"FabIO pool of {n} + pyFAI OpenCL", f"{n} threads read, {device}", True,
              pool("opencl", n)) for n in READERS]
    rows += [("peer-silx", "silx byte-offset + pyFAI OpenCL", f"one thread, {device}", True, sequential("silx"))]
    rows += [(f"peer-silx-{n}", f"silx + pyFAI OpenCL, {n} processes", f"{n} processes, {device}", True,
              processes("silx", n)) for n in PROCESSES_OPENCL]
    asked = request["rows"]
    return [row for row in rows if not asked or "peer" in asked or row[0] in asked]


def measure(request, say):
    """Every row that was asked for, in rounds, for every source."""
    request["opencl"], no_opencl = opencl_target()
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[: request["threads"]])
    rows = plan(request)
    answers = {key: {"key": key, "name": name, "words": words, "rates": {}, "frames": {}, "missing": {}, "first": None}
               for key, name, words, _, _ in rows}
    runnable = []
    peer, workers = Peer(request), None
    for key, name, words, needs_opencl, make in rows:
        if needs_opencl and no_opencl:
            answers[key]["missing"] = {source: no_opencl for source in request["sources"]}
        else:
            runnable.append((key, name, make))
    counts = [request["threads"]] * any(key == "peer-processes" for key, _, _ in runnable)
    counts += [n for n in PROCESSES_OPENCL if any(key == f"peer-silx-{n}" for key, _, _ in runnable)]
    if counts:
        say(f"peers: starting {max(counts)} processes")
        workers = Workers(request, max(counts))
    runnable = [(key, name, make(peer, workers)) for key, name, make in runnable]
    for source in request["sources"]:
        warm(request["files"])
        # Warmed up once; a row that failed then says so for every source.
        for key, name, row in runnable if source == request["sources"][0] else []:
            say(f"{source.upper():>3}  warming up  {name}")
            attempt(answers[key], source, lambda: timed(row, request, WARM_UP), keep=False)
        for turn in range(request["runs"]):
            for key, name, row in runnable:
                if answers[key]["missing"]:
                    answers[key]["missing"].setdefault(source, next(iter(answers[key]["missing"].values())))
                    continue
                if source == "ssd":
                    chill(request["files"])
                rate = attempt(answers[key], source, lambda: timed(row, request, request["run_seconds"]), keep=True)
                if rate is not None:
                    say(f"{source.upper():>3}  run {turn + 1} of {request['runs']}  {name:<34}{rate:>9.1f} frames/s")
    if workers is not None:
        workers.close()
    return {"versions": versions(), "rows": list(answers.values())}


def attempt(answer, source, run, keep):
    """Runs once; a row that fails is missing, with the reason."""
    try:
        rate, done, first = run()
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        answer["missing"][source] = f"failed: {type(error).__name__}: {first_line}"
        return None
    answer["first"] = first
    if keep:
        answer["rates"].setdefault(source, []).append(rate)
        answer["frames"][source] = min(answer["frames"].get(source, done), done)
    return rate


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    os.environ.setdefault("OMP_NUM_THREADS", str(request["threads"]))
    quiet = request["quiet"]
    answer = measure(request, lambda line: None if quiet else print(line, file=sys.stderr, flush=True))
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
