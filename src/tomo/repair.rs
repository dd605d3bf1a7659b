//! What is wrong with measured sinograms, and its mending. Each repair is found once, on the *total* (the sum over bins),
//! and then applied to every bin alike; each says in a sentence what it did.

use rayon::prelude::*;

use super::centre::{correlation, fit, masses, seen};
use super::{Rays, Sinograms};

/// Odd lines that fit better backwards by this much of a correlation were stored the wrong way round.
const TURNED: f64 = 0.05;

/// How odd rotations relate to their neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZigZag {
    /// Mean correlation of odd rows with their neighbours, as they are.
    pub as_is: f64,
    /// The same with odd rows reversed.
    pub reversed: f64,
}

impl ZigZag {
    /// Compares every odd row with its neighbours, on the first bin; points without value are left out.
    pub fn look(total: &Sinograms) -> ZigZag {
        let n = total.rays.translations;
        let rows: Vec<&[f32]> = total.values[..total.rays.len()].chunks(n).collect();
        let alike = |reverse: bool| {
            let mut sum = 0.0;
            let mut count = 0;
            for (i, pair) in rows.windows(2).enumerate() {
                let (even, odd) = if i % 2 == 0 { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
                let place = |t: usize| if reverse { n - 1 - t } else { t };
                let points = (0..n).map(|t| (f64::from(even[t]), f64::from(odd[place(t)])));
                let known = points.filter(|(a, b)| a.is_finite() && b.is_finite());
                if known.clone().count() > n / 2 {
                    sum += correlation(known);
                    count += 1;
                }
            }
            sum / f64::from(count.max(1))
        };
        ZigZag { as_is: alike(false), reversed: alike(true) }
    }

    /// Whether odd rows are the wrong way round.
    pub fn is_wrong(self) -> bool {
        self.reversed > self.as_is + TURNED
    }

    /// The evidence, in words.
    pub fn evidence(self) -> String {
        format!(
            "odd lines agree with their neighbours at {:.2} as they are, {:.2} reversed",
            self.as_is, self.reversed
        )
    }
}

/// Which points have to be filled and from where; the same for all bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Holes {
    /// Rotations that stay.
    kept: Vec<usize>,
    /// Points to fill, with the known points on both sides in their row and the share of the right one.
    filled: Vec<(usize, usize, usize, f32)>,
    width: usize,
}

impl Holes {
    /// Looks at the first bin of `total`: rotations with fewer than half of their points are dropped, other holes are filled
    /// along the translation.
    pub fn find(total: &Sinograms) -> Holes {
        let width = total.rays.translations;
        let mut holes = Holes { kept: Vec::new(), filled: Vec::new(), width };
        for (rotation, row) in total.values[..total.rays.len()].chunks(width).enumerate() {
            let known: Vec<usize> = (0..width).filter(|&t| row[t].is_finite()).collect();
            if 2 * known.len() < width {
                continue;
            }
            holes.kept.push(rotation);
            for t in (0..width).filter(|&t| !row[t].is_finite()) {
                let after = known.partition_point(|&k| k < t);
                let right = known[after.min(known.len() - 1)];
                let left = if after > 0 { known[after - 1] } else { right };
                let right = if after < known.len() { right } else { left };
                let share = if left == right { 0.0 } else { (t - left) as f32 / (right - left) as f32 };
                let at = |t: usize| rotation * width + t;
                holes.filled.push((at(t), at(left), at(right), share));
            }
        }
        holes
    }

    /// Fills the holes of every bin and leaves out the dropped rotations.
    pub fn mend(&self, sinograms: Sinograms) -> Sinograms {
        let Sinograms { rays, bins, mut values } = sinograms;
        let each = rays.len();
        values.par_chunks_mut(each.max(1)).for_each(|bin| {
            for &(hole, left, right, share) in &self.filled {
                bin[hole] = bin[left] * (1.0 - share) + bin[right] * share;
            }
        });
        if self.kept.len() == rays.angles.len() {
            return Sinograms { rays, bins, values };
        }
        let rows = |bin: usize| self.kept.iter().map(move |rotation| bin * each + rotation * self.width);
        let values =
            (0..bins).flat_map(rows).flat_map(|start| values[start..start + self.width].to_vec()).collect();
        let angles = self.kept.iter().map(|&rotation| rays.angles[rotation]).collect();
        Sinograms { rays: Rays { angles, ..rays }, bins, values }
    }

