//! Where the points of the scan are: what the user, the frames' headers and the result's map say, in this order.

use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};

use super::args::{FastName, TomoArgs, ZigZagName};
use crate::files;
use crate::h5::File;
use crate::output::result::Patterns;
use crate::tomo::repair::ZigZag;
use crate::tomo::scan::{FastAxis, Order, ScanGrid};
use crate::tomo::{Rays, Sinograms};

/// Header numbers that may be the rotation, in the order in which they are looked at.
const ROTATIONS: [&str; 6] = ["start_angle", "omega", "phi", "kappa", "chi", "alpha"];

/// Longest table of positions that is read: a million lines.
const LONGEST_TABLE: u64 = 256 << 20;

/// With positions known, lines are turned round only when they fit better by this much of a correlation.
const BEYOND_DOUBT: f64 = 0.2;

/// The scan, and what lengths are measured in.
#[derive(Debug)]
pub(super) struct ScanPoints {
    pub grid: ScanGrid,
    /// `mm`, or `step`.
    pub unit: &'static str,
    pub warnings: Vec<String>,
}

/// Positions of a motor.
enum Positions {
    /// One a row of the result.
    Each(Vec<f64>),
    /// One a line of the scan.
    Lines(Vec<f64>),
    /// First and step; as many as the scan has.
    From(f64, f64),
}

/// Finds out which point each row is. `total` is the sum over bins of each row, NaN for bad ones.
pub(super) fn find(args: &TomoArgs, patterns: &Patterns, total: &[f32]) -> anyhow::Result<ScanPoints> {
    let offset = args.offset.unwrap_or(0);
    let rows = patterns.rows();
    ensure!(offset < rows, "--offset {offset}: there are only {rows} frames");
    let counted = args.rotations.is_some() || args.translations.is_some();
    let rotation = match &args.rotation {
        Some(text) => Some(positions(text, "--rotation", patterns)?),
        None if counted => None,
        None => ROTATIONS.iter().find_map(|name| moving(patterns, name)).map(Positions::Each),
    };
    let translation = match &args.translation {
        Some(text) => Some(positions(text, "--translation", patterns)?),
        None if counted => None,
        None => moving(patterns, "start_position")
            .map(|metres| Positions::Each(metres.into_iter().map(|m| m * 1e3).collect())),
    };
    match (rotation, translation) {
        (Some(Positions::Each(rotation)), Some(Positions::Each(translation))) => {
            ensure!(
                args.rotations.is_none() && args.translations.is_none() && args.interleave.is_none(),
                "--rotations, --translations and --interleave are for scans without positions; here each frame has its own"
            );
            let known = |row: usize| {
                row >= offset
                    && patterns.frames[row].is_some()
                    && rotation[row].is_finite()
                    && translation[row].is_finite()
            };
            let grid = ScanGrid::from_positions(&rotation, &translation, known)?;
            turned(args, grid, total)
        }
        (rotation, translation) => by_order(args, patterns, total, offset, rotation, translation),
    }
}

/// A header number that is not the same in all frames.
fn moving(patterns: &Patterns, name: &str) -> Option<Vec<f64>> {
    let values = patterns.number(name)?;
    let known = || values.iter().filter(|v| v.is_finite());
    let (low, high) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    (high - low > 1e-9).then_some(values)
}

/// What an option says of a motor.
fn positions(text: &str, option: &str, patterns: &Patterns) -> anyhow::Result<Positions> {
    let number = |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    let parts: Vec<&str> = text.split(':').collect();
    if let [first, last, count] = parts[..]
        && let (Some(first), Some(last), Ok(count)) =
            (number(first), number(last), count.trim().parse::<usize>())
    {
        let rows = patterns.rows();
        ensure!(
            (2..=rows.max(2)).contains(&count),
            "{option} {text}: {count} positions, one a line of the scan; from 2 to {rows} are possible, as many as there are frames"
        );
        let step = (last - first) / (count - 1) as f64;
        return Ok(Positions::Lines((0..count).map(|i| first + i as f64 * step).collect()));
    }
    if let Some((first, step)) = text.rsplit_once('+')
        && let (Some(first), Some(step)) = (number(first), number(step))
    {
        ensure!(step != 0.0, "{option} {text}: the step is 0");
        return Ok(Positions::From(first, step));
    }
    each(text, option, patterns).map(Positions::Each)
}

