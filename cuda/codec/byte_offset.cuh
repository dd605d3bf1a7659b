// Byte-offset codes as one warp sees them: 32 chunks of 16 bytes, one a lane.
//
// Format (CPU definition: src/codec/byte_offset.rs). A pixel is the one before it plus a signed difference:
//     1 byte                               when it is not 0x80
//     0x80, 2 bytes                        when those are not 0x8000
//     0x80, 0x8000, 4 bytes                when those are not 0x80000000
//     0x80, 0x8000, 0x80000000, 8 bytes    whatever they are
// all little-endian. The running value wraps in 32 bits (64 for pixels of 64 bits).
//
// Where a code starts depends on everything before it. But a code is at most 15 bytes long, so all that the past can
// do to a chunk is to own its first 0 to 14 bytes: a chunk is a map from 15 entry offsets to 15 exit offsets, a nibble
// each, one 64-bit word. Chunks without 0x80, and nearly all others, map every entry to the same exit (a constant
// map), and a constant map ends the dependence on the past.
#ifndef XRDCT_BYTE_OFFSET_CUH
#define XRDCT_BYTE_OFFSET_CUH

#include "lib/read_only.cuh"
#include "lib/warp.cuh"
#include "params.h"

namespace xrdct {

constexpr uint32_t CHUNK = XRDCT_CHUNK_BYTES;
constexpr uint32_t STEP = XRDCT_STEP_BYTES;
constexpr uint32_t TILE = XRDCT_TILE_BYTES;
constexpr uint32_t STEPS = XRDCT_STEPS_PER_TILE;
constexpr uint64_t EVERY_NIBBLE = 0x1111111111111111ull;

// A lane's chunk: its own 16 bytes and the 16 after them. Bytes at and past the frame's end read as 0.
struct Chunk {
    uint32_t word[8];
};

// 16 bytes at `position` (a multiple of 16), zeros from `end` on. Reads nothing when position >= end.
__device__ __forceinline__ uint4 load_chunk(const uint8_t* arena, uint32_t position, uint32_t end) {
    uint4 bytes = make_uint4(0, 0, 0, 0);
    if (position < end) {
        bytes = load_read_only(reinterpret_cast<const uint4*>(arena + position));
        const uint32_t left = end - position;
        if (left < CHUNK) {
            uint32_t* word = &bytes.x;
#pragma unroll
            for (uint32_t j = 0; j < 4; ++j) {
                const uint32_t keep = left > 4 * j ? left - 4 * j : 0;
                if (keep < 4) word[j] &= (1u << (8 * keep)) - 1;
            }
        }
    }
    return bytes;
}

// The bytes that one step of decoding needs, loaded early so that the wait for them overlaps other work.
struct StepBytes {
    uint4 own;
    uint4 beyond;  // lane 31 only: the chunk after the step
};

__device__ __forceinline__ StepBytes load_step(const uint8_t* arena, uint32_t step_position, uint32_t end) {
    const uint32_t position = step_position + lane_id() * CHUNK;
    StepBytes bytes;
    bytes.own = load_chunk(arena, position, end);
    bytes.beyond = make_uint4(0, 0, 0, 0);
    if (lane_id() == WARP - 1) bytes.beyond = load_chunk(arena, position + CHUNK, end);
    return bytes;
}

// Own bytes and look-ahead, which is the next lane's bytes. Whole warp.
__device__ __forceinline__ Chunk assemble(const StepBytes& bytes) {
    Chunk chunk;
    chunk.word[0] = bytes.own.x;
    chunk.word[1] = bytes.own.y;
    chunk.word[2] = bytes.own.z;
    chunk.word[3] = bytes.own.w;
    const uint32_t beyond[4] = {bytes.beyond.x, bytes.beyond.y, bytes.beyond.z, bytes.beyond.w};
    const bool last = lane_id() == WARP - 1;
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
        const uint32_t next = __shfl_down_sync(ALL_LANES, chunk.word[j], 1);
        chunk.word[4 + j] = last ? beyond[j] : next;
    }
    return chunk;
}

