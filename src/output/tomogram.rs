//! The tomogram file: sinograms and slices in NeXus/HDF5, whole from the start, filled in place, killed without harm.
//!
//! As with [`super::result`], the complete file is built before the first slice, and slices are then written into places that
//! exist: numbers first, then `bin_done`. A run that was stopped can go on: [`TomogramFile::resume`] opens the file, checks that it
//! is the same run, and says which slices are there.
//!
//! ```text
//! /entry_0000            NXentry  default=tomo/tomogram; title start_time end_time program_name definition_of_axes
//!   tomo                 NXprocess program version date status message duration input_file input_identity repairs bin_done axis
//!     configuration      NXnote
//!     mean_pattern       NXdata   intensity (npt), radial axis
//!     sinogram           NXdata   sinogram (npt, rotation, translation), missing (rotation, translation)
//!     tomogram           NXdata   tomogram (npt, y, x), row 0 the lowest
//!     regions/<name>/sinogram, tomogram                NXdata, two-dimensional
//! ```
//!
//! Where azimuthal sectors have slices of their own, every array has one more axis before these, `azimuthal`: the middle of each
//! sector, and in `azimuthal_bounds` (sectors, 2) where it begins and ends, named by the axis' attribute `bounds` as in CF
//! conventions, because sectors need not touch. Without sectors the file is as it was before there were any.
mod reader;
mod skeleton;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::draft::{Draft, settle_old};
use super::lock::{Lock, is_at};
use super::result::{BinAxis, DATE_LEN, Ending, MESSAGE_LEN, RUNNING, STATUS_LEN, fixed};
use super::{OutputError, nexus};
use crate::files::{self, folder_of, sync_folder};
use crate::h5;
use skeleton::SliceOffsets;

pub use reader::{RegionImages, Tomogram};

/// A region of interest, as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionEntry {
    /// Name of its group.
    pub name: String,
    /// Lower end, in the radial axis' unit.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// What was taken off: `linear` or `none`.
    pub background: String,
}

/// What a tomogram file is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct TomogramLayout {
    /// Radial axis of the bins that are reconstructed.
    pub axis: BinAxis,
    /// Azimuthal sectors that have slices of their own: from where to where, degrees, ascending. None: slices are of all azimuth,
    /// and arrays have no axis for it.
    pub sectors: Vec<[f64; 2]>,
    /// Mean of all good patterns over these bins, of one sector after the other.
    pub mean: Vec<f32>,
    /// Rotations, degrees.
    pub rotation: Vec<f64>,
    /// Translations, in `unit`.
    pub translation: Vec<f64>,
    /// Columns' positions, in `unit`, from the rotation axis.
    pub x: Vec<f64>,
    /// Rows' positions, in `unit`, ascending.
    pub y: Vec<f64>,
    /// Unit of lengths: `mm`, or `step` when positions are not known.
    pub unit: String,
    /// 1 where a point was interpolated: (rotation, translation).
    pub missing: Vec<u8>,
    /// Regions of interest.
    pub regions: Vec<RegionEntry>,
    /// Whether every bin has a sinogram and a slice, or only regions have.
    pub all_bins: bool,
    /// Rotation axis, translation steps from the first.
    pub centre: f64,
    /// What was detected, repaired, left out.
    pub repairs: Vec<String>,
    /// The result file.
    pub input: String,
    /// What tells that result from another one, and from itself with more rows.
    pub input_identity: String,
    /// The run, so that it can be repeated.
    pub configuration: serde_json::Value,
}

impl TomogramLayout {
    /// Parts of the azimuth that have slices of their own; 1 without sectors.
    pub fn parts(&self) -> usize {
        self.sectors.len().max(1)
    }

    /// Bins that have a slice of their own: those of the radial axis, of one sector after the other.
    pub fn bins(&self) -> usize {
        if self.all_bins { self.parts() * self.axis.centres.len() } else { 0 }
    }

    /// Number of a bin of the radial axis in a sector among [`bins`](TomogramLayout::bins).
    pub fn bin(&self, sector: usize, bin: usize) -> usize {
        sector * self.axis.centres.len() + bin
    }

