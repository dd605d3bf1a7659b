//! What every source promises, and that the corridor asks no more of it: CBF, HDF5, TIFF, EDF and npy files and images in memory, and one that never ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tiff::encoder::Compression;
use xrdct::codec::decode;
use xrdct::codec::pixel::bytes_of;
use xrdct::frame::{
    BadFrame, Frame, FrameId, FrameStatus, Norms, Outcome, Pattern, PixelType, Shape, SlotPool, Slots,
};
use xrdct::output::sink::{Sink, SinkError};
use xrdct::output::stack::{StackLayout, StackWriter};
use xrdct::pipeline::{BadFrames, Corridor, PipelineError, Report, Stop, Strategy, run};
use xrdct::reduce::{ReduceError, Reducer};
use xrdct::session::{Options, PatternStore, Plan, Run, Session};
use xrdct::source::cbf::{CbfFrames, probe};
use xrdct::source::decoded::Decoding;
use xrdct::source::hdf5::Hdf5Frames;
use xrdct::source::memory::{Arrival, MemoryFrames, MemorySource};
use xrdct::source::series::SeriesFrames;
use xrdct::source::{About, Frames, Next, Reader, Source, SourceError};

use crate::support::images::{edf, gz, npy, tiff};
use crate::support::{small_pixels, within, write_small_frame, write_small_scan};

pub(super) const SHAPE: Shape = Shape { slow: 61, fast: 47 };
pub(super) const FRAMES: usize = 12;
/// A run that takes so long does not end.
const LIMIT: Duration = Duration::from_secs(30);
/// Outcomes that may wait for the sink, which is slower than what makes them where a machine is busy.
const WAITING: usize = 8;

/// The pixels of frame `number`, as bytes.
pub(super) fn image(number: usize) -> Vec<u8> {
    bytes_of(&small_pixels(number)).to_vec()
}

/// A source and what it is called.
pub(super) type Named = (&'static str, Box<dyn Source>);

/// All kinds with the same frames; the files' folder.
pub(super) fn sources() -> (tempfile::TempDir, Vec<Named>) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let files: Vec<_> = (0..FRAMES).map(|number| write_small_frame(folder.path(), number)).collect();
    let first = probe(&files[0]).expect("a frame");
    let images = (0..FRAMES).map(image).collect();
    let layout = StackLayout { gzip: Some(1), ..StackLayout::new(FRAMES, SHAPE, PixelType::I32) };
    let path = folder.path().join("stack.h5");
    let mut stack = StackWriter::create(&path, &layout, false).expect("writable");
    for number in 0..FRAMES {
        stack.put(FrameId(number), &image(number)).expect("writable");
    }
    stack.finish().expect("writable");
    let stack = Hdf5Frames::open(&[path], None).expect("frames");
    let series = |name: &str, files: Vec<Vec<u8>>| {
        let write = |(number, bytes): (usize, Vec<u8>)| {
            let path = folder.path().join(format!("{name}_{number}"));
            std::fs::write(&path, bytes).expect("written");
            path
        };
        let files: Vec<_> = files.into_iter().enumerate().map(write).collect();
        SeriesFrames::open(&files).expect("a series").source(FRAMES, true)
    };
    let page = |number| tiff(SHAPE, &[small_pixels(number)], 11, Compression::Lzw, "");
    let block = |number| edf("", "SignedInteger", SHAPE, &image(number));
    let half = |from: usize| (from..from + FRAMES / 2).map(block).collect::<Vec<_>>().concat();
    let all: Vec<u8> = (0..FRAMES).flat_map(image).collect();
    let sources: Vec<Named> = vec![
        ("HDF5", stack.source(FRAMES, true)),
        ("files", CbfFrames::new(files, &first).source(FRAMES, true)),
        ("TIFF", series("tiff", (0..FRAMES).map(page).collect())),
        ("EDF", series("edf", (0..FRAMES).map(block).collect())),
        ("EDF of several", series("blocks", vec![half(0), half(FRAMES / 2)])),
        ("npy, packed", series("npy", vec![gz(&npy("<i4", false, &[FRAMES, SHAPE.slow, SHAPE.fast], &all))])),
        ("memory", Box::new(MemorySource::of(SHAPE, PixelType::I32, images))),
    ];
    (folder, sources)
}

/// The pixels of a frame, whatever it is packed with.
fn pixels(frame: &Frame) -> Vec<u8> {
    let mut pixels = vec![0_i32; frame.encoding.shape.pixels()];
    decode(frame.encoding, frame.bytes(), &mut pixels).expect("a good frame");
    bytes_of(&pixels).to_vec()
}

