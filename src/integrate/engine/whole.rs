//! Frames that are decoded as a whole, pixels side by side: for routes that go bin by bin.
//!
//! A bin's pixels lie on a ring, so they are read in an order that no cache foresees, and from nearly as many pages as there are pixels. Hence large
//! pages: with the usual ones finding an address costs as much as reading what is there (profiles/notes/semantics.md).

use std::time::Instant;

use rustix::mm::{Advice, madvise};

use super::kernel::{self, Counts, GROUP};
use super::prepare::Prepared;
use super::stream::PixelStream;
use super::{Engine, RUN, STRIDE, Scratch};
use crate::codec::Pixel;
use crate::frame::Frame;

/// A group of frames, decoded and prepared.
#[derive(Debug, Default)]
pub(super) struct WholeFrames {
    signal: Plane,
    /// Empty where pixels have no variance.
    variance: Plane,
}

/// One number of each pixel.
#[derive(Debug, Default)]
struct Plane {
    /// A run of pixels, frame after frame.
    lanes: Vec<f32>,
    /// All pixels, frames side by side; or of the only frame.
    counts: Vec<Counts>,
    one: Vec<[f32; 1]>,
}

/// What was decoded, of `L` frames: a place for each pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes<'a, const L: usize> {
    pub(super) signal: &'a [[f32; L]],
    /// Empty where pixels have no variance.
    pub(super) variance: &'a [[f32; L]],
}

impl WholeFrames {
    /// Those of several frames.
    pub(super) fn of_group(&self) -> Planes<'_, GROUP> {
        Planes { signal: kernel::plain(&self.signal.counts), variance: kernel::plain(&self.variance.counts) }
    }

    /// Those of the only frame.
    pub(super) fn of_one(&self) -> Planes<'_, 1> {
        Planes { signal: &self.signal.one, variance: &self.variance.one }
    }

    /// Makes room for so many pixels of so many frames.
    fn make_room(&mut self, pixels: usize, frames: usize, with_variance: bool) {
        // The transpose takes four pixels at a time.
        let (one, many) = if frames == 1 { (pixels, 0) } else { (0, pixels.next_multiple_of(4)) };
        for (plane, is_there) in [(&mut self.signal, true), (&mut self.variance, with_variance)] {
            let size = |size: usize| if is_there { size } else { 0 };
            resize(&mut plane.one, size(one), [0.0]);
            resize(&mut plane.counts, size(many), Counts::default());
            // In lanes without a frame no pixel is valid.
            plane.lanes.clear();
            plane.lanes.resize(size(GROUP * STRIDE), f32::NAN);
        }
    }
}

impl Plane {
    /// Where a run of frame `at` goes; none where the plane is not wanted.
    fn run(&mut self, frames: usize, at: usize, first: usize, pixels: usize) -> Option<&mut [f32]> {
        match frames {
            1 => self.one.get_mut(first..first + pixels).map(|one| one.as_flattened_mut()),
            _ => self.lanes.get_mut(at * STRIDE..at * STRIDE + pixels),
        }
    }
}

impl Scratch {
    /// Decodes and prepares all pixels of a group into `whole`.
    pub(super) fn decode_whole<'a, T: Pixel>(
        &mut self,
        engine: &Engine,
        frames: &'a [Frame],
    ) -> Vec<PixelStream<'a>> {
        let Scratch { whole, invalid, saturated, decoding, .. } = self;
        let pixels = engine.shape.pixels();
        whole.make_room(pixels, frames.len(), engine.prepare.has_variance());
        let open = |frame| PixelStream::open(frame, engine.shape, engine.pixel, engine.simd);
        let mut lanes: Vec<PixelStream> = frames.iter().map(open).collect();
        let cutoffs: Vec<f32> = frames.iter().map(|f| engine.saturation.cutoff_of(&f.header)).collect();
        let mut raw = [T::default(); RUN];
        for first in (0..pixels).step_by(RUN) {
            let raw = &mut raw[..RUN.min(pixels - first)];
            for (at, lane) in lanes.iter_mut().enumerate() {
                let begun = decoding.is_some().then(Instant::now);
                let is_good = lane.next(raw);
                if let (Some(decoding), Some(begun)) = (decoding.as_mut(), begun) {
                    *decoding += begun.elapsed();
                }
                let variance = whole.variance.run(frames.len(), at, first, raw.len());
                if let (true, Some(signal)) = (is_good, whole.signal.run(frames.len(), at, first, raw.len()))
                {
                    let (invalid, saturated) = (&mut invalid[at], &mut saturated[at]);
                    let to = Prepared { signal, variance, invalid, saturated };
                    engine.prepare.run(engine.simd, first, raw, cutoffs[at], to);
                }
            }
            if lanes.iter().all(PixelStream::is_bad) {
                break;
            }
            for plane in [&mut whole.signal, &mut whole.variance] {
                if !plane.counts.is_empty() {
                    let out = &mut plane.counts[first..first + raw.len().next_multiple_of(4)];
                    kernel::side_by_side(engine.simd, &plane.lanes, STRIDE, out);
                }
            }
        }
        lanes
    }
}

/// Asks for what a later entry of the matrix will want, so that it is on its way meanwhile: `entry` is the one that is looked at, `indices` are
/// the pixels of all.
#[inline(always)]
pub(super) fn ask_ahead<const L: usize>(plane: &[[f32; L]], indices: &[u32], entry: usize) {
    /// Entries. So many reach into the next bins, which the CPU does not foresee.
    const AHEAD: usize = 64;
    #[cfg(target_arch = "x86_64")]
    if let Some(pixel) = indices.get(entry + AHEAD) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(plane.as_ptr().wrapping_add(*pixel as usize).cast()) };
    }
}

/// [`Vec::resize`], and what is new lies in large pages where the system has some.
fn resize<T: Copy>(values: &mut Vec<T>, len: usize, value: T) {
    /// The smallest page, on whose border advice must begin.
    const PAGE: usize = 4096;
    if len > values.capacity() {
        // Nothing is kept: whoever asks writes all of it.
        *values = Vec::with_capacity(len);
        let begin = values.as_mut_ptr().cast::<u8>();
        let skipped = begin.align_offset(PAGE);
        let bytes = (len * size_of::<T>()).saturating_sub(skipped);
        // SAFETY: within what was just allocated; the advice changes no content, and what is not followed does no harm.
        let _ = unsafe { madvise(begin.wrapping_add(skipped).cast(), bytes, Advice::LinuxHugepage) };
    }
    values.resize(len, value);
}
