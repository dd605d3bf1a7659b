//! What kind of files a series is written to, and which files those are.

use std::path::PathBuf;

use super::series::Destination;
use super::{PONI_NAME, TRUTH_NAME};
use crate::frame::{PixelType, Shape};
use crate::output::draft;

/// The kind of files that frames are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeriesFormat {
    /// A CBF file a frame, as Pilatus detectors write them.
    #[default]
    Cbf,
    /// HDF5: data files of many frames and a master that leads to them, as Eiger detectors write them.
    Hdf5(Stacking),
}

/// How frames are laid into HDF5 files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stacking {
    /// What the master is like.
    pub master: MasterLayout,
    /// What a pixel counts with.
    pub depth: BitDepth,
    /// Frames of a data file; the last one may have fewer.
    pub frames_per_file: usize,
}

/// What a master says, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterLayout {
    /// DECTRIS' first file writer: an external link a data file.
    Eiger,
    /// NXmx, as DECTRIS' second file writer and beamlines have it: one virtual dataset.
    Nxmx,
}

/// Bits that a pixel counts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitDepth {
    /// `uint16`.
    Sixteen,
    /// `uint32`.
    ThirtyTwo,
}

impl BitDepth {
    /// How pixels are stored.
    pub fn pixel(self) -> PixelType {
        match self {
            BitDepth::Sixteen => PixelType::U16,
            BitDepth::ThirtyTwo => PixelType::U32,
        }
    }

    /// The largest number, all bits set: no count.
    pub fn no_count(self) -> u32 {
        match self {
            BitDepth::Sixteen => u16::MAX.into(),
            BitDepth::ThirtyTwo => u32::MAX,
        }
    }
}

impl Stacking {
    /// How many frames each data file has.
    pub fn parts(self, frames: usize) -> impl Iterator<Item = usize> {
        let each = self.frames_per_file.max(1);
        (0..frames).step_by(each).map(move |first| each.min(frames - first))
    }

    /// Name of a data file, counted from 0.
    pub fn part_name(destination: &Destination, part: usize) -> String {
        format!("{}_data_{:06}.h5", destination.prefix, part + 1)
    }

    /// Name of the master.
    pub fn master_name(destination: &Destination) -> String {
        format!("{}_master.h5", destination.prefix)
    }
}

impl SeriesFormat {
    /// Bytes of a pixel that is not packed.
    pub fn pixel_bytes(self) -> usize {
        match self {
            SeriesFormat::Cbf => PixelType::I32.size(),
            SeriesFormat::Hdf5(stacking) => stacking.depth.pixel().size(),
        }
    }

    /// Bytes that a packed frame has at least.
    pub fn least_bytes(self, shape: Shape) -> usize {
        match self {
            // A packed pixel has at least one.
            SeriesFormat::Cbf => shape.pixels(),
            // LZ4 makes 255 bytes one at best.
            SeriesFormat::Hdf5(_) => shape.pixels() / 256 * self.pixel_bytes(),
        }
    }

    /// The files that hold so many frames, in order.
    pub fn frame_files(self, destination: &Destination, frames: usize) -> impl Iterator<Item = PathBuf> {
        let count = match self {
            SeriesFormat::Cbf => frames,
            SeriesFormat::Hdf5(stacking) => frames.div_ceil(stacking.frames_per_file.max(1)),
        };
        (0..count).map(move |number| match self {
            SeriesFormat::Cbf => destination.frame(number),
            SeriesFormat::Hdf5(_) => destination.folder.join(Stacking::part_name(destination, number)),
        })
    }

    /// The file that leads to all frames.
    pub fn master(self, destination: &Destination) -> Option<PathBuf> {
        match self {
            SeriesFormat::Cbf => None,
            SeriesFormat::Hdf5(_) => Some(destination.folder.join(Stacking::master_name(destination))),
        }
    }

    /// Files of this kind and prefix in the folder that do not belong to a series of so many frames: left from before, and in the way
    /// of whoever reads the whole folder.
    pub fn strangers(self, destination: &Destination, frames: usize) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&destination.folder) else { return Vec::new() };
        let own = match self {
            SeriesFormat::Cbf => destination.first..destination.first + frames,
            SeriesFormat::Hdf5(stacking) => 1..1 + stacking.parts(frames).count(),
        };
        let is_stranger = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| self.number(destination, name)).is_some_and(|number| !own.contains(&number))
        };
        let mut strangers: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(is_stranger).collect();
        strangers.sort();
        strangers
    }

    /// What runs that were killed left of files of this kind and prefix, and of those beside them.
    pub fn leftovers(self, destination: &Destination) -> Vec<PathBuf> {
        let is_ours = |name: &str| {
            self.number(destination, name).is_some()
                || [PONI_NAME, TRUTH_NAME].contains(&name)
                || name == Stacking::master_name(destination)
        };
        draft::leftovers_in(&destination.folder, is_ours)
    }

    /// The number in the name of a file with frames.
    fn number(self, destination: &Destination, name: &str) -> Option<usize> {
        let rest = name.strip_prefix(&destination.prefix)?;
        let number = match self {
            SeriesFormat::Cbf => rest.strip_prefix('_')?.strip_suffix(".cbf")?,
            SeriesFormat::Hdf5(_) => rest.strip_prefix("_data_")?.strip_suffix(".h5")?,
        };
        number.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_shared_out_to_files_of_the_same_length() {
        let destination =
            Destination { folder: "out".into(), prefix: "scan".into(), first: 7, overwrite: false };
        let stacking =
            Stacking { master: MasterLayout::Eiger, depth: BitDepth::ThirtyTwo, frames_per_file: 4 };
        assert_eq!(stacking.parts(9).collect::<Vec<_>>(), [4, 4, 1]);
        assert_eq!(stacking.parts(8).collect::<Vec<_>>(), [4, 4]);
        let names = |format: SeriesFormat| format.frame_files(&destination, 5).collect::<Vec<_>>();
        let files = ["out/scan_data_000001.h5", "out/scan_data_000002.h5"].map(PathBuf::from);
        assert_eq!(names(SeriesFormat::Hdf5(stacking)), files);
        assert_eq!(names(SeriesFormat::Cbf)[4], PathBuf::from("out/scan_00011.cbf"));
    }
}
