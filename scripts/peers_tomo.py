#!/usr/bin/env python3
"""Today's other programs on the sinograms of `xrdct bench tomo --peers`: scikit-image and silx's OpenCL.

    peers_tomo.py REQUEST.json ANSWER.json

xrdct writes the request and the sinograms (float32, bins x rotations x translations), and reads the answer; the script is
embedded in it. Fair to the peers: everything that a scan needs once is made before the clock starts, one slice is
reconstructed before that, and a row's figure is the median of its runs. A row that cannot be says why.
"""
import json
import multiprocessing
import sys
import time

SINOGRAMS, REQUEST = None, None


def load(request):
    """The sinograms, for this process."""
    global SINOGRAMS, REQUEST
    import numpy
    REQUEST = request
    shape = (-1, len(request["angles"]), request["translations"])
    SINOGRAMS = numpy.fromfile(request["sinograms"], dtype=numpy.float32).reshape(shape)


def iradon(index):
    """One slice by scikit-image."""
    from skimage.transform import iradon as reconstruct
    sinogram = SINOGRAMS[index % len(SINOGRAMS)]
    return reconstruct(sinogram.T, theta=REQUEST["angles"], filter_name="ramp", circle=True)


def per_slice(work, seconds, runs):
    """Median of the seconds that a slice takes."""
    took = []
    for _ in range(runs):
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds or done == 0:
            done += work()
        took.append((time.perf_counter() - begun) / done)
    return sorted(took)[len(took) // 2]


def scikit_image(request):
    """One process, and as many as there are threads."""
    import skimage
    seconds, runs, threads = request["seconds"], request["runs"], request["threads"]
    slice_0 = iradon(0)
    count = [0]

    def one():
        iradon(count[0])
        count[0] += 1
        return 1

    rows = [{"key": "scikit-image", "name": "scikit-image iradon", "words": "one process, one slice after another",
             "seconds": per_slice(one, seconds, runs), "slice": slice_0.astype("f4").ravel().tolist()}]
    if threads > 1:
        with multiprocessing.get_context("spawn").Pool(threads, load, (request,)) as pool:
            pool.map(iradon, range(threads), 1)
            rows.append({"key": "scikit-image-pool", "name": f"scikit-image iradon, {threads} processes",
                         "words": "slices shared out",
                         "seconds": per_slice(lambda: len(pool.map(iradon, range(4 * threads), 1)), seconds, runs)})
    return rows, {"scikit-image": skimage.__version__}


def silx(request):
    """silx's OpenCL back-projection: as its users call it, and without filter and copies."""
    import numpy
    import pyopencl
    import pyopencl.array
    import silx as package
    from silx.opencl.backprojection import Backprojection
    gpu = [(p, d, device.name.strip()) for p, platform in enumerate(pyopencl.get_platforms())
           for d, device in enumerate(platform.get_devices()) if device.type & pyopencl.device_type.GPU]
    anyone = [(p, d, device.name.strip()) for p, platform in enumerate(pyopencl.get_platforms())
              for d, device in enumerate(platform.get_devices())]
    if not anyone:
        raise RuntimeError("no OpenCL device")
    platform, device, name = (gpu or anyone)[0]
    shape = (len(request["angles"]), request["translations"])
    fbp = Backprojection(shape, angles=numpy.radians(request["angles"]), axis_position=request["axis"],
                         platformid=platform, deviceid=device)
    slice_0 = fbp(SINOGRAMS[0])
    count = [0]

    def whole():
        fbp(SINOGRAMS[count[0] % len(SINOGRAMS)])
        count[0] += 1
        return 1

    seconds, runs = request["seconds"], request["runs"]
    rows = [{"key": "silx", "name": "silx OpenCL FBP", "words": f"numpy to numpy, {name}",
             "seconds": per_slice(whole, seconds, runs), "slice": slice_0.astype("f4").ravel().tolist()},
            {"key": "silx-kernel", "name": "silx OpenCL back-projection alone",
             "words": f"filtered rows and slices stay on the device, {name}"}]
    sinogram = pyopencl.array.to_device(fbp.queue, SINOGRAMS[0])
    output = pyopencl.array.empty(fbp.queue, (shape[1], shape[1]), numpy.float32)

    def on_device():
        for _ in range(50):
            fbp.backprojection(sinogram, output=output)
        fbp.queue.finish()
        return 50

    try:
        on_device()
        rows[1]["seconds"] = per_slice(on_device, seconds, runs)
    except TypeError as error:  # where OpenCL has no textures (PoCL), silx 3.1.3 takes no array of the device
        rows[1]["missing"] = f"silx on a device without textures: {error}"
    return rows, {"silx": package.version, "pyopencl": pyopencl.VERSION_TEXT}


def main():
    """Measures, writes."""
    request_path, answer_path = sys.argv[1:3]
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    load(request)
    import numpy
    rows, versions = [], {"python": sys.version.split()[0], "numpy": numpy.__version__}
    for key, name, peer in (("scikit-image", "scikit-image iradon", scikit_image), ("silx", "silx OpenCL FBP", silx)):
        try:
            found, who = peer(request)
            rows += found
            versions.update(who)
        except Exception as error:  # a peer that is not there, or has no device: its row says so
            rows.append({"key": key, "name": name, "words": "", "missing": f"{type(error).__name__}: {error}"})
    with open(answer_path, "w", encoding="utf-8") as file:
        json.dump({"rows": rows, "versions": versions}, file)


if __name__ == "__main__":
    main()
