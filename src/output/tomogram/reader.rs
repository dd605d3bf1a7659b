//! Reads a tomogram file back: for pictures, for resuming, for tests. Nothing is taken on trust.
use std::path::{Path, PathBuf};

use super::skeleton::BOUNDS;
use super::{RegionEntry, TomogramLayout};
use crate::h5::{self, File, Group, Number};
use crate::output::result::{BinAxis, Progress, opened};
use crate::output::{OutputError, nexus};

/// The group that makes a file a tomogram.
const HOME: &str = "entry_0000/tomo";

/// A tomogram file, open for reading.
#[derive(Debug)]
pub struct Tomogram {
    path: PathBuf,
    process: Group,
    /// What it holds.
    pub layout: TomogramLayout,
    /// Which slices are complete: bins, then pictures of regions.
    pub done: Vec<bool>,
    /// `running`, `complete`, `interrupted` or `failed`.
    pub status: String,
    /// Why it failed; empty otherwise.
    pub message: String,
    /// When the first run began, ISO 8601.
    pub start_time: String,
    /// When the last one ended; empty before the first has.
    pub end_time: String,
    /// Version of xrdct that wrote it.
    pub version: String,
    /// How long its slices took, seconds; `None` before the first run has ended.
    pub duration: Option<f64>,
}

/// The two pictures of a region.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionImages {
    /// (rotation, translation)
    pub sinogram: Vec<f32>,
    /// (y, x)
    pub tomogram: Vec<f32>,
}

impl Tomogram {
    /// Whether a file calls itself a tomogram; not so when it cannot be read.
    pub fn is_one(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| file.link_exists(HOME))
    }

    /// Opens a tomogram file.
    ///
    /// # Errors
    /// [`OutputError::Io`] when it cannot be read, [`OutputError::NotAResult`] when it is something else.
    pub fn open(path: &Path) -> Result<Tomogram, OutputError> {
        let not = |problem: &str| OutputError::NotAResult { path: path.into(), problem: problem.into() };
        let file = opened(path)?;
        let process = file
            .group(HOME)
            .map_err(|_| not("there is no group /entry_0000/tomo in it: it is no tomogram of xrdct"))?;
        let whole = file.group("entry_0000").and_then(|entry| read(path, entry, process));
        whole.map_err(|cause| OutputError::NotAResult {
            path: path.into(),
            problem: format!("a part of the tomogram is missing or different ({cause})"),
        })
    }

    /// How far the run that wrote it came.
    ///
    /// # Errors
    /// [`OutputError::NotAResult`] when its status is no word of ours.
    pub fn progress(&self) -> Result<Progress, OutputError> {
        Progress::parse(&self.status, || self.message.clone()).ok_or_else(|| OutputError::NotAResult {
            path: self.path.clone(),
            problem: format!("its status is `{}`", self.status),
        })
    }

    /// Slice of a bin, (y, x), by the number that [`TomogramLayout::bin`] gives it.
    ///
    /// # Errors
    /// [`OutputError::Read`], or [`OutputError::NotAResult`] when bins have no slices.
    pub fn slice(&self, bin: usize) -> Result<Vec<f32>, OutputError> {
        self.image("tomogram/tomogram", bin)
    }

    /// Sinogram of a bin, (rotation, translation).
    ///
    /// # Errors
    /// As [`Tomogram::slice`].
    pub fn sinogram(&self, bin: usize) -> Result<Vec<f32>, OutputError> {
        self.image("sinogram/sinogram", bin)
    }

    fn image(&self, name: &str, bin: usize) -> Result<Vec<f32>, OutputError> {
        if bin >= self.layout.bins() {
            return Err(OutputError::NotAResult {
                path: self.path.clone(),
                problem: format!(
                    "bin {bin} has no slice, there are {} (made with --regions-only?)",
                    self.layout.bins()
                ),
            });
        }
        let (npt, parts) = (self.layout.axis.centres.len(), self.layout.sectors.len());
        let (sector, of_sector) = (bin / npt, bin % npt);
        let slice = |dataset: h5::Dataset| match dataset.shape()[..] {
            [bins, rows, columns] if parts == 0 && bin < bins => {
                dataset.read_part(&[bin..bin + 1, 0..rows, 0..columns])
            }
            [sectors, bins, rows, columns] if sector < sectors.min(parts) && of_sector < bins => {
                let (sector, bin) = (sector..sector + 1, of_sector..of_sector + 1);
                dataset.read_part(&[sector, bin, 0..rows, 0..columns])
            }
            ref other => Err(format!("`{name}` has the shape {other:?}").into()),
        };
        self.process.dataset(name).and_then(slice).map_err(|cause| self.failed(cause))
    }

    /// Both pictures of a region, by the number that [`TomogramLayout::picture`] gives them.
    ///
    /// # Errors
    /// [`OutputError::Read`].
    pub fn region(&self, picture: usize) -> Result<RegionImages, OutputError> {
        let (region, sector) = (picture / self.layout.parts(), picture % self.layout.parts());
        let name = &self.layout.regions[region].name;
        let parts = self.layout.sectors.len();
        let picture = |dataset: h5::Dataset| match dataset.shape()[..] {
            [_, _] if parts == 0 => dataset.read_raw(),
            [sectors, rows, columns] if sector < sectors.min(parts) => {
                dataset.read_part(&[sector..sector + 1, 0..rows, 0..columns])
            }
            ref other => Err(format!("region {name} has the shape {other:?}").into()),
        };
        let read = |what: &str| -> Result<Vec<f32>, OutputError> {
            let dataset = self.process.dataset(&format!("regions/{name}/{what}/{what}"));
            dataset.and_then(picture).map_err(|cause| self.failed(cause))
        };
        Ok(RegionImages { sinogram: read("sinogram")?, tomogram: read("tomogram")? })
    }

    fn failed(&self, cause: h5::Error) -> OutputError {
        OutputError::Read { path: self.path.clone(), action: "reading a slice", cause }
    }
}

