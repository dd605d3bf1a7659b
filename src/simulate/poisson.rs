//! Counting noise: exact Poisson counts, fast, and the same on every machine and for every number of threads.
//!
//! Expected counts lie on a fixed ladder of levels, λ = (level / 64)²: steps are even in √λ, so that two
//! neighbouring levels differ by 1/32 of the standard deviation of a single count, far below anything that a
//! frame can show. Each level up to λ = 1024 has a table (Walker's alias method) that turns one random number
//! into one count; brighter pixels, few in number, are drawn by rejection. Counts are thus exactly Poisson
//! around the expected value of their level.
//!
//! Random numbers come from SplitMix64 (Steele, Lea & Flood, 2014) started from the seed and the frame's
//! number: no frame depends on another, and which thread makes it does not matter.

use rand::RngCore;
use rand_distr::{Distribution, Poisson};

/// Levels per unit of √λ.
const STEPS: f64 = 64.0;

/// Levels from here on (λ ≥ 1024) have no table: tables up to here take 4 MB.
const TABLED: u16 = 2048;

/// Tables leave out counts further from λ than this many standard deviations (chance below 1e-14).
const SPREAD: f64 = 8.0;

/// 2⁶⁴ divided by the golden ratio, made odd: SplitMix64's step.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// An expected count, as its place on the ladder: λ = (level / 64)², up to about a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Level(u16);

impl Level {
    /// The level nearest to an expected count; NaN and what is below zero give the level of zero.
    pub fn nearest(expected: f32) -> Level {
        // A float that does not fit is clamped by `as`, NaN gives 0.
        Level((expected.sqrt() * STEPS as f32 + 0.5) as u16)
    }

    /// The expected count of this level.
    pub fn expected(self) -> f64 {
        (f64::from(self.0) / STEPS).powi(2)
    }
}

/// A stream of random numbers: SplitMix64.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// The stream of one frame (or of any other numbered thing) under a seed.
    pub fn new(seed: u64, number: u64) -> Draws {
        Draws(mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(number.wrapping_mul(GOLDEN))))
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number in 0 .. `end`; `end` far below 2³².
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }
}

