// Integration of a tile of pixels that is in shared memory, for a group of frames together.
//
// The matrix (bins x pixels) is cut into items: some sub-tiles of 1024 pixels in a row and the bins they touch, called
// slots. Within a sub-tile its rows (one bin's entries) are taken 32 at a time, a pass, one row a lane, neighbouring bins
// side by side: their pixels are neighbours too, so that lanes read different banks. A row's sum goes to its slot, in
// float64; nobody else touches that slot until the next barrier, so sums have one fixed order and the same bits on
// every run, whatever frames share the launch.
#ifndef XRDCT_TILES_CUH
#define XRDCT_TILES_CUH

#include "codec/byte_offset.cuh"

namespace xrdct {

constexpr uint32_t SUBTILE = XRDCT_SUBTILE_PIXELS;
constexpr uint32_t RING = XRDCT_RING_PIXELS;
constexpr uint32_t THREADS = XRDCT_INTEGRATE_THREADS;
constexpr uint32_t WARPS = THREADS / WARP;

// Where a pixel is in the ring: lanes write 16 pixels apart and read side by side, and neither may share banks.
__device__ __forceinline__ uint32_t swizzle(uint32_t place) { return place ^ (place >> 4 & 31); }

// The other way round (bit 4 first, then the four below it).
__device__ __forceinline__ uint32_t unswizzle(uint32_t place) {
    place ^= place >> 4 & 16;
    return place ^ (place >> 4 & 15);
}

// The matrix on the device (built by src/cuda/tiles.rs).
struct Matrix {
    const XrdctItem* items;
    const XrdctPart* parts;
    const XrdctPass* passes;
    const uint16_t* row_slot;      // [passes][32]
    const uint16_t* entry_pixel;   // [entries] swizzled place in the sub-tile
    const float* entry_weight;     // [entries]
};

// What else the sums need; null where it is not wanted.
struct Terms {
    const float* dark;             // [pixels]
    const float* normalization;    // [pixels], read for invalid pixels only
    const uint32_t* slot_bin;      // [total_slots]
    unsigned long long* deficits;  // [frames][XRDCT_DEFICITS][bins] fixed point
    double* signal;                // [frames][total_slots] partial sums
    double* variance;              // likewise
};

// A pixel's value as pyFAI takes it: float32, NaN when it is a dummy.
__device__ __forceinline__ float validated(float value, const XrdctRecipe& recipe) {
    const bool invalid = recipe.has_dummy && (recipe.delta_dummy == 0.0f ? value == recipe.dummy
                                                                          : fabsf(value - recipe.dummy) <= recipe.delta_dummy);
    return invalid ? __int_as_float(0x7FC00000) : value;
}

// The running value's low bits as the pixel's type.
__device__ __forceinline__ float as_pixel(uint32_t value, uint32_t pixel) {
    switch (pixel) {
        case XRDCT_I8: return (float)(int8_t)value;
        case XRDCT_U8: return (float)(uint8_t)value;
        case XRDCT_I16: return (float)(int16_t)value;
        case XRDCT_U16: return (float)(uint16_t)value;
        case XRDCT_I32: return (float)(int32_t)value;
        default: return (float)value;
    }
}

template <typename Sum>
struct RowSums {
    Sum signal, variance;
};

// A row with invalid pixels, once more and with care: sums without them, and what they take from the norms.
// Deficits are added in fixed point, so that the order of additions does not matter.
template <bool VARIANCE, typename Sum>
__device__ __noinline__ RowSums<Sum> careful_row(const float* pixels, const float* dark, const uint16_t* place_of,
                                                 const float* weight_of, uint32_t length, const float* normalization,
                                                 unsigned long long* deficit, const XrdctRecipe& recipe) {
    RowSums<Sum> sums = {0, 0};
    long long n = 0, n2 = 0, c = 0;
    for (uint32_t k = 0; k < length; ++k) {
        const uint32_t place = place_of[k * WARP];
        const float weight = weight_of[k * WARP];
        const float value = pixels[place];
        if (value == value) {
            sums.signal += (Sum)weight * (Sum)(dark ? value - dark[place] : value);
            if (VARIANCE) sums.variance += (Sum)(weight * weight) * (Sum)fmaxf(value, 1.0f);
        } else {
            const double norm = (double)weight * normalization[unswizzle(place)];
            n += __double2ll_rn(norm * recipe.scale_n);
            n2 += __double2ll_rn(norm * norm * recipe.scale_n2);
            c += __double2ll_rn((double)weight * recipe.scale_c);
        }
    }
    atomicAdd(deficit, (unsigned long long)n);
    atomicAdd(deficit + recipe.bins, (unsigned long long)n2);
    atomicAdd(deficit + 2 * recipe.bins, (unsigned long long)c);
    return sums;
}

// Shared memory of a block, one after another: ring [GROUP][RING], slots [GROUP][slots], variance slots, dark [SUBTILE].
template <int GROUP, bool VARIANCE>
struct Board {
    float* ring;
    double* signal;
    double* variance;
    float* dark;

