//! What the options say of statistic and errors, as the [`Reduction`] of a plan: names, checks, and what nobody said.

use std::sync::Arc;

use super::calibration;
use super::error::{SessionError, refuse};
use super::options::{ErrorModelName, Options, Splitting, StatisticName};
use crate::cuda;
use crate::frame::Shape;
use crate::integrate::reduction::{ErrorModel, Reduction, Statistic};
use crate::output::result::Beside;

/// Outliers are further off than this many standard deviations, and looked for so often at most, when nobody says: pyFAI's numbers.
pub(super) const CUTOFF: f64 = 5.0;
pub(super) const CYCLES: usize = 5;
/// More cycles than anything takes are a slip of the finger.
const MOST_CYCLES: usize = 1000;

/// What `options` say of the statistic, in so many words or by what belongs to one.
pub(super) fn said(options: &Options) -> Option<StatisticName> {
    let clips = options.clip.is_some() || options.clip_cycles.is_some();
    options.statistic.or(match (clips, options.quantile.is_empty()) {
        (true, _) => Some(StatisticName::Clip),
        (false, false) => Some(StatisticName::Quantile),
        (false, true) => None,
    })
}

/// Each number alone.
pub(super) fn check_values(options: &Options, named: fn(&str) -> String) -> Result<(), SessionError> {
    if let Some(cutoff) = options.clip
        && !(cutoff.is_finite() && cutoff >= 0.0)
    {
        refuse!(Usage, "{} {cutoff}: must be 0 or a positive number of standard deviations", named("--clip"));
    }
    if let Some(cycles) = options.clip_cycles
        && cycles > MOST_CYCLES
    {
        refuse!(Usage, "{} {cycles}: must be from 0 to {MOST_CYCLES}", named("--clip-cycles"));
    }
    match options.quantile[..] {
        [] => {}
        [low, high] if 0.0 <= low && low <= high && high <= 1.0 => {}
        [low, high] => refuse!(
            Usage,
            "{} {low} {high}: must be two numbers from 0 to 1, the first not above the second (25 % is 0.25)",
            named("--quantile")
        ),
        _ => refuse!(Usage, "{}: needs two numbers, got {}", named("--quantile"), options.quantile.len()),
    }
    Ok(())
}

/// Which pixels of a bin count.
fn statistic(options: &Options) -> Result<Statistic, SessionError> {
    let name = said(options).unwrap_or(StatisticName::Mean);
    let word = name.word();
    if name != StatisticName::Clip && (options.clip.is_some() || options.clip_cycles.is_some()) {
        refuse!(Usage, "--clip and --clip-cycles belong to --statistic clip, not to {word}");
    }
    if name != StatisticName::Quantile && !options.quantile.is_empty() {
        refuse!(Usage, "--quantile belongs to --statistic quantile, not to {word}");
    }
    Ok(match (name, &options.quantile[..]) {
        (StatisticName::Mean, _) => Statistic::Mean,
        (StatisticName::Clip, _) => Statistic::Clip {
            cutoff: options.clip.unwrap_or(CUTOFF),
            cycles: options.clip_cycles.unwrap_or(CYCLES) as u32,
        },
        (StatisticName::Median, _) => Statistic::Quantile { from: 0.5, to: 0.5 },
        (StatisticName::Quantile, [from, to]) => Statistic::Quantile { from: *from, to: *to },
        (StatisticName::Quantile, _) => {
            refuse!(
                Usage,
                "--statistic quantile needs --quantile LOW HIGH, from 0 to 1 (0.5 0.5 is the median)"
            )
        }
    })
}

/// What has to be known of the pixels' errors.
fn errors(options: &Options, statistic: Statistic) -> Result<Option<ErrorModelName>, SessionError> {
    let model = options.error_model;
    if let (Some(model), Some(file)) = (model, &options.variance) {
        let model = model.word();
        refuse!(
            Usage,
            "--error-model {model} and --variance {file}: which of them? A variance is a model of its own"
        );
    }
    if matches!(statistic, Statistic::Quantile { .. }) && model == Some(ErrorModelName::Azimuthal) {
        refuse!(
            Usage,
            "--error-model azimuthal: pixels between two quantiles do not say how all of them differ (pyFAI then gives no \
             errors); choose poisson, hybrid, none or --variance"
        );
    }
    Ok(model)
}

