/* The one header that both languages read: nvcc includes it, bindgen turns it into Rust.
 *
 * Only plain C structures, fixed-width integers, constants, and pointers to device memory. A kernel takes one structure, by value;
 * what it does not write is const there, and what a kernel takes in groups (a pair of weights, a plane of four bins) has the type of
 * one. Null stands for what is not wanted. Sizes are asserted here for the device side; a Rust test compares them with what bindgen
 * saw, and whoever loads a kernel compares them with the kernel's own.
 *
 * Words: the arena is the device buffer that holds the packed bytes of a batch of frames, one after another. A chunk
 * is the 16 bytes that one thread looks at, a step the 512 bytes that a warp looks at, a tile 8 steps. A frame starts
 * on a tile's edge (plus 0 to 15 bytes, so that an upload may begin at an aligned host address).
 */
#ifndef XRDCT_PARAMS_H
#define XRDCT_PARAMS_H

#include <stdint.h>

#ifdef __cplusplus
#define XRDCT_FITS(fact, otherwise) static_assert(fact, otherwise)
#else
#define XRDCT_FITS(fact, otherwise) _Static_assert(fact, otherwise)
#endif
#define XRDCT_SIZE(type, bytes) XRDCT_FITS(sizeof(type) == (bytes), #type " has another size than params.h says")

/* What a kernel takes must fit into its parameters, of which there are 4 KiB. */
#define XRDCT_ARGUMENTS(type) XRDCT_FITS(sizeof(struct type) <= 4096, #type " is too large for a kernel's parameters")

/* Byte-offset geometry. A code is at most 15 bytes long, so that a chunk of 16 is a map of nibbles in one 64-bit word. */
#define XRDCT_CHUNK_BYTES 16u
#define XRDCT_STEP_BYTES 512u
#define XRDCT_STEPS_PER_TILE 8u
#define XRDCT_TILE_BYTES 4096u
/* Bytes that must be readable after the last frame of an arena: one chunk of look-ahead. */
#define XRDCT_ARENA_PADDING 4096u
/* Longest code: 1 + 2 + 4 + 8 bytes. */
#define XRDCT_LONGEST_CODE 15u

/* Frames in one launch: their spans travel as kernel parameters, of which there are 4 KiB. */
#define XRDCT_MAX_BATCH 64u

/* Pixels that a block holds in shared memory at a time, and the ring they live in: what a step of decoding writes past
 * the end of one sub-tile stays in the other half until it is wanted. */
#define XRDCT_SUBTILE_PIXELS 1024u
#define XRDCT_RING_PIXELS 2048u
/* Threads of a block of the integration kernels, and rows of the matrix that one warp takes at a time. */
#define XRDCT_INTEGRATE_THREADS 512u
#define XRDCT_PASS_ROWS 32u
/* A row that only fills up its pass. */
#define XRDCT_NO_SLOT 0xFFFFu
/* Most frames that one block takes through the matrix together. */
#define XRDCT_GROUP_WIDE 8u
#define XRDCT_GROUP_NARROW 4u

/* Threads of the kernels that take one frame each. */
#define XRDCT_FRAME_THREADS 1024u
/* Threads of the other kernels. */
#define XRDCT_THREADS 256u

/* What became of a frame on the device (codes of FrameStatus in src/frame.rs). */
#define XRDCT_GOOD 0u
#define XRDCT_TRUNCATED 5u
#define XRDCT_OVERLONG 6u

/* Type of a pixel: the order of PixelType in src/frame.rs. */
#define XRDCT_I8 0u
#define XRDCT_U8 1u
#define XRDCT_I16 2u
#define XRDCT_U16 3u
#define XRDCT_I32 4u
#define XRDCT_U32 5u
#define XRDCT_I64 6u
#define XRDCT_U64 7u

/* Sums of norms that invalid pixels take away from a bin: N, N2 and C, in this order. */
#define XRDCT_DEFICITS 3u

