//! Cold and hot starts: whether the frames' pages are in the system's cache, set and verified before every run.
//!
//! A cold start writes back what is dirty (fsync) and asks the kernel to forget the pages (posix_fadvise, DONTNEED). The
//! kernel may refuse without a word: tmpfs has no other place for them, and another process may hold them mapped. So
//! it is verified: bytes all over each file are asked for with `preadv2(RWF_NOWAIT)`, which gives only what needs no disk.
//! A cold start that cannot be verified is no cold start and is not measured as one.

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, fadvise, fsync};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use serde::{Deserialize, Serialize};

use super::BenchError;
use super::error::at;
use crate::files;

/// Places of a file that are looked at, its first and last byte among them.
const SAMPLES: u64 = 16;

/// Where frames come from when a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartFrom {
    /// Hot start: the system's cache holds them.
    Mem,
    /// Cold start: only the disk does.
    Ssd,
}

impl StartFrom {
    /// As the paper names it.
    pub const fn name(self) -> &'static str {
        match self {
            StartFrom::Mem => "MEM",
            StartFrom::Ssd => "SSD",
        }
    }
}

/// What became of an attempt to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cold {
    /// None of the looked-at pages is in the cache.
    Yes,
    /// Not so, or not to be known; in a sentence.
    No(String),
}

/// Makes the next read of every file come from the disk, and verifies it.
///
/// # Errors
/// When a file cannot be opened.
pub fn chill(files: &[Arc<Path>]) -> Result<Cold, BenchError> {
    let mut resident = 0;
    for path in files {
        let file = at(path, files::open(path))?;
        // Dirty pages are not dropped. A file system that cannot sync a file opened for reading has none of ours to write.
        let _ = fsync(&file);
        if let Err(error) = fadvise(&file, 0, None, Advice::DontNeed) {
            return Ok(Cold::No(format!("the file system of {} cannot drop pages: {error}", path.display())));
        }
    }
    for path in files {
        let file = at(path, files::open(path))?;
        let len = at(path, file.metadata())?.len();
        match is_resident(&file, len) {
            Ok(false) => {}
            Ok(true) => resident += 1,
            Err(error) => {
                let reason = format!(
                    "whether pages of {} are in the cache cannot be asked (preadv2 RWF_NOWAIT: {error}); a tmpfs has no \
                     disk: use --scratch or --frames on one",
                    path.display()
                );
                return Ok(Cold::No(reason));
            }
        }
    }
    Ok(match resident {
        0 => Cold::Yes,
        n => Cold::No(format!(
            "pages of {n} of {} files stay in memory although they were dropped (a tmpfs? --scratch or --frames on a disk)",
            files.len()
        )),
    })
}

/// Whether a byte of the file can be had without its disk.
fn is_resident(file: &File, len: u64) -> Result<bool, Errno> {
    let mut byte = [0_u8];
    for sample in 0..SAMPLES {
        let offset = len.saturating_sub(1) * sample / (SAMPLES - 1);
        match preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(Errno::AGAIN) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Reads every file once, so that the next read comes from memory.
///
/// # Errors
/// When a file cannot be read.
pub fn warm(files: &[Arc<Path>]) -> Result<(), BenchError> {
    let mut bytes = vec![0_u8; 1 << 20];
    for path in files {
        let mut file = at(path, files::open(path))?;
        while at(path, file.read(&mut bytes))? > 0 {}
    }
    Ok(())
}
