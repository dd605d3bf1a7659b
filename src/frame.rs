//! The words that the whole corridor shares: what a frame is, where its bytes live, what becomes of it.
//!
//! A [`Frame`] is a detector image on its way: an id, an [`Encoding`] that says how its bytes are to be read,
//! and the [`Slot`] that holds those bytes. Decoding is a change of encoding, nothing else: a compressed frame has
//! `codec = ByteOffset`, a decoded one `codec = Raw`. What comes out at the far end is a [`Pattern`], which carries
//! the frame's id and is written to that row, so frames may overtake each other anywhere.
//!
//! A [`Slot`] is a reusable host buffer that goes home to its [`SlotPool`] when dropped: no path can lose it, and
//! the number of slots is the only back-pressure there is.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Place of a frame in its scan: the row that its pattern is written to. Counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub usize);

/// Size of an image in pixels, in C order: `slow` rows of `fast` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows: the slow axis, y, dimension 1 of pyFAI.
    pub slow: usize,
    /// Pixels in a row: the fast axis, x, dimension 2 of pyFAI.
    pub fast: usize,
}

impl Shape {
    /// Number of pixels.
    pub const fn pixels(self) -> usize {
        self.slow * self.fast
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.slow, self.fast)
    }
}

/// Type of one pixel as the detector wrote it (little-endian in memory).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PixelType {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl PixelType {
    /// Bytes of one pixel.
    pub const fn size(self) -> usize {
        match self {
            PixelType::I8 | PixelType::U8 => 1,
            PixelType::I16 | PixelType::U16 => 2,
            PixelType::I32 | PixelType::U32 | PixelType::F32 => 4,
            PixelType::I64 | PixelType::U64 | PixelType::F64 => 8,
        }
    }

    /// Name as numpy spells it: `int32`, `uint16`, …
    pub const fn name(self) -> &'static str {
        match self {
            PixelType::I8 => "int8",
            PixelType::U8 => "uint8",
            PixelType::I16 => "int16",
            PixelType::U16 => "uint16",
            PixelType::I32 => "int32",
            PixelType::U32 => "uint32",
            PixelType::I64 => "int64",
            PixelType::U64 => "uint64",
            PixelType::F32 => "float32",
            PixelType::F64 => "float64",
        }
    }

    /// Whether pixels may be NaN or infinite.
    pub const fn is_float(self) -> bool {
        matches!(self, PixelType::F32 | PixelType::F64)
    }
}

/// How an image was packed into bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not packed: little-endian pixels in C order.
    Raw,
    /// CBF byte-offset: signed differences in 1, 3, 7 or 15 bytes.
    ByteOffset,
    /// What an HDF5 filter makes of a chunk that is one frame; DECTRIS streams have the same.
    Filtered(ChunkFilter),
}

/// An HDF5 filter that packs an image in blocks (`codec/blocks.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkFilter {
    /// LZ4, filter 32004.
    Lz4,
    /// Bitshuffle alone, filter 32008.
    Bitshuffle {
        /// Pixels of a block, as the filter's parameters say it; 0: its default.
        block: u32,
    },
    /// Bitshuffle with LZ4, filter 32008.
    BitshuffleLz4,
    /// Bitshuffle with zstd, filter 32008.
    BitshuffleZstd,
}

impl Codec {
    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Raw => "plain pixels",
            Codec::ByteOffset => "byte-offset",
            Codec::Filtered(ChunkFilter::Lz4) => "LZ4",
            Codec::Filtered(ChunkFilter::Bitshuffle { .. }) => "bitshuffle",
            Codec::Filtered(ChunkFilter::BitshuffleLz4) => "bitshuffle-LZ4",
            Codec::Filtered(ChunkFilter::BitshuffleZstd) => "bitshuffle-zstd",
        }
    }
}

/// Everything needed to turn a frame's bytes into pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// How the bytes are packed.
    pub codec: Codec,
    /// What they unpack to.
    pub pixel: PixelType,
    /// How many of them there are.
    pub shape: Shape,
}

/// Memory behind a [`Slot`]: ordinary host memory, or pinned memory when a GPU is in the plan.
pub trait SlotMemory: Send + Sync {
    /// The whole buffer.
    fn bytes(&self) -> &[u8];
    /// The whole buffer, to be filled.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Makes the buffer at least `len` bytes long; what it held may be lost.
    ///
    /// # Errors
    /// When there is no memory of that size.
    fn grow(&mut self, len: usize) -> std::io::Result<()>;
    /// The NUMA node that it is at, where that is known.
    fn node(&self) -> Option<usize> {
        None
    }
    /// For code that must know which kind it holds (an upload from pinned memory).
    fn as_any(&self) -> &dyn std::any::Any;
}

