//! Some frames of a source: those that are wanted, each once, in their own rows; no others are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use xrdct::frame::{BadFrame, FrameId, FrameStatus, PixelType, SlotPool, Slots};
use xrdct::pipeline::{Stop, Strategy};
use xrdct::source::cbf::{CbfFrames, probe};
use xrdct::source::memory::{Arrival, HeldReader, MemoryFrames, MemorySource};
use xrdct::source::select::{Select, WantedIds};
use xrdct::source::{About, Frames, Next, Place, Reader, Source, SourceError, Ticket};

use super::contract::{FRAMES, SHAPE, Walk, image, sources, walk};
use crate::support::write_small_frame;

/// What is wanted of twelve frames, and which those are.
fn wishes() -> Vec<(WantedIds, Vec<usize>)> {
    let mut done = vec![true; 5];
    done[3] = false;
    let part = WantedIds { ids: 4..9, ..WantedIds::default() };
    vec![
        (WantedIds::default(), (0..FRAMES).collect()),
        (part.clone(), (4..9).collect()),
        (WantedIds { ids: 9..1000, ..WantedIds::default() }, vec![9, 10, 11]),
        (WantedIds::all_but(done.clone()), vec![3, 5, 6, 7, 8, 9, 10, 11]),
        (WantedIds { ids: 1..10, done }, vec![3, 5, 6, 7, 8, 9]),
        (WantedIds { ids: 12..40, ..WantedIds::default() }, vec![]),
        (WantedIds::all_but(vec![true; 12]), vec![]),
    ]
}

#[test]
fn those_that_are_wanted_are_walked_and_no_others() {
    for (wanted, expected) in wishes() {
        for strategy in [Strategy::Sequential, Strategy::Pool] {
            let (_folder, sources) = sources();
            for (name, source) in sources {
                let mut source = Select::new(source, wanted.clone());
                let count = source.about().expect("a source").expect("known at once").count;
                assert_eq!(count, Some(expected.len()), "{name}: {wanted:?}");
                let walked = walk(Box::new(source), Walk { strategy, ..Walk::default() });
                walked.ending.expect("a run");
                assert_eq!(walked.ids, expected, "{name}: {wanted:?}");
                assert_eq!((walked.report.asked, walked.report.interrupted), (count, false), "{name}");
            }
        }
    }
}

#[test]
fn frames_of_a_lap_are_frames_of_their_own() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let files: Vec<_> = (0..3).map(|number| write_small_frame(folder.path(), number)).collect();
    let first = probe(&files[0]).expect("a frame");
    let wanted = WantedIds { ids: 2..10, done: vec![false, false, false, true, true] };
    let mut select = Select::new(CbfFrames::new(&files[..], &first).source(11, true), wanted);
    let pool = SlotPool::on_host(1, 0);
    for turn in 0..2 {
        let mut given = vec![];
        while let Next::Read(ticket) = select.next(&pool).expect("a source") {
            let Place::File(path) = &ticket.place else { panic!("{ticket:?}") };
            given.push((ticket.ids.clone(), path.to_path_buf()));
        }
        let expected = [2, 5, 6, 7, 8, 9].map(|id| (id..id + 1, files[id % 3].clone()));
        assert_eq!(given, expected, "turn {turn}");
        // From the first on, whatever was given.
        let again = select.again().expect("files can be read again");
        select = Select::new(again, WantedIds::default());
    }
}

#[test]
fn what_comes_but_once_is_not_there_again() {
    let again = |source| Select::new(source, WantedIds { ids: 1..3, ..WantedIds::default() }).again();
    let images: Vec<_> = (0..2).map(image).collect();
    let once = MemorySource::of(SHAPE, PixelType::I32, images.clone());
    assert!(again(Box::new(once)).is_none());
    let mut source = MemoryFrames::new(SHAPE, PixelType::I32, images).source(5, true);
    let pool = SlotPool::on_host(1, 0);
    drop(source.next(&pool).expect("a source"));
    let walked = walk(again(source).expect("these stay"), Walk::default());
    assert_eq!((walked.ids, walked.report.asked), (vec![1, 2], Some(2)));
}

