//! Digests of packed frames, made on the device beside everything else: twin of [`crate::codec::md5`], host side of `cuda/codec/md5.cu`.
//!
//! A thread takes a frame, so a digest takes tens of milliseconds where the frame's pattern takes one. What is lost in delay is won
//! by numbers: the bytes of a batch stay where they were uploaded (an *entry*), and a *slice* is one launch that brings the
//! digests of all entries forward by a stretch. Slices follow each other in a stream of their own; the state of the digests is in pinned
//! memory that the kernel reads and writes by itself, so nothing is copied and no stream waits for another. How many blocks a slice does is
//! known, therefore also which slice is an entry's last.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cuda::driver::{Context, DeviceBuffer, Event, Kernel, Launch, Module, PinnedBuffer, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::params::{
    XRDCT_DIGEST_BLOCK, XRDCT_DIGEST_DONE, XRDCT_DIGEST_THREADS, XRDCT_MAX_BATCH, XRDCT_MAX_ENTRIES,
    XrdctDigest, XrdctHash, XrdctSlice, XrdctSpan,
};
use crate::frame::Digest;

/// Blocks of 64 bytes that a slice does: 1.5 ms, about the time in which another batch comes (half as many are as fast).
const BUDGET: u32 = 2048;
/// Slices that are enqueued at once: one runs, one waits, so that the device is never without.
const AHEAD: usize = 2;
/// Most entries.
pub const MOST_ENTRIES: usize = XRDCT_MAX_ENTRIES as usize;

const BATCH: usize = XRDCT_MAX_BATCH as usize;
const START: [u32; 4] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];

/// A batch whose digests are being made.
#[derive(Debug)]
struct Entry {
    /// What holds its bytes, kept until they are done.
    arena: Arc<DeviceBuffer<u8>>,
    frames: usize,
    /// Blocks that its longest frame still has to be given.
    blocks: u32,
    /// The slice that finishes it, once enqueued.
    last: Option<u64>,
}

/// Makes digests of batches that are on the device.
#[derive(Debug)]
pub struct Digests {
    // The stream goes first and waits for its work; then what that uses.
    stream: Stream,
    kernel: Kernel<XrdctHash>,
    digests: PinnedBuffer,
    entries: Vec<Option<Entry>>,
    /// Slices under way, oldest first.
    slices: VecDeque<(u64, Event)>,
    /// Number of the next slice.
    next: u64,
    spare: Vec<Event>,
}

impl Digests {
    /// Room for so many batches at once, at most [`MOST_ENTRIES`].
    ///
    /// # Errors
    /// When the binary has no kernels for this GPU, or the driver refuses.
    pub fn new(context: &Arc<Context>, entries: usize) -> Result<Digests, CudaError> {
        let entries = entries.clamp(1, MOST_ENTRIES);
        Ok(Digests {
            stream: Stream::in_the_background(context)?,
            kernel: Kernel::load(&Module::of(context, "md5")?, "xrdct_md5")?,
            digests: PinnedBuffer::take(context, entries * BATCH * size_of::<XrdctDigest>())?,
            entries: (0..entries).map(|_| None).collect(),
            slices: VecDeque::new(),
            next: 0,
            spare: (0..=AHEAD).map(|_| Event::new(context)).collect::<Result<_, _>>()?,
        })
    }

    /// Batches that there is room for.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// Takes in a batch whose bytes are in `arena`, all arrived; gives the number of its entry. Frames that are not
    /// `wanted` get no digest. The arena must not be written to until [`Digests::take`] gives it back.
    ///
    /// # Errors
    /// [`CudaError::NoEntry`] when all entries are taken, or when a span is outside the arena.
    pub fn begin(
        &mut self,
        arena: &Arc<DeviceBuffer<u8>>,
        spans: &[XrdctSpan],
        wanted: impl Fn(usize) -> bool,
    ) -> Result<usize, CudaError> {
        let entry = self.entries.iter().position(Option::is_none).ok_or(CudaError::NoEntry)?;
        let mut blocks = 0;
        for frame in 0..BATCH {
            let digest = match spans.get(frame).filter(|_| wanted(frame)) {
                None => XrdctDigest { blocks: XRDCT_DIGEST_DONE, ..XrdctDigest::default() },
                Some(span) => {
                    let length = span.end - span.first;
                    if span.end as usize > arena.len() {
                        let (offset, len) = (span.first as usize, length as usize);
                        return Err(CudaError::OutsideBuffer { offset, len, size: arena.len() });
                    }
                    // The tail is done with the last whole block, or in a slice of its own.
                    blocks = blocks.max((length / XRDCT_DIGEST_BLOCK).max(1));
                    XrdctDigest {
                        next: arena.pointer_at::<u8>(span.first as usize).addr() as u64,
                        blocks: length / XRDCT_DIGEST_BLOCK,
                        length,
                        state: START,
                    }
                }
            };
            // SAFETY: inside the buffer; no slice under way has this entry.
            unsafe { self.place(entry, frame).write_volatile(digest) };
        }
        let frames = spans.len();
        self.entries[entry] = Some(Entry { arena: Arc::clone(arena), frames, blocks, last: None });
        Ok(entry)
    }

