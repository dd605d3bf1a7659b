//! What a scan is and what is wrong with it: found once, on the sum over bins, before the first slice.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::choices::{axis, bins, monitor, reconstruction, regions};
use super::options::TomoOptions;
use super::points::{self, ScanPoints};
use super::sectors;
use super::sums::sums;
use crate::budget;
use crate::cuda::DevicePatterns;
use crate::output::result::{BinAxis, Patterns, Sector};
use crate::output::tomogram::{RegionEntry, TomogramLayout};
use crate::session::error::{Concern, OrAbout, SessionError};
use crate::session::{PatternStore, on_threads};
use crate::tomo::assembly::Assembly;
use crate::tomo::region::{Background, Region};
use crate::tomo::repair::{self, Holes};
use crate::tomo::{GROUP, Method, Reconstruction, Sinograms, TomoError};

/// Everything that is known of the scan before the first slice.
pub struct Study {
    pub(super) patterns: Patterns,
    /// The azimuthal sectors that have slices of their own; none: slices are of all azimuth.
    pub(super) sectors: Vec<Sector>,
    /// All patterns, those of each sector one after the other, when they fit into memory.
    pub(super) whole: Option<Vec<f32>>,
    /// The same on the GPU that made them.
    pub(super) on_device: Option<Arc<DevicePatterns>>,
    pub(super) assembly: Assembly,
    pub(super) bins: Range<usize>,
    pub(super) reconstruction: Reconstruction,
    pub(super) regions: Vec<Region>,
    pub(super) all_bins: bool,
    /// Bins that are worked on together.
    pub(super) block: usize,
    pub(super) threads: usize,
    /// Mean over good rows, of every bin of every sector.
    mean: Vec<f32>,
    /// Unit of lengths.
    unit: &'static str,
    input: String,
    configuration: Value,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Study {
    /// Opens the result, finds out what the scan is and what has to be mended, on the options' threads. Patterns that were kept
    /// are not read again.
    ///
    /// # Errors
    /// The first option that does not fit the result; or the result: it cannot be read, or does not say where its points are.
    pub fn open(options: TomoOptions, kept: Option<PatternStore>) -> Result<Study, SessionError> {
        let options = options.settled()?;
        options.check()?;
        on_threads(options.threads(), || Study::look(&options, kept))?
    }

    fn look(options: &TomoOptions, kept: Option<PatternStore>) -> Result<Study, SessionError> {
        let patterns = Patterns::open(&options.input).or_about(Concern::Input)?;
        let bins = bins(options, &patterns)?;
        let sectors = sectors::asked(options.sectors.as_deref(), &patterns)?;
        let memory = options.working_memory();
        let on_device = kept.as_ref().and_then(|kept| kept.on_device.clone());
        let whole = whole(&patterns, &sectors, kept, memory / 2)?;
        let rows = patterns.rows();
        let chunk = (memory / 4 / (rows * size_of::<f32>())).clamp(1, bins.len());
        // What the scan is shows on the sum over all azimuth, with sectors or without.
        let (sums, mean, of_sectors) = match sectors.is_empty() {
            true => {
                let (sums, mean) = sums(&patterns, &[], whole.as_deref(), &bins, chunk)?;
                (sums, mean, None)
            }
            false => {
                let (total, mean) = sums(&patterns, &[], None, &bins, chunk)?;
                let all = 0..sectors::width(&patterns, &sectors);
                let (_, each) = sums(&patterns, &sectors, whole.as_deref(), &all, chunk)?;
                (total, mean, Some(each))
            }
        };
        let ScanPoints { grid, unit, warnings } = points::find(options, &patterns, &sums)?;
        let mut notes = grid.notes.clone();
        notes.extend(patterns.averaging());
        let monitor = options.monitor.as_ref().map(|source| monitor(source, &patterns)).transpose()?;
        if monitor.is_some() {
            notes.push("each frame is divided by its monitor".into());
        }
        let mut assembly = Assembly { monitor, air: options.air, ..Assembly::plain(grid) };
        assembly.stripes = options.stripes == Some(true);
        notes.extend(missing(&assembly, &patterns, &sums));
        let total = mended(options, &mut assembly, &sums, &mut notes)?;

        let mut wanted = reconstruction(options, total.rays.clone());
        let (axis, note) = axis(options, &total, &wanted)?;
        notes.push(note);
        wanted.rays.axis = axis;
        wanted.check().or_about(Concern::Usage)?;
        let regions = regions(options, &patterns.radial().centres, &mean, &bins, &mut notes)?;
        let each = 4 * (rows + 4 * total.rays.len() + 3 * wanted.grid.pixels());
        let fit = (memory / 2 / each).max(1);
        let input = options.input.canonicalize().unwrap_or_else(|_| options.input.clone());
        Ok(Study {
            block: if fit >= GROUP { fit / GROUP * GROUP } else { fit }.min(bins.len()),
            threads: options.threads(),
            all_bins: options.regions_only != Some(true),
            input: input.display().to_string(),
            configuration: options.configuration()?,
            reconstruction: wanted,
            patterns,
            whole,
            on_device,
            assembly,
            bins,
            regions,
            mean: of_sectors.unwrap_or(mean),
            sectors,
            unit,
            notes,
            warnings,
        })
    }

    /// What looks wrong, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How slices are made, in words.
    pub fn method(&self) -> String {
        match self.reconstruction.method {
            Method::Fbp { filter } => format!("filtered back-projection, {filter:?}").to_lowercase(),
            Method::Sirt { iterations, .. } => format!("SIRT, {iterations} iterations"),
            Method::Mlem { iterations } => format!("MLEM, {iterations} iterations"),
        }
    }

    /// Side of a slice's pixel, in the layout's unit of lengths.
    pub fn pixel(&self) -> f64 {
        self.reconstruction.grid.pixel * self.step()
    }

    /// Bins that are worked on together: as many as the options' memory allows.
    pub fn block(&self) -> usize {
        self.block
    }

    /// One translation step, in the unit of lengths.
    pub(super) fn step(&self) -> f64 {
        self.assembly.grid.step()
    }

    /// What the tomogram's file is to hold: axes, regions, and in `repairs` what was found and mended.
    pub fn layout(&self) -> TomogramLayout {
        let Reconstruction { rays, grid, .. } = &self.reconstruction;
        let along = |first: f64, count: usize| {
            (0..count).map(|i| (first + i as f64 * grid.pixel) * self.step()).collect::<Vec<_>>()
        };
        let entry = |region: &Region| RegionEntry {
            name: region.name.clone(),
            from: region.from,
            to: region.to,
            background: if region.background == Background::Linear { "linear" } else { "none" }.into(),
        };
        let axis = self.patterns.radial();
        TomogramLayout {
            axis: BinAxis { centres: axis.centres[self.bins.clone()].to_vec(), ..axis.clone() },
            sectors: self.sectors.iter().map(|sector| sector.bounds).collect(),
            mean: self
                .mean
                .chunks(self.patterns.npt())
                .flat_map(|mean| mean[self.bins.clone()].to_vec())
                .collect(),
            rotation: rays.angles.clone(),
            translation: self.assembly.grid.positions.clone(),
            x: along(grid.x0, grid.columns),
            y: along(grid.y0, grid.rows),
            unit: self.unit.into(),
            missing: self.assembly.holes.map(),
            regions: self.regions.iter().map(entry).collect(),
            all_bins: self.all_bins,
            centre: rays.axis,
            repairs: self.notes.clone(),
            input: self.input.clone(),
            input_identity: self.patterns.identity.clone(),
            configuration: self.configuration.clone(),
        }
    }
}

/// All patterns: those that were kept, or as read when they take no more than `most` bytes.
fn whole(
    patterns: &Patterns,
    sectors: &[Sector],
    kept: Option<PatternStore>,
    most: usize,
) -> Result<Option<Vec<f32>>, SessionError> {
    let width = sectors::width(patterns, sectors);
    let all = budget::bytes_of(&[patterns.rows(), width], size_of::<f32>());
    match (kept, all <= most as u64) {
        (Some(kept), _) => Ok(Some(kept.rows(patterns))),
        (None, true) => sectors::read(patterns, sectors, 0..width).map(Some).or_about(Concern::Input),
        (None, false) => Ok(None),
    }
}

/// What is said of points and frames that are not there.
fn missing(assembly: &Assembly, patterns: &Patterns, sums: &[f32]) -> Vec<String> {
    let mut notes = Vec::new();
    let grid = &assembly.grid;
    let unseen = |point: &usize| {
        grid.frames_of(*point).iter().all(|(row, _)| patterns.frames[*row as usize].is_none())
    };
    let nobody = (0..grid.points()).filter(unseen).count();
    if nobody > 0 {
        notes.push(format!("{nobody} points of the scan were not measured"));
    }
    let bad = (0..patterns.rows()).filter(|&r| patterns.frames[r].is_some() && !patterns.good[r]).count();
    if bad > 0 {
        notes.push(format!("{bad} frames are bad and count as missing"));
    }
    match (0..patterns.rows()).filter(|&r| patterns.good[r] && sums[r].is_nan()).count() {
        0 => {}
        1 => notes.push("1 frame holds no number and counts as missing".into()),
        hollow => notes.push(format!("{hollow} frames hold no number and count as missing")),
    }
    notes
}

/// The sum over bins, mended; how goes into the assembly, so that every bin is mended alike.
fn mended(
    options: &TomoOptions,
    assembly: &mut Assembly,
    sums: &[f32],
    notes: &mut Vec<String>,
) -> Result<Sinograms, SessionError> {
    let mut total = assembly.grid.gather(sums, 1, 0..1, assembly.monitor.as_deref());
    if options.keep_spikes != Some(true) {
        assembly.spikes = repair::spikes(&mut total);
    }
    if !assembly.spikes.is_empty() {
        notes.push(format!(
            "{} single points stand out from all neighbours and count as missing",
            assembly.spikes.len()
        ));
    }
    assembly.holes = Holes::find(&total);
    notes.extend(assembly.holes.notes(&total.rays));
    let mut total = assembly.holes.mend(total);
    if total.rays.angles.len() < 2 {
        let (rotations, translations) = (total.rays.angles.len(), total.rays.translations);
        return Err(TomoError::TooSmall { rotations, translations }).or_about(Concern::Input);
    }
    if let Some(edge) = assembly.air {
        notes.push(repair::remove_air(&mut total, edge));
    }
    if options.constant_total == Some(true) {
        let (factors, note) = repair::row_factors(&total);
        repair::scale_rows(&mut total, &factors);
        assembly.row_factors = Some(factors);
        notes.push(note);
    }
    if options.jitter == Some(true) {
        let (shifts, note) = repair::jitter(&total);
        repair::shift_rows(&mut total, &shifts);
        assembly.shifts = Some(shifts);
        notes.push(note);
    }
    if assembly.stripes {
        notes.push(repair::remove_stripes(&mut total));
    }
    Ok(total)
}
