//! Azimuthal sectors: which bins of an azimuthal axis they have, and where they end.
//!
//! A sector has whole bins, those whose centres lie in it from its lower end up to its upper one, which is the next sector's. So
//! sectors side by side share no bin, and what a sector is called are the edges of the bins that it has, not what was asked for.
/// The whole circle, degrees.
const CIRCLE: f64 = 360.0;

/// Sectors that are narrower are told with more digits, degrees.
const NARROW: f64 = 2.0;

/// By how much of a bin a centre may be beside the end of a sector: pyFAI's axes end a rounding step above what was asked for.
const BESIDE: f64 = 1e-3;

/// Why there is no such sector.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SectorError {
    /// Its ends are none.
    #[error(
        "a sector goes from LOW up to HIGH, degrees, at most 360 above it, not {low}:{high}; one across 180 is 170:190"
    )]
    Ends {
        /// Lower end, degrees.
        low: f64,
        /// Upper end, degrees.
        high: f64,
    },
    /// No bin lies in it.
    #[error("no azimuthal bin has its centre in {low}:{high}; bins {there}")]
    Nothing {
        /// Lower end, degrees.
        low: f64,
        /// Upper end, degrees.
        high: f64,
        /// Which bins there are.
        there: String,
    },
    /// So many equal ones cannot be made of whole bins.
    #[error("{bins} azimuthal bins do not make {count} equal sectors; they make {choices}")]
    Unequal {
        /// How many were asked for.
        count: usize,
        /// How many bins there are.
        bins: usize,
        /// The counts that can be.
        choices: String,
    },
}

/// Some bins of an azimuthal axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Sector {
    /// The bins, in the order of χ.
    pub bins: Vec<usize>,
    /// Where the first bin begins and the last one ends, degrees: beyond ±180 where it lies across the cut of the circle.
    pub bounds: [f64; 2],
}

impl Sector {
    /// All bins; `centres` are those of the axis, degrees, ascending.
    pub fn whole(centres: &[f64]) -> Sector {
        Sector::of_bins(centres, 0, centres.len())
    }

    /// The bins whose centres lie from `low` up to `high`, degrees, wherever the axis is cut: 170 to 190 is also -190 to -170.
    ///
    /// # Errors
    /// [`SectorError::Ends`], [`SectorError::Nothing`].
    pub fn between(centres: &[f64], low: f64, high: f64) -> Result<Sector, SectorError> {
        let beside = BESIDE * width(centres);
        let wide = high - low;
        // Not a number is neither.
        let is_sector = low.is_finite() && wide > 0.0 && wide <= CIRCLE + beside;
        if !is_sector {
            return Err(SectorError::Ends { low, high });
        }
        let turned = |centre: f64| (centre - low + beside).rem_euclid(CIRCLE) - beside;
        let mut inside: Vec<(f64, usize)> = centres
            .iter()
            .enumerate()
            .map(|(bin, centre)| (turned(*centre), bin))
            .filter(|(place, _)| *place < wide - beside)
            .collect();
        inside.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
            return Err(SectorError::Nothing { low, high, there: places(centres) });
        };
        let half = width(centres) / 2.0;
        // The centre itself, whole turns on, so that no digit is lost on the way.
        let unturned = |(place, bin): &(f64, usize)| {
            let centre = centres[*bin];
            centre + ((low + place - centre) / CIRCLE).round() * CIRCLE
        };
        let bounds = [unturned(first) - half, unturned(last) + half];
        Ok(Sector { bins: inside.into_iter().map(|(_, bin)| bin).collect(), bounds })
    }

    /// So many sectors of the same number of bins, which are the whole axis.
    ///
    /// # Errors
    /// [`SectorError::Unequal`].
    pub fn equal(centres: &[f64], count: usize) -> Result<Vec<Sector>, SectorError> {
        let bins = centres.len();
        if count == 0 || !bins.is_multiple_of(count) {
            let choices: Vec<String> =
                (1..=bins).filter(|n| bins.is_multiple_of(*n)).map(|n| n.to_string()).collect();
            return Err(SectorError::Unequal { count, bins, choices: choices.join(", ") });
        }
        let each = bins / count;
        Ok((0..count).map(|n| Sector::of_bins(centres, n * each, (n + 1) * each)).collect())
    }

    fn of_bins(centres: &[f64], first: usize, end: usize) -> Sector {
        let half = width(centres) / 2.0;
        let at = |bin: usize| centres.get(bin).copied().unwrap_or(0.0);
        Sector { bins: (first..end).collect(), bounds: [at(first) - half, at(end.saturating_sub(1)) + half] }
    }

    /// The middle, degrees.
    pub fn centre(&self) -> f64 {
        (self.bounds[0] + self.bounds[1]) / 2.0
    }

    /// Whether a bin belongs to both.
    pub fn shares_a_bin_with(&self, other: &Sector) -> bool {
        self.bins.iter().any(|bin| other.bins.contains(bin))
    }

    /// `χ 10 … 20°`
    pub fn name(&self) -> String {
        range_in_words(self.bounds)
    }
}

/// A range of χ, degrees: `χ -5 … 7.5°`. Of wide ones tenths are told: pyFAI's axes begin at the first pixel, not at a round angle.
pub fn range_in_words([low, high]: [f64; 2]) -> String {
    let digits = if high - low < NARROW { 3 } else { 1 };
    let short = |value: f64| {
        let text = format!("{value:.digits$}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if text == "-0" { "0".to_owned() } else { text.to_owned() }
    };
    format!("χ {} … {}°", short(low), short(high))
}

/// Width of a bin; one that is alone has the circle for itself.
fn width(centres: &[f64]) -> f64 {
    match centres {
        [first, .., last] => (last - first) / (centres.len() - 1) as f64,
        _ => CIRCLE,
    }
}

fn places(centres: &[f64]) -> String {
    let [first, last] = [centres.first(), centres.last()].map(|centre| centre.copied().unwrap_or(f64::NAN));
    let width = width(centres);
    format!("go from {first:.3} to {last:.3}° in steps of {width:.3}°")
}
