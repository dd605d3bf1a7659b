//! Memory of the host that is there before a device locks it.
//!
//! The driver makes what it locks page by page, alone, and everybody who asks it for anything meanwhile waits: 0.2 s for 335 MB. Pages
//! that are there already, large ones where the system has them, are locked in a twentieth of that; and making them needs no device, so
//! it is done while one is opened.

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::thread;

use cudarc::driver::sys;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::param::page_size;

use super::context::{Context, may_unpin};
use crate::cuda::error::CudaError;
use crate::cuda::numa::NumaNode;

/// A large page.
const LARGE: usize = 2 << 20;
/// CU_MEMHOSTREGISTER_PORTABLE: locked for every context.
const PORTABLE: u32 = 1;

/// Memory of the host, zeroed, of which every page is there.
#[derive(Debug)]
pub struct Pages {
    pointer: NonNull<u8>,
    len: usize,
    /// The node of each of as many equal shares.
    nodes: Vec<Option<usize>>,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Pages {}
// SAFETY: nothing is done through a shared reference.
unsafe impl Sync for Pages {}

impl Pages {
    /// Takes `len` bytes, at least 1. With several nodes each makes the pages of its share, side by side, and has them near.
    ///
    /// # Errors
    /// When the system has no room for them.
    pub fn take(len: usize, nodes: &[Option<NumaNode>]) -> io::Result<Pages> {
        // Whole large pages, which the system then places on their borders.
        let len = len.max(1).checked_next_multiple_of(LARGE).ok_or(Errno::NOMEM)?;
        // SAFETY: a new mapping, where there is room.
        let pointer = unsafe {
            mmap_anonymous(null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }?;
        let numbers = nodes.iter().map(|node| node.as_ref().map(NumaNode::number)).collect();
        let pages = Pages { pointer: NonNull::new(pointer.cast()).ok_or(Errno::NOMEM)?, len, nodes: numbers };
        for advice in [Advice::LinuxHugepage, Advice::LinuxDontFork] {
            // SAFETY: our own mapping. It is as usable where the system does not follow.
            let _ = unsafe { madvise(pointer, len, advice) };
        }
        match nodes {
            [] | [_] => pages.make(0..len),
            _ => thread::scope(|scope| {
                for (share, node) in nodes.iter().enumerate() {
                    let (pages, range) = (&pages, pages.share(share));
                    let made = thread::Builder::new().name("pages".into()).spawn_scoped(scope, move || {
                        node.iter().for_each(NumaNode::keep_thread);
                        pages.make(range);
                    });
                    if made.is_err() {
                        // No thread could be started.
                        pages.make(pages.share(share));
                    }
                }
            }),
        }
        Ok(pages)
    }

    /// Whole large pages for each of the nodes.
    fn share(&self, number: usize) -> Range<usize> {
        let edge = |number: usize| {
            let pages = self.len / LARGE;
            (pages * number / self.nodes.len().max(1)) * LARGE
        };
        edge(number)..edge(number + 1)
    }

    /// Makes pages one by one, by writing: asking the system for many at once holds up everybody who maps memory meanwhile.
    fn make(&self, range: Range<usize>) {
        for page in range.step_by(page_size()) {
            // SAFETY: inside our own mapping, which nobody else has yet; zeros become zeros, which makes the page.
            unsafe { self.pointer.add(page).write_volatile(0) };
        }
    }

    /// The node that a byte is at, where that is known.
    fn node_at(&self, byte: usize) -> Option<usize> {
        let share = (0..self.nodes.len()).find(|share| self.share(*share).contains(&byte))?;
        self.nodes[share]
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped once, given back once.
        let _ = unsafe { munmap(self.pointer.as_ptr().cast(), self.len) };
    }
}

/// Pages that a device fetches from by itself.
#[derive(Debug)]
pub struct LockedPages {
    /// `None` only while being dropped.
    pages: Option<Pages>,
    context: Arc<Context>,
}

impl LockedPages {
    /// Locks pages.
    ///
    /// # Errors
    /// When the driver cannot lock so much, or not such memory.
    pub fn lock(context: &Arc<Context>, pages: Pages) -> Result<LockedPages, CudaError> {
        context.bind()?;
        let (pointer, len) = (pages.pointer.as_ptr().cast::<c_void>(), pages.len);
        // SAFETY: mapped memory, which stays until it is unlocked.
        unsafe { sys::cuMemHostRegister_v2(pointer, len, PORTABLE) }.result().map_err(|e| match e.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::OutOfPinnedMemory { asked: len },
            _ => CudaError::driver("locking memory", e),
        })?;
        Ok(LockedPages { pages: Some(pages), context: Arc::clone(context) })
    }

