//! Scans in every order that a beamline may choose, and what is mended in them.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use xrdct::simulate::phantom::{Trajectory, truth};
use xrdct::tomo::region::Region;
use xrdct::tomo::repair::{self, Holes, ZigZag};
use xrdct::tomo::scan::{FastAxis, Order, ScanGrid};
use xrdct::tomo::{Rays, Sinograms, TomoError};

use crate::support::side_by_side;

const ROTATIONS: usize = 7;
const TRANSLATIONS: usize = 5;

fn angles() -> Vec<f64> {
    (0..ROTATIONS).map(|r| r as f64 * 25.0).collect()
}

/// A value for each point that no other has.
fn value(rotation: usize, translation: usize) -> f32 {
    (100 * rotation + translation) as f32
}

fn expected() -> Vec<f32> {
    (0..ROTATIONS).flat_map(|r| (0..TRANSLATIONS).map(move |t| value(r, t))).collect()
}

/// The points in the order in which they are visited, told step by step as the motors move.
fn visits(fast: FastAxis, zigzag: bool, interleave: usize) -> Vec<(usize, usize)> {
    let mut rotations = vec![];
    for round in 0..interleave {
        let mut r = round;
        while r < ROTATIONS {
            rotations.push(r);
            r += interleave;
        }
    }
    let mut visited = vec![];
    let mut backwards = false;
    let mut line = |points: Vec<(usize, usize)>| {
        match backwards {
            true => visited.extend(points.into_iter().rev()),
            false => visited.extend(points),
        }
        backwards = zigzag && !backwards;
    };
    match fast {
        FastAxis::Translation => {
            rotations.iter().for_each(|&r| line((0..TRANSLATIONS).map(|t| (r, t)).collect()));
        }
        FastAxis::Rotation => {
            (0..TRANSLATIONS).for_each(|t| line(rotations.iter().map(|&r| (r, t)).collect()));
        }
    }
    visited
}

