//! `--monitor`: what each frame is divided by, found where its name says: in the frames' own headers, in a table, in an HDF5 file.

use std::path::Path;
use std::sync::Arc;

use super::error::{Concern, OrAbout, SessionError, refuse};
use crate::files;
use crate::h5;
use crate::output::result::FrameNumbers;
use crate::source::hdf5::{is_hdf5, split_name};
use crate::source::monitor::{Monitor, MonitoredFrames, find_column};
use crate::source::{Frames, table};

/// Numbers of headers that are listed when the one that is asked for is not among them.
const NAMED: usize = 30;

/// Whether a monitor's name is that of a file, whose values are meant, and not of a number of the frames' headers: once names are
/// [absolute](super::configuration).
pub(super) fn is_file(name: &str) -> bool {
    Path::new(name).is_absolute()
}

/// The frames with their monitor, and what tells it from another one.
pub(super) struct Monitored {
    pub frames: Arc<dyn Frames>,
    pub recipe: String,
}

/// Frames whose monitor is called `name`. Of all frames that there are, `found`, they have these `numbers`: a file has a value for each of all.
///
/// # Errors
/// When there is no such number, or the file does not hold a number for each frame.
pub(super) fn monitored(
    frames: Arc<dyn Frames>,
    name: &str,
    found: usize,
    numbers: FrameNumbers,
) -> Result<Monitored, SessionError> {
    if !is_file(name) {
        let column = column(frames.as_ref(), name)?;
        let recipe = format!("number {}", frames.about().columns[column].name);
        return Ok(Monitored {
            frames: Arc::new(MonitoredFrames::new(frames, Monitor::Column(column), name)),
            recipe,
        });
    }
    let all = values(name)?;
    if all.len() != found {
        refuse!(
            Calibration,
            "--monitor {name}: it has {} values, and there are {found} frames: a value for each is wanted, those included that \
             --offset, --frames or --part leave out",
            all.len()
        );
    }
    let bytes: Vec<u8> = all.iter().flat_map(|value| value.to_le_bytes()).collect();
    let values: Arc<[f64]> = (0..frames.count()).map(|n| all[numbers.first + n * numbers.step]).collect();
    Ok(Monitored {
        frames: Arc::new(MonitoredFrames::new(frames, Monitor::Values(values), name)),
        recipe: format!("crc32:{:08x}", crc32fast::hash(&bytes)),
    })
}

/// The column of the frames' headers that is meant, which the first frame must have.
fn column(frames: &dyn Frames, name: &str) -> Result<usize, SessionError> {
    let about = frames.about();
    let is_there = |place: &usize| !about.header.number(*place).is_nan();
    if let Some(column) = find_column(&about.columns, name).filter(is_there) {
        return Ok(column);
    }
    let there = about.columns.iter().enumerate().filter(|(place, _)| is_there(place));
    let names: Vec<&str> = there.map(|(_, column)| column.name.as_str()).collect();
    let list = match names.len() {
        0 => "no numbers".to_owned(),
        count if count > NAMED => format!("{} and {} more", names[..NAMED].join(", "), count - NAMED),
        _ => names.join(", "),
    };
    refuse!(
        Usage,
        "--monitor {name}: {} has no such number in its header; it has {list}. A file is named as TABLE.csv::COLUMN or \
         FILE.h5::/path",
        frames.origin(0)
    )
}

/// The values of a file.
fn values(name: &str) -> Result<Vec<f64>, SessionError> {
    let (file, inside) = split_name(Path::new(name));
    if !is_hdf5(file) {
        return table::column(file, inside).or_about_in(Concern::Calibration, "--monitor");
    }
    let said = || format!("--monitor {name}");
    let Some(inside) = inside else {
        refuse!(Calibration, "--monitor {name}: which dataset of it? {}::/path", file.display())
    };
    files::open(file).or_about_in(Concern::Calibration, said())?;
    let dataset = h5::File::open(file).and_then(|opened| opened.dataset(inside));
    let dataset = dataset.or_about_in(Concern::Calibration, said())?;
    dataset.read_raw::<f64>().or_about_in(Concern::Calibration, said())
}
