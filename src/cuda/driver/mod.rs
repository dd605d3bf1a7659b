//! The few words of the CUDA driver API that this crate speaks, as owners that give back what they took.
//!
//! One floor above cudarc's `result` functions and nothing more: a context, loaded kernels, streams, events, device and
//! pinned buffers. Nothing here allocates behind the caller's back, keeps events for slices, or synchronises on drop
//! except where a comment says so: lanes own their buffers, so none of that is needed.
//!
//! `enqueue_*` returns at once; `wait` is the only verb that blocks. All calls need the context to be current on the
//! calling thread: [`Context::bind`] costs well under a microsecond and is called by whoever comes from outside.
//!
//! ```text
//! context   a device           module    machine code on it
//! memory    on it, and pinned  stream    what is enqueued, and what is waited for
//! pages     locked afterwards  wait      for how long
//! kernel    what is launched      symbol    what not every driver has
//! ```

mod context;
mod kernel;
mod memory;
mod module;
mod pages;
mod stream;
mod symbol;
mod wait;

pub use context::{Context, attribute, one_was_given_up, pci_bus_id, version};
pub use kernel::{Kernel, Launch};
pub use memory::{DeviceBuffer, PinnedBuffer};
pub use module::Module;
pub use pages::{LockedPages, LockedPart, Pages, bytes_of_parts};
pub use stream::{Event, Stream};
pub use wait::LIMIT;