#[test]
fn every_order_of_visits_gives_the_same_sinogram() {
    for fast in [FastAxis::Translation, FastAxis::Rotation] {
        for zigzag in [false, true] {
            for interleave in [1, 2, 3, ROTATIONS] {
                for passes in [1, 3] {
                    let order = Order {
                        angles: angles(),
                        positions: (0..TRANSLATIONS).map(|t| t as f64 * 0.1).collect(),
                        fast,
                        zigzag,
                        interleave,
                    };
                    let once: Vec<f32> =
                        visits(fast, zigzag, interleave).into_iter().map(|(r, t)| value(r, t)).collect();
                    // Passes that differ are averaged: -1, 0, +1.
                    let frames: Vec<f32> = (0..passes)
                        .flat_map(|pass| {
                            once.iter().map(move |v| v + pass as f32 - (passes - 1) as f32 / 2.0)
                        })
                        .collect();
                    let grid = ScanGrid::from_order(&order, frames.len()).expect("a scan");
                    let seen = grid.gather(&frames, 1, 0..1, None);
                    let what =
                        format!("{fast:?}, zig-zag {zigzag}, interleave {interleave}, {passes} passes");
                    assert_eq!(seen.values, expected(), "{what}");
                    assert_eq!(seen.rays.angles, angles(), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_scan_that_ended_early_has_missing_points() {
    let order = Order {
        angles: angles(),
        positions: (0..TRANSLATIONS).map(|t| t as f64).collect(),
        fast: FastAxis::Translation,
        zigzag: true,
        interleave: 1,
    };
    let frames: Vec<f32> =
        visits(FastAxis::Translation, true, 1).into_iter().take(32).map(|(r, t)| value(r, t)).collect();
    let seen = ScanGrid::from_order(&order, frames.len()).expect("a scan").gather(&frames, 1, 0..1, None);
    let missing: Vec<usize> = (0..seen.values.len()).filter(|&i| seen.values[i].is_nan()).collect();
    // Rotation 6 runs forwards: its last three translations were not reached.
    assert_eq!(missing, [32, 33, 34]);
    let holes = Holes::find(&seen);
    // Two of five points are fewer than half: the rotation is left out, and said so.
    assert!(holes.notes(&seen.rays).iter().any(|note| note.contains("1 rotations with fewer than half")));
    assert_eq!(holes.mend(seen).rays.angles, angles()[..6]);
}

#[test]
fn positions_with_the_noise_of_encoders_in_any_order_are_found() {
    let mut random = StdRng::seed_from_u64(1);
    let mut frames: Vec<(f64, f64, f32)> = vec![];
    for r in 0..ROTATIONS {
        for t in 0..TRANSLATIONS {
            let angle = angles()[r] + random.random_range(-0.01..0.01);
            let position = -0.2 + 0.1 * t as f64 + random.random_range(-0.004..0.004);
            frames.push((angle, position, value(r, t)));
        }
    }
    frames.shuffle(&mut random);
    // One point was measured twice; the mean counts.
    let twice = frames[11];
    frames.push((twice.0, twice.1 + 0.001, twice.2));
    let (rotation, translation): (Vec<f64>, Vec<f64>) = frames.iter().map(|f| (f.0, f.1)).unzip();
    let values: Vec<f32> = frames.iter().map(|f| f.2).collect();
    let grid = ScanGrid::from_positions(&rotation, &translation, |_| true).expect("a scan");
    assert_eq!(grid.gather(&values, 1, 0..1, None).values, expected());
    let close = |(a, b): (&f64, &f64)| (a - b).abs() < 0.01;
    assert!(side_by_side(&grid.angles, &angles()).all(close), "{:?}", grid.angles);
    assert!((grid.step() - 0.1).abs() < 0.003, "{}", grid.step());
}

#[test]
fn irregular_positions_are_interpolated_and_holes_stay_holes() {
    const COUNT: usize = 60;
    let mut random = StdRng::seed_from_u64(2);
    let mut frames: Vec<(f64, f64)> = vec![];
    for r in 0..ROTATIONS {
        for t in 0..COUNT {
            // Ends where they should be, so that the grid is known.
            let off = if t == 0 || t == COUNT - 1 { 0.0 } else { random.random_range(-0.3..0.3) };
            if r == 3 && (20..24).contains(&t) {
                continue;
            }
            frames.push((angles()[r], (t as f64 + off) * 0.05));
        }
    }
    let (rotation, translation): (Vec<f64>, Vec<f64>) = frames.iter().copied().unzip();
    // What is straight stays straight.
    let values: Vec<f32> = frames.iter().map(|(angle, x)| (angle + 10.0 * x) as f32).collect();
    let grid = ScanGrid::from_positions(&rotation, &translation, |_| true).expect("a scan");
    assert!(grid.notes.iter().any(|note| note.contains("interpolated")), "{:?}", grid.notes);
    let seen = grid.gather(&values, 1, 0..1, None);
    let n = grid.positions.len();
    for (i, found) in seen.values.iter().enumerate() {
        let (r, t) = (i / n, i % n);
        let hole = r == 3 && (20..24).contains(&t);
        if found.is_nan() {
            assert!(hole, "point {r}, {t} is missing");
            continue;
        }
        let right = grid.angles[r] + 10.0 * grid.positions[t];
        // Beside a hole the nearest frame counts, half a step away at most.
        let beside = r == 3 && (19..25).contains(&t);
        let bound = if beside { 10.0 * 0.51 * grid.step() } else { 1e-3 };
        assert!((f64::from(*found) - right).abs() < bound, "point {r}, {t}: {found}, it is {right}");
    }
    assert!((3 * n + 21..3 * n + 23).all(|i| seen.values[i].is_nan()), "nothing is made up across a hole");
}

#[test]
fn scans_that_are_none_are_refused_with_the_reason() {
    let unmoved = ScanGrid::from_positions(&[1.0; 9], &[0.0; 9], |_| true);
    assert!(matches!(unmoved, Err(TomoError::Unmoved { axis: "rotation", frames: 9 })), "{unmoved:?}");
    let short = ScanGrid::from_positions(&[1.0, 2.0], &[0.0], |_| true);
    assert!(matches!(short, Err(TomoError::Mismatch { .. })), "{short:?}");
    let rotation: Vec<f64> = (0..9).map(|i| f64::from(i / 3)).collect();
    let translation: Vec<f64> = (0..9).map(|i| if i == 4 { f64::NAN } else { f64::from(i % 3) }).collect();
    let hole = ScanGrid::from_positions(&rotation, &translation, |_| true);
    assert!(matches!(hole, Err(TomoError::NotANumber { what: "translation", frame: 4, .. })), "{hole:?}");
    let order = |interleave| Order {
        angles: angles(),
        positions: vec![0.0, 1.0],
        fast: FastAxis::Translation,
        zigzag: false,
        interleave,
    };
    assert!(ScanGrid::from_order(&order(0), 14).is_err());
    assert!(ScanGrid::from_order(&order(ROTATIONS + 1), 14).is_err());
}

/// The phantom's total over half a turn.
fn phantom() -> Sinograms {
    let scan = Trajectory {
        rotations: 60,
        translations: 61,
        range: 180.0,
        field: 1.2,
        diameter: 0.9,
        axis_offset: 0.0,
    };
    let values = truth(&scan, 3).iter().fold(vec![0.0_f32; 60 * 61], |sum, phase| {
        sum.iter().zip(&phase.sinogram).map(|(a, b)| a + b).collect()
    });
    Sinograms { rays: Rays::centred(scan.angles(), 61), bins: 1, values }
}

/// Root mean square of the difference.
fn off(a: &Sinograms, b: &Sinograms) -> f64 {
    let sum: f64 = side_by_side(&a.values, &b.values).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (sum / a.values.len() as f64).sqrt()
}

#[test]
fn lines_that_run_backwards_are_noticed_and_only_they() {
    let mut total = phantom();
    assert!(!ZigZag::look(&total).is_wrong());
    total.values.chunks_mut(61).skip(1).step_by(2).for_each(|row| row.reverse());
    assert!(ZigZag::look(&total).is_wrong());
}

#[test]
fn spikes_are_found_and_nothing_else() {
    let clean = phantom();
    let mut total = clean.clone();
    assert!(repair::spikes(&mut total).is_empty(), "a sample's own edges are no spikes");
    let brightest = total.values.iter().fold(0.0_f32, |all, v| all.max(*v));
    let places = [30 * 61 + 12, 44 * 61 + 40, 7 * 61 + 30];
    for (place, value) in places.into_iter().zip([10.0 * brightest, 3.0 * brightest, 2.0 * brightest]) {
        total.values[place] = value;
    }
    let mut found = repair::spikes(&mut total);
    found.sort_unstable();
    assert_eq!(found, [places[2], places[0], places[1]]);
    let mended = Holes::find(&total).mend(total);
    assert!(off(&mended, &clean) < 1e-3 * f64::from(brightest));
}

#[test]
fn what_was_put_in_is_taken_off() {
    let clean = phantom();
    let better = |name: &str, spoil: &dyn Fn(&mut Sinograms), mend: &dyn Fn(&mut Sinograms), by: f64| {
        let mut total = clean.clone();
        spoil(&mut total);
        let before = off(&total, &clean);
        mend(&mut total);
        let after = off(&total, &clean);
        assert!(after * by < before, "{name}: {before} became {after}");
    };
    let column = |t: usize, by: f32| {
        move |s: &mut Sinograms| s.values.iter_mut().skip(t).step_by(61).for_each(|v| *v += by)
    };
    better("a stripe", &column(33, 0.3), &|s| drop(repair::remove_stripes(s)), 2.0);
    let uneven = |s: &mut Sinograms| {
        for (r, row) in s.values.chunks_mut(61).enumerate() {
            row.iter_mut().for_each(|v| *v *= 1.0 + 0.2 * (r as f32 * 1.7).sin());
        }
    };
    let constant = |s: &mut Sinograms| {
        let (factors, _) = repair::row_factors(s);
        repair::scale_rows(s, &factors);
    };
    better("a beam that fluctuates", &uneven, &constant, 4.0);
    let sway = |s: &mut Sinograms| {
        let shifts: Vec<f32> = (0..60).map(|r| 1.5 * (r as f32 * 2.3).sin()).collect();
        repair::shift_rows(s, &shifts);
    };
    let align = |s: &mut Sinograms| {
        let (shifts, _) = repair::jitter(s);
        repair::shift_rows(s, &shifts);
    };
    better("a rotation stage that sways", &sway, &align, 2.0);
    let air = |s: &mut Sinograms| {
        for row in s.values.chunks_mut(61) {
            row.iter_mut().enumerate().for_each(|(t, v)| *v += 0.5 + 0.01 * t as f32);
        }
    };
    better("air", &air, &|s| drop(repair::remove_air(s, 2)), 100.0);
}

#[test]
fn a_region_is_the_area_of_its_peak_above_a_straight_background() {
    let axis: Vec<f64> = (0..1000).map(|i| 1.0 + 0.002 * f64::from(i)).collect();
    let gauss = |x: f64| 7.0 * (-0.5 * ((x - 2.0) / 0.01).powi(2)).exp();
    let area = 7.0 * 0.01 * std::f64::consts::TAU.sqrt();
    let pattern: Vec<f64> = axis.iter().map(|&x| gauss(x) + 3.0 + 2.0 * (x - 2.0)).collect();
    let sum = |text: &str| {
        let weights = Region::parse(text).expect("a region").weights(&axis).expect("bins");
        weights.iter().zip(&pattern).map(|(w, v)| f64::from(*w) * v).sum::<f64>()
    };
    let found = sum("peak=1.93:2.07");
    assert!((found - area).abs() < 0.01 * area, "{found}, it is {area}");
    let whole = sum("peak=1.93:2.07:none");
    assert!((whole - area - 3.0 * 0.14).abs() < 0.02 * whole, "{whole}");
    for text in ["peak", "=1:2", "a/b=1:2", "peak=2:1", "peak=1:x", "peak=1:2:cubic", "peak=1:2:none:3"] {
        assert!(Region::parse(text).is_err(), "{text}");
    }
    assert!(Region::parse("far=8:9").expect("reads").weights(&axis).is_err(), "no bin lies there");
}