impl SlotMemory for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn grow(&mut self, len: usize) -> std::io::Result<()> {
        if len > self.len() {
            self.try_reserve_exact(len - self.len())
                .map_err(|e| std::io::Error::new(std::io::ErrorKind::OutOfMemory, e))?;
            self.resize(len, 0);
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

type Memory = Box<dyn SlotMemory>;

struct Home {
    free: Mutex<Vec<Memory>>,
    came_home: Condvar,
}

thread_local! {
    static NEAR: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Has this thread take slots at a NUMA node from now on, as long as there are any.
pub fn prefer_slots_at(node: usize) {
    NEAR.set(Some(node));
}

/// One of those that are free, the one that came home last; but rather one at the thread's own node.
fn pick(free: &mut Vec<Memory>) -> Option<Memory> {
    let near = NEAR.get().and_then(|node| free.iter().rposition(|memory| memory.node() == Some(node)));
    match near {
        Some(place) => Some(free.remove(place)),
        None => free.pop(),
    }
}

/// The slots of one run. Cloning shares the pool.
#[derive(Clone)]
pub struct SlotPool(Arc<Home>);

impl SlotPool {
    /// A pool that owns exactly these buffers.
    pub fn new(buffers: impl IntoIterator<Item = Memory>) -> SlotPool {
        let free = Mutex::new(buffers.into_iter().collect());
        SlotPool(Arc::new(Home { free, came_home: Condvar::new() }))
    }

    /// A pool of `count` ordinary host buffers of `len` bytes.
    pub fn on_host(count: usize, len: usize) -> SlotPool {
        SlotPool::new((0..count).map(|_| Box::new(vec![0_u8; len]) as Memory))
    }

    /// Sees that there are so many when nobody has one: ordinary memory takes the place of those that will not come home.
    pub fn refill(&self, count: usize) {
        let mut free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        while free.len() < count {
            // Whoever takes it makes it as large as it must be.
            free.push(Box::new(Vec::new()));
        }
    }

    /// Takes a slot; blocks until one has come home.
    pub fn take(&self) -> Slot {
        let free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.0.came_home.wait_while(free, |f| f.is_empty()).unwrap_or_else(PoisonError::into_inner);
        let memory = pick(&mut free);
        Slot { memory, home: Some(Arc::clone(&self.0)) }
    }

    /// Takes a slot; `None` when none has come home for so long.
    pub fn take_for(&self, time: Duration) -> Option<Slot> {
        let free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.came_home.wait_timeout_while(free, time, |f| f.is_empty());
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let memory = pick(&mut free)?;
        Some(Slot { memory: Some(memory), home: Some(Arc::clone(&self.0)) })
    }
}

/// Slots that do not come home: what readers that wait for one must know.
#[derive(Debug, Default)]
pub struct SlotLosses {
    all: AtomicBool,
    some: AtomicUsize,
}

impl SlotLosses {
    /// Nobody is left who sends slots home.
    pub fn lose_all(&self) {
        self.all.store(true, Ordering::Release);
    }

    /// As many may be gone with one of those who had them: others take their place when they are waited for.
    pub fn lose(&self, slots: usize) {
        self.some.fetch_add(slots, Ordering::AcqRel);
    }

    fn are_all(&self) -> bool {
        self.all.load(Ordering::Acquire)
    }

    /// Whether one is still to be replaced, which then is done.
    fn replace_one(&self) -> bool {
        self.some.fetch_update(Ordering::AcqRel, Ordering::Acquire, |some| some.checked_sub(1)).is_ok()
    }
}

/// What a reader takes slots from: one that was waited for already, then the pool.
pub struct Slots<'a> {
    ready: Option<Slot>,
    pool: &'a SlotPool,
    losses: Option<&'a SlotLosses>,
}

/// How often a reader that waits for a slot looks whether it may wait in vain.
const LOOK: Duration = Duration::from_millis(100);

impl<'a> Slots<'a> {
    /// Slots of a pool; waits for the first now, so that whoever measures reading does not measure that.
    pub fn waited_for(pool: &'a SlotPool, losses: &'a SlotLosses) -> Slots<'a> {
        let mut slots = Slots { ready: None, pool, losses: Some(losses) };
        slots.ready = Some(slots.take());
        slots
    }

    /// Slots of a pool, none of them taken yet.
    pub fn of(pool: &'a SlotPool) -> Slots<'a> {
        Slots { ready: None, pool, losses: None }
    }

    /// Takes a slot; blocks until one has come home. Where none will, because those who had them are gone, it is one without a home, and
    /// what it holds goes nowhere. One that takes the place of a lost one is ordinary memory.
    pub fn take(&mut self) -> Slot {
        if let Some(slot) = self.ready.take() {
            return slot;
        }
        let Some(losses) = self.losses else { return self.pool.take() };
        loop {
            if let Some(slot) = self.pool.take_for(LOOK) {
                return slot;
            }
            let home = match () {
                () if losses.are_all() => None,
                () if losses.replace_one() => Some(Arc::clone(&self.pool.0)),
                () => continue,
            };
            return Slot { memory: Some(Box::new(Vec::new())), home };
        }
    }
}

/// A reusable host buffer, on loan from its [`SlotPool`] until dropped.
pub struct Slot {
    /// `None` only while being dropped.
    memory: Option<Memory>,
    home: Option<Arc<Home>>,
}

impl Slot {
    /// The memory itself.
    pub fn memory(&self) -> &dyn SlotMemory {
        self.memory.as_deref().expect("a slot holds its memory until it is dropped")
    }

    /// The memory itself, to be filled.
    pub fn memory_mut(&mut self) -> &mut dyn SlotMemory {
        self.memory.as_deref_mut().expect("a slot holds its memory until it is dropped")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let (Some(memory), Some(home)) = (self.memory.take(), &self.home) {
            home.free.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            home.came_home.notify_one();
        }
    }
}

/// An MD5: 16 bytes.
pub type Digest = [u8; 16];

/// A number that each frame's header may have: an angle, a position, a time, a monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name, which is that of its dataset: `omega`, `exposure_time`.
    pub name: String,
    /// Its unit as NeXus spells it; empty when it has none or nobody knows.
    pub unit: String,
}

/// What a frame's own header says and the next frame's may say otherwise.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FrameHeader {
    /// Date as written, ISO 8601 with fractions of a second; empty when the header has none.
    pub date: String,
    /// One value for each [`Column`] of its source; NaN when the header has none. Empty: none of them.
    pub numbers: Vec<f64>,
    /// MD5 that the packed bytes must have; none when the header has none, or nobody is to check it. Whoever reduces a frame
    /// checks it, so that a good pattern with a digest is one of verified bytes.
    pub digest: Option<Digest>,
    /// `Count_cutoff`: a pixel with so many counts or more is saturated; `None` when the header does not say.
    pub count_cutoff: Option<f64>,
}

