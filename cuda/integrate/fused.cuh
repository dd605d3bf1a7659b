// Integration of a tile of pixels that is in shared memory, for a group of frames together.
//
// The matrix (bins x pixels) is cut into items: some sub-tiles of 1024 pixels in a row and the bins they touch, called
// slots. Within a sub-tile its rows (one bin's entries) are taken 32 at a time, a pass, one row a lane, neighbouring bins
// side by side: their pixels are neighbours too, so that lanes read different banks. A row's sum goes to its slot, in
// float64; nobody else touches that slot until the next barrier, so sums have one fixed order and the same bits on
// every run, whatever frames share the launch.
#ifndef XRDCT_FUSED_CUH
#define XRDCT_FUSED_CUH

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

// The matrix and what else the sums need, as the loops read them (params.h).
struct Matrix {
    ReadOnly<XrdctItem> items;
    ReadOnly<XrdctPart> parts;
    ReadOnly<XrdctPass> passes;
    ReadOnly<uint16_t> row_slot;
    ReadOnly<uint32_t> entry_pixel;  // two places of 16 bits
    ReadOnly<float2> entry_weight;

    __device__ __forceinline__ explicit Matrix(const XrdctMatrix& from)
        : items{from.items},
          parts{from.parts},
          passes{from.passes},
          row_slot{from.row_slot},
          entry_pixel(read_only_as<uint32_t>(from.entry_pixel)),
          entry_weight(read_only_as<float2>(from.entry_weight)) {}
};

struct Terms {
    ReadOnly<float> dark;
    const float* normalization;
    ReadOnly<uint32_t> slot_bin;
    const uint32_t* used;
    unsigned long long* deficits;
    uint32_t* saturated;
    double* signal;
    double* variance;

    __device__ __forceinline__ explicit Terms(const XrdctTerms& from)
        : dark{from.dark},
          normalization(from.normalization),
          slot_bin{from.slot_bin},
          used(from.used),
          deficits((unsigned long long*)from.deficits),
          saturated(from.saturated),
          signal(from.signal),
          variance(from.variance) {}
};