#[test]
fn every_frame_is_listed_once_and_read_as_it_is() {
    let (_folder, sources) = sources();
    for (name, mut source) in sources {
        let about = source.about().expect("a source").expect("known at once");
        assert_eq!(
            (about.count, about.encoding.shape, about.encoding.pixel),
            (Some(FRAMES), SHAPE, PixelType::I32),
            "{name}"
        );
        let pool = SlotPool::on_host(3, about.slot_bytes);
        let (mut reader, mut seen) = (source.reader(), BTreeMap::new());
        loop {
            match source.next(&pool).expect("a source") {
                Next::Read(ticket) => {
                    let ids = ticket.ids.clone();
                    let mut given = vec![];
                    reader.read(ticket, &mut Slots::of(&pool), &mut |frame| {
                        let frame = frame.expect("a good frame");
                        given.push(frame.id.0);
                        assert!(
                            seen.insert(frame.id.0, pixels(&frame)).is_none(),
                            "{name}: {:?} twice",
                            frame.id
                        );
                    });
                    assert_eq!(given, ids.collect::<Vec<_>>(), "{name}: a ticket gives its ids, in order");
                }
                Next::End => break,
                other => panic!("{name}: {other:?}"),
            }
        }
        assert!(matches!(source.next(&pool), Ok(Next::End)), "{name}: the end stays the end");
        assert_eq!(seen, (0..FRAMES).map(|number| (number, image(number))).collect(), "{name}");
        let all: Vec<_> = (0..3).map(|_| pool.take_for(Duration::ZERO)).collect();
        assert!(all.iter().all(Option::is_some), "{name}: a slot did not come home");
    }
}

#[test]
fn an_image_of_another_size_is_a_bad_frame_and_the_next_is_good() {
    let images = vec![image(0), vec![1, 2, 3], image(2)];
    let walked = walk(Box::new(MemorySource::of(SHAPE, PixelType::I32, images)), Walk::default());
    walked.ending.expect("a run");
    assert_eq!(walked.ids, [0, 1, 2]);
    let bad = &walked.report.bad;
    assert_eq!((bad.len(), bad[0].id, bad[0].status), (1, FrameId(1), FrameStatus::OtherShape));
    assert!(bad[0].message.contains("3 bytes"), "{}", bad[0].message);
}

#[test]
fn the_corridor_walks_every_source_with_few_slots_and_in_every_arrangement() {
    for (readers, slots, decode, strategy) in [
        (1, 1, false, Strategy::Sequential),
        (1, 1, true, Strategy::Sequential),
        (1, 1, false, Strategy::Pool),
        (3, 2, false, Strategy::Pool),
        (3, 2, true, Strategy::Pool),
        (2, 9, true, Strategy::Pool),
    ] {
        let (_folder, sources) = sources();
        for (name, source) in sources {
            let walked = walk(source, Walk { readers, slots, decode, strategy, ..Walk::default() });
            walked.ending.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                walked.ids,
                (0..FRAMES).collect::<Vec<_>>(),
                "{name}, {strategy:?}, {readers}, {slots}, {decode}"
            );
            assert_eq!((walked.report.asked, walked.report.interrupted), (Some(FRAMES), false), "{name}");
        }
    }
}

#[test]
fn a_source_that_does_not_know_its_end_is_walked_to_it() {
    for strategy in [Strategy::Sequential, Strategy::Pool] {
        // Two images, nothing for a while, then one more.
        let mut asked = 0;
        let images = move |number: usize| {
            asked += 1;
            match (asked, number) {
                (3 | 4, _) => Arrival::NotYet,
                (_, 0..3) => Arrival::Bytes(image(number)),
                _ => Arrival::End,
            }
        };
        let source = MemorySource::new(SHAPE, PixelType::I32, None, Box::new(images));
        let walked = walk(Box::new(source), Walk { strategy, ..Walk::default() });
        walked.ending.expect("a run");
        assert_eq!((walked.ids, walked.report.asked), (vec![0, 1, 2], Some(3)), "{strategy:?}");
        assert!(!walked.report.interrupted);
        assert!(
            strategy == Strategy::Pool || walked.pauses >= 2,
            "what was buffered may be written in a quiet time"
        );
    }
}