fn read(path: &Path, entry: Group, process: Group) -> h5::Result<Tomogram> {
    let all_bins = process.link_exists("tomogram");
    let mean = process.group("mean_pattern")?;
    let name = mean.attribute_texts("axes")?.into_iter().next_back().unwrap_or_default();
    let centres = mean.dataset(&name)?;
    let sectors: Vec<f64> = if mean.link_exists(BOUNDS) { values(&mean, BOUNDS)? } else { Vec::new() };
    let collection = process.group("regions")?;
    let regions = collection.member_names()?.into_iter().map(|name| -> h5::Result<RegionEntry> {
        let group = collection.group(&name)?;
        let (from, to) = match group.attribute_numbers("range")?[..] {
            [from, to] => (from, to),
            _ => return Err("a region's range has not two ends".into()),
        };
        let background = nexus::read_attribute(&group, "background").unwrap_or_default();
        Ok(RegionEntry { name, from, to, background })
    });
    let mut regions = regions.collect::<h5::Result<Vec<_>>>()?;
    regions.sort_by(|a, b| a.from.total_cmp(&b.from).then_with(|| a.name.cmp(&b.name)));
    let place = |what: &str| match (all_bins, regions.first()) {
        (true, _) => process.group(what),
        (false, Some(region)) => collection.group(&format!("{}/{what}", region.name)),
        (false, None) => Err("there are neither bins nor regions".into()),
    };
    let (rays, pixels) = (place("sinogram")?, place("tomogram")?);
    let numbers = |group: &Group, name: &str| values::<f64>(group, name);
    let configuration = nexus::read_text(&process, "configuration/data")?;
    let layout = TomogramLayout {
        axis: BinAxis {
            unit: nexus::read_attribute(&centres, "unit").unwrap_or_default(),
            long_name: nexus::read_attribute(&centres, "long_name").unwrap_or_default(),
            centres: centres.read_raw()?,
            name,
        },
        sectors: sectors.as_chunks().0.to_vec(),
        mean: values(&mean, "intensity")?,
        rotation: numbers(&rays, "rotation")?,
        translation: numbers(&rays, "translation")?,
        x: numbers(&pixels, "x")?,
        y: numbers(&pixels, "y")?,
        unit: nexus::read_attribute(&pixels.dataset("x")?, "units").unwrap_or_default(),
        missing: if all_bins { values(&rays, "missing")? } else { Vec::new() },
        all_bins,
        centre: process.dataset("axis")?.read_scalar()?,
        repairs: nexus::read_texts(&process, "repairs")?,
        input: nexus::read_text(&process, "input_file")?,
        // Files of before it was kept have none, and are resumed by nobody.
        input_identity: nexus::read_text(&process, "input_identity").unwrap_or_default(),
        configuration: serde_json::from_str(&configuration).map_err(|e| e.to_string())?,
        regions,
    };
    let done: Vec<u8> = values(&process, "bin_done")?;
    Ok(Tomogram {
        path: path.into(),
        done: done.iter().take(layout.slices()).map(|&d| d == 1).collect(),
        status: nexus::read_text(&process, "status")?,
        message: nexus::read_text(&process, "message")?,
        start_time: nexus::read_text(&entry, "start_time")?,
        end_time: nexus::read_text(&entry, "end_time")?,
        version: nexus::read_text(&process, "version")?,
        duration: nexus::read_duration(&process),
        layout,
        process,
    })
}

fn values<T: Number>(group: &Group, name: &str) -> h5::Result<Vec<T>> {
    group.dataset(name)?.read_raw()
}