    /// Number of a region's pictures in a sector: each region has those of all sectors, one after the other.
    pub fn picture(&self, sector: usize, region: usize) -> usize {
        region * self.parts() + sector
    }

    /// Slices to be made: bins, then pictures of regions.
    pub fn slices(&self) -> usize {
        self.bins() + self.regions.len() * self.parts()
    }

    fn sinogram(&self) -> usize {
        self.rotation.len() * self.translation.len()
    }

    fn slice(&self) -> usize {
        self.x.len() * self.y.len()
    }
}

/// A tomogram file that is being written.
#[derive(Debug)]
pub struct TomogramFile {
    path: PathBuf,
    file: File,
    layout: TomogramLayout,
    places: SliceOffsets,
    done: Vec<bool>,
    begun: Instant,
    /// What earlier runs took, seconds.
    before: f64,
    _lock: Lock,
}

impl TomogramFile {
    /// Creates the file with room for everything. An existing file is replaced only with `overwrite`.
    ///
    /// # Errors
    /// As [`super::result::ResultFile::create`]; nothing is left on disk then.
    pub fn create(path: &Path, layout: TomogramLayout, overwrite: bool) -> Result<TomogramFile, OutputError> {
        let lock = Lock::take(path)?;
        let numbers = layout.slices() * (layout.sinogram() + layout.slice());
        let draft = Draft::begin(path, overwrite, numbers as u64 * size_of::<f32>() as u64)?;
        let path = draft.path().to_path_buf();
        let needed = numbers as u64 * size_of::<f32>() as u64;
        skeleton::build(draft.file(), &layout)
            .map_err(|e| OutputError::from_hdf5(&path, "creating the file", needed, e))?;
        let lost = |cause| OutputError::Read {
            path: path.clone(),
            action: "finding the parts of the new file",
            cause,
        };
        let places =
            h5::File::own(draft.file()).and_then(|file| skeleton::find(&file, draft.file(), &layout));
        let places = places.map_err(lost)?;
        let failed = |cause| OutputError::Io { path: path.clone(), action: "measuring the new file", cause };
        let bytes = draft.file().metadata().map_err(failed)?.len();
        draft.reserve(bytes)?;
        let file = draft.file();
        file.write_all_at(&fixed::<STATUS_LEN>(RUNNING), places.status)
            .and_then(|()| file.write_all_at(&vec![0; layout.slices()], places.done))
            .map_err(|e| OutputError::from_io(&path, "preparing the file", bytes, e))?;
        let (path, file) = draft.publish_beside_old()?;
        let done = vec![false; layout.slices()];
        Ok(TomogramFile { path, file, layout, places, done, begun: Instant::now(), before: 0.0, _lock: lock })
    }

    /// Goes on with a file that an earlier run left.
    ///
    /// # Errors
    /// [`OutputError::NotAResult`] when it is not a tomogram, or one of another run.
    pub fn resume(path: &Path, layout: TomogramLayout) -> Result<TomogramFile, OutputError> {
        let lock = Lock::take(path)?;
        let there = Tomogram::open(path)?;
        let not = |problem: String| OutputError::NotAResult { path: path.into(), problem };
        if there.layout.configuration != layout.configuration || there.layout.input != layout.input {
            return Err(not("it was made with other options or of another file, so it cannot be resumed. \
                            Give the same options, or --overwrite"
                .into()));
        }
        if there.layout.input_identity != layout.input_identity {
            let (was, is) = (&there.layout.input_identity, &layout.input_identity);
            return Err(not(format!(
                "{} has changed since it was begun (it was {was}, it is {is}), so it cannot be resumed. Start again with --overwrite",
                layout.input
            )));
        }
        let same = |a: &TomogramLayout, b: &TomogramLayout| {
            (a.x.len(), a.y.len(), &a.rotation, &a.translation, a.centre, &a.sectors)
                == (b.x.len(), b.y.len(), &b.rotation, &b.translation, b.centre, &b.sectors)
        };
        if !same(&there.layout, &layout) {
            return Err(not(
                "the scan that it was made of looks different now. Start again with --overwrite".into(),
            ));
        }
        let failed = |cause| OutputError::Io { path: path.into(), action: "opening the file", cause };
        let lost = |cause| OutputError::Read { path: path.into(), action: "finding its parts", cause };
        let file = files::open_to_change(path).map_err(failed)?;
        let places = h5::File::open(path).and_then(|parts| skeleton::find(&parts, &file, &layout));
        let places = places.map_err(lost)?;
        file.write_all_at(&fixed::<STATUS_LEN>(RUNNING), places.status).map_err(failed)?;
        let before = there.duration.unwrap_or(0.0);
        let (path, done, begun) = (path.into(), there.done, Instant::now());
        Ok(TomogramFile { path, file, layout, places, done, begun, before, _lock: lock })
    }