// Bit i is set when byte i of the chunk is 0x80.
__device__ __forceinline__ uint32_t find_0x80(const Chunk& chunk) {
    uint32_t found = 0;
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
        const uint32_t x = chunk.word[j] ^ 0x80808080u;
        // Exact test for zero bytes: the top bit of a byte of y is clear only when the byte of x is zero.
        const uint32_t y = ((x & 0x7F7F7F7Fu) + 0x7F7F7F7Fu) | x;
        const uint32_t bits = (~y >> 7) & 0x01010101u;
        found |= ((bits * 0x01020408u) >> 24 & 0xFu) << (4 * j);
    }
    return found;
}

// Bytes at .. at+7 of the 32 that the lane holds; at is 1 to 22.
__device__ __forceinline__ uint64_t window(const Chunk& chunk, uint32_t at) {
    const uint32_t* w = chunk.word;
    const uint32_t j = at / 4;
    const bool four = j & 4, two = j & 2, one = j & 1;
    const uint32_t a0 = four ? w[4] : w[0], a1 = four ? w[5] : w[1], a2 = four ? w[6] : w[2];
    const uint32_t a3 = four ? w[7] : w[3], a4 = four ? 0u : w[4], a5 = four ? 0u : w[5];
    const uint32_t b0 = two ? a2 : a0, b1 = two ? a3 : a1, b2 = two ? a4 : a2, b3 = two ? a5 : a3;
    const uint32_t c0 = one ? b1 : b0, c1 = one ? b2 : b1, c2 = one ? b3 : b2;
    const uint32_t shift = 8 * (at & 3);
    const uint32_t low = __funnelshift_r(c0, c1, shift), high = __funnelshift_r(c1, c2, shift);
    return (uint64_t)high << 32 | low;
}

struct Escape {
    uint32_t length;  // of the whole code: 3, 7 or 15 bytes
    int64_t delta;
};

// The code that starts with the 0x80 at byte `at` of the chunk.
__device__ __forceinline__ Escape read_escape(const Chunk& chunk, uint32_t at) {
    const uint64_t payload = window(chunk, at + 1);
    if ((uint16_t)payload != 0x8000u) return {3, (int16_t)payload};
    const uint32_t second = (uint32_t)(payload >> 16);
    if (second != 0x80000000u) return {7, (int32_t)second};
    return {15, (int64_t)window(chunk, at + 7)};
}

// The chunk's map: nibble e is the exit offset for entry offset e (0 to 15). `found` is find_0x80 of the chunk.
__device__ __forceinline__ uint64_t chunk_map(const Chunk& chunk, uint32_t found) {
    uint64_t map = 0;  // without 0x80 every path ends on the chunk's last byte
    while (found) {    // from the last 0x80 to the first: what follows a code is known by then
        const uint32_t at = 31 - __clz(found);
        found ^= 1u << at;
        const uint32_t next = at + read_escape(chunk, at).length;
        const uint64_t exit = next >= CHUNK ? next - CHUNK : map >> (4 * next) & 15;
        const uint64_t below = ~0ull >> (60 - 4 * at);  // nibbles 0 to at
        map = (map & ~below) | (exit * EVERY_NIBBLE & below);
    }
    return map;
}

__device__ __forceinline__ uint32_t follow(uint64_t map, uint32_t entry) { return (uint32_t)(map >> (4 * entry)) & 15; }

// True when entries 0 to 14 all lead to the same exit.
__device__ __forceinline__ bool is_constant(uint64_t map) {
    const uint64_t entries = ~0ull >> 4;
    return (map & entries) == ((map & 15) * EVERY_NIBBLE & entries);
}

// The map of the lane's chunk; a chunk in which the frame begins has one entry only, so its map is constant.
__device__ __forceinline__ uint64_t lane_map(const Chunk& chunk, uint32_t found, uint32_t position, uint32_t first) {
    uint64_t map = chunk_map(chunk, found);
    if (position == (first & ~(CHUNK - 1))) map = follow(map, first & (CHUNK - 1)) * EVERY_NIBBLE;
    return map;
}

