//! What must hold whatever the process says that reads an HDF5 file: it may be in the hands of the file. Answers come from a script
//! instead, so what is fuzzed is all that this process makes of them: the wire, links, storage, chunk tables, filters, virtual
//! datasets, facts.
//!
//! A script has a line a question. A line is a reply in JSON, as on the wire; where numbers are asked for, numbers with commas between
//! them, again and again until there are enough; after `!`, bytes of the wire as they are. Without a line the reader is dead.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;
use xrdct::frame::{Codec, Column, FrameStatus, Shape, SlotPool, Slots};
use xrdct::geometry::placement::{Placement, dot};
use xrdct::h5::wire::{DATA, Element, Question, REPLY, Reply, hear};
use xrdct::h5::{Answers, Error, Opener, Result};
use xrdct::source::facts::DetectorFacts;
use xrdct::source::hdf5::{BareMaster, Hdf5Frames};
use xrdct::source::{Frames, Next};

/// No frame of a seed is longer: what claims more would only fill memory.
const LONGEST: usize = 1 << 24;

/// Bytes of the files that scripts lie about.
const BYTES: usize = 1 << 16;

/// Answers that were written beforehand.
pub struct Script {
    lines: VecDeque<Vec<u8>>,
    is_alive: bool,
}

impl Script {
    /// A line a question.
    pub fn new(script: &[u8]) -> Script {
        let lines = script.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        Script { lines, is_alive: true }
    }
}

