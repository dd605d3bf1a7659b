//! Marks for profilers: one NVTX range a stage, with the frame's id or the size of the batch as payload; and a timeline
//! that needs no profiler.
//!
//! Costs a few nanoseconds where no profiler listens. A range ends when its guard is dropped, on the thread that began it.
//! Nsight Systems shows them by name and colour; any library that `NVTX_INJECTION64_PATH` names can count them.
//!
//! A thread that [follows](follow) a timeline adds to it what happens inside the stages of the corridor: the header of a file
//! inside *read*, decoding, waiting for a device inside *decode+integrate*. Bars of a track therefore nest, and what a bar
//! leaves to itself is its duration less that of the bars in it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::frame::FrameId;

/// A range that is open until dropped.
#[must_use = "a range ends when its guard is dropped"]
pub struct Range {
    _open: nvtx::LocalRange,
    /// The bar that ends with it: name, begin, payload.
    bar: Option<(&'static str, Instant, usize)>,
}

impl Range {
    /// The range is also a bar of the timeline that this thread follows, if it follows one.
    fn with_bar(mut self, name: &'static str, payload: usize) -> Range {
        self.bar = is_followed().then(|| (name, Instant::now(), payload));
        self
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        if let Some((name, start, payload)) = self.bar {
            bar(name, start, Instant::now(), payload);
        }
    }
}

fn range(name: &'static std::ffi::CStr, color: u32, payload: usize) -> Range {
    let [a, r, g, b] = color.to_be_bytes();
    let attributes = nvtx::EventAttributes::builder()
        .message(name)
        .color(nvtx::Color::new(a, r, g, b))
        .payload(payload as u64)
        .build();
    Range { _open: nvtx::LocalRange::new(attributes), bar: None }
}

/// Frames walk through the corridor, from the first ticket to the last row: the range for profilers to capture
/// (`nsys profile --capture-range=nvtx --nvtx-capture=run`).
pub fn run() -> Range {
    range(c"run", 0xFF9E_9E9E, 0)
}

/// A reader takes a frame's bytes from its file.
pub fn read(id: FrameId) -> Range {
    range(c"read", 0xFF4C_AF50, id.0)
}

/// A reader finds out what its file says of the image.
pub fn header(id: FrameId) -> Range {
    range(c"header", 0xFF8B_C34A, id.0).with_bar("header", id.0)
}

/// A frame's bytes are enqueued for the device.
pub fn upload(id: FrameId) -> Range {
    range(c"upload", 0xFF21_96F3, id.0)
}

/// The digests of a batch of frames are compared with their headers'.
pub fn verify(frames: usize) -> Range {
    range(c"verify", 0xFF00_9688, frames).with_bar("verify", frames)
}

/// A batch of frames is decoded to pixels.
pub fn decode(frames: usize) -> Range {
    range(c"decode", 0xFFFF_9800, frames).with_bar("decode", frames)
}

/// A batch of frames is integrated (on a GPU: its kernels are enqueued).
pub fn integrate(frames: usize) -> Range {
    range(c"integrate", 0xFFF4_4336, frames)
}

/// A batch's results are awaited from the device.
pub fn download(frames: usize) -> Range {
    range(c"download", 0xFF9C_27B0, frames).with_bar("wait", frames)
}

/// A pattern is written to its row.
pub fn write(id: FrameId) -> Range {
    range(c"write", 0xFF79_5548, id.0)
}

/// The GPU's driver is started.
pub fn driver() -> Range {
    range(c"driver", 0xFF54_6E7A, 0).with_bar("driver", 0)
}

/// A GPU's context is made.
pub fn context() -> Range {
    range(c"context", 0xFF60_7D8B, 0).with_bar("context", 0)
}

/// Corrections are looked at and the matrix is made.
pub fn matrix(bins: usize) -> Range {
    range(c"matrix", 0xFF3F_51B5, bins).with_bar("matrix", bins)
}

/// An engine lays the matrix out as it reads it.
pub fn engine(bins: usize) -> Range {
    range(c"engine", 0xFF67_3AB7, bins).with_bar("engine", bins)
}

/// Memory for slots is made.
pub fn pages(slots: usize) -> Range {
    range(c"pages", 0xFF26_A69A, slots).with_bar("pages", slots)
}

/// The matrix is sorted for any GPU.
pub fn sort(bins: usize) -> Range {
    range(c"sort", 0xFF5C_6BC0, bins).with_bar("sort", bins)
}

/// The matrix is laid out as a GPU reads it.
pub fn layout(bins: usize) -> Range {
    range(c"layout", 0xFF7E_57C2, bins).with_bar("layout", bins)
}

/// A GPU's kernels are loaded.
pub fn kernels() -> Range {
    range(c"kernels", 0xFF78_909C, 0).with_bar("kernels", 0)
}

/// The matrix is brought to a GPU.
pub fn matrix_to_device(bins: usize) -> Range {
    range(c"matrix to device", 0xFF42_A5F5, bins).with_bar("matrix to device", bins)
}

/// Slots are pinned.
pub fn pin(slots: usize) -> Range {
    range(c"pin", 0xFF00_BCD4, slots).with_bar("pin", slots)
}

/// Slices of some bins are made.
pub fn slices(bins: usize) -> Range {
    range(c"slices", 0xFFE9_1E63, bins).with_bar("slices", bins)
}

/// Names the calling thread in a profiler's timeline.
pub fn name_thread(name: &str) {
    nvtx::name_current_thread(nvtx::Str::from_str_lossy(name));
}

thread_local! {
    /// The timeline that this thread follows, and its track there.
    static FOLLOWED: RefCell<Option<(Timeline, String)>> = const { RefCell::new(None) };
}

/// Until dropped, this thread follows a timeline; then again the one that it followed before.
#[must_use = "a thread follows a timeline until this is dropped"]
pub struct Follows(Option<(Timeline, String)>);

impl Drop for Follows {
    fn drop(&mut self) {
        FOLLOWED.set(self.0.take());
    }
}

/// From here on this thread adds what happens inside its stages to `timeline`, as `track`; without one, nothing.
pub fn follow(timeline: Option<&Timeline>, track: &str) -> Follows {
    Follows(FOLLOWED.replace(timeline.map(|timeline| (timeline.clone(), track.to_owned()))))
}

/// The timeline that this thread follows, for threads that it starts.
pub fn followed() -> Option<Timeline> {
    FOLLOWED.with_borrow(|followed| followed.as_ref().map(|(timeline, _)| timeline.clone()))
}

/// Whether this thread follows a timeline.
pub fn is_followed() -> bool {
    FOLLOWED.with_borrow(Option::is_some)
}

/// Adds a bar to the timeline that this thread follows; nothing when it follows none.
pub fn bar(name: &'static str, start: Instant, end: Instant, payload: usize) {
    FOLLOWED.with_borrow(|followed| {
        if let Some((timeline, track)) = followed {
            let micros = |at: Instant| at.saturating_duration_since(timeline.0.start).as_secs_f64() * 1e6;
            let (start, end) = (micros(start), micros(end));
            timeline.add(Span { track: track.clone(), name, start, end, payload });
        }
    });
}

/// What happened when, for `--trace FILE.json`. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Timeline(Arc<Record>);

#[derive(Debug)]
struct Record {
    start: Instant,
    spans: Mutex<Vec<Span>>,
}

/// One bar of a timeline. Times are microseconds since the timeline began.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Which row it is drawn in: a thread, or a lane of a GPU.
    pub track: String,
    /// The stage.
    pub name: &'static str,
    /// Begin.
    pub start: f64,
    /// End.
    pub end: f64,
    /// Frames of the batch, or the frame's id.
    pub payload: usize,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline(Arc::new(Record { start: Instant::now(), spans: Mutex::new(Vec::new()) }))
    }
}

