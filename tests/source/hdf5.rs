//! Images in HDF5 files: each form that h5py writes is read pixel by pixel as h5py reads it, or refused in a sentence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use xrdct::frame::{BadFrame, Codec, Frame, SlotPool, Slots};
use xrdct::h5::File;
use xrdct::source::decoded::Decoding;
use xrdct::source::hdf5::Hdf5Frames;
use xrdct::source::{Frames, Next, Reader};

use crate::support::{ask_oracle, data, one_line, within, write_small_scan, xrdct};

/// What became of each frame, in order: pixels or why not.
pub(crate) type Read = Vec<Result<Vec<u8>, BadFrame>>;

/// Reads all frames of a source as plain pixels, with as many slots.
pub(crate) fn read_all(frames: &dyn Frames, slots: usize) -> Read {
    let mut source = frames.source(frames.count(), true);
    let pool = SlotPool::on_host(slots, frames.about().slot_bytes);
    let mut reader = Decoding::new(source.reader());
    let mut read: Read = Vec::new();
    loop {
        match source.next(&pool).expect("a source") {
            Next::Read(ticket) => {
                let ids = ticket.ids.clone();
                let mut given = Vec::new();
                reader.read(ticket, &mut Slots::of(&pool), &mut |frame: Result<Frame, BadFrame>| {
                    let id = frame.as_ref().map_or_else(|bad| bad.id, |frame| frame.id);
                    given.push(id.0);
                    read.push(frame.map(|frame| {
                        assert_eq!(frame.encoding.codec, Codec::Raw);
                        assert_eq!(frame.encoding.shape, frames.about().encoding.shape);
                        assert_eq!(frame.origin, frames.origin(frame.id.0));
                        frame.bytes().to_vec()
                    }));
                });
                assert_eq!(given, ids.collect::<Vec<_>>(), "a ticket gives its ids, in order");
            }
            Next::End => break,
            other => panic!("{other:?}"),
        }
    }
    let home: Vec<_> = (0..slots).map(|_| pool.take_for(Duration::ZERO)).collect();
    assert!(home.iter().all(Option::is_some), "a slot did not come home");
    read
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What is wrong with what was read, if anything.
fn fault(folder: &Path, case: &Value) -> Option<String> {
    let inputs: Vec<PathBuf> = texts(&case["inputs"]).iter().map(|input| folder.join(input)).collect();
    let channel = case["channel"].as_u64().map(|channel| channel as usize);
    let opened = Hdf5Frames::open(&inputs, channel);
    let lacks = |said: &str, words: &[&str]| {
        words.iter().find(|word| !said.contains(*word)).map(|word| format!("no '{word}' in: {said}"))
    };
    let frames = match (opened, case.get("error")) {
        (Err(error), Some(words)) => return lacks(&error.to_string(), &texts(words)),
        (Err(error), None) => return Some(error.to_string()),
        (Ok(frames), Some(_)) => return Some(format!("{} frames, and an error was wanted", frames.count())),
        (Ok(frames), None) => frames,
    };
    if let Some(fault) = lacks(&frames.notes().join("\n"), &texts(&case["notes"])) {
        return Some(format!("notes: {fault}"));
    }
    let about = frames.about();
    let wanted = (case["shape"][0].as_u64()?, case["shape"][1].as_u64()?, case["dtype"].as_str()?);
    let found =
        (about.encoding.shape.slow as u64, about.encoding.shape.fast as u64, about.encoding.pixel.name());
    if found != wanted || frames.count() as u64 != case["frames"].as_u64()? {
        return Some(format!("{found:?} x {}, wanted {wanted:?} x {}", frames.count(), case["frames"]));
    }
    let name = case["name"].as_str()?;
    let raw = std::fs::read(folder.join(format!("{name}.raw"))).expect("what h5py read");
    let bytes = about.encoding.shape.pixels() * about.encoding.pixel.size();
    let read = read_all(&frames, 2);
    if read.len() != frames.count() || raw.len() != read.len() * bytes {
        return Some(format!("{} frames of {}, {} bytes", read.len(), frames.count(), raw.len()));
    }
    for (number, (frame, pixels)) in read.iter().zip(raw.chunks(bytes)).enumerate() {
        let fault = match (frame, case["bad"].get(number.to_string())) {
            (Ok(read), None) if read == pixels => None,
            (Ok(_), None) => Some("other pixels than h5py's".to_owned()),
            (Ok(_), Some(words)) => Some(format!("is good, and {words} was wanted")),
            (Err(bad), None) => Some(bad.message.clone()),
            (Err(bad), Some(words)) => {
                let said = format!("{}: {}", bad.status.word(), bad.message);
                lacks(&said, &texts(words))
            }
        };
        if let Some(fault) = fault {
            return Some(format!("frame {number}: {fault}"));
        }
    }
    None
}

mod needs_oracle {
    use super::*;

    #[test]
    fn every_form_is_read_as_h5py_reads_it_or_refused_in_a_sentence() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        ask_oracle("hdf5.py", &[folder.path()]);
        let cases: Vec<Value> =
            serde_json::from_slice(&std::fs::read(folder.path().join("cases.json")).expect("cases"))
                .expect("JSON");
        assert!(cases.len() > 150, "{} cases", cases.len());
        let faults: Vec<String> = cases
            .into_iter()
            .filter_map(|case| {
                let (at, name) =
                    (folder.path().to_path_buf(), case["name"].as_str().expect("a name").to_owned());
                within(Duration::from_secs(60), &name.clone(), move || fault(&at, &case))
                    .map(|fault| format!("{name}: {fault}"))
            })
            .collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

/// What the program makes of the same frames in another form.
#[test]
fn a_stack_that_the_program_wrote_gives_the_patterns_of_the_frames_it_was_made_of() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 5);
    let run = |command: &str| {
        let done = xrdct(folder.path(), &command.split_whitespace().collect::<Vec<_>>());
        assert_eq!(done.code, 0, "{command}: {}", done.stderr);
    };
    run("convert scan -o stack.h5");
    run("convert stack.h5 -o again.h5 --gzip=1");
    let intensities = |input: &str, more: &str| -> Vec<f32> {
        run(&format!("integrate --poni small.poni --npt 50 --device cpu --overwrite -o r.h5 {input} {more}"));
        let file = File::open(&folder.path().join("r.h5")).expect("a result");
        file.dataset("entry_0000/pyFAI/result/intensity").expect("there").read_raw().expect("numbers")
    };
    let wanted = intensities("scan", "");
    assert_eq!(wanted.len(), 250);
    for input in ["stack.h5", "again.h5", "again.h5::/entry_0000/data/data", "again.h5::/entry_0000/data"] {
        assert_eq!(intensities(input, ""), wanted, "{input}");
    }
    assert_eq!(intensities("stack.h5", "--frames 1:5:2"), [&wanted[50..100], &wanted[150..200]].concat());
    assert_eq!(intensities("stack.h5", "--channel 0 --frames 4:"), &wanted[200..]);
    assert_eq!(intensities("stack.h5 again.h5", "--frames 4:6"), [&wanted[200..], &wanted[..50]].concat());
}