    /// Enqueues slices while there is something to do and few are under way; never blocks.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn advance(&mut self) -> Result<(), CudaError> {
        while self.slices.front().is_some_and(|(_, done)| done.is_done().unwrap_or(true)) {
            self.retire()?;
        }
        while self.slices.len() < AHEAD && self.enqueue_slice()? {}
        Ok(())
    }

    fn enqueue_slice(&mut self) -> Result<bool, CudaError> {
        let mut slice = XrdctSlice { budget: BUDGET, entry: [0; MOST_ENTRIES] };
        let (mut count, mut frames) = (0, 0);
        for (number, entry) in self.entries.iter_mut().enumerate() {
            let Some(entry) = entry.as_mut().filter(|entry| entry.last.is_none()) else { continue };
            slice.entry[count] = number as u32;
            count += 1;
            frames = frames.max(entry.frames);
            entry.blocks = entry.blocks.saturating_sub(BUDGET);
            if entry.blocks == 0 {
                entry.last = Some(self.next);
            }
        }
        let Some(done) = (count > 0).then(|| self.spare.pop()).flatten() else { return Ok(false) };
        let threads = XRDCT_DIGEST_THREADS as usize;
        let shape = Launch { grid: (frames.div_ceil(threads), count), threads, shared: 0 };
        let hash = XrdctHash { digests: self.digests.pointer(), slice };
        // SAFETY: the state is ours and alive; its addresses are inside arenas that the entries keep.
        unsafe { self.kernel.enqueue(&self.stream, shape, &hash) }?;
        done.enqueue(&self.stream)?;
        self.slices.push_back((self.next, done));
        self.next += 1;
        Ok(true)
    }

    /// Forgets the oldest slice, which is done; a failure on the device comes out here.
    fn retire(&mut self) -> Result<(), CudaError> {
        if let Some((_, done)) = self.slices.pop_front() {
            done.wait()?;
            self.spare.push(done);
        }
        Ok(())
    }

    /// Whether an entry's digests are there; never blocks.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn is_done(&self, entry: usize) -> Result<bool, CudaError> {
        let Some(last) = self.entries[entry].as_ref().and_then(|entry| entry.last) else { return Ok(false) };
        match self.slices.iter().find(|(number, _)| *number == last) {
            Some((_, done)) => done.is_done(),
            None => Ok(true),
        }
    }

    /// Waits for the oldest slice.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn wait(&mut self) -> Result<(), CudaError> {
        self.advance()?;
        self.retire()?;
        self.advance()
    }

    /// The digests of an entry that is done, one a frame (of those that were not wanted, anything), and its arena, free again.
    pub fn take(&mut self, entry: usize) -> Option<(Vec<Digest>, Arc<DeviceBuffer<u8>>)> {
        let Entry { arena, frames, .. } = self.entries[entry].take()?;
        let digest = |frame| {
            // SAFETY: inside the buffer; the slice that wrote it has been waited for.
            let state = unsafe { self.place(entry, frame).read_volatile() }.state;
            let mut digest = [0; 16];
            digest
                .chunks_exact_mut(4)
                .zip(state)
                .for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
            digest
        };
        Some(((0..frames).map(digest).collect(), arena))
    }

    fn place(&self, entry: usize, frame: usize) -> *mut XrdctDigest {
        self.digests.pointer::<XrdctDigest>().wrapping_add(entry * BATCH + frame)
    }
}