#[test]
fn an_endless_source_ends_with_the_stop_and_only_so() {
    for (strategy, decode) in [(Strategy::Sequential, false), (Strategy::Pool, false), (Strategy::Pool, true)]
    {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let images = move |number| {
            counted.fetch_add(1, Ordering::Relaxed);
            Arrival::Bytes(image(number % 7))
        };
        let source = MemorySource::new(SHAPE, PixelType::I32, None, Box::new(images));
        let walked =
            walk(Box::new(source), Walk { strategy, decode, stop_at: Some(40), slots: 4, ..Walk::default() });
        walked.ending.expect("a stop is no failure");
        assert!(walked.report.interrupted, "{strategy:?}");
        assert_eq!(walked.report.asked, None);
        let made = made.load(Ordering::Relaxed);
        // Some were under way: slots, and the room before the sink, bound how many.
        assert!(
            (40..70).contains(&walked.ids.len()) && made < 80,
            "{strategy:?}: {made} made, {} done",
            walked.ids.len()
        );
    }
}

#[test]
fn a_silent_source_ends_with_the_stop_too() {
    for strategy in [Strategy::Sequential, Strategy::Pool] {
        let source = MemorySource::new(SHAPE, PixelType::I32, None, Box::new(|_| Arrival::NotYet));
        let stop = Stop::default();
        let later = stop.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            later.raise();
        });
        let walked = walk(Box::new(source), Walk { strategy, stop, ..Walk::default() });
        walked.ending.expect("a stop is no failure");
        assert_eq!((walked.ids.len(), walked.report.interrupted), (0, true), "{strategy:?}");
    }
}

#[test]
fn a_source_that_breaks_ends_the_run_and_what_came_before_is_kept() {
    struct Breaks(MemorySource, usize);
    impl Source for Breaks {
        fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
            self.0.about()
        }
        fn next(&mut self, packed: &SlotPool) -> Result<Next, SourceError> {
            self.1 += 1;
            match self.1 {
                6 => Err(SourceError { origin: "the cable".into(), cause: "unplugged".into() }),
                _ => self.0.next(packed),
            }
        }
        fn reader(&self) -> Box<dyn Reader> {
            self.0.reader()
        }
    }
    for strategy in [Strategy::Sequential, Strategy::Pool] {
        let inner = MemorySource::of(SHAPE, PixelType::I32, (0..FRAMES).map(image).collect());
        let walked = walk(Box::new(Breaks(inner, 0)), Walk { strategy, slots: 8, ..Walk::default() });
        let error = walked.ending.expect_err("a failure");
        assert_eq!(error.to_string(), "the cable: unplugged");
        assert!(matches!(error, PipelineError::Source(_)));
        assert!(walked.ids.len() <= 5, "{:?}", walked.ids);
        assert!(strategy == Strategy::Pool || walked.ids == [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_session_makes_the_same_patterns_of_images_in_memory_and_of_more_than_were_planned() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 3);
    let options = Options {
        inputs: vec![folder.path().join("scan").display().to_string()],
        poni: Some(folder.path().join("small.poni")),
        npt: Some(50),
        device: Some("cpu".into()),
        ..Options::default()
    };
    let session = Session::open(Plan::new(options).expect("a plan")).expect("a session");
    let walked = |source: Box<dyn Source>| {
        let mut patterns = Patterns(BTreeMap::new());
        let mut kept = PatternStore::new(u64::MAX, 3, 50).expect("room");
        let doors = session.doors(source, None, Some(&mut kept)).expect("doors");
        let (report, ended) =
            session.walk(doors, &mut patterns, Run { kept: Some(&mut kept), ..Run::default() });
        ended.expect("a run");
        (report.done, patterns.0)
    };
    let files = walked(session.plan().source());
    assert_eq!(files.0, 3);
    let images = |count| (0..count).map(image).collect();
    let memory = walked(Box::new(MemorySource::of(SHAPE, PixelType::I32, images(3))));
    assert_eq!(memory, files);
    let more = walked(Box::new(MemorySource::of(SHAPE, PixelType::I32, images(90))));
    assert_eq!((more.0, more.1.len()), (90, 90));
    assert!(files.1.iter().all(|(id, pattern)| more.1[id] == *pattern));
}

#[test]
fn a_plan_of_images_in_memory_names_no_file_and_writes_the_result_of_the_same_files() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 3);
    let options = Options {
        poni: Some(folder.path().join("small.poni")),
        npt: Some(50),
        device: Some("cpu".into()),
        ..Options::default()
    };
    let named = Options { inputs: vec![folder.path().join("scan").display().to_string()], ..options.clone() };
    let images = MemoryFrames::new(SHAPE, PixelType::I32, (0..3).map(image).collect());
    let written = |plan: Plan, name: &str| {
        let session = Session::open(plan).expect("a session");
        let file = folder.path().join(name);
        let mut result = session.result(&file, false).expect("a result file");
        let (report, ended) = session.run(&mut result, Run::default()).expect("doors");
        ended.expect("a run");
        result.finish(&report.ending()).expect("a whole file");
        let patterns = xrdct::output::result::Patterns::open(&file).expect("a result");
        patterns.read(0..50).expect("patterns")
    };
    let files = written(Plan::new(named).expect("a plan"), "files.h5");
    let memory = written(Plan::of(options, Arc::new(images)).expect("a plan"), "memory.h5");
    assert!(files.iter().all(|value| value.is_finite()), "{files:?}");
    assert_eq!(memory, files);
}