/// Whether a GPU does it; else why the CPU has to.
///
/// # Errors
/// What the options cannot mean.
pub(super) fn on_gpu(options: &Options) -> Result<Result<(), String>, SessionError> {
    let statistic = statistic(options)?;
    let what = match (statistic, errors(options, statistic)?) {
        (Statistic::Mean, Some(ErrorModelName::Azimuthal)) => "--error-model azimuthal".to_owned(),
        (Statistic::Mean, _) if options.variance.is_some() => "--variance".to_owned(),
        (Statistic::Mean, _) => return Ok(Ok(())),
        _ => format!("--statistic {}", said(options).unwrap_or(StatisticName::Mean).word()),
    };
    Ok(Err(format!("{what} is not done on a GPU yet")))
}

/// What a bin makes of its pixels; the variance of a file is read.
///
/// # Errors
/// What the options cannot mean, or a variance that is none.
pub(super) fn reduction(
    options: &Options,
    shape: Shape,
    notes: &mut Vec<String>,
) -> Result<Reduction, SessionError> {
    let statistic = statistic(options)?;
    let model = errors(options, statistic)?;
    let clips = matches!(statistic, Statistic::Clip { .. });
    let errors = match (model, &options.variance) {
        (_, Some(file)) => ErrorModel::Variance(variance(file, shape, notes)?),
        (None | Some(ErrorModelName::None), _) if clips => {
            notes.push(
                "--statistic clip needs errors to know outliers by: those are azimuthal, as pyFAI's Python engine takes them \
                 when there are none (its Cython engine then takes 0 and throws out all that differs); --error-model says otherwise"
                    .to_owned(),
            );
            ErrorModel::Azimuthal
        }
        (None | Some(ErrorModelName::None), _) => ErrorModel::None,
        (Some(ErrorModelName::Poisson), _) => ErrorModel::Poisson,
        (Some(ErrorModelName::Azimuthal), _) => ErrorModel::Azimuthal,
        (Some(ErrorModelName::Hybrid), _) => ErrorModel::Hybrid,
    };
    if clips && !matches!(options.method, None | Some(Splitting::No)) {
        notes.push(
            "--statistic clip with pixel splitting: shares of one pixel are compared with the mean of several bins, and what is an \
             outlier in one may stay in the next; pyFAI advises --method no"
                .to_owned(),
        );
    }
    let reduction = Reduction { statistic, errors };
    debug_assert!(on_gpu(options)?.is_err() != cuda::integrates(&reduction));
    Ok(reduction)
}

/// How pixels are split when nobody says: as pyFAI does by default for the statistic.
pub(super) fn splitting(statistic: Statistic) -> Splitting {
    if matches!(statistic, Statistic::Clip { .. }) { Splitting::No } else { Splitting::Bbox }
}

/// The variance of each pixel.
fn variance(file: &str, shape: Shape, notes: &mut Vec<String>) -> Result<Arc<[f32]>, SessionError> {
    let image = calibration::average(&[file.to_owned()], "variance", shape)?.unwrap_or_default();
    if let Some(pixel) = image.iter().position(|variance| *variance < 0.0) {
        let (row, column) = (pixel / shape.fast, pixel % shape.fast);
        refuse!(
            Calibration,
            "{file}: the variance at row {row}, column {column} is {}: a variance cannot be below 0",
            image[pixel]
        );
    }
    match image.iter().filter(|variance| !variance.is_finite()).count() {
        0 => {}
        all if all == image.len() => refuse!(Calibration, "{file}: no pixel has a finite variance"),
        some => notes.push(format!("{file}: {some} pixels without a finite variance are left out")),
    }
    Ok(image.into())
}

/// What its patterns have in each bin beside their intensity.
pub fn beside(reduction: &Reduction) -> Vec<Beside> {
    let is_there = |beside: &Beside| match beside {
        Beside::Errors | Beside::Std => reduction.errors.has_variance(),
        Beside::Count => reduction.statistic.chooses(),
    };
    Beside::ALL.into_iter().filter(is_there).collect()
}
