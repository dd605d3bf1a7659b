// Patterns that stay on the device: S / N of a batch's frames, each in the row of its frame.
//
// What     S over N times the factor of the frame, as the host computes it of the same sums, bit for bit; `empty` where no pixel counts
// Layout   sums [frame][bin] float64, deficits [frame][N, N2, C][bin] in fixed point; patterns [row][bin] float32
// Mapping  blockIdx.y = frame of the batch; a thread takes a bin
// Cost     12 bytes a bin: nothing beside the sums
// Safety   rows are checked by the caller; frames that are not good leave their row as it is, and the host makes those NaN again
//          that it finds implausible (DevicePatterns::forget)
// CPU      pattern in src/integrate/pattern.rs and CudaEngine::norms_without (src/cuda)
#include "lib/read_only.cuh"
#include "params.h"

using namespace xrdct;

static __device__ __forceinline__ double norm(double all_valid, long long sum, long long lost, float scale) {
    return lost == 0 ? all_valid : (double)(sum - lost) / (double)scale;
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_patterns(const __grid_constant__ XrdctKeep a) {
    const uint32_t bin = blockIdx.x * blockDim.x + threadIdx.x, frame = blockIdx.y, bins = a.recipe.bins;
    if (bin >= bins || read_only(a.verdicts)[frame].status != XRDCT_GOOD) return;
    const ReadOnly<double> norms = {a.norms};
    double n = norms[bin], n2 = norms[bins + bin];
    if (a.deficits) {
        const ReadOnly<long long> fixed = read_only_as<long long>(a.fixed);
        const ReadOnly<long long> lost = read_only_as<long long>(a.deficits) + ((size_t)frame * XRDCT_DEFICITS * bins + bin);
        n = norm(n, fixed[bin], lost[0], a.recipe.scale_n);
        n2 = norm(n2, fixed[bins + bin], lost[bins], a.recipe.scale_n2);
    }
    const double s = read_only(a.signal)[(size_t)frame * bins + bin];
    a.patterns[(size_t)a.rows.row[frame] * bins + bin] = n2 <= 0.0 ? a.rows.empty : (float)(s / (n * a.rows.factor[frame]));
}