/* Where a frame's packed bytes are in the arena. */
struct XrdctSpan {
    uint32_t first; /* first byte; only its lowest four bits may be off a tile's edge */
    uint32_t end;   /* one past the last byte */
};
XRDCT_SIZE(struct XrdctSpan, 8);

/* A batch of frames as the codec and the integration kernels see it. */
struct XrdctBatch {
    uint32_t frames;    /* at most XRDCT_MAX_BATCH */
    uint32_t pixels;    /* of each frame */
    uint32_t pixel;     /* XRDCT_I8 ... */
    uint32_t wide;      /* 1: running values are 64 bits wide, 0: 32 */
    uint32_t subtiles;  /* of each frame: ceil(pixels / XRDCT_SUBTILE_PIXELS) */
    uint32_t contiguous; /* plain pixels lie one frame after another, not at their spans */
    float cutoff;        /* from this count on a pixel is saturated; positive, infinite when nobody knows */
    struct XrdctSpan span[XRDCT_MAX_BATCH];
};
XRDCT_SIZE(struct XrdctBatch, 28 + 8 * XRDCT_MAX_BATCH);

/* What the prefix kernel found out about a frame. */
struct XrdctVerdict {
    uint32_t status; /* XRDCT_GOOD, XRDCT_TRUNCATED or XRDCT_OVERLONG */
    uint32_t codes;  /* complete codes in the frame's bytes */
};
XRDCT_SIZE(struct XrdctVerdict, 8);

/* Tables of the byte-offset decoder, for one arena. Running values are 32 bits wide or, in wide batches, 64: the others are null. */
struct XrdctTables {
    uint64_t* exits; /* [tiles] where each entry offset comes out, a nibble each */
    uint8_t* entries; /* [chunks] entry offset */
    uint16_t* step_codes; /* [steps] codes that start in the tile before the step */
    uint32_t* tile_pixel; /* [tiles] codes, later the frame's codes before the tile */
    uint32_t* subtile_tile; /* [frames][subtiles] tile in which the sub-tile's first pixel is */
    uint32_t* step_value; /* [steps] sum of the differences in the tile before the step */
    uint32_t* tile_value; /* [tiles] sum of differences, later the running value before the tile */
    uint64_t* wide_step_value; /* likewise */
    uint64_t* wide_tile_value;
};
XRDCT_SIZE(struct XrdctTables, 72);

/* cuda/codec/byte_offset.cu */
struct XrdctExits {
    const uint8_t* arena;
    uint64_t* exits;
    struct XrdctBatch batch;
};
XRDCT_ARGUMENTS(XrdctExits);

struct XrdctCount {
    const uint8_t* arena;
    struct XrdctTables tables;
    struct XrdctBatch batch;
};
XRDCT_ARGUMENTS(XrdctCount);

struct XrdctPrefix {
    struct XrdctTables tables;
    struct XrdctVerdict* verdicts; /* [frames] */
    struct XrdctBatch batch;
};
XRDCT_ARGUMENTS(XrdctPrefix);

struct XrdctPixels {
    const uint8_t* arena;
    struct XrdctTables tables;
    const struct XrdctVerdict* verdicts;
    uint8_t* pixels; /* [frames][pixels] of the kernel's type */
    struct XrdctBatch batch;
};
XRDCT_ARGUMENTS(XrdctPixels);

/* Digests of packed frames. Bytes that MD5 takes at a time; threads of a block, a frame each. */
#define XRDCT_DIGEST_BLOCK 64u
#define XRDCT_DIGEST_THREADS 32u
/* Nothing is left to do for a frame. */
#define XRDCT_DIGEST_DONE 0xFFFFFFFFu
/* Most batches whose digests are under way. */
#define XRDCT_MAX_ENTRIES 64u