impl Timeline {
    /// Microseconds since it began.
    pub fn now(&self) -> f64 {
        self.0.start.elapsed().as_secs_f64() * 1e6
    }

    /// Adds a bar.
    pub fn add(&self, span: Span) {
        self.0.spans.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    /// Every bar so far, in the order in which they ended.
    pub fn spans(&self) -> Vec<Span> {
        self.0.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes it in Chrome's trace format, which chrome://tracing and Perfetto draw.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write_chrome(&self, mut to: impl Write) -> io::Result<()> {
        let spans = self.0.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tracks: Vec<&str> = spans.iter().map(|span| span.track.as_str()).collect();
        tracks.sort_unstable();
        tracks.dedup();
        let mut events: Vec<serde_json::Value> = tracks
            .iter()
            .enumerate()
            .map(|(number, track)| {
                serde_json::json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": track}})
            })
            .collect();
        events.extend(spans.iter().map(|span| {
            let track = tracks.binary_search(&span.track.as_str()).unwrap_or_default();
            serde_json::json!({
                "ph": "X", "name": span.name, "pid": 1, "tid": track,
                "ts": span.start, "dur": (span.end - span.start).max(0.0), "args": {"payload": span.payload},
            })
        }));
        serde_json::to_writer(&mut to, &serde_json::json!({ "traceEvents": events }))?;
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeline_is_a_chrome_trace() {
        let timeline = Timeline::default();
        let span = |track: &str, name, start| Span {
            track: track.into(),
            name,
            start,
            end: start + 2.5,
            payload: 7,
        };
        timeline.add(span("lane 1", "upload", 10.0));
        timeline.add(span("lane 0", "compute", 11.0));
        let mut json = Vec::new();
        timeline.write_chrome(&mut json).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let events = json["traceEvents"].as_array().unwrap();
        assert_eq!(events.len(), 4);
        assert_eq!((&events[2]["name"], &events[2]["tid"]), (&"upload".into(), &1.into()));
        assert_eq!(events[3]["dur"], 2.5);
        assert!(timeline.now() > 0.0);
    }
}