// The entry offset of each lane's chunk, given the entry of the first. `exit` becomes the exit of the last.
//
// Every lane starts from a guess and hears its neighbour's exit until nothing changes. Lane l is right after l rounds
// at most; constant maps make it one round for nearly every stream.
__device__ __forceinline__ uint32_t resolve_entries(uint64_t map, uint32_t carry, uint32_t* exit) {
    const unsigned lane = lane_id();
    uint32_t entry = lane == 0 ? carry : 0;
    bool changed;
    do {
        const uint32_t before = __shfl_up_sync(ALL_LANES, follow(map, entry), 1);
        const uint32_t heard = lane == 0 ? carry : before;
        changed = heard != entry;
        entry = heard;
    } while (__any_sync(ALL_LANES, changed));
    *exit = __shfl_sync(ALL_LANES, follow(map, entry), WARP - 1);
    return entry;
}

// 0xFF in each byte whose bit is set in the low nibble of `bits`.
__device__ __forceinline__ uint32_t bytes_of(uint32_t bits) { return ((bits & 0xFu) * 0x00204081u & 0x01010101u) * 0xFFu; }

// The codes that start in a lane's chunk.
template <typename Value>
struct Codes {
    uint32_t starts;   // bit i: a complete code starts at byte i
    uint32_t escapes;  // those of more than one byte
    uint32_t plain[4]; // the chunk's words with everything but the codes of one byte set to 0
    Value sum;         // of the codes' differences; wraps
    bool broken;       // the last one goes on past the frame's end
};

// `left`: bytes of the frame from the chunk's first byte on, 0 when the chunk is past the end.
template <typename Value>
__device__ __forceinline__ Codes<Value> find_codes(const Chunk& chunk, uint32_t found, uint32_t entry, uint32_t left) {
    Codes<Value> codes;
    const uint32_t inside = left >= CHUNK ? 0xFFFFu : (1u << left) - 1;
    codes.starts = (0xFFFFu << entry) & inside;
    codes.sum = 0;
    codes.broken = false;
    uint32_t escapes = found & codes.starts;
    codes.escapes = 0;
    while (escapes) {
        const uint32_t at = __ffs(escapes) - 1;
        const Escape escape = read_escape(chunk, at);
        const uint32_t payload = ((1u << escape.length) - 2) << at;
        codes.starts &= ~payload;
        escapes &= ~(payload | 1u << at);
        if (at + escape.length > left) {
            codes.broken = true;
            codes.starts &= ~(1u << at);
        } else {
            codes.escapes |= 1u << at;
            codes.sum += (Value)escape.delta;
        }
    }
    const uint32_t plain = codes.starts & ~found;
    int sum = 0;
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
        codes.plain[j] = chunk.word[j] & bytes_of(plain >> (4 * j));
        sum = __dp4a((int)codes.plain[j], 0x01010101, sum);
    }
    codes.sum += (Value)(int64_t)sum;
    return codes;
}

// base plus the bytes of a word that `ones` has a 1 for.
__device__ __forceinline__ uint32_t add_bytes(uint32_t word, int ones, uint32_t base) {
    return (uint32_t)__dp4a((int)word, ones, (int)base);
}
__device__ __forceinline__ unsigned long long add_bytes(uint32_t word, int ones, unsigned long long base) {
    return base + (unsigned long long)(long long)__dp4a((int)word, ones, 0);
}