/// Keeps intensities.
struct Patterns(BTreeMap<usize, Vec<f32>>);

impl Sink for Patterns {
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        let pattern = outcome.map_err(|bad| bad.message)?;
        self.0.insert(pattern.id.0, pattern.intensity);
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// How a source is walked.
#[derive(Clone)]
pub(super) struct Walk {
    pub readers: usize,
    pub slots: usize,
    pub decode: bool,
    pub strategy: Strategy,
    pub stop: Stop,
    /// The stop is raised when so many are done.
    pub stop_at: Option<usize>,
}

impl Default for Walk {
    fn default() -> Walk {
        Walk {
            readers: 2,
            slots: 4,
            decode: false,
            strategy: Strategy::Pool,
            stop: Stop::default(),
            stop_at: None,
        }
    }
}

/// What became of it.
pub(super) struct Walked {
    pub report: Report,
    pub ending: Result<(), PipelineError>,
    /// Sorted.
    pub ids: Vec<usize>,
    pub pauses: usize,
}

pub(super) fn walk(mut source: Box<dyn Source>, how: Walk) -> Walked {
    within(LIMIT, "a run", move || {
        let about = source.about().expect("a source").expect("known at once");
        let slots = SlotPool::on_host(how.slots, about.slot_bytes);
        let packed = if how.decode { SlotPool::on_host(how.slots, 0) } else { slots.clone() };
        let reader = |_| match how.decode {
            true => Box::new(Decoding::new(source.reader())) as Box<dyn Reader>,
            false => source.reader(),
        };
        let readers = (0..how.readers).map(reader).collect();
        let mut sink = Ids { ids: vec![], pauses: 0, stop: how.stop.clone(), stop_at: how.stop_at };
        let (report, ending) = run(
            Corridor {
                source,
                readers,
                reducers: vec![Box::new(Nothing(None))],
                sink: &mut sink,
                packed: packed.clone(),
                slots: slots.clone(),
                waiting: WAITING,
                bad_frames: BadFrames::Keep,
                stop: how.stop,
                timeline: None,
                watchers: vec![],
            },
            how.strategy,
        );
        for (pool, count) in [(slots, how.slots), (packed, if how.decode { how.slots } else { 0 })] {
            let all: Vec<_> = (0..count).map(|_| pool.take_for(Duration::from_secs(5))).collect();
            assert!(all.iter().all(Option::is_some), "a slot did not come home");
        }
        sink.ids.sort_unstable();
        Walked { report, ending, ids: sink.ids, pauses: sink.pauses }
    })
}

/// Makes a pattern of nothing of each frame.
struct Nothing(Option<Frame>);

impl Reducer for Nothing {
    fn capacity(&self) -> usize {
        1
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.0 = Some(frame);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        Ok(self.0.is_some())
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        let pattern = |frame: Frame| Pattern {
            id: frame.id,
            header: frame.header,
            intensity: vec![1.0],
            sem: None,
            std: None,
            count: None,
            signal: vec![1.0],
            variance: None,
            norms: Arc::<Norms>::default(),
            saturated: 0,
        };
        Ok(self.0.take().map(pattern).map(Ok).into_iter().collect())
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        self.0.take().map(|frame| frame.id).into_iter().collect()
    }
}

/// Keeps ids.
struct Ids {
    ids: Vec<usize>,
    pauses: usize,
    stop: Stop,
    stop_at: Option<usize>,
}

impl Sink for Ids {
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        self.ids.push(outcome.map_or_else(|bad: BadFrame| bad.id.0, |pattern| pattern.id.0));
        if self.stop_at.is_some_and(|at| self.ids.len() >= at) {
            self.stop.raise();
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        self.pauses += 1;
        Ok(())
    }
}
