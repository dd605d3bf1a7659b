//! A tomogram of a result: the scan is studied once, its bins are made alike.
//!
//! ```text
//!   TomoOptions ──Study::open──▶ Study ──maker──▶ Maker
//!   (values)                     (where the points are,   │
//!                                 what must be mended)  make ──▶ TomogramFile
//! ```
//!
//! What the scan is and what is wrong with it is found on the sum over bins; then blocks of bins are gathered, mended alike,
//! reconstructed and put into a file that was whole before the first slice, as many at a time as the options' memory allows. The
//! result does not depend on the size of the blocks, so a file that was left unfinished can be gone on with.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use xrdct::output::result::Ending;
//! use xrdct::output::tomogram::TomogramFile;
//! use xrdct::pipeline::Stop;
//! use xrdct::session::Device;
//! use xrdct::session::tomo::{Study, TomoOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = TomoOptions { input: "scan.h5".into(), ..TomoOptions::default() };
//! let study = Study::open(options, None)?;
//! let mut maker = study.maker(&mut Device::choose("auto", &mut Vec::new())?)?;
//! let mut file = TomogramFile::create(Path::new("tomo.h5"), study.layout(), false)?;
//! let hollow = study.make(&mut file, &mut maker, &Stop::default(), &mut |done| println!("{done} slices"))?;
//! file.finish(&Ending::Complete)?;
//! assert!(hollow.notes().is_empty(), "every slice holds numbers");
//! # Ok(())
//! # }
//! ```

mod choices;
mod columns;
mod hollow;
mod make;
mod motors;
mod options;
mod points;
mod sectors;
mod study;
mod sums;

pub use hollow::Hollow;
pub use make::Maker;
pub use options::{Algorithm, FastName, FilterName, TomoOptions, ZigZagName};
pub use study::Study;

use super::{PatternStore, Plan};

/// Room for the patterns of a run that a tomogram is to be made of; `None` when that is more than half of the memory to work in.
pub fn store(options: &TomoOptions, plan: &Plan) -> Option<PatternStore> {
    PatternStore::new(options.working_memory() as u64 / 2, plan.frames.count(), plan.npt)
}