    /// As many parts of `len` bytes as there are, but at most `count`; each begins on a page.
    pub fn cut(self, count: usize, len: usize) -> impl Iterator<Item = LockedPart> {
        let (stride, size) = (stride(len), self.pages.as_ref().map_or(0, |pages| pages.len));
        let pages = Arc::new(self);
        (0..count.min(size / stride)).map(move |part| LockedPart {
            node: pages.pages.as_ref().and_then(|pages| pages.node_at(part * stride)),
            pages: Arc::clone(&pages),
            first: part * stride,
            len,
        })
    }
}

/// From a part's begin to that of the next.
fn stride(len: usize) -> usize {
    len.max(1).next_multiple_of(page_size())
}

/// Bytes of `count` parts of `len` bytes.
pub fn bytes_of_parts(count: usize, len: usize) -> usize {
    stride(len).saturating_mul(count)
}

impl Drop for LockedPages {
    fn drop(&mut self) {
        let Some(pages) = self.pages.take() else { return };
        // SAFETY: locked once, unlocked once.
        let unlock = || unsafe { sys::cuMemHostUnregister(pages.pointer.as_ptr().cast()) }.result().is_ok();
        if !(may_unpin() && self.context.bind().is_ok() && unlock()) {
            // A device that was given up may still fetch from them.
            std::mem::forget(pages);
        }
    }
}

/// A part of locked pages that nobody else has.
#[derive(Debug)]
pub struct LockedPart {
    pages: Arc<LockedPages>,
    first: usize,
    len: usize,
    node: Option<usize>,
}

impl LockedPart {
    /// The node that its memory is at, where that is known.
    pub fn node(&self) -> Option<usize> {
        self.node
    }

    fn pointer(&self) -> *mut u8 {
        let pages = self.pages.pages.as_ref().map_or(NonNull::dangling(), |pages| pages.pointer);
        pages.as_ptr().wrapping_add(self.first)
    }

    /// The whole part.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: inside the pages, which this part keeps; initialised, and no other part has them.
        unsafe { std::slice::from_raw_parts(self.pointer(), self.len) }
    }

    /// The whole part.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Mappings side by side are one to the system, which then speaks of both.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn pages_are_there_and_zero() {
        let _alone = ALONE.lock().unwrap();
        let pages = Pages::take(6 * LARGE + 5, &[]).unwrap();
        assert_eq!(pages.len, 7 * LARGE);
        // SAFETY: the whole mapping.
        let bytes = unsafe { std::slice::from_raw_parts_mut(pages.pointer.as_ptr(), pages.len) };
        assert!(bytes.iter().all(|byte| *byte == 0));
        let resident = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let place = format!("{:x}-", pages.pointer.as_ptr().addr());
        let own = resident.split("\nVmFlags").find(|mapping| mapping.contains(&place)).unwrap();
        let kilobytes = |name: &str| -> usize {
            own.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok())
                .unwrap()
        };
        assert_eq!(kilobytes("Rss:"), kilobytes("Size:"));
        bytes.fill(7);
        assert!(Pages::take(usize::MAX, &[None]).is_err());
    }

    #[test]
    fn each_node_makes_its_share() {
        let _alone = ALONE.lock().unwrap();
        for count in [1, 2, 3, 8] {
            let mut pages = Pages::take(6 * LARGE, &vec![None; count]).unwrap();
            let shares: Vec<_> = (0..count).map(|share| pages.share(share)).collect();
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start), "{shares:?}");
            assert_eq!((shares[0].start, shares[count - 1].end), (0, 6 * LARGE));
            assert_eq!(pages.node_at(0), None);
            pages.nodes = (10..10 + count).map(Some).collect();
            let last = pages.node_at(6 * LARGE - 1);
            assert_eq!((last, pages.node_at(6 * LARGE)), (Some(9 + count), None));
        }
    }

    #[test]
    fn parts_begin_on_pages() {
        let page = page_size();
        assert_eq!([0, 1, page, page + 1].map(stride), [page, page, page, 2 * page]);
        assert_eq!(bytes_of_parts(3, page + 1), 6 * page);
        assert_eq!(bytes_of_parts(usize::MAX, page), usize::MAX);
    }
}
