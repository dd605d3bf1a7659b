//! Which point of the scan each frame is: from motor positions, or from the order in which the points were visited.
//!
//! The answer is a [`ScanGrid`]: rotations × evenly spaced translations, and for each point the frames that it is a weighted
//! mean of. A regular scan has one frame of weight 1 everywhere; a point that was visited twice has two of equal weight; on
//! irregular positions a point lies between two frames; a point that nobody visited has none. Whatever was decided on the
//! way stands in `notes`, a sentence each.

use std::ops::Range;

use rayon::prelude::*;

use super::{Rays, Sinograms, TomoError};
use crate::budget;

/// Positions that miss the even grid by more than this (in steps, 95 % of them) are interpolated instead of binned.
const IRREGULAR: f64 = 0.15;

/// Neighbouring frames further apart than this (in steps) have a hole between them.
const WIDEST: f64 = 1.6;

/// A gap between rotation positions this many times larger than the one before it parts rotations from the encoder's noise.
const PARTED: f64 = 5.0;

/// Which motor moves from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FastAxis {
    /// A line of translations at each rotation.
    Translation,
    /// A turn at each translation.
    Rotation,
}

/// A regular scan, by the order in which its points were visited.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Rotation of each row, degrees, in ascending order of the rows of the sinogram.
    pub angles: Vec<f64>,
    /// Translations, evenly spaced.
    pub positions: Vec<f64>,
    /// Which motor moves from frame to frame.
    pub fast: FastAxis,
    /// Every other line runs backwards.
    pub zigzag: bool,
    /// Rotations are visited in this many rounds: 0, k, 2k, …, then 1, k + 1, …; 1 when they come one after the other.
    pub interleave: usize,
}

/// What every point of the scan is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanGrid {
    /// Rotations, degrees.
    pub angles: Vec<f64>,
    /// Translations, ascending, evenly spaced.
    pub positions: Vec<f64>,
    /// Frames and weights of all points, one point after another (rotation · translations + translation).
    shares: Vec<(u32, f32)>,
    /// Where each point's shares begin; one more than there are points.
    starts: Vec<usize>,
    /// What was found and decided, a sentence each.
    pub notes: Vec<String>,
}

impl ScanGrid {
    /// The grid of a regular scan of `frames` frames. After the last point the scan begins again (a further pass, averaged).
    ///
    /// # Errors
    /// [`TomoError::TooSmall`], or [`TomoError::Impossible`] for an interleave that makes no sense.
    pub fn from_order(order: &Order, frames: usize) -> Result<ScanGrid, TomoError> {
        let (rotations, translations) = (order.angles.len(), order.positions.len());
        check_size(rotations, translations)?;
        if order.interleave == 0 || order.interleave > rotations {
            return Err(TomoError::Impossible(format!(
                "an interleave of {} with {rotations} rotations",
                order.interleave
            )));
        }
        allow(rotations, translations, frames)?;
        let visited: Vec<usize> =
            (0..order.interleave).flat_map(|first| (first..rotations).step_by(order.interleave)).collect();
        let point = |frame: usize| {
            let n = frame % (rotations * translations);
            let fast = if order.fast == FastAxis::Translation { translations } else { rotations };
            let (line, mut place) = (n / fast, n % fast);
            if order.zigzag && line % 2 == 1 {
                place = fast - 1 - place;
            }
            match order.fast {
                FastAxis::Translation => visited[line] * translations + place,
                FastAxis::Rotation => visited[place] * translations + line,
            }
        };
        let mut members = vec![Vec::new(); rotations * translations];
        (0..frames).for_each(|frame| members[point(frame)].push((frame as u32, 1.0)));
        let mut notes = vec![format!(
            "{rotations} rotations x {translations} translations by order, {} fastest{}{}",
            if order.fast == FastAxis::Translation { "translation" } else { "rotation" },
            if order.zigzag { ", zig-zag" } else { "" },
            if order.interleave > 1 {
                format!(", rotations interleaved by {}", order.interleave)
            } else {
                String::new()
            },
        )];
        let passes = frames.div_ceil(rotations * translations);
        if passes > 1 {
            notes.push(format!("{passes} passes over the same points are averaged"));
        }
        Ok(ScanGrid::of(order.angles.clone(), order.positions.clone(), members, notes))
    }