/// Slots of four frames without an end; frame 4 is bad before it is read.
struct Fours(MemorySource, usize);

impl Source for Fours {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        self.0.about()
    }

    fn next(&mut self, packed: &SlotPool) -> Result<Next, SourceError> {
        let ids = match self.1 {
            0 => 0..4,
            1 => 4..5,
            2 => 5..8,
            turn => 4 * (turn - 1)..4 * turn,
        };
        self.1 += 1;
        if ids == (4..5) {
            let bad = BadFrame { id: FrameId(4), status: FrameStatus::Truncated, message: "torn".into() };
            return Ok(Next::Bad(bad));
        }
        let mut slot = packed.take();
        slot.memory_mut().grow(4).expect("memory");
        slot.memory_mut().bytes_mut()[..4].copy_from_slice(&[10, 11, 12, 13]);
        let parts = ids.clone().map(|id| id % 4..id % 4 + 1).collect();
        Ok(Next::Read(Ticket { ids, place: Place::Held { slot: Arc::new(slot), parts } }))
    }

    fn reader(&self) -> Box<dyn Reader> {
        self.0.reader()
    }
}

/// An endless source of nothing.
fn nothing() -> MemorySource {
    MemorySource::new(SHAPE, PixelType::U8, None, Box::new(|_| Arrival::NotYet))
}

#[test]
fn a_ticket_of_which_some_frames_are_wanted_is_taken_apart() {
    let pool = SlotPool::on_host(1, 0);
    let wanted = WantedIds { ids: 1..19, done: vec![false, false, true] };
    let mut select = Select::new(Box::new(Fours(nothing(), 0)), wanted);
    let about = select.about().expect("a source").expect("known at once");
    assert_eq!(about.count, None);
    let mut reader = HeldReader { about };
    let (mut read, mut bad, mut tickets) = (vec![], vec![], vec![]);
    loop {
        match select.next(&pool).expect("a source") {
            Next::Read(ticket) => {
                tickets.push(ticket.ids.clone());
                reader.read(ticket, &mut Slots::of(&pool), &mut |frame| {
                    let frame = frame.expect("a good frame");
                    read.push((frame.id.0, frame.bytes()[0]));
                });
            }
            Next::Bad(frame) => bad.push(frame.id.0),
            // As many as there can be were given, although nobody knows how many there are.
            Next::End => break,
            Next::Quiet => panic!("there is more"),
        }
    }
    assert_eq!(tickets, [1..2, 3..4, 5..8, 8..12, 12..16, 16..19]);
    let expected: Vec<(usize, u8)> =
        tickets.into_iter().flatten().map(|id| (id, 10 + (id % 4) as u8)).collect();
    assert_eq!((read, bad), (expected, vec![4]));
    assert!(pool.take_for(Duration::ZERO).is_some(), "the slot came home with its last frame");
}

#[test]
fn an_endless_source_of_which_nothing_is_wanted_ends_with_the_stop() {
    for strategy in [Strategy::Sequential, Strategy::Pool] {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let images = move |number| {
            counted.fetch_add(1, Ordering::Relaxed);
            Arrival::Bytes(image(number % 7))
        };
        let source = MemorySource::new(SHAPE, PixelType::I32, None, Box::new(images));
        let wanted = WantedIds { ids: usize::MAX - 1..usize::MAX, ..WantedIds::default() };
        let stop = Stop::default();
        let later = stop.clone();
        let begun = Arc::clone(&made);
        thread::spawn(move || {
            while begun.load(Ordering::Relaxed) < 1 {
                thread::sleep(Duration::from_millis(5));
            }
            later.raise();
        });
        let select = Select::new(Box::new(source), wanted);
        let walked = walk(Box::new(select), Walk { strategy, stop, ..Walk::default() });
        walked.ending.expect("a stop is no failure");
        assert_eq!((walked.ids.len(), walked.report.interrupted), (0, true), "{strategy:?}");
    }
}