/// One number a row: a header number, a column of a text file, or a dataset.
pub(super) fn each(text: &str, option: &str, patterns: &Patterns) -> anyhow::Result<Vec<f64>> {
    if let Some((file, path)) = text.split_once("::") {
        let open = || File::open(Path::new(file))?.dataset(path)?.read_raw();
        return of_frames(open().with_context(|| format!("{option} {text}"))?, text, option, patterns);
    }
    if let Some(values) = patterns.number(text) {
        return Ok(values);
    }
    let (file, column) = match text.rsplit_once(':') {
        Some((file, column)) if !Path::new(text).exists() => (file, Some(column)),
        _ => (text, None),
    };
    if !Path::new(file).exists() {
        bail!(
            "{option} {text}: neither a file nor a header number of this result; it has {}",
            match patterns.number_names() {
                names if names.is_empty() => "none".to_owned(),
                names => names.join(", "),
            }
        );
    }
    of_frames(
        column_of(Path::new(file), column).with_context(|| format!("{option} {text}"))?,
        text,
        option,
        patterns,
    )
}

fn of_frames(values: Vec<f64>, text: &str, option: &str, patterns: &Patterns) -> anyhow::Result<Vec<f64>> {
    let needed = patterns.frames.iter().flatten().max().map_or(0, |last| last + 1);
    ensure!(
        values.len() >= needed,
        "{option} {text}: it has {} values, the result {needed} frames",
        values.len()
    );
    Ok(patterns.frames.iter().map(|f| f.map_or(f64::NAN, |n| values[n])).collect())
}

/// A column of a text file with commas, semicolons or blanks between; by name or number (from 1), else the last one.
fn column_of(file: &Path, column: Option<&str>) -> anyhow::Result<Vec<f64>> {
    let text = files::read_text(file, LONGEST_TABLE)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let mut values = Vec::new();
    let mut which = None;
    for (number, line) in lines.enumerate() {
        let cells: Vec<&str> = line
            .trim_start_matches('#')
            .split(|c: char| c == ',' || c == ';' || c.is_whitespace())
            .filter(|cell| !cell.is_empty())
            .collect();
        let names = cells.iter().any(|cell| cell.parse::<f64>().is_err());
        if which.is_none() {
            which = Some(match column {
                None => cells.len().saturating_sub(1),
                Some(name) => match (cells.iter().position(|cell| *cell == name), name.parse::<usize>()) {
                    (Some(place), _) => place,
                    (None, Ok(place)) if place >= 1 => place - 1,
                    _ => bail!("there is no column `{name}`; the first line is `{line}`"),
                },
            });
        }
        if line.starts_with('#') || (values.is_empty() && names) {
            continue;
        }
        let cell = which.and_then(|place| cells.get(place)).copied().unwrap_or_default();
        values.push(cell.parse().map_err(|_| anyhow!("line {}: `{cell}` is not a number", number + 1))?);
    }
    Ok(values)
}