    __device__ __forceinline__ Board(unsigned char* shared, uint32_t slots) {
        signal = reinterpret_cast<double*>(shared);
        variance = signal + GROUP * slots;
        ring = reinterpret_cast<float*>(variance + (VARIANCE ? GROUP * slots : 0));
        dark = ring + GROUP * RING;
    }
};

// Multiplies one sub-tile by its part of the matrix. Sum is float, or double where dark subtraction may cancel.
template <int GROUP, bool VARIANCE, typename Sum>
__device__ __forceinline__ void multiply(const Board<GROUP, VARIANCE>& board, const Matrix& matrix, const Terms& terms,
                                         const XrdctRecipe& recipe, const XrdctItem& item, uint32_t subtile,
                                         uint32_t first_frame) {
    const XrdctPart part = matrix.parts[item.first_part + subtile - item.first_subtile];
    const float* half = board.ring + (subtile & 1) * SUBTILE;
    const float* dark = terms.dark ? board.dark : nullptr;
    for (uint32_t p = warp_id(); p < part.passes; p += WARPS) {
        const XrdctPass pass = matrix.passes[part.first_pass + p];
        const uint32_t slot = matrix.row_slot[(part.first_pass + p) * WARP + lane_id()];
        const uint16_t* place_of = matrix.entry_pixel + pass.first_entry + lane_id();
        const float* weight_of = matrix.entry_weight + pass.first_entry + lane_id();
        Sum signal[GROUP];
        Sum variance[GROUP];
#pragma unroll
        for (int g = 0; g < GROUP; ++g) signal[g] = variance[g] = 0;
#pragma unroll 2
        for (uint32_t k = 0; k < pass.length; ++k) {
            const uint32_t place = place_of[k * WARP];
            const float weight = weight_of[k * WARP];
            const float below = dark ? dark[place] : 0.0f;
#pragma unroll
            for (int g = 0; g < GROUP; ++g) {
                const float value = half[g * RING + place];
                signal[g] += (Sum)weight * (Sum)(value - below);
                if (VARIANCE) variance[g] += (Sum)(weight * weight) * (Sum)fmaxf(value, 1.0f);
            }
        }
        if (slot == XRDCT_NO_SLOT) continue;
        Sum all = 0;
#pragma unroll
        for (int g = 0; g < GROUP; ++g) all += signal[g];
        const bool careful = all != all;
#pragma unroll
        for (int g = 0; g < GROUP; ++g) {
            if (careful && signal[g] != signal[g]) {
                const uint32_t bin = terms.slot_bin[item.first_slot + slot];
                const RowSums<Sum> sums = careful_row<VARIANCE, Sum>(
                    half + g * RING, dark, place_of, weight_of, pass.length, terms.normalization + subtile * SUBTILE,
                    terms.deficits + (size_t)(first_frame + g) * XRDCT_DEFICITS * recipe.bins + bin, recipe);
                signal[g] = sums.signal;
                variance[g] = sums.variance;
            }
            board.signal[g * item.slots + slot] += (double)signal[g];
            if (VARIANCE) board.variance[g * item.slots + slot] += (double)variance[g];
        }
    }
}

// The first step of the arena that holds codes of the sub-tile, given the tile in which the sub-tile begins. Whole warp.
__device__ __forceinline__ uint32_t first_step_of(const Index<uint32_t>& index, uint32_t tile, uint32_t pixel, uint32_t end) {
    const uint32_t step = tile * STEPS + lane_id();
    const bool before = lane_id() < STEPS && step * STEP < end && index.tile_pixel[tile] + index.step_codes[step] <= pixel;
    return tile * STEPS + __popc(__ballot_sync(ALL_LANES, before)) - 1;
}

// A whole block: its item, for its group of frames. Source::begin(group), Source::fill(subtile) put pixels into the ring.
template <int GROUP, bool VARIANCE, typename Sum, typename Source>
__device__ __forceinline__ void integrate_item(Source& source, unsigned char* shared, const Matrix& matrix, const Terms& terms,
                                               const XrdctVerdict* verdicts, const XrdctBatch& batch,
                                               const XrdctRecipe& recipe) {
    const XrdctItem item = matrix.items[blockIdx.y];
    const uint32_t first_frame = blockIdx.x * GROUP;
    const Board<GROUP, VARIANCE> board(shared, item.slots);
    const uint32_t doubles = GROUP * item.slots * (VARIANCE ? 2 : 1);
    for (uint32_t i = threadIdx.x; i < doubles; i += THREADS) board.signal[i] = 0.0;
    // Frames that are bad or not there stay zero.
    for (uint32_t i = threadIdx.x; i < GROUP * RING; i += THREADS) board.ring[i] = 0.0f;
    source.begin(item, first_frame);
    __syncthreads();
    for (uint32_t subtile = item.first_subtile; subtile < item.first_subtile + item.subtiles; ++subtile) {
        source.fill(board.ring, subtile);
        if (terms.dark) {
            for (uint32_t i = threadIdx.x; i < SUBTILE; i += THREADS) {
                const uint32_t pixel = subtile * SUBTILE + i;
                board.dark[swizzle(i)] = pixel < batch.pixels ? terms.dark[pixel] : 0.0f;
            }
        }
        __syncthreads();
        multiply<GROUP, VARIANCE, Sum>(board, matrix, terms, recipe, item, subtile, first_frame);
        __syncthreads();
    }
    for (uint32_t g = 0; g < GROUP; ++g) {
        const uint32_t frame = first_frame + g;
        if (frame >= batch.frames || verdicts[frame].status != XRDCT_GOOD) continue;
        const size_t out = (size_t)frame * recipe.total_slots + item.first_slot;
        for (uint32_t slot = threadIdx.x; slot < item.slots; slot += THREADS) {
            terms.signal[out + slot] = board.signal[g * item.slots + slot];
            if (VARIANCE) terms.variance[out + slot] = board.variance[g * item.slots + slot];
        }
    }
}

}  // namespace xrdct

#endif
