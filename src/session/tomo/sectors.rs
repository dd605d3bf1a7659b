//! The patterns that slices are made of: powder patterns, or, one after the other, those of each azimuthal sector that is asked for.
//!
//! With sectors a row has `npt` bins of the first sector, then those of the second, and so on: bin `sector · npt + bin`. What is done
//! to every bin is done to all of them alike, so nothing but the reading knows of sectors.

use std::ops::Range;

use crate::output::OutputError;
use crate::output::result::{Patterns, Sector, SectorError};
use crate::session::error::{Concern, SessionError, refuse};

/// The sectors that `--sectors` asks for, in the order of χ; none when it was not said.
///
/// # Errors
/// What is asked for is no sector, has no bin, or shares one with another; or the result has no azimuthal axis.
pub(super) fn asked(text: Option<&str>, patterns: &Patterns) -> Result<Vec<Sector>, SessionError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let Some(axis) = patterns.azimuthal() else {
        refuse!(
            Usage,
            "--sectors {text}: the result has no azimuthal axis; integrate with --npt-azim to have one"
        )
    };
    let told = |cause: SectorError| SessionError::new(Concern::Usage, format!("--sectors {text}: {cause}"));
    if let Ok(count) = text.trim().parse::<usize>() {
        return Sector::equal(&axis.centres, count).map_err(told);
    }
    let mut sectors = Vec::new();
    for range in text.split(',') {
        let ends: Option<Vec<f64>> = range.split(':').map(|end| end.trim().parse().ok()).collect();
        let Some([low, high]) = ends.as_deref() else {
            refuse!(
                Usage,
                "--sectors {text}: `{range}` is no LOW:HIGH; give a number of equal sectors, or ranges of χ in degrees such as \
                 -10:10,80:100"
            )
        };
        sectors.push(Sector::between(&axis.centres, *low, *high).map_err(told)?);
    }
    sectors.sort_by(|a, b| a.bounds[0].total_cmp(&b.bounds[0]));
    for (i, sector) in sectors.iter().enumerate() {
        if let Some(other) = sectors[..i].iter().find(|other| other.shares_a_bin_with(sector)) {
            refuse!(
                Usage,
                "--sectors {text}: {} and {} share azimuthal bins; a bin can be in one sector only",
                other.name(),
                sector.name()
            );
        }
    }
    Ok(sectors)
}

/// Bins of a row: as many as the result has radial ones, of each sector.
pub(super) fn width(patterns: &Patterns, sectors: &[Sector]) -> usize {
    patterns.npt() * sectors.len().max(1)
}

/// Some bins of every row, `[row][bin]`. NaN: no pattern, or no pixel.
///
/// # Errors
/// As [`Patterns::read_sectors`].
pub(super) fn read(
    patterns: &Patterns,
    sectors: &[Sector],
    bins: Range<usize>,
) -> Result<Vec<f32>, OutputError> {
    let npt = patterns.npt();
    if sectors.is_empty() {
        return patterns.read(bins);
    }
    if bins == (0..width(patterns, sectors)) {
        return patterns.read_sectors(sectors, 0..npt);
    }
    let of_one = |sector: usize| -> Range<usize> {
        let first = sector * npt;
        bins.start.max(first) - first..bins.end.min(first + npt) - first
    };
    let touched = bins.start / npt..bins.end.div_ceil(npt);
    if touched.len() == 1 {
        let sector = touched.start;
        return patterns.read_sectors(&sectors[sector..=sector], of_one(sector));
    }
    let mut values = vec![f32::NAN; patterns.rows() * bins.len()];
    for sector in touched {
        let part = of_one(sector);
        let read = patterns.read_sectors(&sectors[sector..=sector], part.clone())?;
        let place = sector * npt + part.start - bins.start;
        for (row, read) in values.chunks_mut(bins.len()).zip(read.chunks(part.len())) {
            row[place..place + part.len()].copy_from_slice(read);
        }
    }
    Ok(values)
}