    /// The grid of frames whose motors are known; frames in any order. `used` says which frames to take.
    ///
    /// # Errors
    /// [`TomoError::Mismatch`], [`TomoError::Unmoved`], [`TomoError::TooSmall`], or [`TomoError::NotANumber`] for a
    /// position of a used frame that is not finite.
    pub fn from_positions(
        rotation: &[f64],
        translation: &[f64],
        used: impl Fn(usize) -> bool,
    ) -> Result<ScanGrid, TomoError> {
        if rotation.len() != translation.len() {
            return Err(TomoError::Mismatch {
                what: "translations of frames",
                found: translation.len(),
                expected: rotation.len(),
            });
        }
        let frames: Vec<usize> = (0..rotation.len()).filter(|&frame| used(frame)).collect();
        for (what, values) in [("rotation", rotation), ("translation", translation)] {
            if let Some(&frame) = frames.iter().find(|&&frame| !values[frame].is_finite()) {
                return Err(TomoError::NotANumber { what, frame, value: values[frame] });
            }
        }
        let rows = rotations(rotation, &frames);
        if rows.len() < 2 {
            return Err(TomoError::Unmoved { axis: "rotation", frames: frames.len() });
        }
        let lines: Vec<Vec<(f64, u32)>> =
            rows.iter().map(|(_, members)| line(members, translation)).collect();
        let positions =
            even_positions(&lines).ok_or(TomoError::Unmoved { axis: "translation", frames: frames.len() })?;
        check_size(rows.len(), positions.len())?;
        allow(rows.len(), positions.len(), 2 * frames.len())?;

        let step = positions[1] - positions[0];
        let angles: Vec<f64> = rows.iter().map(|(angle, _)| *angle).collect();
        let place = |position: f64| (position - positions[0]) / step;
        let mut off: Vec<f64> =
            lines.iter().flatten().map(|(p, _)| (place(*p) - place(*p).round()).abs()).collect();
        off.sort_by(f64::total_cmp);
        let irregular = off[(off.len() - 1) * 95 / 100] > IRREGULAR;
        let mut notes = vec![format!(
            "{} rotations from {:.6} to {:.6} deg, {} translations from {:.6} to {:.6} in steps of {:.6}, by position",
            angles.len(),
            angles[0],
            angles[angles.len() - 1],
            positions.len(),
            positions[0],
            positions[positions.len() - 1],
            step
        )];
        let mut members = vec![Vec::new(); angles.len() * positions.len()];
        let mut outside = 0;
        for (line, row) in lines.iter().zip(members.chunks_mut(positions.len())) {
            outside += match irregular {
                true => interpolate(line, place, row),
                false => bin(line, place, row),
            };
        }
        if irregular {
            notes.push(
                "translations are irregular: points are interpolated between neighbouring frames".into(),
            );
        } else if members.iter().any(|m| m.len() > 1) {
            let twice = members.iter().filter(|m| m.len() > 1).count();
            notes.push(format!("{twice} points were visited more than once and are averaged"));
        }
        if outside > 0 {
            notes.push(format!("{outside} frames lie outside the range of translations and are left out"));
        }
        Ok(ScanGrid::of(angles, positions, members, notes))
    }

    fn of(
        angles: Vec<f64>,
        positions: Vec<f64>,
        members: Vec<Vec<(u32, f32)>>,
        notes: Vec<String>,
    ) -> ScanGrid {
        let mut starts = vec![0];
        starts.extend(members.iter().scan(0, |end, m| {
            *end += m.len();
            Some(*end)
        }));
        ScanGrid { angles, positions, shares: members.into_iter().flatten().collect(), starts, notes }
    }

    /// Distance between translations.
    pub fn step(&self) -> f64 {
        self.positions[1] - self.positions[0]
    }

    /// Rays around an axis in the middle.
    pub fn rays(&self) -> Rays {
        Rays::centred(self.angles.clone(), self.positions.len())
    }

    /// Number of points.
    pub fn points(&self) -> usize {
        self.starts.len() - 1
    }

    /// The frames that a point is made of, with their weights.
    pub fn frames_of(&self, point: usize) -> &[(u32, f32)] {
        &self.shares[self.starts[point]..self.starts[point + 1]]
    }

