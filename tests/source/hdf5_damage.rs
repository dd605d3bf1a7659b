//! Damaged HDF5 files end in statuses or in a sentence: no panic, no hang, no memory beyond what is allowed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xrdct::h5;
use xrdct::source::Frames;
use xrdct::source::hdf5::Hdf5Frames;

use super::hdf5::read_all;
use crate::support::{ask_oracle, within};

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

/// What became of damaged files.
#[derive(Default, Debug)]
struct Count {
    files: usize,
    refused: usize,
    good: usize,
    bad: usize,
}

impl Count {
    /// Reads a file that may be anything.
    fn read(&mut self, path: &Path) {
        let path = path.to_path_buf();
        let frames = within(Duration::from_secs(200), "a damaged file", move || {
            let frames =
                Hdf5Frames::open(std::slice::from_ref(&path), None).map_err(|error| error.to_string())?;
            // Frames that a file claims and that nobody reads cost nothing; a few tell what becomes of them.
            let some = frames.selected((0..frames.count()).take(40));
            // Images that were made huge are the budget's business, not this test's.
            let is_small = some.about().slot_bytes < 64 << 20;
            Ok::<_, String>(if is_small { read_all(&some, 1) } else { vec![] })
        });
        self.files += 1;
        match frames {
            Err(said) => {
                self.refused += 1;
                assert!(!said.is_empty() && said.len() < 4000 && !said.contains('\n'), "{said}");
            }
            Ok(read) => {
                self.good += read.iter().filter(|frame| frame.is_ok()).count();
                self.bad += read.iter().filter(|frame| frame.is_err()).count();
                for bad in read.iter().filter_map(|frame| frame.as_ref().err()) {
                    assert!(bad.message.contains(".h5, image "), "{}", bad.message);
                }
            }
        }
    }
}

/// Spoils one to six bytes, most of them in the first `head`, where the file says what it is.
fn spoil(bytes: &mut [u8], head: usize, random: &mut Random) {
    let words: Vec<usize> = (0..bytes.len().min(head)).filter(|&at| bytes[at] != 0).collect();
    for _ in 0..=random.below(5) {
        let at = match random.below(6) {
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

mod needs_oracle {
    use super::*;

    #[test]
    fn damaged_files_end_in_statuses_or_a_sentence() {
        const SEEDS: [&str; 14] = [
            "gzip_uint16.h5",
            "shuffle_gzip_uint32.h5",
            "fletcher_raw_uint16.h5",
            "lzf_uint8.h5",
            "several_uint16.h5",
            "tiles_of_several_uint8.h5",
            "scaleoffset_uint16.h5",
            "contiguous_uint8.h5",
            "new_3.h5",
            "old_3.h5",
            "virtual.h5",
            "nested.h5",
            "nxmx_virtual.h5",
            "bliss.h5",
        ];
        let folder = tempfile::tempdir().expect("a scratch folder");
        ask_oracle("hdf5.py", &[folder.path()]);
        // What would kill the reader must not kill the test.
        h5::read_in_children(PathBuf::from(env!("CARGO_BIN_EXE_xrdct")));
        let seeds: Vec<Vec<u8>> =
            SEEDS.iter().map(|name| fs::read(folder.path().join(name)).expect("a seed")).collect();
        let path = folder.path().join("spoiled.h5");
        let mut count = Count::default();
        for seed in &seeds {
            for cut in [0, 1, 8, 40, 96, 200, 512, 700, 1000, 2000, 2049, 3000, 4096, 6000, seed.len() - 1] {
                fs::write(&path, &seed[..cut.min(seed.len())]).expect("writable");
                count.read(&path);
            }
        }
        let cut = count.files;
        let (start, mut random) = (Instant::now(), Random(0x2545_f491_4f6c_dd1d));
        while start.elapsed() < Duration::from_secs(15) {
            let mut bytes = seeds[random.below(seeds.len())].clone();
            spoil(&mut bytes, 8192, &mut random);
            fs::write(&path, &bytes).expect("writable");
            count.read(&path);
        }
        println!("{count:?}, {cut} of them cut");
        assert!(
            count.files > cut + 100 && count.refused > 50 && count.good > 200 && count.bad > 50,
            "{count:?}"
        );
    }
}

mod needs_data {
    use super::*;
    use crate::support::data;

    /// Masters are words all over.
    #[test]
    fn damaged_masters_end_in_statuses_or_a_sentence() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let seed = |name: &str| fs::read(data("eiger").join(name)).expect("a master");
        let seeds = ["example_1_master.h5", "test_00_master.h5"].map(seed);
        for (name, frames) in [
            ("example_1_data_000001.h5", "ANSTOtest_303_data_000001.h5"),
            ("test_00_data_000001.h5", "test_00_data_000001.h5"),
        ] {
            fs::copy(data("eiger").join(frames), folder.path().join(name)).expect("copied");
        }
        h5::read_in_children(PathBuf::from(env!("CARGO_BIN_EXE_xrdct")));
        let path = folder.path().join("spoiled.h5");
        let (start, mut random, mut count) =
            (Instant::now(), Random(0x9e37_79b9_7f4a_7c15), Count::default());
        while start.elapsed() < Duration::from_secs(10) {
            let mut bytes = seeds[random.below(seeds.len())].clone();
            let all = bytes.len();
            spoil(&mut bytes, all, &mut random);
            fs::write(&path, &bytes).expect("writable");
            count.read(&path);
        }
        println!("{count:?}");
        assert!(count.files > 50 && count.good > 200, "{count:?}");
    }
}
