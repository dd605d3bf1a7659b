//! The mask that a detector has of its class: gaps, borders of modules, what is outside a circle.

use super::Detector;
use crate::frame::Shape;
use crate::geometry::catalogue::Masking;
use crate::geometry::mask::Mask;

/// The mask of a detector's class; `None` when it has none, or the detector no size.
pub(super) fn of(detector: &Detector) -> Option<Mask> {
    let (full, shape) = (detector.max_shape?, detector.shape?);
    let (slow, fast) = match detector.class?.masking {
        Masking::Nothing => return None,
        Masking::Disc => return Some(disc(shape)),
        Masking::Chips(firsts) => return Some(chips(shape, firsts, detector.module()?)),
        Masking::Modules { gap, wafer } => {
            let module = detector.module()?;
            (gaps(full.slow, module.0, gap.0, None), gaps(full.fast, module.1, gap.1, wafer))
        }
        Masking::Borders => {
            let module = detector.module()?;
            (borders(full.slow, module.0), borders(full.fast, module.1))
        }
        Masking::Lines(slow, fast) => (lines(full.slow, slow), lines(full.fast, fast)),
    };
    let (slow, fast) = (bin(&slow, detector.binning.0), bin(&fast, detector.binning.1));
    let mut masked = Vec::with_capacity(shape.pixels());
    for &row in &slow[..shape.slow] {
        masked.extend(fast[..shape.fast].iter().map(|&column| row | column));
    }
    Some(Mask { shape, masked })
}

/// Masks some lines from `first` on, as far as there are any.
fn mask(masked: &mut [bool], first: usize, count: usize) {
    let end = (first + count).min(masked.len());
    masked[first.min(end)..end].fill(true);
}

/// Which lines of one axis are masked: what lies between modules of `module` lines, and wafer columns.
fn gaps(length: usize, module: usize, gap: usize, wafer: Option<(isize, usize)>) -> Vec<bool> {
    let mut masked = vec![false; length];
    let period = (module + gap).max(1);
    (module..length).step_by(period).for_each(|first| mask(&mut masked, first, gap));
    if let Some((offset, count)) = wafer {
        for middle in (module / 2..length).step_by(period) {
            mask(&mut masked, middle.saturating_add_signed(offset), count);
        }
    }
    masked
}

/// The first and the last line of each module, and of the detector.
fn borders(length: usize, module: usize) -> Vec<bool> {
    let mut masked = vec![false; length];
    for border in (1..length / module.max(1)).map(|n| n * module) {
        mask(&mut masked, border - 1, 2);
    }
    mask(&mut masked, 0, 1);
    mask(&mut masked, length.saturating_sub(1), 1);
    masked
}

/// These lines: first, and how many.
fn lines(length: usize, runs: &[(usize, usize)]) -> Vec<bool> {
    let mut masked = vec![false; length];
    runs.iter().for_each(|&(first, count)| mask(&mut masked, first, count));
    masked
}

/// Pixels whose centre is outside the circle that the rows have room for.
fn disc(shape: Shape) -> Mask {
    let (middle, across) = ((shape.slow / 2) as f64, (shape.fast / 2) as f64);
    let from = |index: usize, middle: f64| (index as f64 + 0.5 - middle) * (index as f64 + 0.5 - middle);
    let row = |row: usize| {
        (0..shape.fast).map(move |column| from(row, middle) + from(column, across) > middle * middle)
    };
    Mask { shape, masked: (0..shape.slow).flat_map(row).collect() }
}

/// All but these chips.
fn chips(shape: Shape, firsts: &[(usize, usize)], (slow, fast): (usize, usize)) -> Mask {
    let mut masked = vec![true; shape.pixels()];
    for &(first, column) in firsts {
        let columns = column.min(shape.fast)..(column + fast).min(shape.fast);
        for row in first.min(shape.slow)..(first + slow).min(shape.slow) {
            masked[row * shape.fast..(row + 1) * shape.fast][columns.clone()].fill(false);
        }
    }
    Mask { shape, masked }
}

/// A binned line is masked when one of its lines is. Lines that do not fill a bin fall away.
fn bin(lines: &[bool], binning: usize) -> Vec<bool> {
    lines.chunks_exact(binning.max(1)).map(|lines| lines.contains(&true)).collect()
}