    /// Turns every other line round: what a zig-zag flag would have done, or undone.
    pub fn turn_odd_rotations(&mut self) {
        self.rearrange(|lines| lines.iter_mut().skip(1).step_by(2).for_each(|line| line.reverse()));
    }

    /// Turns every line round: the translation ran downwards.
    pub fn turn_translations(&mut self) {
        self.rearrange(|lines| lines.iter_mut().for_each(|line| line.reverse()));
    }

    /// Says that the frames are preceded by `count` others.
    pub fn skip(&mut self, count: usize) {
        self.shares.iter_mut().for_each(|(frame, _)| *frame += count as u32);
    }

    fn rearrange(&mut self, change: impl FnOnce(&mut [Vec<Vec<(u32, f32)>>])) {
        let width = self.positions.len();
        let members: Vec<_> = (0..self.points()).map(|point| self.frames_of(point).to_vec()).collect();
        let mut lines: Vec<Vec<_>> = members.chunks(width).map(<[_]>::to_vec).collect();
        change(&mut lines);
        let (angles, positions) = (std::mem::take(&mut self.angles), std::mem::take(&mut self.positions));
        let notes = std::mem::take(&mut self.notes);
        *self = ScanGrid::of(angles, positions, lines.into_iter().flatten().collect(), notes);
    }

    /// Sinograms of some bins. `patterns` holds a row of `width` values for each frame, NaN for bad ones, of which `bins` are
    /// taken; `scale` is what each frame is multiplied by (a monitor), if anything. A point whose frames are all bad is NaN.
    pub fn gather(
        &self,
        patterns: &[f32],
        width: usize,
        bins: Range<usize>,
        scale: Option<&[f32]>,
    ) -> Sinograms {
        /// Bins that are gathered together: a cache line of each pattern.
        const TOGETHER: usize = 16;
        let points = self.points();
        let mut values = vec![f32::NAN; bins.len() * points];
        values.par_chunks_mut(TOGETHER * points).enumerate().for_each(|(block, values)| {
            let first = bins.start + block * TOGETHER;
            let count = values.len() / points;
            for point in 0..points {
                let mut sums = [0.0_f64; TOGETHER];
                let mut weights = [0.0_f64; TOGETHER];
                for &(frame, weight) in self.frames_of(point) {
                    let frame = frame as usize;
                    let factor = f64::from(scale.map_or(1.0, |s| s[frame]));
                    let row = &patterns[frame * width + first..][..count];
                    for (i, value) in row.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                        sums[i] += f64::from(weight) * factor * f64::from(*value);
                        weights[i] += f64::from(weight);
                    }
                }
                for i in (0..count).filter(|&i| weights[i] > 0.0) {
                    values[i * points + point] = (sums[i] / weights[i]) as f32;
                }
            }
        });
        Sinograms { rays: self.rays(), bins: bins.len(), values }
    }
}

/// Memory for the points of a scan, and for what they are made of.
fn allow(rotations: usize, translations: usize, shares: usize) -> Result<(), TomoError> {
    /// A list of frames, its start, a value or two.
    const POINT: usize = 64;
    /// A frame and its weight, in its point's list, that of all, and a list that grows.
    const SHARE: usize = 32;
    let bytes = budget::bytes_of(&[rotations, translations], POINT)
        .saturating_add(budget::bytes_of(&[shares], SHARE));
    Ok(budget::allow(format_args!("a scan of {rotations} rotations x {translations} translations"), bytes)?)
}

fn check_size(rotations: usize, translations: usize) -> Result<(), TomoError> {
    match rotations < 2 || translations < 2 {
        true => Err(TomoError::TooSmall { rotations, translations }),
        false => Ok(()),
    }
}

/// Frames by rotation, ascending: positions that differ by no more than the encoder's noise are one rotation.
fn rotations(positions: &[f64], frames: &[usize]) -> Vec<(f64, Vec<usize>)> {
    let mut order = frames.to_vec();
    order.sort_by(|&a, &b| positions[a].total_cmp(&positions[b]));
    let threshold = noise(&order.iter().map(|&f| positions[f]).collect::<Vec<_>>());
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for frame in order {
        match rows.last_mut() {
            Some(row) if positions[frame] - positions[row[row.len() - 1]] <= threshold => row.push(frame),
            _ => rows.push(vec![frame]),
        }
    }
    let mean = |row: &[usize]| row.iter().map(|&f| positions[f]).sum::<f64>() / row.len() as f64;
    rows.into_iter().map(|row| (mean(&row), row)).collect()
}