/* A frame's digest in the making. */
struct XrdctDigest {
    uint64_t next; /* address of the next block */
    uint32_t blocks; /* whole blocks that are left, or XRDCT_DIGEST_DONE */
    uint32_t length; /* bytes of the frame */
    uint32_t state[4]; /* A, B, C, D; the digest in the end */
};
XRDCT_SIZE(struct XrdctDigest, 32);

/* What one launch does: every digest of these entries goes on by `budget` blocks. */
struct XrdctSlice {
    uint32_t budget;
    uint32_t entry[XRDCT_MAX_ENTRIES];
};
XRDCT_SIZE(struct XrdctSlice, 4 + 4 * XRDCT_MAX_ENTRIES);

/* cuda/codec/md5.cu */
struct XrdctHash {
    struct XrdctDigest* digests; /* [entry][XRDCT_MAX_BATCH], memory of the host */
    struct XrdctSlice slice;
};
XRDCT_ARGUMENTS(XrdctHash);

/* One block's share of the matrix: some sub-tiles in a row, and the bins (slots) that it gathers for them. */
struct XrdctItem {
    uint32_t first_subtile;
    uint32_t subtiles;
    uint32_t first_part; /* index into parts */
    uint32_t first_slot; /* where its slots start in a frame's partial sums */
    uint32_t slots;
    uint32_t counts; /* 1: it counts the saturated pixels of its sub-tiles; of items that share them, one does */
};
XRDCT_SIZE(struct XrdctItem, 24);

/* One sub-tile's passes in one item. */
struct XrdctPart {
    uint32_t first_pass; /* index into passes */
    uint32_t passes;
};
XRDCT_SIZE(struct XrdctPart, 8);

/* 32 rows of the matrix, one a lane, in pairs of entries, padded to the longest: pair k of row r is number
 * first_pair + 32 k + r. */
struct XrdctPass {
    uint32_t first_pair;
    uint32_t pairs;
};
XRDCT_SIZE(struct XrdctPass, 8);

/* What is the same for every batch of a run. */
struct XrdctRecipe {
    uint32_t bins;
    uint32_t total_slots; /* slots of all items: values a frame has in `partials` */
    uint32_t has_invalid; /* 1: a frame may have invalid pixels of its own, dummies or saturated ones */
    uint32_t mask_saturated; /* 1: saturated pixels are invalid, 0: they are counted and stay */
    float dummy; /* NaN, to which nothing is near, when there is none */
    float delta_dummy;
    float scale_n; /* fixed-point scales of the deficits N, N2, C: powers of two */
    float scale_n2;
    float scale_c;
};
XRDCT_SIZE(struct XrdctRecipe, 36);

/* The matrix on the device (built by src/cuda/integrate/matrix.rs). */
struct XrdctMatrix {
    const struct XrdctItem* items;
    const struct XrdctPart* parts;
    const struct XrdctPass* passes;
    const uint16_t* row_slot; /* [passes][32] */
    const uint16_t* entry_pixel; /* [pairs][2] swizzled places in the sub-tile */
    const float* entry_weight; /* [pairs][2] */
};
XRDCT_SIZE(struct XrdctMatrix, 48);

/* What else the sums need. */
struct XrdctTerms {
    const float* dark; /* [pixels], or null */
    const float* normalization; /* [pixels], read for invalid pixels only */
    const uint32_t* slot_bin; /* [total_slots] */
    const uint32_t* used; /* one bit a pixel: it has an entry; read where a pixel is saturated */
    int64_t* deficits; /* [frames][XRDCT_DEFICITS][bins] fixed point */
    uint32_t* saturated; /* [frames] such pixels at or above the batch's cutoff */
    double* signal; /* [frames][total_slots] partial sums */
    double* variance; /* likewise, or null */
};
XRDCT_SIZE(struct XrdctTerms, 64);

/* cuda/integrate/fused.cu */
struct XrdctPacked {
    const uint8_t* arena;
    const struct XrdctVerdict* verdicts;
    struct XrdctTables tables;
    struct XrdctMatrix matrix;
    struct XrdctTerms terms;
    struct XrdctBatch batch;
    struct XrdctRecipe recipe;
};
XRDCT_ARGUMENTS(XrdctPacked);

