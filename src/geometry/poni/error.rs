//! What can be wrong with a PONI file, and what to do about it.
//!
//! A [`PoniError`] is a path, a line when there is one, and a [`Problem`]; its message has all three.

use std::fmt;
use std::path::PathBuf;

/// Characters of a problem that are shown.
const LONGEST: usize = 400;

/// A PONI file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub struct PoniError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; `None` when the problem is that something is missing.
    pub line: Option<usize>,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

impl fmt::Display for PoniError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        // A value may be as long as the file.
        let problem = self.problem.to_string();
        match problem.char_indices().nth(LONGEST) {
            None => write!(f, ": {problem}"),
            Some((end, _)) => write!(f, ": {} …", &problem[..end]),
        }
    }
}

/// What is wrong with a PONI file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// Nothing in the file looks like a PONI.
    #[error("this is not a PONI file: it has no line \"Distance: …\", \"Poni1: …\" or \"Detector: …\"")]
    NoKeys,
    /// A value without which nothing can be computed.
    #[error("{0} is missing: calibrate again with pyFAI-calib2, or add the line")]
    Missing(&'static str),
    /// A value that is no number, or NaN, or infinite.
    #[error("{key} is \"{value}\", not a finite number: metres and radians are wanted")]
    NotANumber {
        /// The key as pyFAI writes it.
        key: &'static str,
        /// What the file says.
        value: String,
    },
    /// A length that must be above zero.
    #[error("{key} is {value}: it must be greater than 0 (metres)")]
    NotPositive {
        /// The key as pyFAI writes it.
        key: &'static str,
        /// What the file says.
        value: f64,
    },
    /// A version of the format that is not known.
    #[error("version {0} of the PONI format is not known: versions 1, 2, 2.1 and 3 are")]
    Version(f64),
    /// A detector that is not in the catalogue.
    #[error(
        "detector \"{0}\" is not known: detectors go by pyFAI's names (Pilatus2M, Eiger2_4M, RayonixMx225, …); any other \
         flat one can be given as \"Detector\" with pixel1, pixel2 and max_shape in Detector_config, or as a NeXus file of \
         pyFAI's (NexusDetector)"
    )]
    UnknownDetector(String),
    /// A class that others are made of, which has no pixels of its own.
    #[error("{0} is what detectors are made of in pyFAI, not a detector: name the detector itself")]
    BaseClass(String),
    /// A detector described by a NeXus file that is not named.
    #[error(
        "a NexusDetector needs the name of its file: {{\"filename\": \"detector.h5\"}} in Detector_config"
    )]
    NoDetectorFile,
    /// A detector with a spline file.
    #[error(
        "the distortion of spline file \"{0}\" is not supported: correct the images first, or write \"SplineFile: None\" to \
         go without"
    )]
    SplineFile(String),
    /// A Pilatus with offset files.
    #[error(
        "the distortion files \"{0}\" are not supported: remove x_offset_file and y_offset_file to go without"
    )]
    OffsetFiles(String),
    /// Parallax correction is switched on, and what it needs is not there.
    #[error("parallax cannot be corrected: {0}; or write \"Parallax: False\" to go without")]
    Parallax(String),
    /// `Detector_config` is not JSON.
    #[error("Detector_config is not a JSON object: {0}")]
    Json(String),
    /// A value in `Detector_config` that cannot be.
    #[error("{key} in Detector_config is {value}: {expected}")]
    Config {
        /// The key in the JSON object.
        key: &'static str,
        /// What the file says.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}