impl RngCore for Draws {
    fn next_u32(&mut self) -> u32 {
        (self.bits() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.bits()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.bits().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

/// SplitMix64's output function.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One slot of an alias table: `count` with the chance `cut` / 2³², else `other`.
#[derive(Debug, Clone, Copy)]
struct Entry {
    cut: u32,
    count: u16,
    other: u16,
}

/// Draws counts. Made once (a few milliseconds), shared by all threads.
#[derive(Debug)]
pub struct Sampler {
    /// `starts[level] .. starts[level + 1]` are the entries of a level.
    starts: Vec<u32>,
    entries: Vec<Entry>,
}

impl Default for Sampler {
    fn default() -> Self {
        Sampler::new()
    }
}

impl Sampler {
    /// Makes the tables.
    pub fn new() -> Sampler {
        let mut starts = vec![0];
        let mut entries = Vec::new();
        for level in 0..TABLED {
            alias_table(Level(level).expected(), &mut entries);
            starts.push(entries.len() as u32);
        }
        Sampler { starts, entries }
    }

    /// One count of a pixel with this expected value.
    #[inline]
    pub fn draw(&self, level: Level, stream: &mut Draws) -> i32 {
        if level.0 >= TABLED {
            return draw_bright(level, stream);
        }
        let place = usize::from(level.0);
        let table = &self.entries[self.starts[place] as usize..self.starts[place + 1] as usize];
        let bits = stream.bits();
        // Upper half of the bits chooses the slot, lower half chooses between its two counts.
        let slot = ((bits >> 32) * table.len() as u64) >> 32;
        let entry = table[slot as usize];
        i32::from(if (bits as u32) < entry.cut { entry.count } else { entry.other })
    }
}

/// A count around a large expected value, by rejection.
#[cold]
fn draw_bright(level: Level, stream: &mut Draws) -> i32 {
    match Poisson::new(level.expected()) {
        Ok(poisson) => poisson.sample(stream) as i32,
        // Not reached: λ lies between 1024 and 2²⁰.
        Err(_) => level.expected().round() as i32,
    }
}

/// Appends the alias table of Poisson(`lambda`) to `entries` (Vose's construction).
fn alias_table(lambda: f64, entries: &mut Vec<Entry>) {
    let reach = SPREAD * lambda.sqrt();
    let first = (lambda - reach).floor().max(0.0) as u16;
    // The upper tail is the longer one: a few counts more for small λ.
    let last = if lambda > 0.0 { (lambda + reach + 12.0).ceil() as u16 } else { 0 };
    let chances = chances(lambda, first, last);
    let slots = chances.len();
    let mut share: Vec<f64> = chances.iter().map(|p| p * slots as f64).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..slots).partition(|&i| share[i] < 1.0);
    let base = entries.len();
    entries.extend((0..slots).map(|i| {
        let count = first + i as u16;
        Entry { cut: u32::MAX, count, other: count }
    }));
    while let (Some(&giver), Some(taker)) = (large.last(), small.pop()) {
        entries[base + taker].cut = (share[taker] * 2_f64.powi(32)) as u32;
        entries[base + taker].other = first + giver as u16;
        share[giver] -= 1.0 - share[taker];
        if share[giver] < 1.0 {
            large.pop();
            small.push(giver);
        }
    }
}

/// Chances of the counts `first ..= last` under Poisson(`lambda`), scaled to sum 1.
fn chances(lambda: f64, first: u16, last: u16) -> Vec<f64> {
    // From the most likely count outwards, by the ratio of neighbours; the common factor cancels.
    let mode = (lambda.floor() as u16).clamp(first, last);
    let mut chances = vec![0.0; usize::from(last - first) + 1];
    let place = usize::from(mode - first);
    chances[place] = 1.0;
    for i in place + 1..chances.len() {
        chances[i] = chances[i - 1] * lambda / (f64::from(first) + i as f64);
    }
    for i in (0..place).rev() {
        chances[i] = chances[i + 1] * (f64::from(first) + i as f64 + 1.0) / lambda;
    }
    let sum: f64 = chances.iter().sum();
    chances.iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_finer_than_the_noise() {
        for expected in [0.0_f32, 0.01, 0.7, 5.0, 33.0, 900.0, 1e4, 1e6] {
            let error = (Level::nearest(expected).expected() - f64::from(expected)).abs();
            assert!(error <= f64::from(expected).sqrt() / 63.0 + 1e-4, "{expected}: {error}");
        }
        assert_eq!(Level::nearest(f32::NAN), Level(0));
        assert_eq!(Level::nearest(-3.0), Level(0));
        assert_eq!(Level::nearest(f32::INFINITY), Level(u16::MAX));
    }

    #[test]
    fn counts_have_poisson_mean_variance_and_skewness() {
        let sampler = Sampler::new();
        let draws = 200_000;
        for expected in [0.02_f32, 0.5, 3.0, 20.0, 150.0, 1000.0, 1100.0, 50_000.0] {
            let level = Level::nearest(expected);
            let lambda = level.expected();
            let mut stream = Draws::new(7, 1);
            let counts: Vec<f64> = (0..draws).map(|_| f64::from(sampler.draw(level, &mut stream))).collect();
            let n = draws as f64;
            let mean = counts.iter().sum::<f64>() / n;
            let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n;
            let third = counts.iter().map(|c| (c - mean).powi(3)).sum::<f64>() / n;
            assert!((mean - lambda).abs() < 5.0 * (lambda / n).sqrt(), "mean {mean} of {lambda}");
            let of_variance = ((lambda + 2.0 * lambda * lambda) / n).sqrt();
            assert!((variance - lambda).abs() < 5.0 * of_variance, "variance {variance} of {lambda}");
            let of_third = ((15.0 * lambda.powi(3) + 30.0 * lambda.powi(2) + lambda) / n).sqrt();
            assert!((third - lambda).abs() < 5.0 * of_third, "third moment {third} of {lambda}");
        }
    }

    #[test]
    fn small_counts_come_as_often_as_they_should() {
        let sampler = Sampler::new();
        let level = Level::nearest(2.0);
        let mut seen = [0.0_f64; 8];
        let mut stream = Draws::new(1, 2);
        for _ in 0..400_000 {
            let count = sampler.draw(level, &mut stream) as usize;
            if let Some(seen) = seen.get_mut(count) {
                *seen += 1.0 / 400_000.0;
            }
        }
        let mut chance = (-level.expected()).exp();
        for (count, seen) in seen.iter().enumerate() {
            assert!((seen - chance).abs() < 5.0 * (chance / 400_000.0).sqrt(), "{count}: {seen} {chance}");
            chance *= level.expected() / (count as f64 + 1.0);
        }
    }

    #[test]
    fn streams_differ_by_seed_and_number() {
        let first = |seed, number| Draws::new(seed, number).bits();
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(2, 1));
        assert_ne!(first(1, 2), first(1, 3));
        assert!((0..1000).map(|i| Draws::new(3, i).below(7)).all(|i| i < 7));
    }
}
