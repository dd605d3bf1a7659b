/* The one header that both languages read: nvcc includes it, bindgen turns it into Rust.
 *
 * Only plain C structures, fixed-width integers and constants. Every structure is passed to a kernel by value, as its
 * last argument, after the pointers. Sizes are asserted here for the device side; a Rust test compares them with what
 * bindgen saw.
 *
 * Words: the arena is the device buffer that holds the packed bytes of a batch of frames, one after another. A chunk
 * is the 16 bytes that one thread looks at, a step the 512 bytes that a warp looks at, a tile 8 steps. A frame starts
 * on a tile's edge (plus 0 to 15 bytes, so that an upload may begin at an aligned host address).
 */
#ifndef XRDCT_PARAMS_H
#define XRDCT_PARAMS_H

#include <stdint.h>

#ifdef __cplusplus
#define XRDCT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type " has another size than params.h says")
#else
#define XRDCT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has another size than params.h says")
#endif

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

/* Digests of packed frames. Bytes that MD5 takes at a time; threads of a block, a frame each. */
#define XRDCT_DIGEST_BLOCK 64u
#define XRDCT_DIGEST_THREADS 32u
/* Nothing is left to do for a frame. */
#define XRDCT_DIGEST_DONE 0xFFFFFFFFu
/* Most batches whose digests are under way. */
#define XRDCT_MAX_ENTRIES 64u

/* A frame's digest in the making. */
struct XrdctDigest {
    uint64_t next;     /* address of the next block */
    uint32_t blocks;   /* whole blocks that are left, or XRDCT_DIGEST_DONE */
    uint32_t length;   /* bytes of the frame */
    uint32_t state[4]; /* A, B, C, D; the digest in the end */
};
XRDCT_SIZE(struct XrdctDigest, 32);

/* What one launch does: every digest of these entries goes on by `budget` blocks. */
struct XrdctSlice {
    uint32_t budget;
    uint32_t entry[XRDCT_MAX_ENTRIES];
};
XRDCT_SIZE(struct XrdctSlice, 4 + 4 * XRDCT_MAX_ENTRIES);

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
    uint32_t has_invalid;    /* 1: a frame may have invalid pixels of its own, dummies or saturated ones */
    uint32_t mask_saturated; /* 1: saturated pixels are invalid, 0: they are counted and stay */
    float dummy;             /* NaN, to which nothing is near, when there is none */
    float delta_dummy;
    float scale_n;     /* fixed-point scales of the deficits N, N2, C: powers of two */
    float scale_n2;
    float scale_c;
};
XRDCT_SIZE(struct XrdctRecipe, 36);

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
    float step;   /* change of u from column to column */
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
    float share;    /* of the right one */
};
XRDCT_SIZE(struct XrdctSource, 12);

/* Sinograms that are made of patterns on the device. */
struct XrdctAssembly {
    uint32_t npt;   /* bins of a pattern */
    uint32_t first; /* first bin of the block */
    uint32_t bins;
    uint32_t rotations;
    uint32_t translations;
    uint32_t edge; /* translations at either end that see air */
};
XRDCT_SIZE(struct XrdctAssembly, 24);

/* Where the patterns of a batch are kept, and what an empty bin holds. */
struct XrdctRows {
    uint32_t row[XRDCT_MAX_BATCH];
    float empty;
};
XRDCT_SIZE(struct XrdctRows, 4 * XRDCT_MAX_BATCH + 4);

/* Rays, pixels and bins of a block of slices. */
struct XrdctTomo {
    double x0;    /* x of column 0, in translation steps */
    double y0;    /* y of row 0 */
    double pixel; /* side of a pixel */
    float axis;   /* translation step at which the rotation axis is seen */
    float least;  /* SIRT: smallest value of a pixel */
    uint32_t bins;
    uint32_t rotations;
    uint32_t translations;
    uint32_t rows;
    uint32_t columns;
    uint32_t unused;
};
XRDCT_SIZE(struct XrdctTomo, 56);

#endif