#[test]
fn summary_result_and_info_say_who_decodes() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path();
    write_small_scan(folder, 3);
    let run = |command: &str| {
        let done = xrdct(folder, &command.split_whitespace().collect::<Vec<_>>());
        assert_eq!(done.code, 0, "{command}: {}", done.stderr);
        done
    };
    run("convert scan -o plain.h5");
    run("convert scan -o gzip.h5 --gzip=1");
    for (input, route) in [
        ("scan", "decoded (byte-offset) and integrated on the CPU"),
        ("plain.h5", "plain pixels, integrated on the CPU"),
        ("gzip.h5", "decoded by the readers (shuffle, gzip), integrated on the CPU"),
    ] {
        let command = format!("integrate --poni small.poni --npt 50 --device cpu -o r.h5 {input}");
        let said = run(&format!("{command} --overwrite -v"));
        for text in [&said.stdout, &said.stderr, &run(&format!("{command} --overwrite --dry-run")).stdout] {
            assert_eq!(one_line(text, "route"), format!("{:<14}{route}", "route"), "{text}");
        }
        let file = File::open(&folder.join("r.h5")).expect("a result");
        assert_eq!(
            file.dataset("entry_0000/xrdct/route").expect("there").read_texts().expect("a text"),
            [route]
        );
        assert!(one_line(&run("info r.h5").stdout, "route").ends_with(route));
    }
}

mod needs_data {
    mod needs_oracle {
        use super::super::*;

        #[test]
        fn real_files_are_read_as_h5py_reads_them() {
            let folder = tempfile::tempdir().expect("a scratch folder");
            ask_oracle("hdf5_real.py", &[folder.path(), &data("eiger")]);
            let cases = std::fs::read(folder.path().join("cases.json")).expect("cases");
            let cases: Vec<Value> = serde_json::from_slice(&cases).expect("JSON");
            assert_eq!(cases.len(), 8);
            let faults: Vec<_> = cases
                .iter()
                .filter_map(|case| Some(format!("{}: {}", case["name"], fault(folder.path(), case)?)))
                .collect();
            assert!(faults.is_empty(), "{}", faults.join("\n"));
        }
    }
}