impl Answers for Script {
    fn ask(&mut self, question: &Question, numbers: &mut [u8]) -> Result<Reply> {
        let said = match self.lines.pop_front() {
            Some(line) if self.is_alive => on_the_wire(question, &line, numbers.len()),
            _ => vec![],
        };
        match hear(&mut &said[..], numbers) {
            Ok(reply) => reply.map_err(Error::Said),
            Err(cause) => {
                self.is_alive = false;
                Err(Error::Harmful(cause.to_string()))
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.is_alive
    }
}

/// A line as the process that reads would send it.
fn on_the_wire(question: &Question, line: &[u8], wanted: usize) -> Vec<u8> {
    let piece = |tag: u8, bytes: &[u8]| [&[tag], &(bytes.len() as u64).to_ne_bytes()[..], bytes].concat();
    match (line.strip_prefix(b"!"), wanted) {
        (Some(raw), _) => raw.to_vec(),
        (None, 0) => piece(REPLY, line),
        (None, _) => {
            let mut bytes: Vec<u8> = String::from_utf8_lossy(line)
                .split(',')
                .flat_map(|number| of_number(question, number))
                .collect();
            bytes = bytes.iter().copied().cycle().take(wanted).collect();
            [piece(DATA, &bytes), piece(REPLY, br#"{"Ok":"Done"}"#)].concat()
        }
    }
}

/// A number as the question wants it; what is none is 0.
fn of_number(question: &Question, text: &str) -> Vec<u8> {
    let (whole, real) = (text.parse::<i128>().unwrap_or(0), text.parse::<f64>().unwrap_or(0.0));
    match question {
        Question::Numbers { element: Element::F32, .. } => (real as f32).to_ne_bytes().to_vec(),
        Question::Numbers { element: Element::F64, .. } => real.to_ne_bytes().to_vec(),
        Question::Numbers { element: Element::I8 | Element::U8, .. } => vec![whole as u8],
        Question::Numbers { element: Element::I16 | Element::U16, .. } => {
            (whole as u16).to_ne_bytes().to_vec()
        }
        Question::Numbers { element: Element::I32 | Element::U32, .. } => {
            (whole as u32).to_ne_bytes().to_vec()
        }
        _ => (whole as u64).to_ne_bytes().to_vec(),
    }
}

/// Files that are no HDF5 files: what the library would read in this process it refuses.
fn scene() -> &'static Path {
    static SCENE: OnceLock<TempDir> = OnceLock::new();
    let folder = SCENE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let bytes: Vec<u8> = (0..BYTES).map(|at| ((at * at) >> 5) as u8).collect();
        for name in ["scan.h5", "data.h5"] {
            fs::write(folder.path().join(name), &bytes).expect("room for a file");
        }
        folder
    });
    folder.path()
}

/// Images are found as the script says, or refused in a sentence; frames have the pixels that they claim, or are bad. How many images
/// there are; none when they are refused.
pub fn answers(script: &[u8]) -> Option<usize> {
    let opener = Opener::answered_by(Box::new(Script::new(script)));
    let frames = match Hdf5Frames::opened_by(opener, &[scene().join("scan.h5")], None) {
        Ok(frames) => frames,
        Err(error) => {
            is_a_sentence(&error.to_string());
            without_images(script);
            return None;
        }
    };
    let about = frames.about();
    let pixels = about.encoding.shape.pixels();
    assert!(frames.count() > 0 && pixels > 0);
    frames.notes().iter().for_each(|note| is_a_sentence(note));
    are_facts(&about.facts, Some(about.encoding.shape));
    assert!(about.columns.len() == about.header.numbers.len());
    about.columns.iter().for_each(is_a_column);
    read(&frames.selected(0..frames.count().min(4)));
    Some(frames.count())
}

/// A master without images says where they should be.
fn without_images(script: &[u8]) {
    let opener = Opener::answered_by(Box::new(Script::new(script)));
    let Some(master) = BareMaster::opened_by(opener, &scene().join("scan.h5")) else { return };
    assert!(!master.missing.is_empty());
    master.missing.iter().for_each(|missing| is_a_sentence(missing));
    are_facts(&master.facts, master.shape);
    master.columns.iter().for_each(is_a_column);
}

/// Images are as large as frames, texts can be shown, a place is one that a detector can have.
fn are_facts(facts: &DetectorFacts, shape: Option<Shape>) {
    let shape = shape.unwrap_or(Shape { slow: 0, fast: 0 });
    assert!(facts.pixel_mask.as_ref().is_none_or(|mask| mask.len() == shape.pixels()));
    assert!(facts.flatfield.as_ref().is_none_or(|flat| flat.len() == shape.pixels()));
    let texts = [&facts.description, &facts.serial_number];
    let texts = texts.into_iter().flatten().chain(facts.sensor.as_ref().map(|sensor| &sensor.material));
    texts.for_each(|text| is_a_sentence(text));
    match &facts.placement {
        Some(Ok(placement)) => {
            let Placement { fast, slow, corner, .. } = *placement;
            assert!((dot(fast, fast) - 1.0).abs() < 1e-9 && (dot(slow, slow) - 1.0).abs() < 1e-9);
            assert!(dot(fast, slow).abs() < 1e-9 && corner.iter().all(|c| c.is_finite()));
            let pose = placement.pose(shape);
            assert!(
                pose.is_none_or(|pose| pose.distance > 0.0 && pose.rotations.iter().all(|a| a.is_finite()))
            );
        }
        Some(Err(why)) => is_a_sentence(why),
        None => {}
    }
}

/// Its name is that of a dataset of the result.
fn is_a_column(column: &Column) {
    is_a_sentence(&column.name);
    assert!(column.name != "." && !column.name.contains('/') && !column.unit.contains(char::is_control));
}

/// The first frames.
fn read(frames: &Hdf5Frames) {
    let encoding = frames.about().encoding;
    let bytes = encoding.shape.pixels() * encoding.pixel.size();
    if bytes.max(frames.about().slot_bytes) > LONGEST {
        return;
    }
    let pool = SlotPool::on_host(1, 0);
    let mut source = frames.source(frames.count(), true);
    let mut reader = source.reader();
    while let Ok(Next::Read(ticket)) = source.next(&pool) {
        let (mut expected, mut slots) = (ticket.ids.clone(), Slots::of(&pool));
        reader.read(ticket, &mut slots, &mut |frame| {
            let id = match frame {
                Ok(frame) => {
                    let is_plain = frame.encoding.codec == Codec::Raw;
                    assert!(!is_plain || frame.bytes().len() == bytes, "{} of {bytes}", frame.bytes().len());
                    frame.id
                }
                Err(bad) => {
                    is_a_sentence(&bad.message);
                    assert_ne!(bad.status, FrameStatus::Good);
                    bad.id
                }
            };
            assert_eq!(Some(id.0), expected.next());
        });
        assert_eq!(expected.next(), None);
    }
}

/// Something that a person can read, in one line.
fn is_a_sentence(text: &str) {
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
}
