//! Marks for profilers: one NVTX range a stage, with the frame's id or the size of the batch as payload.
//!
//! Costs a few nanoseconds where no profiler listens. A range ends when its guard is dropped, on the thread that began it.
//! Nsight Systems shows them by name and colour; any library that `NVTX_INJECTION64_PATH` names can count them.

use crate::frame::FrameId;

/// A range that is open until dropped.
#[must_use = "a range ends when its guard is dropped"]
pub struct Range {
    _open: nvtx::LocalRange,
}

fn range(name: &'static std::ffi::CStr, color: u32, payload: usize) -> Range {
    let [a, r, g, b] = color.to_be_bytes();
    let attributes = nvtx::EventAttributes::builder()
        .message(name)
        .color(nvtx::Color::new(a, r, g, b))
        .payload(payload as u64)
        .build();
    Range { _open: nvtx::LocalRange::new(attributes) }
}

/// A reader takes a frame's bytes from its file.
pub fn read(id: FrameId) -> Range {
    range(c"read", 0xFF4C_AF50, id.0)
}

/// A frame's bytes are enqueued for the device.
pub fn upload(id: FrameId) -> Range {
    range(c"upload", 0xFF21_96F3, id.0)
}

/// A batch of frames is decoded to pixels.
pub fn decode(frames: usize) -> Range {
    range(c"decode", 0xFFFF_9800, frames)
}

/// A batch of frames is integrated (on a GPU: its kernels are enqueued).
pub fn integrate(frames: usize) -> Range {
    range(c"integrate", 0xFFF4_4336, frames)
}

/// A batch's results are awaited from the device.
pub fn download(frames: usize) -> Range {
    range(c"download", 0xFF9C_27B0, frames)
}

/// A pattern is written to its row.
pub fn write(id: FrameId) -> Range {
    range(c"write", 0xFF79_5548, id.0)
}

/// Names the calling thread in a profiler's timeline.
pub fn name_thread(name: &str) {
    nvtx::name_current_thread(nvtx::Str::from_str_lossy(name));
}
