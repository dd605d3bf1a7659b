// MD5 of packed frames: whether the bytes are those that the detector wrote.
//
// What     each digest goes on by up to `budget` blocks of 64 bytes; the one that comes to its frame's end is finished
// Layout   digests [entry][XRDCT_MAX_BATCH] in pinned host memory: read and written once a launch; bytes at any address in device memory
// Mapping  a thread a frame, 32 to a block: MD5 is serial, a step waits for the one before; many frames at once hide that
// Cost     64 steps of four dependent instructions, about 1,150 cycles a block of 64 bytes (26 ms for 2.48 MB at 1.7 GHz), during which
//          nearly every issue slot is somebody else's; 500 frames in flight are 19,000 frames/s
// Safety   aligned words are read that hold at least one byte of the frame, nothing beyond; a digest that is done is left alone
// CPU      src/codec/md5.rs (RFC 1321)
#include <stdint.h>

#include "lib/prefetch.cuh"
#include "params.h"

using namespace xrdct;

namespace {

constexpr uint32_t WORDS = XRDCT_DIGEST_BLOCK / 4;

// How far ahead bytes are asked for, in vectors of 16: a line of memory takes longer to come than a block to be hashed.
constexpr uint32_t AHEAD = 32;

struct State {
    uint32_t a, b, c, d;
};

__device__ __forceinline__ uint32_t rotated(uint32_t x, int by) { return __funnelshift_l(x, x, by); }

// One step: `mixed` is F, G, H or I of the three registers that stay.
#define XRDCT_STEP(mixed, a, b, c, d, word, by, sine) a = b + rotated(a + (words[word] + sine) + mixed(b, c, d), by);
#define XRDCT_F(b, c, d) (d ^ (b & (c ^ d)))
#define XRDCT_G(b, c, d) (c ^ (d & (b ^ c)))
#define XRDCT_H(b, c, d) (b ^ c ^ d)
#define XRDCT_I(b, c, d) (c ^ (b | ~d))
#define XRDCT_FOUR(mixed, w0, w1, w2, w3, r0, r1, r2, r3, s0, s1, s2, s3) \
    XRDCT_STEP(mixed, a, b, c, d, w0, r0, s0)                             \
    XRDCT_STEP(mixed, d, a, b, c, w1, r1, s1)                             \
    XRDCT_STEP(mixed, c, d, a, b, w2, r2, s2)                             \
    XRDCT_STEP(mixed, b, c, d, a, w3, r3, s3)

// Adds a block to the state.
__device__ __forceinline__ void add_block(State* state, const uint32_t* words) {
    uint32_t a = state->a, b = state->b, c = state->c, d = state->d;
    XRDCT_FOUR(XRDCT_F, 0, 1, 2, 3, 7, 12, 17, 22, 0xd76aa478u, 0xe8c7b756u, 0x242070dbu, 0xc1bdceeeu)
    XRDCT_FOUR(XRDCT_F, 4, 5, 6, 7, 7, 12, 17, 22, 0xf57c0fafu, 0x4787c62au, 0xa8304613u, 0xfd469501u)
    XRDCT_FOUR(XRDCT_F, 8, 9, 10, 11, 7, 12, 17, 22, 0x698098d8u, 0x8b44f7afu, 0xffff5bb1u, 0x895cd7beu)
    XRDCT_FOUR(XRDCT_F, 12, 13, 14, 15, 7, 12, 17, 22, 0x6b901122u, 0xfd987193u, 0xa679438eu, 0x49b40821u)
    XRDCT_FOUR(XRDCT_G, 1, 6, 11, 0, 5, 9, 14, 20, 0xf61e2562u, 0xc040b340u, 0x265e5a51u, 0xe9b6c7aau)
    XRDCT_FOUR(XRDCT_G, 5, 10, 15, 4, 5, 9, 14, 20, 0xd62f105du, 0x02441453u, 0xd8a1e681u, 0xe7d3fbc8u)
    XRDCT_FOUR(XRDCT_G, 9, 14, 3, 8, 5, 9, 14, 20, 0x21e1cde6u, 0xc33707d6u, 0xf4d50d87u, 0x455a14edu)
    XRDCT_FOUR(XRDCT_G, 13, 2, 7, 12, 5, 9, 14, 20, 0xa9e3e905u, 0xfcefa3f8u, 0x676f02d9u, 0x8d2a4c8au)
    XRDCT_FOUR(XRDCT_H, 5, 8, 11, 14, 4, 11, 16, 23, 0xfffa3942u, 0x8771f681u, 0x6d9d6122u, 0xfde5380cu)
    XRDCT_FOUR(XRDCT_H, 1, 4, 7, 10, 4, 11, 16, 23, 0xa4beea44u, 0x4bdecfa9u, 0xf6bb4b60u, 0xbebfbc70u)
    XRDCT_FOUR(XRDCT_H, 13, 0, 3, 6, 4, 11, 16, 23, 0x289b7ec6u, 0xeaa127fau, 0xd4ef3085u, 0x04881d05u)
    XRDCT_FOUR(XRDCT_H, 9, 12, 15, 2, 4, 11, 16, 23, 0xd9d4d039u, 0xe6db99e5u, 0x1fa27cf8u, 0xc4ac5665u)
    XRDCT_FOUR(XRDCT_I, 0, 7, 14, 5, 6, 10, 15, 21, 0xf4292244u, 0x432aff97u, 0xab9423a7u, 0xfc93a039u)
    XRDCT_FOUR(XRDCT_I, 12, 3, 10, 1, 6, 10, 15, 21, 0x655b59c3u, 0x8f0ccc92u, 0xffeff47du, 0x85845dd1u)
    XRDCT_FOUR(XRDCT_I, 8, 15, 6, 13, 6, 10, 15, 21, 0x6fa87e4fu, 0xfe2ce6e0u, 0xa3014314u, 0x4e0811a1u)
    XRDCT_FOUR(XRDCT_I, 4, 11, 2, 9, 6, 10, 15, 21, 0xf7537e82u, 0xbd3af235u, 0x2ad7d2bbu, 0xeb86d391u)
    state->a += a;
    state->b += b;
    state->c += c;
    state->d += d;
}

// The bytes of some blocks, sixteen at a time on their own edge.
struct Source {
    const uint4* first;
    uint32_t count;