// A pixel's value as pyFAI takes it: float32, NaN when it is a dummy (|value - dummy| <= delta).
__device__ __forceinline__ float validated(float value, const XrdctRecipe& recipe) {
    return fabsf(value - recipe.dummy) <= recipe.delta_dummy ? __int_as_float(0x7FC00000) : value;
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

// Counts the used pixels of a sub-tile that are at or above the cutoff, and makes them NaN where they are to be invalid.
// Whole block, between barriers; called for the few sub-tiles near which some pixel was seen to be that high.
static __device__ __noinline__ void settle_saturated(float* half, uint32_t group, const uint32_t* used, uint32_t* saturated,
                                                     const XrdctBatch& batch, bool masks, bool counts, uint32_t first_frame,
                                                     uint32_t subtile) {
    for (uint32_t g = 0; g < group; ++g) {
        uint32_t count = 0;
        for (uint32_t i = threadIdx.x; i < SUBTILE; i += THREADS) {
            const uint32_t pixel = subtile * SUBTILE + unswizzle(i);
            // Dummies are NaN by now, and frames that are not there 0; past the image lies what was there before.
            if (pixel >= batch.pixels || !(half[g * RING + i] >= batch.cutoff) || !(used[pixel / 32] >> pixel % 32 & 1)) continue;
            ++count;
            if (masks) half[g * RING + i] = __int_as_float(0x7FC00000);
        }
        count = warp_sum(count);
        if (counts && count > 0 && lane_id() == 0) atomicAdd(saturated + first_frame + g, count);
    }
}

template <typename Sum>
struct RowSums {
    Sum signal, variance;
};

// A row with invalid pixels, once more and with care: sums without them, and what they take from the norms.
// Deficits are added in fixed point, so that the order of additions does not matter.
template <bool VARIANCE, typename Sum>
__device__ __noinline__ RowSums<Sum> careful_row(const float* pixels, const float* dark, const uint32_t* places_of,
                                                 const float2* weights_of, uint32_t pairs, const float* normalization,
                                                 unsigned long long* deficit, const XrdctRecipe& recipe) {
    RowSums<Sum> sums = {0, 0};
    long long n = 0, n2 = 0, c = 0;
    for (uint32_t k = 0; k < 2 * pairs; ++k) {
        const uint32_t places = places_of[k / 2 * WARP];
        const float2 weights = weights_of[k / 2 * WARP];
        const uint32_t place = k & 1 ? places >> 16 : places & 0xFFFFu;
        const float weight = k & 1 ? weights.y : weights.x;
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

// A pass of this warp, looked up before it is needed: three words from far away.
struct Head {
    XrdctPass pass;
    uint32_t slot;
};

__device__ __forceinline__ Head look_up(const Matrix& matrix, const XrdctPart& part, uint32_t p) {
    Head head = {{0, 0}, XRDCT_NO_SLOT};
    if (p < part.passes) {
        head.pass = matrix.passes[part.first_pass + p];
        head.slot = matrix.row_slot[(part.first_pass + p) * WARP + lane_id()];
    }
    return head;
}

// The warp's pass of a round. Passes come longest first: to and fro, the warp that had the longest gets the shortest.
__device__ __forceinline__ uint32_t pass_of(uint32_t round) {
    return round * WARPS + (round & 1 ? WARPS - 1 - warp_id() : warp_id());
}

// Sums are kept in double where a dark image is subtracted, and nowhere else: differences may cancel.
template <typename Sum>
constexpr bool HAS_DARK = sizeof(Sum) == sizeof(double);

// Multiplies one sub-tile by its part of the matrix. Sum is float, or double where dark subtraction may cancel.
template <int GROUP, bool VARIANCE, typename Sum>
__device__ __forceinline__ void multiply(const Board<GROUP, VARIANCE>& board, const Matrix& matrix, const Terms& terms,
                                         const XrdctRecipe& recipe, const XrdctItem& item, const XrdctPart& part, Head head,
                                         uint32_t subtile, uint32_t first_frame) {
    const float* half = board.ring + (subtile & 1) * SUBTILE;
    const float* dark = HAS_DARK<Sum> ? board.dark : nullptr;
    for (uint32_t round = 0; pass_of(round) < part.passes; ++round) {
        const XrdctPass pass = head.pass;
        const uint32_t slot = head.slot;
        const ReadOnly<uint32_t> places_of = matrix.entry_pixel + pass.first_pair + lane_id();
        const ReadOnly<float2> weights_of = matrix.entry_weight + pass.first_pair + lane_id();
        uint32_t next_places = places_of[0];
        float2 next_weights = weights_of[0];
        head = look_up(matrix, part, pass_of(round + 1));
        Sum signal[GROUP];
        Sum variance[GROUP];
#pragma unroll
        for (int g = 0; g < GROUP; ++g) signal[g] = variance[g] = 0;
        // As nvcc would by itself, did it know that nothing is written meanwhile.
#pragma unroll 8
        for (uint32_t k = 1; k <= pass.pairs; ++k) {
            const uint32_t places = next_places;
            const float2 weights = next_weights;
            if (k < pass.pairs) {
                next_places = places_of[k * WARP];
                next_weights = weights_of[k * WARP];
            }
            const uint32_t left = places & 0xFFFFu, right = places >> 16;
            const float dark_left = dark ? dark[left] : 0.0f, dark_right = dark ? dark[right] : 0.0f;
#pragma unroll
            for (int g = 0; g < GROUP; ++g) {
                const float a = half[g * RING + left], b = half[g * RING + right];
                signal[g] += (Sum)weights.x * (Sum)(a - dark_left);
                signal[g] += (Sum)weights.y * (Sum)(b - dark_right);
                if (VARIANCE) {
                    variance[g] += (Sum)(weights.x * weights.x) * (Sum)fmaxf(a, 1.0f);
                    variance[g] += (Sum)(weights.y * weights.y) * (Sum)fmaxf(b, 1.0f);
                }
            }
        }
        if (slot == XRDCT_NO_SLOT) continue;
        Sum all = 0;
#pragma unroll
        for (int g = 0; g < GROUP; ++g) all += signal[g];
        if (all != all) {  // some pixel is invalid in some frame
            const uint32_t bin = terms.slot_bin[item.first_slot + slot];
#pragma unroll
            for (int g = 0; g < GROUP; ++g) {
                if (signal[g] == signal[g]) continue;
                const RowSums<Sum> sums = careful_row<VARIANCE, Sum>(
                    half + g * RING, dark, places_of.first, weights_of.first, pass.pairs, terms.normalization + subtile * SUBTILE,
                    terms.deficits + (size_t)(first_frame + g) * XRDCT_DEFICITS * recipe.bins + bin, recipe);
                signal[g] = sums.signal;
                variance[g] = sums.variance;
            }
        }
#pragma unroll
        for (int g = 0; g < GROUP; ++g) {
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

// A whole block: its item, for its group of frames. Source::begin(group), Source::fill(subtile) put pixels into the ring;
// fill says whether this thread put one there that is at or above the cutoff, in this sub-tile or the next.
template <int GROUP, bool VARIANCE, typename Sum, typename Source>
__device__ __forceinline__ void integrate_item(Source& source, unsigned char* shared, const Matrix& matrix, const Terms& terms,
                                               ReadOnly<XrdctVerdict> verdicts, const XrdctBatch& batch,
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
    int high_before = 0;
    for (uint32_t subtile = item.first_subtile; subtile < item.first_subtile + item.subtiles; ++subtile) {
        const XrdctPart part = matrix.parts[item.first_part + subtile - item.first_subtile];
        const Head head = look_up(matrix, part, pass_of(0));
        const bool high = source.fill(board.ring, subtile);
        if (HAS_DARK<Sum>) {
            for (uint32_t i = threadIdx.x; i < SUBTILE; i += THREADS) {
                const uint32_t pixel = subtile * SUBTILE + i;
                board.dark[swizzle(i)] = pixel < batch.pixels ? terms.dark[pixel] : 0.0f;
            }
        }
        const int high_now = __syncthreads_or(high);
        if (high_now | high_before) {
            settle_saturated(board.ring + (subtile & 1) * SUBTILE, GROUP, terms.used, terms.saturated, batch,
                             recipe.mask_saturated, item.counts, first_frame, subtile);
            __syncthreads();
        }
        high_before = high_now;
        multiply<GROUP, VARIANCE, Sum>(board, matrix, terms, recipe, item, part, head, subtile, first_frame);
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
