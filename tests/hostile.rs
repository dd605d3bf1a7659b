//! Files that were damaged or made to do harm: the program says so, and neither crashes, nor hangs, nor takes the machine's memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xrdct::h5::child::Child;
use xrdct::h5::{File, Kind};

use crate::support::{Done, ask_oracle, names, write_small_scan, xrdct};

/// A folder with a small scan and the files of `tests/oracle/hostile.py`.
fn hostile() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 2);
    ask_oracle("hostile.py", &[folder.path()]);
    folder
}

fn integrate(folder: &Path, more: &[&str]) -> Done {
    let common =
        ["integrate", "--poni", "small.poni", "-o", "out.h5", "--npt", "50", "--device", "cpu", "scan"];
    xrdct(folder, &[&common, more].concat())
}

/// A run that ended with this code, all of these words in its message, and nothing written.
#[track_caller]
fn refused(folder: &Path, done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{}", done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "no '{word}' in: {}", done.stderr);
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    assert!(!names(folder).iter().any(|name| name.contains("out.h5")), "{:?}", names(folder));
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n.max(1)
    }
}

/// Spoils one to six bytes, most of them where the file says what it is: not in pixels and not in room that nobody uses.
fn spoil(bytes: &mut [u8], random: &mut Random) {
    let words: Vec<usize> = (0..bytes.len().min(4096)).filter(|&at| bytes[at] != 0).collect();
    for _ in 0..=random.below(5) {
        let at = match random.below(8) {
            0 => random.below(bytes.len()),
            _ => (words[random.below(words.len())] + random.below(3)).min(bytes.len() - 1),
        };
        bytes[at] = match random.below(6) {
            0 => 0,
            1 => 0xff,
            2 => 0x80,
            3 => random.below(256) as u8,
            _ => bytes[at] ^ 1 << random.below(8),
        };
    }
}

/// Everything that is asked of a mask, and a little more.
fn read_all(file: &File) {
    let root = file.root();
    let _ = root.member_names();
    for place in [Ok(root.clone()), root.group("data")].into_iter().flatten() {
        let _ = (place.attribute_texts("signal"), place.attribute_numbers("signal"));
        for name in ["data", "image", "names"] {
            let Ok(dataset) = place.dataset(name) else { continue };
            let _ = dataset.read_raw::<f64>();
            if dataset.facts().kind == Kind::Text {
                let _ = dataset.read_texts();
            }
        }
    }
}

/// Tests that begin with files that h5py wrote.
mod needs_oracle {
    use super::*;

    #[test]
    fn mutated_masks_never_reach_the_c_library_of_this_process() {
        const MOST: usize = 4000;
        let folder = hostile();
        let masks: Vec<Vec<u8>> = names(folder.path())
            .iter()
            .filter(|name| name.starts_with("mask_"))
            .map(|name| fs::read(folder.path().join(name)).expect("readable"))
            .collect();
        assert_eq!(masks.len(), 14);
        let program = PathBuf::from(env!("CARGO_BIN_EXE_xrdct"));
        let path = folder.path().join("mutated.h5");
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let (mut child, mut opened, mut died) = (None, 0, 0);
        let start = Instant::now();
        let mut runs = 0;
        while runs < MOST && start.elapsed() < Duration::from_secs(15) {
            let mut bytes = masks[runs % masks.len()].clone();
            if runs >= masks.len() {
                spoil(&mut bytes, &mut random);
            }
            fs::write(&path, &bytes).expect("writable");
            let reader = child.take().unwrap_or_else(|| Child::start(&program, 1).expect("a child"));
            // Whatever is in the file, this process is here to see it.
            if let Ok(file) = File::open_in(reader, &path) {
                opened += 1;
                read_all(&file);
                child = file.into_child();
                died += usize::from(child.is_none());
            }
            runs += 1;
        }
        println!("{runs} files, {opened} opened, {died} ended their reader, {:?}", start.elapsed());
        assert!(runs > 500 && opened > runs / 4, "{runs} files, {opened} opened");
    }

    #[test]
    fn a_mask_that_crashes_the_library_is_an_error() {
        let folder = hostile();
        let specimen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/crashing_mask.h5");
        fs::copy(specimen, folder.path().join("crashing.h5")).expect("writable");
        for option in ["--mask", "--dark", "--flat"] {
            let done = integrate(folder.path(), &[option, "crashing.h5::/data"]);
            refused(folder.path(), &done, 4, &["crashing.h5", "damaged, or made to do harm", "signal"]);
        }
    }

    #[test]
    fn a_mask_that_keeps_the_library_busy_for_ever_is_an_error() {
        let folder = hostile();
        let specimen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/endless_mask.h5");
        fs::copy(specimen, folder.path().join("endless.h5")).expect("writable");
        let start = Instant::now();
        let done = integrate(folder.path(), &["--mask", "endless.h5::/data"]);
        refused(folder.path(), &done, 4, &["endless.h5", "still busy with it after 10 seconds"]);
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }

    #[test]
    fn a_mask_may_lie_in_another_file() {
        let folder = hostile();
        for mask in
            ["outside.h5::/data", "virtual.h5::/data", "mask_new.h5::/data", "mask_gzip_bool.h5::data"]
        {
            let done = integrate(folder.path(), &["--mask", mask, "--dry-run"]);
            assert_eq!(done.code, 0, "{}", done.stderr);
            assert!(done.stdout.contains("150 of 2867 pixels"), "{mask}: {}", done.stdout);
        }
    }
}