impl FrameHeader {
    /// The value of a column; NaN when the header has none.
    pub fn number(&self, column: usize) -> f64 {
        self.numbers.get(column).copied().unwrap_or(f64::NAN)
    }
}

/// Where a frame came from: what messages begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file, or what stands for it.
    pub file: Arc<Path>,
    /// Which image of it, when it holds several; counted from 0.
    pub image: Option<usize>,
}

impl Origin {
    /// A file that is one frame.
    pub fn file(path: impl Into<Arc<Path>>) -> Origin {
        Origin { file: path.into(), image: None }
    }
}

impl From<&Path> for Origin {
    fn from(file: &Path) -> Origin {
        Origin::file(file)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.image {
            None => write!(f, "{}", self.file.display()),
            Some(image) => write!(f, "{}, image {image}", self.file.display()),
        }
    }
}

/// A detector image on its way through the corridor. A clone has the same bytes in the same slot.
#[derive(Clone)]
pub struct Frame {
    /// Which row its pattern goes to.
    pub id: FrameId,
    /// Where it came from, for messages.
    pub origin: Origin,
    /// How to read its bytes.
    pub encoding: Encoding,
    /// The buffer that holds them, and perhaps those of other frames: it goes home with the last one.
    pub slot: Arc<Slot>,
    /// Where in the slot they are.
    pub payload: Range<usize>,
    /// What its header said.
    pub header: FrameHeader,
    /// What N of its pattern is multiplied by: a monitor, an exposure; pyFAI's normalization factor of one frame.
    pub factor: f64,
}

impl Frame {
    /// The bytes of the image, packed as [`Encoding::codec`] says.
    pub fn bytes(&self) -> &[u8] {
        &self.slot.memory().bytes()[self.payload.clone()]
    }
}