struct XrdctPlain {
    const uint8_t* pixels; /* at their spans, or one frame after another */
    const struct XrdctVerdict* verdicts;
    struct XrdctMatrix matrix;
    struct XrdctTerms terms;
    struct XrdctBatch batch;
    struct XrdctRecipe recipe;
};
XRDCT_ARGUMENTS(XrdctPlain);

struct XrdctBins {
    const double* partials; /* [frames][total_slots] */
    const uint32_t* bin_first; /* [bins + 1] into position */
    const uint32_t* position; /* partial sums of each bin */
    const struct XrdctVerdict* verdicts;
    double* sums; /* [frames][bins] */
    struct XrdctRecipe recipe;
};
XRDCT_ARGUMENTS(XrdctBins);

/* Reconstruction. Bins lie side by side, four to a plane, so that a float4 holds a value of each; a thread takes some
 * planes together, so that one interpolation weight serves all their bins. */
#define XRDCT_TOMO_PLANES 4u
#define XRDCT_TOMO_BINS 16u
/* Side of the square of pixels that a block works on, and its threads. */
#define XRDCT_TOMO_TILE 16u
#define XRDCT_TOMO_TILE_THREADS 256u
/* Rotations that are held in shared memory at a time. */
#define XRDCT_TOMO_TURNS 128u
/* Values of a row that a block of the filter takes at a time, two a thread. */
#define XRDCT_TOMO_RUN 128u

/* A rotation as back-projection sees it. */
struct XrdctTurn {
    float cosine;
    float sine;
    float weight; /* half the angle's share of the half circle */
    float step; /* change of u from column to column */
};
XRDCT_SIZE(struct XrdctTurn, 16);

/* A rotation as Joseph's projector sees it: View in src/tomo/project.rs. */
struct XrdctView {
    float origin;
    float along_x;
    float along_y;
    float slope;
    float height;
};
XRDCT_SIZE(struct XrdctView, 20);

/* A frame's part in a point of the scan: what its pattern is multiplied by, and what that counts. */
struct XrdctShare {
    double factor; /* weight times the frame's monitor factor */
    float weight;
    uint32_t frame;
};
XRDCT_SIZE(struct XrdctShare, 16);

/* Where a value of a mended sinogram comes from: one point of the scan, or between two. */
struct XrdctSource {
    uint32_t left;
    uint32_t right; /* the same as left where the point was measured */
    float share; /* of the right one */
};
XRDCT_SIZE(struct XrdctSource, 12);

/* Sinograms that are made of patterns on the device. */
struct XrdctAssembly {
    uint32_t npt; /* bins of a pattern */
    uint32_t first; /* first bin of the block */
    uint32_t bins;
    uint32_t rotations;
    uint32_t translations;
    uint32_t edge; /* translations at either end that see air */
};
XRDCT_SIZE(struct XrdctAssembly, 24);

/* Where the patterns of a batch are kept, and what the host would make of their frames. */
struct XrdctRows {
    double factor[XRDCT_MAX_BATCH]; /* what N is multiplied by, of each frame */
    uint32_t row[XRDCT_MAX_BATCH];
    float empty;
    uint32_t unused;
};
XRDCT_SIZE(struct XrdctRows, 12 * XRDCT_MAX_BATCH + 8);

/* cuda/integrate/keep.cu */
struct XrdctKeep {
    const double* signal; /* [frames][bins] */
    const int64_t* deficits; /* [frames][XRDCT_DEFICITS][bins], or null: nothing is invalid */
    const struct XrdctVerdict* verdicts;
    const double* norms; /* N, N2: [bins] each, of a frame in which all is valid */
    const int64_t* fixed; /* likewise in fixed point */
    float* patterns; /* [rows][bins] */
    struct XrdctRecipe recipe;
    struct XrdctRows rows;
};
XRDCT_ARGUMENTS(XrdctKeep);

