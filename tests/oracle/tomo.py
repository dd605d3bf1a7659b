"""Filtered back-projection beside scikit-image's: writes what xrdct is to be compared with.

tomo.py FOLDER: for each filter FOLDER/<filter>.f32 (iradon's slice), and FOLDER/sinogram.f32, truth.f32 (Shepp-Logan, 64 x 64,
made asymmetric), FOLDER/astra.f32 (ASTRA's FBP of the same sinogram, linear projector) and FOLDER/silx.f32
(silx's OpenCL FBP).
"""
import pathlib
import sys

import numpy
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, resize

folder = pathlib.Path(sys.argv[1])
N, ANGLES = 64, numpy.arange(60) * 3.0
truth = resize(shepp_logan_phantom(), (N, N), anti_aliasing=True)
truth[14:20, 40:50] += 0.5  # no longer the same when mirrored or turned
yy, xx = numpy.mgrid[:N, :N] - N // 2
truth[xx**2 + yy**2 > (N // 2 - 1) ** 2] = 0
sinogram = radon(truth, ANGLES, circle=True)  # (translation, rotation)


def save(name, array):
    numpy.ascontiguousarray(array, dtype="<f4").tofile(folder / f"{name}.f32")


save("truth", truth)
save("sinogram", sinogram.T)
for name in ("ramp", "shepp-logan", "cosine", "hamming", "hann"):
    save(name, iradon(sinogram, ANGLES, circle=False, filter_name=name, output_size=N))

import astra

geometry = astra.create_proj_geom("parallel", 1.0, N, numpy.radians(ANGLES))
volume = astra.create_vol_geom(N, N)
projector = astra.create_projector("linear", geometry, volume)
data = astra.data2d.create("-sino", geometry, sinogram.T.astype("f4"))
image = astra.data2d.create("-vol", volume)
config = astra.astra_dict("FBP")
config.update(ReconstructionDataId=image, ProjectionDataId=data, ProjectorId=projector)
astra.algorithm.run(astra.algorithm.create(config))
save("astra", astra.data2d.get(image))

# On PoCL where there is no GPU.
from silx.opencl.backprojection import Backprojection

fbp = Backprojection((len(ANGLES), N), angles=numpy.radians(ANGLES), axis_position=N / 2)
save("silx", fbp(numpy.ascontiguousarray(sinogram.T, dtype="f4")))
print("scikit-image, ASTRA and silx: ok")