/// A scan without a position for each frame: by the order of the rows, or of the map's points.
fn by_order(
    args: &TomoArgs,
    patterns: &Patterns,
    total: &[f32],
    offset: usize,
    rotation: Option<Positions>,
    translation: Option<Positions>,
) -> anyhow::Result<ScanPoints> {
    let fast = match args.fast_axis {
        Some(FastName::Rotation) => FastAxis::Rotation,
        Some(FastName::Translation) | None => FastAxis::Translation,
    };
    let (mut of_rotation, mut of_translation) = (args.rotations, args.translations);
    for (given, count) in [(&rotation, &mut of_rotation), (&translation, &mut of_translation)] {
        match given {
            Some(Positions::Lines(values)) => *count = Some(values.len()),
            Some(Positions::Each(_)) => bail!(
                "positions of each frame are known for one motor only; give both --rotation and --translation so, or \
                 both by line (FIRST:LAST:COUNT)"
            ),
            Some(Positions::From(..)) | None => {}
        }
    }
    if let Some((slow, quick)) = patterns.map {
        let (rows, columns) = if fast == FastAxis::Translation { (slow, quick) } else { (quick, slow) };
        of_rotation = of_rotation.or(Some(rows));
        of_translation = of_translation.or(Some(columns));
    }
    let frames = patterns.rows() - offset;
    let (rotations, translations) = match (of_rotation, of_translation) {
        (Some(r), Some(t)) => (r, t),
        (Some(r), None) => (r, frames.div_ceil(r.max(1))),
        (None, Some(t)) => (frames.div_ceil(t.max(1)), t),
        (None, None) => bail!(
            "where the frames were taken is not known: their headers do not say, and the result is no map. Give \
             --rotation and --translation, or --rotations N --translations N with --rotation FIRST:LAST:COUNT"
        ),
    };
    let points = rotations.checked_mul(translations).filter(|points| *points > 0);
    ensure!(
        rotations <= frames && translations <= frames,
        "{rotations} rotations x {translations} translations, but only {frames} frames"
    );
    ensure!(
        points.is_some_and(|points| frames <= points || frames.is_multiple_of(points)),
        "{frames} frames are neither one scan of {rotations} rotations x {translations} translations nor several"
    );
    let values = |given: Option<Positions>, count: usize, option: &str| -> anyhow::Result<Option<Vec<f64>>> {
        Ok(match given {
            Some(Positions::Lines(values)) => {
                ensure!(
                    values.len() == count,
                    "{option} gives {} positions, there are {count}",
                    values.len()
                );
                Some(values)
            }
            Some(Positions::From(first, step)) => Some((0..count).map(|i| first + i as f64 * step).collect()),
            Some(Positions::Each(_)) | None => None,
        })
    };
    let angles = values(rotation, rotations, "--rotation")?.ok_or_else(|| {
        anyhow!("the rotations are not known: give --rotation FIRST:LAST:COUNT or FIRST+STEP, degrees")
    })?;
    let positions = values(translation, translations, "--translation")?;
    let unit = if positions.is_some() { "mm" } else { "step" };
    let mut positions = positions.unwrap_or_else(|| (0..translations).map(|t| t as f64).collect());
    let backwards = positions[positions.len() - 1] < positions[0];
    if backwards {
        positions.reverse();
    }
    let mut order =
        Order { angles, positions, fast, zigzag: false, interleave: args.interleave.unwrap_or(1) };
    let shifted: Vec<f32> = total[offset..].to_vec();
    let mut evidence = |zigzag: bool| -> anyhow::Result<(ScanGrid, ZigZag)> {
        order.zigzag = zigzag;
        let mut grid = ScanGrid::from_order(&order, frames)?;
        let seen = grid.gather(&shifted, 1, 0..1, None);
        let seen = if fast == FastAxis::Translation { seen } else { transposed(&seen) };
        if backwards {
            grid.turn_translations();
        }
        grid.skip(offset);
        Ok((grid, ZigZag::look(&seen)))
    };
    let mut warnings = Vec::new();
    let grid = match args.zigzag.unwrap_or(ZigZagName::Auto) {
        ZigZagName::Auto => {
            let (mut plain, looks) = evidence(false)?;
            if looks.is_wrong() {
                plain = evidence(true)?.0;
                plain.notes.push(format!("every other line was turned round: {}", looks.evidence()));
            }
            plain
        }
        chosen => {
            let (grid, looks) = evidence(chosen == ZigZagName::Yes)?;
            if looks.is_wrong() {
                warnings.push(format!("--zigzag looks wrong: {}", looks.evidence()));
            }
            grid
        }
    };
    Ok(ScanPoints { grid, unit, warnings })
}

/// Rotations and translations change places.
fn transposed(total: &Sinograms) -> Sinograms {
    let (rotations, translations) = (total.rays.angles.len(), total.rays.translations);
    let values =
        (0..total.rays.len()).map(|i| total.values[i % rotations * translations + i / rotations]).collect();
    let angles = (0..translations).map(|t| t as f64).collect();
    Sinograms { rays: Rays::centred(angles, rotations), bins: 1, values }
}

/// A scan with a position for each frame, whose lines may yet be the wrong way round.
fn turned(args: &TomoArgs, mut grid: ScanGrid, total: &[f32]) -> anyhow::Result<ScanPoints> {
    let looks = ZigZag::look(&grid.gather(total, 1, 0..1, None));
    let mut warnings = Vec::new();
    match args.zigzag.unwrap_or(ZigZagName::Auto) {
        ZigZagName::Auto if looks.reversed > looks.as_is + BEYOND_DOUBT => {
            grid.turn_odd_rotations();
            grid.notes.push(format!(
                "every other line was turned round, against the positions in the headers: {}",
                looks.evidence()
            ));
        }
        ZigZagName::Auto => {}
        ZigZagName::Yes => {
            grid.turn_odd_rotations();
            grid.notes.push("every other line was turned round, as asked".into());
        }
        ZigZagName::No if looks.is_wrong() => {
            warnings.push(format!("--zigzag no looks wrong: {}", looks.evidence()));
        }
        ZigZagName::No => {}
    }
    Ok(ScanPoints { grid, unit: "mm", warnings })
}
