//! Regions of interest: a named range of the radial axis whose area, above a straight background, is one more bin.

use super::TomoError;

/// What is taken off below a peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Nothing.
    None,
    /// The straight line through the mean of a side band at either end, each an eighth of the region (at least one bin).
    Linear,
}

/// A named range of the radial axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Name: of datasets and pictures.
    pub name: String,
    /// Lower end, in the axis' unit.
    pub from: f64,
    /// Upper end, in the axis' unit.
    pub to: f64,
    /// What is taken off.
    pub background: Background,
}

impl Region {
    /// Reads `name=low:high` or `name=low:high:none`.
    ///
    /// # Errors
    /// [`TomoError::Region`].
    pub fn parse(text: &str) -> Result<Region, TomoError> {
        let wrong = |problem: &str| TomoError::Region { text: text.into(), problem: problem.into() };
        let (name, range) = text.split_once('=').ok_or_else(|| wrong("there is no `=` in it"))?;
        let name = name.trim();
        if name.is_empty() || name.contains('/') || name == "." {
            return Err(wrong("a name must not be empty or contain `/`"));
        }
        let mut parts = range.split(':');
        let mut number = |which: &str| {
            let text = parts.next().unwrap_or_default().trim();
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(value),
                _ => Err(wrong(&format!("the {which} end `{text}` is not a number"))),
            }
        };
        let (from, to) = (number("lower")?, number("upper")?);
        if from >= to {
            return Err(wrong("the lower end is not below the upper end"));
        }
        let background = match parts.next().map(str::trim) {
            None | Some("linear") => Background::Linear,
            Some("none") => Background::None,
            Some(_) => return Err(wrong("the background is `linear` or `none`")),
        };
        match parts.next() {
            Some(_) => Err(wrong("there is too much after the second end")),
            None => Ok(Region { name: name.into(), from, to, background }),
        }
    }

    /// What each bin counts in the area Σ (I − background)·Δ: 0 outside the region. Areas are linear in the pattern, so
    /// that sinograms of regions are sums of sinograms of bins.
    ///
    /// # Errors
    /// [`TomoError::Region`] when fewer than one (with background three) bin centres lie inside.
    pub fn weights(&self, axis: &[f64]) -> Result<Vec<f32>, TomoError> {
        let inside: Vec<usize> =
            (0..axis.len()).filter(|&i| (self.from..=self.to).contains(&axis[i])).collect();
        let least = if self.background == Background::None { 1 } else { 3 };
        if inside.len() < least {
            return Err(TomoError::Region {
                text: format!("{}={}:{}", self.name, self.from, self.to),
                problem: format!(
                    "{} bins lie in it, {least} are needed; the axis goes from {:.6} to {:.6}",
                    inside.len(),
                    axis.first().copied().unwrap_or(f64::NAN),
                    axis.last().copied().unwrap_or(f64::NAN)
                ),
            });
        }
        let width = |i: usize| {
            let (low, high) = (axis[i.saturating_sub(1)], axis[(i + 1).min(axis.len() - 1)]);
            let bins = ((i + 1).min(axis.len() - 1) - i.saturating_sub(1)).max(1);
            (high - low) / bins as f64
        };
        let mut weights = vec![0.0_f64; axis.len()];
        inside.iter().for_each(|&i| weights[i] += width(i));
        if self.background == Background::Linear {
            let band = (inside.len() / 8).max(1);
            let (low, high) = (&inside[..band], &inside[inside.len() - band..]);
            let middle = |band: &[usize]| band.iter().map(|&i| axis[i]).sum::<f64>() / band.len() as f64;
            let (a, b) = (middle(low), middle(high));
            for &i in &inside {
                let part = (axis[i] - a) / (b - a);
                low.iter().for_each(|&k| weights[k] -= width(i) * (1.0 - part) / band as f64);
                high.iter().for_each(|&k| weights[k] -= width(i) * part / band as f64);
            }
        }
        Ok(weights.into_iter().map(|w| w as f32).collect())
    }

    /// The strongest `most` separate peaks of a pattern, from its lowest to its highest: what to look at when nobody says.
    pub fn suggest(axis: &[f64], pattern: &[f32], most: usize) -> Vec<Region> {
        let n = pattern.len().min(axis.len());
        let reach = (n / 100).max(3);
        let value = |i: usize| if pattern[i].is_finite() { f64::from(pattern[i]) } else { 0.0 };
        // Height above the lower of the lowest places on both sides: how far a peak stands out.
        let lowest = |from: usize, to: usize| (from..to).map(value).fold(f64::INFINITY, f64::min);
        let mut peaks: Vec<(f64, usize)> = (reach..n.saturating_sub(reach))
            .filter(|&i| (i - reach..=i + reach).all(|k| value(k) <= value(i)))
            .filter(|&i| value(i) > value(i - 1))
            .map(|i| {
                let wide = 3 * reach;
                let floor = lowest(i.saturating_sub(wide), i).max(lowest(i + 1, (i + 1 + wide).min(n)));
                (value(i) - floor, i)
            })
            .filter(|(height, _)| *height > 0.0)
            .collect();
        peaks.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut chosen: Vec<usize> = Vec::new();
        for (_, i) in peaks {
            if chosen.len() < most && chosen.iter().all(|&k| k.abs_diff(i) > 4 * reach) {
                chosen.push(i);
            }
        }
        chosen.sort_unstable();
        let region = |i: usize| Region {
            name: format!("peak_{:.4}", axis[i]),
            from: axis[i.saturating_sub(2 * reach)],
            to: axis[(i + 2 * reach).min(n - 1)],
            background: Background::Linear,
        };
        chosen.into_iter().map(region).collect()
    }
}
