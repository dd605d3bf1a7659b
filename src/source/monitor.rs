//! Frames that are divided by what the beam brought to each: a monitor, pyFAI's normalization factor of one frame.
//!
//! Whatever source they are of, frames walk through unchanged but for their [factor](Frame::factor), and for a number more in their header that
//! tells it: so the result has it beside the patterns. A frame whose monitor is missing or not above zero is a bad one: without it
//! its pattern would look like a measurement of another scale.

use std::path::PathBuf;
use std::sync::Arc;

use super::{About, Frames, Next, Reader, Source, SourceError, Ticket};
use crate::frame::{BadFrame, Column, Digest, Frame, FrameStatus, Origin, SlotPool, Slots};

/// What the factor is called in headers, and so in results: pyFAI's word.
pub const FACTOR: &str = "normalization_factor";

/// Names that the number of a header may be asked for by: its own, or as pyFAI has counters and motors of an EDF, `counter/bmon`.
pub fn column_name(asked: &str) -> String {
    let name = asked.rsplit('/').next().unwrap_or(asked);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.');
    name.trim().chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// Which of some columns is meant.
pub fn find_column(columns: &[Column], asked: &str) -> Option<usize> {
    let name = column_name(asked);
    let exact = columns.iter().position(|column| column.name == name);
    exact.or_else(|| columns.iter().position(|column| column.name.eq_ignore_ascii_case(&name)))
}

/// Where each frame's monitor is.
#[derive(Debug, Clone)]
pub enum Monitor {
    /// In this column of their headers.
    Column(usize),
    /// Here, one value a frame.
    Values(Arc<[f64]>),
}

impl Monitor {
    fn of(&self, frame: &Frame) -> f64 {
        match self {
            Monitor::Column(place) => frame.header.number(*place),
            Monitor::Values(values) => {
                let value = frame.id.0.checked_rem(values.len()).and_then(|at| values.get(at));
                value.copied().unwrap_or(f64::NAN)
            }
        }
    }
}

/// The frames of another source, each with its monitor.
pub struct MonitoredFrames {
    inner: Arc<dyn Frames>,
    share: Share,
}

/// What a source shares with its readers.
#[derive(Clone)]
struct Share {
    monitor: Monitor,
    /// What it is called, for messages.
    name: Arc<str>,
    about: Arc<About>,
    /// Numbers that a header has without it.
    width: usize,
    /// Where the factor goes among them.
    place: usize,
}

impl MonitoredFrames {
    /// These frames, each with its `monitor`, which messages call `name`.
    pub fn new(inner: Arc<dyn Frames>, monitor: Monitor, name: &str) -> MonitoredFrames {
        let mut about = About::clone(inner.about());
        let width = about.columns.len();
        let mut columns = about.columns.to_vec();
        let place = columns.iter().position(|column| column.name == FACTOR).unwrap_or_else(|| {
            columns.push(Column { name: FACTOR.into(), unit: String::new() });
            width
        });
        about.header.numbers.resize(columns.len(), f64::NAN);
        // Whatever the first frame's is, the result has a place for those of the others.
        about.header.numbers[place] = 1.0;
        about.columns = columns.into();
        MonitoredFrames {
            inner,
            share: Share { monitor, name: name.into(), about: Arc::new(about), width, place },
        }
    }
}

impl Frames for MonitoredFrames {
    fn about(&self) -> &Arc<About> {
        &self.share.about
    }

    fn count(&self) -> usize {
        self.inner.count()
    }

    fn files(&self) -> &[PathBuf] {
        self.inner.files()
    }

    fn origin(&self, frame: usize) -> Origin {
        self.inner.origin(frame)
    }

    fn written_digest(&self, frame: usize) -> Option<Digest> {
        self.inner.written_digest(frame)
    }

    fn source(&self, frames: usize, verify: bool) -> Box<dyn Source> {
        Box::new(MonitoredSource { inner: self.inner.source(frames, verify), share: self.share.clone() })
    }
}

struct MonitoredSource {
    inner: Box<dyn Source>,
    share: Share,
}

impl Source for MonitoredSource {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        let about = &self.share.about;
        let own = |inner: Arc<About>| About {
            columns: Arc::clone(&about.columns),
            header: about.header.clone(),
            ..About::clone(&inner)
        };
        Ok(self.inner.about()?.map(|inner| Arc::new(own(inner))))
    }

    fn next(&mut self, packed: &SlotPool) -> Result<Next, SourceError> {
        self.inner.next(packed)
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(MonitoredReader { inner: self.inner.reader(), share: self.share.clone() })
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        let inner = self.inner.again()?;
        Some(Box::new(MonitoredSource { inner, share: self.share.clone() }))
    }
}

struct MonitoredReader {
    inner: Box<dyn Reader>,
    share: Share,
}

impl Reader for MonitoredReader {
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        let share = &self.share;
        self.inner.read(ticket, slots, &mut |frame| out(frame.and_then(|frame| share.divide(frame))));
    }
}

impl Share {
    fn divide(&self, mut frame: Frame) -> Result<Frame, BadFrame> {
        let value = self.monitor.of(&frame);
        if !(value.is_finite() && value > 0.0) {
            let is = if value.is_nan() {
                "is missing".to_owned()
            } else {
                format!("is {value}, which is not above zero")
            };
            let message = format!("{}: its monitor ({}) {is}", frame.origin, self.name);
            return Err(BadFrame { id: frame.id, status: FrameStatus::NoMonitor, message });
        }
        frame.factor *= value;
        let numbers = &mut frame.header.numbers;
        numbers.resize(self.width.max(self.place + 1), f64::NAN);
        numbers[self.place] = value;
        Ok(frame)
    }
}