/// The largest difference between neighbours of a sorted list that is still noise: where the sizes of the gaps jump most, given that
/// at least half of all gaps lie below (each rotation has several frames).
fn noise(sorted: &[f64]) -> f64 {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return 0.0 };
    let least = (last - first).max(f64::MIN_POSITIVE) * 1e-9;
    let mut gaps: Vec<f64> = sorted.windows(2).map(|pair| (pair[1] - pair[0]).max(least)).collect();
    gaps.sort_by(f64::total_cmp);
    let jump = (gaps.len() / 2..gaps.len())
        .filter(|&i| i > 0)
        .map(|i| (gaps[i] / gaps[i - 1], gaps[i - 1]))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match jump {
        Some((ratio, below)) if ratio >= PARTED => below,
        _ => least,
    }
}

/// Translations of one rotation's frames, ascending.
fn line(members: &[usize], translation: &[f64]) -> Vec<(f64, u32)> {
    let mut line: Vec<(f64, u32)> = members.iter().map(|&f| (translation[f], f as u32)).collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    line
}

/// The even grid that fits the lines: the median step, between the median ends. `None` when nothing moves.
fn even_positions(lines: &[Vec<(f64, u32)>]) -> Option<Vec<f64>> {
    let range = |f: fn(f64, f64) -> f64, start: f64| lines.iter().flatten().map(|(p, _)| *p).fold(start, f);
    let extent = range(f64::max, f64::NEG_INFINITY) - range(f64::min, f64::INFINITY);
    // Repeated points lie closer together than any step that makes sense.
    let longest = lines.iter().map(Vec::len).max()?;
    let least = extent / longest as f64 / 20.0;
    let steps = lines.iter().flat_map(|line| line.windows(2).map(|pair| pair[1].0 - pair[0].0));
    let step = median(steps.filter(|step| *step > least).collect())?;
    let first = median(lines.iter().filter_map(|line| line.first()).map(|p| p.0).collect())?;
    let last = median(lines.iter().filter_map(|line| line.last()).map(|p| p.0).collect())?;
    let count = ((last - first) / step).round() as usize + 1;
    // The step that fits best over the whole line, not the median of noisy differences.
    let step = if count > 1 { (last - first) / (count - 1) as f64 } else { step };
    Some((0..count).map(|i| first + i as f64 * step).collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[n / 2]),
        n => Some((values[n / 2 - 1] + values[n / 2]) / 2.0),
    }
}

/// Each frame to its nearest point; how many lie outside.
fn bin(line: &[(f64, u32)], place: impl Fn(f64) -> f64, row: &mut [Vec<(u32, f32)>]) -> usize {
    let mut outside = 0;
    for &(position, frame) in line {
        let nearest = place(position).round();
        match (0.0..row.len() as f64).contains(&nearest) {
            true => row[nearest as usize].push((frame, 1.0)),
            false => outside += 1,
        }
    }
    outside
}

/// Each point from the frames on both sides of it, linearly; nothing across a hole. How many frames lie outside.
fn interpolate(line: &[(f64, u32)], place: impl Fn(f64) -> f64, row: &mut [Vec<(u32, f32)>]) -> usize {
    let places: Vec<(f64, u32)> = line.iter().map(|&(position, frame)| (place(position), frame)).collect();
    for (i, members) in row.iter_mut().enumerate() {
        let point = i as f64;
        let after = places.partition_point(|(place, _)| *place < point);
        let (left, right) = (after.checked_sub(1).map(|k| places[k]), places.get(after).copied());
        *members = match (left, right) {
            (Some((a, left)), Some((b, right))) if b - a <= WIDEST => {
                let part = (point - a) / (b - a).max(f64::MIN_POSITIVE);
                vec![(left, (1.0 - part) as f32), (right, part as f32)]
            }
            (Some((near, frame)), _) if point - near <= 0.5 => vec![(frame, 1.0)],
            (_, Some((near, frame))) if near - point <= 0.5 => vec![(frame, 1.0)],
            _ => vec![],
        };
    }
    places.iter().filter(|(place, _)| *place < -1.0 || *place > row.len() as f64).count()
}