    /// Rotations that stay, ascending.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// Where each value of a mended sinogram comes from: the points on both sides, one and the same where it was measured, and
    /// the share of the right one.
    pub fn sources(&self) -> Vec<(usize, usize, f32)> {
        let points = self.kept.iter().flat_map(|rotation| rotation * self.width..(rotation + 1) * self.width);
        let mut sources: Vec<_> = points.map(|point| (point, point, 0.0)).collect();
        for &(hole, left, right, share) in &self.filled {
            if let Ok(row) = self.kept.binary_search(&(hole / self.width)) {
                sources[row * self.width + hole % self.width] = (left, right, share);
            }
        }
        sources
    }

    /// 1 where a point of a kept rotation was filled: (kept rotations, translations).
    pub fn map(&self) -> Vec<u8> {
        let mut map = vec![0; self.kept.len() * self.width];
        for (hole, ..) in &self.filled {
            if let Ok(row) = self.kept.binary_search(&(hole / self.width)) {
                map[row * self.width + hole % self.width] = 1;
            }
        }
        map
    }

    /// What was done, if anything.
    pub fn notes(&self, rays: &Rays) -> Vec<String> {
        let dropped: Vec<String> = (0..rays.angles.len())
            .filter(|rotation| self.kept.binary_search(rotation).is_err())
            .map(|rotation| format!("{:.4}", rays.angles[rotation]))
            .collect();
        let filled = self.filled.len();
        [
            (filled > 0)
                .then(|| format!("{filled} missing or bad points are interpolated along the translation")),
            (!dropped.is_empty()).then(|| {
                format!(
                    "{} rotations with fewer than half of their points are left out: {} deg",
                    dropped.len(),
                    dropped.join(", ")
                )
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Points that stand out from all four neighbours by more than this many times the usual difference are not believed.
const SPIKE: f32 = 12.0;

/// Marks single points (a spike, a dead frame) that no sample makes: they become NaN in `total`; where they are.
pub fn spikes(total: &mut Sinograms) -> Vec<usize> {
    let (width, height) = (total.rays.translations, total.rays.angles.len());
    let values = &total.values[..total.rays.len()];
    let off = |i: usize| -> Option<f32> {
        let (r, t) = (i / width, i % width);
        let at = |r: usize, t: usize| values[r * width + t];
        let mut around = Vec::with_capacity(4);
        if t > 0 {
            around.push(at(r, t - 1))
        }
        if t + 1 < width {
            around.push(at(r, t + 1))
        }
        if r > 0 {
            around.push(at(r - 1, t))
        }
        if r + 1 < height {
            around.push(at(r + 1, t))
        }
        around.retain(|v| v.is_finite());
        let (low, high) = around.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        (around.len() >= 3 && values[i].is_finite()).then(|| (values[i] - high).max(low - values[i]).max(0.0))
    };
    let offs: Vec<f32> = (0..values.len()).map(|i| off(i).unwrap_or(0.0)).collect();
    // The usual difference: between neighbours along the translation.
    let mut steps: Vec<f32> = values
        .chunks(width)
        .flat_map(|row| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()))
        .filter(|step| step.is_finite())
        .collect();
    steps.sort_by(f32::total_cmp);
    let usual = steps.get(steps.len() * 3 / 4).copied().unwrap_or(0.0);
    let found: Vec<usize> = (0..offs.len()).filter(|&i| usual > 0.0 && offs[i] > SPIKE * usual).collect();
    found.iter().for_each(|&i| total.values[i] = f32::NAN);
    found
}

/// Takes off what the outermost `edge` translations see on either side (air, windows), on a straight line between the two
/// sides, for each bin and rotation.
pub fn remove_air(sinograms: &mut Sinograms, edge: usize) -> String {
    let n = sinograms.rays.translations;
    let edge = edge.clamp(1, n / 2);
    sinograms.values.par_chunks_mut(n).for_each(|row| {
        let mean = |side: &[f32]| side.iter().sum::<f32>() / side.len() as f32;
        let (left, right) = (mean(&row[..edge]), mean(&row[n - edge..]));
        let (first, span) = ((edge as f32 - 1.0) / 2.0, (n - edge) as f32);
        row.iter_mut().enumerate().for_each(|(t, v)| *v -= left + (right - left) * (t as f32 - first) / span);
    });
    format!("air is taken off: the mean of {edge} translations at either end of each line")
}

/// Factors that give every rotation the same total: a pencil beam sees the whole sample at each.
pub fn row_factors(total: &Sinograms) -> (Vec<f32>, String) {
    let n = total.rays.translations;
    let sums: Vec<f64> = total.values[..total.rays.len()]
        .chunks(n)
        .map(|row| row.iter().map(|v| f64::from(*v)).sum())
        .collect();
    let mut sorted = sums.clone();
    sorted.sort_by(f64::total_cmp);
    let usual = sorted[sorted.len() / 2];
    let factors: Vec<f32> =
        sums.iter().map(|sum| if *sum > 0.0 && usual > 0.0 { (usual / sum) as f32 } else { 1.0 }).collect();
    let (low, high) = factors.iter().fold((f32::MAX, f32::MIN), |(a, b), f| (a.min(*f), b.max(*f)));
    (factors, format!("rotations are scaled to a constant total, by {low:.3} to {high:.3}"))
}

/// Multiplies each rotation of every bin.
pub fn scale_rows(sinograms: &mut Sinograms, factors: &[f32]) {
    let n = sinograms.rays.translations;
    sinograms.values.par_chunks_mut(n * factors.len()).for_each(|bin| {
        for (row, factor) in bin.chunks_mut(n).zip(factors) {
            row.iter_mut().for_each(|v| *v *= factor);
        }
    });
}

/// Shifts (steps) that put each row's centre of mass where the fit of all rows expects it.
pub fn jitter(total: &Sinograms) -> (Vec<f32>, String) {
    let centres = masses(&total.rays, &total.values[..total.rays.len()]);
    let expected = fit(&total.rays, &centres);
    let shift = |(angle, centre): (&f64, &f64)| match expected {
        Some(fit) if centre.is_finite() => (seen(fit, *angle) - centre) as f32,
        _ => 0.0,
    };
    let shifts: Vec<f32> = total.rays.angles.iter().zip(&centres).map(shift).collect();
    let largest = shifts.iter().fold(0.0_f32, |a, s| a.max(s.abs()));
    (shifts, format!("rows are aligned by their centres of mass, by up to {largest:.2} steps"))
}

/// Moves each rotation of every bin by its shift, between neighbours linearly; ends are continued.
pub fn shift_rows(sinograms: &mut Sinograms, shifts: &[f32]) {
    let n = sinograms.rays.translations;
    sinograms.values.par_chunks_mut(n * shifts.len()).for_each(|bin| {
        for (row, shift) in bin.chunks_mut(n).zip(shifts) {
            let old = row.to_vec();
            for (t, value) in row.iter_mut().enumerate() {
                let place = (t as f32 - shift).clamp(0.0, (n - 1) as f32);
                let left = place as usize;
                let part = place - left as f32;
                *value = old[left] * (1.0 - part) + old[(left + 1).min(n - 1)] * part;
            }
        }
    });
}

/// Takes off what a translation has too much of at *every* rotation, a stripe that would become a ring: how far
/// the mean of its column lies outside its two neighbours' means (after Rivers' column averages, Proc. SPIE 3445 (1998) 118).
pub fn remove_stripes(sinograms: &mut Sinograms) -> String {
    let (n, rotations) = (sinograms.rays.translations, sinograms.rays.angles.len());
    sinograms.values.par_chunks_mut(n * rotations).for_each(|bin| {
        let mean =
            |t: usize| (0..rotations).map(|r| f64::from(bin[r * n + t])).sum::<f64>() / rotations as f64;
        let means: Vec<f64> = (0..n).map(mean).collect();
        let extra: Vec<f32> = (0..n)
            .map(|t| {
                // Only what stands out from both neighbours is a stripe; the rest is the sample's own slope.
                let near = [means[t.saturating_sub(1)], means[(t + 1).min(n - 1)]];
                let (low, high) = (near[0].min(near[1]), near[0].max(near[1]));
                (means[t] - means[t].clamp(low, high)) as f32
            })
            .collect();
        for row in bin.chunks_mut(n) {
            row.iter_mut().zip(&extra).for_each(|(v, extra)| *v -= extra);
        }
    });
    "stripes (a translation that differs from its neighbours at every rotation) are taken off".into()
}
