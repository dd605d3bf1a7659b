//! Measuring: the paper's Table 1, where the time goes, and whether a release became slower.
//!
//! ```text
//! subject   the frames and their recipe          plan      a row as a value: readers, where decoding happens, reducers
//! cache     cold and hot starts, verified        walk      one run of a plan: files to HDF5, or to nowhere
//! machine   what this machine is                 ceiling   what no plan can beat: read only, upload only
//! table1    rows, rounds, checks                 peers     the same frames through FabIO, pyFAI and silx
//! outcome   the table as data                    text      terminal, Markdown, CSV      chart   bars
//! paper     what the paper's own table says
//! tomo      slices: cores, GPU, scikit-image, silx
//! profile   time by part, the bottleneck         measure   one bench's figures, beside its ceiling
//! record    the best of each bench, kept         verdict   what a run is worth beside it
//! ```
//!
//! A row of the table is a real plan of the product's own corridor, never a model of one. Figures are frames a second of the
//! corridor, from the first ticket to the last row (opening and closing the file left out, for everybody); medians of the
//! runs and their median absolute deviation, as in Kieffer, Petitdemange & Vincent, J. Synchrotron Rad. (2018) 25, 612–617.
//! Every run's result is checked: a bench that computes the wrong thing is an error, not a figure.

pub mod cache;
pub mod ceiling;
pub mod chart;
mod error;
pub mod machine;
pub mod measure;
pub mod outcome;
pub mod paper;
pub mod peers;
pub mod profile;
pub mod record;
pub mod subject;
pub mod table1;
pub mod text;
pub mod tomo;
pub mod verdict;
pub mod walk;

pub use error::BenchError;
