//! Memory of the host that is there before a device locks it.
//!
//! The driver makes what it locks page by page, alone, and everybody who asks it for anything meanwhile waits: 0.2 s for 335 MB. Pages
//! that are there already, large ones where the system has them, are locked in a twentieth of that; and making them needs no device, so
//! it is done while one is opened.
//!
//! What is locked belongs to the context that locked it, portable or not: when a kernel breaks that context, copies of other devices from
//! there fail, too. And the driver locks an address once. So the memory of several devices is shared memory that is mapped for each of them
//! again, and every device locks and fetches from a view of its own: none depends on another.

use std::ffi::c_void;
use std::io;
use std::iter::once;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::thread;

use cudarc::driver::sys;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, munmap};
use rustix::param::page_size;

use super::context::{Context, may_unpin};
use crate::cuda::error::CudaError;
use crate::cuda::numa::NumaNode;

/// A large page.
const LARGE: usize = 2 << 20;

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
    /// Takes `len` bytes, at least 1, for as many devices as there are nodes. Of several nodes each makes the pages of its share, side by side,
    /// and has them near.
    ///
    /// # Errors
    /// When the system has no room for them.
    pub fn take(len: usize, nodes: &[Option<NumaNode>]) -> io::Result<Pages> {
        // Whole large pages, which the system then places on their borders.
        let len = len.max(1).checked_next_multiple_of(LARGE).ok_or(Errno::NOMEM)?;
        // Only what is shared can be mapped again; only what is not is sure to get large pages.
        let kind = if nodes.len() > 1 { MapFlags::SHARED } else { MapFlags::PRIVATE };
        // SAFETY: a new mapping, where there is room.
        let pointer = unsafe { mmap_anonymous(null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, kind) }?;
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

    /// The same memory at another address; for pages of several devices.
    fn again(&self) -> io::Result<Pages> {
        // SAFETY: our own mapping, which stays as it is: of an old size of 0 the system makes a second one, where there is room.
        let pointer = unsafe { mremap(self.pointer.as_ptr().cast(), 0, self.len, MremapFlags::MAYMOVE) }?;
        let pointer = NonNull::new(pointer.cast()).ok_or(Errno::NOMEM)?;
        Ok(Pages { pointer, len: self.len, nodes: self.nodes.clone() })
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

/// Pages as a device locked them.
#[derive(Debug)]
struct View {
    /// `None` only while being dropped.
    pages: Option<Pages>,
    context: Arc<Context>,
}

impl View {
    fn lock(context: &Arc<Context>, pages: Pages) -> Result<View, CudaError> {
        context.bind()?;
        let (pointer, len) = (pages.pointer.as_ptr().cast::<c_void>(), pages.len);
        // SAFETY: mapped memory, which stays until it is unlocked.
        unsafe { sys::cuMemHostRegister_v2(pointer, len, 0) }.result().map_err(|e| match e.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::OutOfPinnedMemory { asked: len },
            _ => CudaError::driver("locking memory", e),
        })?;
        Ok(View { pages: Some(pages), context: Arc::clone(context) })
    }
}

impl Drop for View {
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

/// Pages that devices fetch from by themselves.
#[derive(Debug)]
pub struct LockedPages {
    /// One for each device; the host's is the first.
    views: Vec<View>,
}

impl LockedPages {
    /// Locks pages for each of some devices, which are as many as they were taken for.
    ///
    /// # Errors
    /// When the driver cannot lock so much, or not such memory.
    pub fn lock(gpus: &[Arc<Context>], pages: Pages) -> Result<LockedPages, CudaError> {
        let asked = pages.len;
        let others = (1..gpus.len()).map(|_| pages.again()).collect::<io::Result<Vec<Pages>>>();
        let others = others.map_err(|_| CudaError::OutOfPinnedMemory { asked })?;
        let each = gpus.iter().zip(once(pages).chain(others));
        let views = each.map(|(context, pages)| View::lock(context, pages)).collect::<Result<Vec<_>, _>>()?;
        if views.is_empty() { Err(CudaError::NoDevice) } else { Ok(LockedPages { views }) }
    }

    /// As many parts of `len` bytes as there are, but at most `count`; each begins on a page.
    pub fn cut(self, count: usize, len: usize) -> impl Iterator<Item = LockedPart> {
        let (stride, size) = (stride(len), self.pages().map_or(0, |pages| pages.len));
        let pages = Arc::new(self);
        (0..count.min(size / stride)).map(move |part| LockedPart {
            node: pages.pages().and_then(|pages| pages.node_at(part * stride)),
            pages: Arc::clone(&pages),
            first: part * stride,
            len,
        })
    }

    /// As the host sees them.
    fn pages(&self) -> Option<&Pages> {
        self.views.first().and_then(|view| view.pages.as_ref())
    }

    /// As a device sees them, where it is one of those that they were locked for; else as the host does.
    fn pages_for(&self, context: &Context) -> Option<&Pages> {
        let own = self.views.iter().find(|view| view.context.is_on_the_device_of(context));
        own.map_or_else(|| self.pages(), |view| view.pages.as_ref())
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
        self.pointer_in(self.pages.pages())
    }

    fn pointer_in(&self, pages: Option<&Pages>) -> *mut u8 {
        pages.map_or(NonNull::dangling(), |pages| pages.pointer).as_ptr().wrapping_add(self.first)
    }

    /// The whole part where a device fetches it: the same bytes as [`LockedPart::bytes`], for several devices at other addresses.
    pub fn bytes_for(&self, context: &Context) -> &[u8] {
        let pointer = self.pointer_in(self.pages.pages_for(context));
        // SAFETY: inside one of the views, which this part keeps; while it is borrowed nobody writes to it through another.
        unsafe { std::slice::from_raw_parts(pointer, self.len) }
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
    fn pages_of_several_devices_can_be_seen_at_several_places() {
        let _alone = ALONE.lock().unwrap();
        let pages = Pages::take(3 * LARGE, &[None, None]).unwrap();
        let views = [pages.again().unwrap(), pages.again().unwrap()];
        let mut places: Vec<_> = [&pages, &views[0], &views[1]].map(|view| view.pointer.addr()).into();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[1].get() - pair[0].get() >= 3 * LARGE));
        for (at, value) in [(0, 3), (LARGE + 17, 5), (3 * LARGE - 1, 7)] {
            // SAFETY: inside mappings that nobody else has.
            unsafe { pages.pointer.add(at).write_volatile(value) };
            let [first, second] = [&views[0], &views[1]];
            // SAFETY: as above.
            let seen =
                unsafe { [first.pointer.add(at).read_volatile(), second.pointer.add(at).read_volatile()] };
            assert_eq!(seen, [value; 2]);
        }
        drop(pages);
        // SAFETY: a view stays when others go.
        assert_eq!(unsafe { views[1].pointer.add(LARGE + 17).read_volatile() }, 5);
        let alone = Pages::take(LARGE, &[None]).unwrap();
        assert!(alone.again().is_err(), "what one device has is not shared");
    }

    #[test]
    fn parts_begin_on_pages() {
        let page = page_size();
        assert_eq!([0, 1, page, page + 1].map(stride), [page, page, page, 2 * page]);
        assert_eq!(bytes_of_parts(3, page + 1), 6 * page);
        assert_eq!(bytes_of_parts(usize::MAX, page), usize::MAX);
    }
}
