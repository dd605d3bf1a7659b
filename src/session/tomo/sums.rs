//! The scan seen once over, all bins added up: what is wrong with a point shows best there.

use std::ops::Range;

use rayon::prelude::*;

use super::sectors;
use crate::budget;
use crate::output::result::{Patterns, Sector};
use crate::session::error::{Concern, OrAbout, SessionError, refuse};

/// Rows that are summed up one after the other.
const TOGETHER: usize = 1024;

/// Sum of each row over the bins (NaN for bad ones and those without a number), and the mean over good rows of every bin, NaN where none has a number. With
/// sectors bins are those of each, one sector after the other.
///
/// # Errors
/// When there is no memory for it, the rows cannot be read, or hold nothing.
pub(super) fn sums(
    patterns: &Patterns,
    sectors: &[Sector],
    whole: Option<&[f32]>,
    bins: &Range<usize>,
    chunk: usize,
) -> Result<(Vec<f32>, Vec<f32>), SessionError> {
    let (rows, npt) = (patterns.rows(), sectors::width(patterns, sectors));
    let mut sums = vec![0.0_f64; rows];
    let mut seen = vec![false; rows];
    budget::allow(
        format_args!("sums over {rows} rows of {npt} bins"),
        budget::bytes_of(&[rows.div_ceil(TOGETHER) + 2, npt], size_of::<(f64, bool)>()),
    )
    .or_about(Concern::Input)?;
    // Some rows at a time on every core; how many decides the bits of the mean, and is always the same. With each sum, whether it is one
    // of any number.
    let mut parts = vec![vec![(0.0_f64, false); npt]; rows.div_ceil(TOGETHER)];
    let step = if whole.is_some() { npt } else { chunk };
    for first in (0..npt).step_by(step) {
        let range = first..(first + step).min(npt);
        let read = match whole {
            None => sectors::read(patterns, sectors, range.clone()).or_about(Concern::Input)?,
            Some(_) => vec![],
        };
        let rows = whole.unwrap_or(&read).par_chunks(TOGETHER * range.len());
        let found = sums.par_chunks_mut(TOGETHER).zip(seen.par_chunks_mut(TOGETHER));
        let known = patterns.good.par_chunks(TOGETHER).zip(found);
        rows.zip(known).zip(&mut parts).for_each(|((rows, (good, (sums, seen))), part)| {
            let rows = rows.chunks(range.len()).zip(sums.iter_mut().zip(seen));
            for (row, (sum, seen)) in rows.zip(good).filter(|(_, good)| **good).map(|(row, _)| row) {
                for (bin, value) in range.clone().zip(row).filter(|(_, v)| v.is_finite()) {
                    part[bin].0 += f64::from(*value);
                    part[bin].1 = true;
                    if bins.contains(&bin) {
                        *sum += f64::from(*value);
                        *seen = true;
                    }
                }
            }
        });
    }
    let mut mean = vec![(0.0_f64, false); npt];
    for part in &parts {
        mean.iter_mut().zip(part).for_each(|(all, one)| *all = (all.0 + one.0, all.1 || one.1));
    }
    let good = patterns.good.iter().filter(|good| **good).count();
    if good == 0 {
        refuse!(Input, "there is not one good frame in the result");
    }
    if !seen.contains(&true) {
        refuse!(Input, "there is not one number in the bins of the {good} good frames of the result");
    }
    for (sum, _) in sums.iter_mut().zip(&seen).filter(|(_, seen)| !**seen) {
        *sum = f64::NAN;
    }
    let of_good = |(sum, is_any)| if is_any { (sum / good as f64) as f32 } else { f32::NAN };
    let mean = mean.into_iter().map(of_good).collect();
    Ok((sums.into_iter().map(|v| v as f32).collect(), mean))
}