/// What became of a frame; the number is what the output's `frame_status` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameStatus {
    /// Integrated; its row is complete.
    Good = 0,
    /// Not reached: the run ended before it. Its row is NaN (or zero in a killed run's file).
    Pending = 1,
    /// The file could not be opened or read.
    Unreadable = 2,
    /// The file's header is not one that can be used.
    BadHeader = 3,
    /// Another shape or pixel type than the first frame's.
    OtherShape = 4,
    /// The packed bytes end before the last pixel.
    Truncated = 5,
    /// The packed bytes go on after the last pixel.
    Overlong = 6,
    /// The packed bytes do not match the header's Content-MD5.
    Md5Mismatch = 7,
    /// Decoded, but not one valid pixel fell into any bin.
    NoPixels = 8,
    /// Decoded, but some bin that has pixels has no finite intensity or error.
    NotFinite = 9,
    /// The packed bytes are not what their codec writes.
    Corrupt = 10,
    /// Its monitor, which it is to be divided by, is missing or not above zero.
    NoMonitor = 11,
}

impl FrameStatus {
    /// Every status, in the order of its number.
    pub const ALL: [FrameStatus; 12] = [
        FrameStatus::Good,
        FrameStatus::Pending,
        FrameStatus::Unreadable,
        FrameStatus::BadHeader,
        FrameStatus::OtherShape,
        FrameStatus::Truncated,
        FrameStatus::Overlong,
        FrameStatus::Md5Mismatch,
        FrameStatus::NoPixels,
        FrameStatus::NotFinite,
        FrameStatus::Corrupt,
        FrameStatus::NoMonitor,
    ];

    /// One word for tables and the output's legend.
    pub const fn word(self) -> &'static str {
        match self {
            FrameStatus::Good => "good",
            FrameStatus::Pending => "pending",
            FrameStatus::Unreadable => "unreadable",
            FrameStatus::BadHeader => "bad_header",
            FrameStatus::OtherShape => "other_shape",
            FrameStatus::Truncated => "truncated",
            FrameStatus::Overlong => "overlong",
            FrameStatus::Md5Mismatch => "md5_mismatch",
            FrameStatus::NoPixels => "no_pixels",
            FrameStatus::NotFinite => "not_finite",
            FrameStatus::Corrupt => "corrupt",
            FrameStatus::NoMonitor => "no_monitor",
        }
    }
}

/// A frame that cannot be reduced: data, not a failure of the system.
#[derive(Debug, Clone, PartialEq)]
pub struct BadFrame {
    /// Which frame.
    pub id: FrameId,
    /// What kind of bad; never [`FrameStatus::Good`].
    pub status: FrameStatus,
    /// One line for people: path, place, cause.
    pub message: String,
}

/// The sums of the matrix that depend on geometry and on which pixels were valid, not on what they counted.
///
/// One value a bin. Frames with the same valid pixels share one of these.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Norms {
    /// N = Σ c·norm
    pub normalization: Vec<f64>,
    /// N₂ = Σ (c·norm)²
    pub normalization_squared: Vec<f64>,
    /// C = Σ c
    pub count: Vec<f64>,
}

/// The powder pattern of one good frame. Vectors have one value a bin.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Which row it is written to.
    pub id: FrameId,
    /// What the frame's header said.
    pub header: FrameHeader,
    /// I = S / N; the `empty` value where no pixel contributed.
    pub intensity: Vec<f32>,
    /// Standard error of the mean, √V / N, when an error model was asked for (pyFAI's `sem` and `sigma`).
    pub sem: Option<Vec<f32>>,
    /// Standard deviation of a pixel, √(V / N₂), when an error model was asked for (pyFAI's `std`).
    pub std: Option<Vec<f32>>,
    /// C = Σ c of this frame alone, where its counts decide which of its pixels count (pyFAI's `count`).
    pub count: Option<Vec<f32>>,
    /// S = Σ c·(raw − dark)
    pub signal: Vec<f64>,
    /// V = Σ c²·var, when an error model was asked for.
    pub variance: Option<Vec<f64>>,
    /// The sums that do not depend on the counts.
    pub norms: Arc<Norms>,
    /// Pixels of the matrix that are saturated in this frame.
    pub saturated: u32,
}

/// What comes out of the corridor for each frame that went in.
pub type Outcome = Result<Pattern, BadFrame>;