    /// Which slices are complete: bins, then pictures of regions.
    pub fn done(&self) -> &[bool] {
        &self.done
    }

    /// What the file holds.
    pub fn layout(&self) -> &TomogramLayout {
        &self.layout
    }

    /// Puts the sinograms and slices of neighbouring bins, the first of which is `first`.
    ///
    /// # Errors
    /// [`OutputError::Full`] or [`OutputError::Io`].
    pub fn put_bins(&mut self, first: usize, sinograms: &[f32], slices: &[f32]) -> Result<(), OutputError> {
        let (sinogram, slice) = (self.layout.sinogram(), self.layout.slice());
        let at = |place: u64, each: usize| place + (first * each * size_of::<f32>()) as u64;
        self.write(sinograms, at(self.places.sinogram, sinogram))?;
        self.write(slices, at(self.places.tomogram, slice))?;
        self.mark(first, slices.len() / slice)
    }

    /// Puts the sinogram and the slice of a region, by the number of its [`picture`](TomogramLayout::picture).
    ///
    /// # Errors
    /// [`OutputError::Full`] or [`OutputError::Io`].
    pub fn put_region(&mut self, picture: usize, sinogram: &[f32], slice: &[f32]) -> Result<(), OutputError> {
        let (region, sector) = (picture / self.layout.parts(), picture % self.layout.parts());
        let (first, second) = self.places.regions[region];
        self.write(sinogram, first + (sector * size_of_val(sinogram)) as u64)?;
        self.write(slice, second + (sector * size_of_val(slice)) as u64)?;
        self.mark(self.layout.bins() + picture, 1)
    }

    fn mark(&mut self, first: usize, count: usize) -> Result<(), OutputError> {
        self.done[first..first + count].fill(true);
        let place = self.places.done + first as u64;
        self.file
            .write_all_at(&vec![1; count], place)
            .map_err(|e| OutputError::from_io(&self.path, "writing slices", count as u64, e))
    }

    fn write(&self, values: &[f32], place: u64) -> Result<(), OutputError> {
        // SAFETY: f32 has no padding and every byte is initialised; u8 has no alignment.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        self.file
            .write_all_at(bytes, place)
            .map_err(|e| OutputError::from_io(&self.path, "writing slices", bytes.len() as u64, e))
    }

    /// Marks how the run ended; size of the file in bytes.
    ///
    /// # Errors
    /// [`OutputError::Full`] or [`OutputError::Io`].
    pub fn finish(self, ending: &Ending) -> Result<u64, OutputError> {
        let message = match ending {
            Ending::Failed(reason) => reason.as_str(),
            Ending::Complete | Ending::Interrupted => "",
        };
        let (file, places) = (&self.file, &self.places);
        let duration = self.before + self.begun.elapsed().as_secs_f64();
        file.write_all_at(&fixed::<DATE_LEN>(&nexus::now()), places.end_time)
            .and_then(|()| file.write_all_at(&duration.to_ne_bytes(), places.duration))
            .and_then(|()| file.write_all_at(&fixed::<MESSAGE_LEN>(message), places.message))
            .and_then(|()| file.write_all_at(&fixed::<STATUS_LEN>(ending.word()), places.status))
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(folder_of(&self.path)))
            .map_err(|e| OutputError::from_io(&self.path, "marking the end of the run", 0, e))?;
        if !is_at(file, &self.path) {
            return Err(OutputError::Gone { path: self.path });
        }
        settle_old(&self.path, *ending == Ending::Complete);
        let bytes = file.metadata().map(|m| m.len());
        bytes.map_err(|cause| OutputError::Io { path: self.path, action: "measuring the file", cause })
    }
}
