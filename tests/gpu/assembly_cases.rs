//! Scans of which host and device must make the same sinograms, bit for bit.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xrdct::tomo::assembly::Assembly;
use xrdct::tomo::repair::Holes;
use xrdct::tomo::scan::{FastAxis, Order, ScanGrid};

/// Patterns, and how sinograms are made of them.
pub struct Case {
    pub name: &'static str,
    pub npt: usize,
    /// `[frame][bin]`.
    pub patterns: Vec<f32>,
    pub assembly: Assembly,
}

/// Bins of which one frame has no value in the cases that are damaged.
pub const EMPTY: [usize; 2] = [3, 40];

fn case(name: &'static str, npt: usize, grid: ScanGrid, frames: usize, damaged: bool) -> Case {
    let mut random = StdRng::seed_from_u64(frames as u64);
    let mut patterns: Vec<f32> =
        (0..frames * npt).map(|i| random.random_range(0.0..2.0) + (i / npt % 7) as f32).collect();
    let mut assembly = Assembly::plain(grid);
    if damaged {
        // Whole frames, and single bins of another.
        for frame in [4, 11] {
            patterns[frame * npt..(frame + 1) * npt].fill(f32::NAN);
        }
        EMPTY.iter().for_each(|bin| patterns[20 * npt + bin] = f32::INFINITY);
    }
    let sums: Vec<f32> = patterns.chunks(npt).map(|p| p[5..10].iter().sum()).collect();
    let mut total = assembly.grid.gather(&sums, 1, 0..1, None);
    if damaged {
        assembly.spikes = vec![2, 27];
        assembly.spikes.iter().for_each(|&point| total.values[point] = f32::NAN);
        // Most of a rotation.
        let n = total.rays.translations;
        total.values[3 * n..3 * n + n / 2 + 1].fill(f32::NAN);
    }
    assembly.holes = Holes::find(&total);
    Case { name, npt, patterns, assembly }
}

fn order(rotations: usize, translations: usize) -> Order {
    Order {
        angles: (0..rotations).map(|i| i as f64 * 7.0).collect(),
        positions: (0..translations).map(|i| i as f64).collect(),
        fast: FastAxis::Translation,
        zigzag: true,
        interleave: 2,
    }
}

/// Plain, several passes, in-between positions, damage, and every correction.
pub fn all() -> Vec<Case> {
    let by_order = |frames: usize| ScanGrid::from_order(&order(7, 13), frames).expect("a scan");
    let mut random = StdRng::seed_from_u64(3);
    let rotation: Vec<f64> = (0..210).map(|i| f64::from(i / 30) * 10.0).collect();
    let translation: Vec<f64> =
        (0..210).map(|i| f64::from(i % 30) + random.random_range(-0.4..0.4)).collect();
    let irregular = ScanGrid::from_positions(&rotation, &translation, |_| true).expect("a scan");
    let mut cases = vec![
        case("plain", 50, by_order(91), 91, false),
        case("two passes and some", 33, by_order(200), 200, false),
        case("between positions", 47, irregular, 210, true),
        case("damaged", 70, by_order(91), 91, true),
    ];
    let mut all = case("damaged, with every correction", 70, by_order(120), 120, true);
    all.assembly.monitor = Some((0..120).map(|i| 0.8 + 0.01 * (i % 31) as f32).collect());
    all.assembly.air = Some(2);
    let rotations = 0..all.assembly.rays().angles.len();
    all.assembly.row_factors = Some(rotations.clone().map(|i| 0.9 + 0.03 * i as f32).collect());
    all.assembly.shifts = Some(rotations.map(|i| 0.37 * (i % 5) as f32 - 0.8).collect());
    all.assembly.stripes = true;
    cases.push(all);
    cases
}

/// Whether sinograms and empty bins are the host's.
pub fn assert_same(case: &Case, bins: std::ops::Range<usize>, values: &[f32], empty: &[usize]) {
    let expected = case.assembly.sinograms(&case.patterns, case.npt, bins);
    let each = case.assembly.rays().len();
    assert_eq!(empty, expected.empty, "{}", case.name);
    assert_eq!(values.len(), expected.values.len(), "{}", case.name);
    for (i, (found, expected)) in values.iter().zip(&expected.values).enumerate() {
        let (bin, place) = (i / each, i % each);
        // Bins without data hold 0 before they are mended further, which may make -0 of it.
        let same = found.to_bits() == expected.to_bits() || (empty.contains(&bin) && *found == 0.0);
        assert!(same, "{}, bin {bin}, value {place}: {found}, the host has {expected}", case.name);
    }
}