/* Rays, pixels and bins of a block of slices. */
struct XrdctTomo {
    double x0; /* x of column 0, in translation steps */
    double y0; /* y of row 0 */
    double pixel; /* side of a pixel */
    float axis; /* translation step at which the rotation axis is seen */
    float least; /* SIRT: smallest value of a pixel */
    uint32_t bins;
    uint32_t rotations;
    uint32_t translations;
    uint32_t rows;
    uint32_t columns;
    uint32_t unused;
};
XRDCT_SIZE(struct XrdctTomo, 56);

/* cuda/tomo/fbp.cu. Rows and images are planes of four bins, [plane][ray or pixel][4]. */
struct XrdctSideBySide {
    const float* bins; /* [bin][ray] */
    const uint32_t* empty; /* [bin] 1: it has no data; or null: all have */
    float* rows;
    struct XrdctTomo tomo;
};
XRDCT_ARGUMENTS(XrdctSideBySide);

struct XrdctFilter {
    const float* rows;
    const float* taps;
    float* filtered;
    struct XrdctTomo tomo;
};
XRDCT_ARGUMENTS(XrdctFilter);

struct XrdctBackProject {
    const float* rows;
    const struct XrdctTurn* turns;
    float* image;
    struct XrdctTomo tomo;
};
XRDCT_ARGUMENTS(XrdctBackProject);

struct XrdctApart {
    const float* image;
    const uint8_t* kept; /* [pixel] 1 or 0 */
    float* slices; /* [bin][pixel] */
    struct XrdctTomo tomo;
};
XRDCT_ARGUMENTS(XrdctApart);

/* cuda/tomo/iterative.cu */
struct XrdctStart {
    const uint8_t* kept;
    float* image;
    struct XrdctTomo tomo;
};
XRDCT_ARGUMENTS(XrdctStart);

struct XrdctForward {
    const float* image;
    const float* measured;
    const struct XrdctView* views;
    const float* scales; /* [ray] 1 / row sum */
    float* rest;
    struct XrdctTomo tomo;
};
XRDCT_ARGUMENTS(XrdctForward);

struct XrdctBackward {
    const float* rest;
    const struct XrdctView* views;
    const float* scales; /* [pixel] 1 / column sum */
    const uint8_t* kept;
    float* image;
    struct XrdctTomo tomo;
};
XRDCT_ARGUMENTS(XrdctBackward);

/* cuda/tomo/assembly.cu. Sinograms are [bin][rotation][translation]. */
struct XrdctGather {
    const float* patterns; /* [frame][npt] */
    const struct XrdctShare* shares;
    const uint32_t* starts; /* [points + 1] into shares */
    const struct XrdctSource* sources;
    float* sinograms;
    uint32_t* empty; /* [bin] */
    struct XrdctAssembly sizes;
};
XRDCT_ARGUMENTS(XrdctGather);

struct XrdctAir {
    float* sinograms;
    struct XrdctAssembly sizes;
};
XRDCT_ARGUMENTS(XrdctAir);

struct XrdctScale {
    float* sinograms;
    const float* factors; /* [rotation] */
    struct XrdctAssembly sizes;
};
XRDCT_ARGUMENTS(XrdctScale);

struct XrdctShift {
    const float* sinograms;
    const float* shifts; /* [rotation] */
    float* shifted;
    struct XrdctAssembly sizes;
};
XRDCT_ARGUMENTS(XrdctShift);

struct XrdctColumnMeans {
    const float* sinograms;
    double* means; /* [bin][translation] */
    struct XrdctAssembly sizes;
};
XRDCT_ARGUMENTS(XrdctColumnMeans);

struct XrdctStripes {
    float* sinograms;
    const double* means;
    struct XrdctAssembly sizes;
};
XRDCT_ARGUMENTS(XrdctStripes);

#endif