    // Number `at`; zeros beyond the last that holds a byte of the frame.
    __device__ __forceinline__ void load(uint32_t* words, uint32_t at) const {
        const uint4 four = at < count ? first[at] : make_uint4(0, 0, 0, 0);
        words[0] = four.x;
        words[1] = four.y;
        words[2] = four.z;
        words[3] = four.w;
    }
};

// The block that begins `shift` bytes (0 to 15) into `raw`, of which 20 words are there.
__device__ __forceinline__ void align(uint32_t* words, const uint32_t* raw, uint32_t shift) {
    uint32_t near[WORDS + 1];
#pragma unroll
    for (uint32_t i = 0; i <= WORDS; ++i) {
        const uint32_t low = shift & 4 ? raw[i + 1] : raw[i];
        const uint32_t high = shift & 4 ? raw[i + 3] : raw[i + 2];
        near[i] = shift & 8 ? high : low;
    }
#pragma unroll
    for (uint32_t i = 0; i < WORDS; ++i) words[i] = __funnelshift_r(near[i], near[i + 1], 8 * (shift & 3));
}

// Whole blocks of a frame.
__device__ __forceinline__ void add_blocks(State* state, const uint8_t* bytes, uint32_t blocks) {
    const uint32_t shift = (uint32_t)((uintptr_t)bytes & 15);
    const Source source = {(const uint4*)(bytes - shift), 4 * blocks + (shift ? 1 : 0)};
    uint32_t raw[20], next[WORDS], words[WORDS];
#pragma unroll
    for (uint32_t i = 0; i < 5; ++i) source.load(raw + 4 * i, i);
    for (uint32_t block = 0; block < blocks; ++block) {
        if (4 * block + AHEAD < source.count) prefetch(source.first + 4 * block + AHEAD);
        // What the next block needs is on its way, from the L2 cache, while this one is hashed.
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) source.load(next + 4 * i, 4 * block + 5 + i);
        align(words, raw, shift);
        add_block(state, words);
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) raw[i] = raw[WORDS + i];
#pragma unroll
        for (uint32_t i = 0; i < WORDS; ++i) raw[4 + i] = next[i];
    }
}

// The bytes after the last whole block, a 1 bit, zeros, and the length in bits.
__device__ __noinline__ void add_tail(State* state, const uint8_t* bytes, uint32_t length) {
    const uint32_t rest = length % XRDCT_DIGEST_BLOCK;
    const uint32_t blocks = rest + 9 <= XRDCT_DIGEST_BLOCK ? 1 : 2;
    uint32_t words[WORDS];
    for (uint32_t block = 0; block < blocks; ++block) {
        for (uint32_t i = 0; i < WORDS; ++i) {
            words[i] = 0;
            for (uint32_t byte = 0; byte < 4; ++byte) {
                const uint32_t at = block * XRDCT_DIGEST_BLOCK + 4 * i + byte;
                const uint32_t value = at < rest ? bytes[at] : at == rest ? 0x80u : 0u;
                words[i] |= value << (8 * byte);
            }
        }
        if (block + 1 == blocks) {
            words[14] = length << 3;
            words[15] = length >> 29;
        }
        add_block(state, words);
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(XRDCT_DIGEST_THREADS) xrdct_md5(const __grid_constant__ XrdctHash a) {
    const XrdctSlice& slice = a.slice;
    const uint32_t frame = blockIdx.x * blockDim.x + threadIdx.x;
    XrdctDigest* mine = a.digests + (size_t)slice.entry[blockIdx.y] * XRDCT_MAX_BATCH + frame;
    XrdctDigest digest = *mine;
    if (digest.blocks == XRDCT_DIGEST_DONE) return;
    const uint32_t blocks = digest.blocks < slice.budget ? digest.blocks : slice.budget;
    State state = {digest.state[0], digest.state[1], digest.state[2], digest.state[3]};
    const uint8_t* bytes = (const uint8_t*)(uintptr_t)digest.next;
    if (blocks > 0) add_blocks(&state, bytes, blocks);
    digest.next += (uint64_t)blocks * XRDCT_DIGEST_BLOCK;
    digest.blocks -= blocks;
    if (digest.blocks == 0) {
        add_tail(&state, bytes + (size_t)blocks * XRDCT_DIGEST_BLOCK, digest.length);
        digest.blocks = XRDCT_DIGEST_DONE;
    }
    digest.state[0] = state.a;
    digest.state[1] = state.b;
    digest.state[2] = state.c;
    digest.state[3] = state.d;
    *mine = digest;
}
