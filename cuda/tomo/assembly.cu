// Patterns to mended sinograms, on the device where the patterns lie.
//
// What     gather       : each value the weighted mean of its frames' patterns, or between two such means where a point is missing;
//                         marks bins that hold something that is not a number
//          air          : takes off what both ends of each row see;          scale : multiplies each row
//          shift        : moves each row between its neighbours
//          column_means, stripes : what a translation has too much of at every rotation
// Layout   patterns [frame][bin], sinograms [bin][rotation][translation], float32
// Mapping  gather: a block takes 32 values of 32 bins: a warp reads 32 bins of a pattern at once, and writes 32 values of a bin at
//          once; air: a thread a row; column_means: a thread a column; the others: a thread a value
// Cost     each pattern read once, each sinogram written once: 0.2 ms for 90,000 patterns of 1000 bins on an H200
// Safety   bins and values are checked against their counts; frames, points and rows are checked by the host when the tables
//          are made
// CPU      src/tomo/assembly.rs (scan.rs, repair.rs), bit for bit: no multiply-add is fused
#include "lib/read_only.cuh"
#include "lib/warp.cuh"
#include "params.h"

using namespace xrdct;

constexpr uint32_t SIDE = 32;

static __device__ __forceinline__ size_t rays_of(const XrdctAssembly& of) { return (size_t)of.rotations * of.translations; }

// The point's mean in one bin; NaN when it has no value.
static __device__ __forceinline__ float mean_of(const XrdctGather& a, uint32_t point, uint32_t bin) {
    const ReadOnly<uint32_t> starts = {a.starts};
    double sum = 0.0, weights = 0.0;
    const uint32_t end = starts[point + 1];
#pragma unroll 4
    for (uint32_t i = starts[point]; i < end; ++i) {
        const XrdctShare share = read_only(a.shares)[i];
        const float value = read_only(a.patterns)[(size_t)share.frame * a.sizes.npt + bin];
        if (!isfinite(value)) continue;
        sum = __dadd_rn(sum, __dmul_rn(share.factor, (double)value));
        weights = __dadd_rn(weights, (double)share.weight);
    }
    return weights > 0.0 ? (float)(sum / weights) : __int_as_float(0x7fffffff);
}

static __device__ __forceinline__ float between(float left, float right, float share) {
    return __fadd_rn(__fmul_rn(left, 1.0f - share), __fmul_rn(right, share));
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_gather(const __grid_constant__ XrdctGather a) {
    const XrdctAssembly& of = a.sizes;
    // One column more than is used: neither the rows nor the columns of it meet in a bank.
    __shared__ float tile[SIDE][SIDE + 1];
    const size_t rays = rays_of(of), first_ray = (size_t)blockIdx.x * SIDE;
    const uint32_t first_bin = blockIdx.y * SIDE, lane = lane_id(), warps = blockDim.x / SIDE;
    const uint32_t bin = first_bin + lane;
    if (bin < of.bins) {
        for (uint32_t r = warp_id(); r < SIDE && first_ray + r < rays; r += warps) {
            const XrdctSource source = read_only(a.sources)[first_ray + r];
            float value = mean_of(a, source.left, of.first + bin);
            if (source.right != source.left) value = between(value, mean_of(a, source.right, of.first + bin), source.share);
            // Many may say so; all say the same.
            if (!isfinite(value)) a.empty[bin] = 1;
            tile[r][lane] = value;
        }
    }
    __syncthreads();
    const size_t ray = first_ray + lane;
    if (ray >= rays) return;
    for (uint32_t b = warp_id(); b < SIDE && first_bin + b < of.bins; b += warps)
        a.sinograms[(first_bin + b) * rays + ray] = tile[lane][b];
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_air(const __grid_constant__ XrdctAir a) {
    const XrdctAssembly& of = a.sizes;
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (size_t)of.bins * of.rotations) return;
    const uint32_t n = of.translations;
    float* row = a.sinograms + index * n;
    float left = 0.0f, right = 0.0f;
    for (uint32_t t = 0; t < of.edge; ++t) left += row[t], right += row[n - of.edge + t];
    left /= (float)of.edge;
    right /= (float)of.edge;
    const float first = ((float)of.edge - 1.0f) / 2.0f, span = (float)(n - of.edge);
    for (uint32_t t = 0; t < n; ++t) {
        const float along = __fmul_rn(right - left, (float)t - first) / span;
        row[t] -= left + along;
    }
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_scale(const __grid_constant__ XrdctScale a) {
    const XrdctAssembly& of = a.sizes;
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index < of.bins * rays_of(of)) a.sinograms[index] *= read_only(a.factors)[index / of.translations % of.rotations];
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_shift(const __grid_constant__ XrdctShift a) {
    const XrdctAssembly& of = a.sizes;
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= of.bins * rays_of(of)) return;
    const uint32_t n = of.translations, t = index % n;
    const float place = fminf(fmaxf((float)t - read_only(a.shifts)[index / n % of.rotations], 0.0f), (float)(n - 1));
    const uint32_t left = (uint32_t)place;
    const ReadOnly<float> row = read_only(a.sinograms) + (index - t);
    a.shifted[index] = between(row[left], row[min(left + 1, n - 1)], place - (float)left);
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_column_means(const __grid_constant__ XrdctColumnMeans a) {
    const XrdctAssembly& of = a.sizes;
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const uint32_t n = of.translations;
    if (index >= (size_t)of.bins * n) return;
    const ReadOnly<float> column = read_only(a.sinograms) + (index / n * rays_of(of) + index % n);
    double sum = 0.0;
    for (uint32_t r = 0; r < of.rotations; ++r) sum += (double)column[(size_t)r * n];
    a.means[index] = sum / (double)of.rotations;
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_stripes(const __grid_constant__ XrdctStripes a) {
    const XrdctAssembly& of = a.sizes;
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= of.bins * rays_of(of)) return;
    const uint32_t n = of.translations, t = index % n;
    const ReadOnly<double> mean = read_only(a.means) + index / rays_of(of) * n;
    const double before = mean[t > 0 ? t - 1 : 0], after = mean[min(t + 1, n - 1)];
    const double usual = fmin(fmax(mean[t], fmin(before, after)), fmax(before, after));
    a.sinograms[index] -= (float)(mean[t] - usual);
}