// Calls emit(bit, pixel, value) for each byte of the chunk: where a code starts, `bit` is not 0, `pixel` is its number and
// `value` the running value after it; elsewhere they mean nothing. Whole warp. `value` comes in as the running value before
// the chunk. Unrolled over the 16 bytes, so that nothing is indexed at run time: a prefix of a word's bytes is one dp4a, and
// escapes are looked at only in words where some lane has one.
template <typename Value, typename Emit>
__device__ __forceinline__ void walk_codes(const Chunk& chunk, const Codes<Value>& codes, uint32_t pixel, Value value,
                                           Emit emit) {
    constexpr uint32_t ONES = 0x01010101u;
    const uint32_t anywhere = warp_or(codes.escapes);
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
        const uint32_t word = codes.plain[j];
        if (anywhere >> (4 * j) & 15) {
#pragma unroll
            for (uint32_t at = 4 * j; at < 4 * j + 4; ++at) {
                if (codes.escapes >> at & 1) value += (Value)read_escape(chunk, at).delta;
                const uint32_t bit = codes.starts & (1u << at);
                emit(bit, pixel, add_bytes(word, (int)(ONES >> (24 - 8 * (at & 3))), value));
                pixel += bit != 0;
            }
        } else {
#pragma unroll
            for (uint32_t at = 4 * j; at < 4 * j + 4; ++at) {
                const uint32_t bit = codes.starts & (1u << at);
                emit(bit, pixel, add_bytes(word, (int)(ONES >> (24 - 8 * (at & 3))), value));
                pixel += bit != 0;
            }
        }
        value = add_bytes(word, (int)ONES, value);
    }
}

// The tables that the index kernels leave behind, one entry a chunk, step or tile of the arena.
template <typename Value>
struct Index {
    ReadOnly<uint8_t> entry;        // [chunks] entry offset
    ReadOnly<uint16_t> step_codes;  // [steps] codes that start in the tile before the step
    ReadOnly<Value> step_value;     // [steps] sum of their differences
    ReadOnly<uint32_t> tile_pixel;  // [tiles] codes of the frame before the tile
    ReadOnly<Value> tile_value;     // [tiles] running value before the tile
};

// The tables of running values, 32 or 64 bits wide.
template <typename Value>
struct Values {
    Value *step, *tile;
};
template <typename Value>
__device__ __forceinline__ Values<Value> values_of(const XrdctTables& tables) {
    if constexpr (sizeof(Value) == 8) return {(Value*)tables.wide_step_value, (Value*)tables.wide_tile_value};
    else return {tables.step_value, tables.tile_value};
}

template <typename Value>
__device__ __forceinline__ Index<Value> index_of(const XrdctTables& tables) {
    const Values<Value> values = values_of<Value>(tables);
    return {{tables.entries}, {tables.step_codes}, {values.step}, {tables.tile_pixel}, {values.tile}};
}

// A step that is about to be decoded: its bytes and where it stands, all loaded, nothing computed.
template <typename Value>
struct OpenStep {
    StepBytes bytes;
    uint32_t entry;
    uint32_t pixel;  // index of the first code that starts in the step
    Value value;     // running value before it
};

// `step` is an index into the arena's steps. The caller has made sure that it holds bytes of the frame.
template <typename Value>
__device__ __forceinline__ OpenStep<Value> open_step(const uint8_t* arena, const Index<Value>& index, uint32_t step,
                                                     uint32_t end) {
    OpenStep<Value> open;
    open.bytes = load_step(arena, step * STEP, end);
    open.entry = index.entry[step * WARP + lane_id()];
    open.pixel = index.tile_pixel[step / STEPS] + index.step_codes[step];
    open.value = index.tile_value[step / STEPS] + index.step_value[step];
    return open;
}

// Decodes a step: emit(bit, pixel, value) as walk_codes does. Whole warp. Returns the pixel after the step's last.
template <typename Value, typename Emit>
__device__ __forceinline__ uint32_t decode_step(const OpenStep<Value>& open, uint32_t position, uint32_t end, Emit emit) {
    const Chunk chunk = assemble(open.bytes);
    const uint32_t found = find_0x80(chunk);
    const uint32_t here = position + lane_id() * CHUNK;
    const Codes<Value> codes = find_codes<Value>(chunk, found, open.entry, here < end ? end - here : 0);
    const uint32_t count = __popc(codes.starts);
    const uint32_t up_to = warp_inclusive_sum(count);
    const Value sum = warp_inclusive_sum(codes.sum);
    walk_codes(chunk, codes, open.pixel + up_to - count, (Value)(open.value + sum - codes.sum), emit);
    return open.pixel + __shfl_sync(ALL_LANES, up_to, WARP - 1);
}

}  // namespace xrdct

#endif
