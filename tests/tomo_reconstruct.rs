//! Reconstruction: scikit-image's conventions and accuracy, and what must hold whatever the method.

use std::path::Path;

use tempfile::tempdir;
use xrdct::simulate::phantom::{Trajectory, truth};
use xrdct::tomo::GROUP;
use xrdct::tomo::filter::Filter;
use xrdct::tomo::{
    Grid, HostReconstructor, Method, Rays, Reconstruction, Reconstructor, TomoError, fbp, project,
};

use crate::support::{ask_oracle, side_by_side};

const FILTERS: [(Filter, &str); 5] = [
    (Filter::Ramp, "ramp"),
    (Filter::SheppLogan, "shepp-logan"),
    (Filter::Cosine, "cosine"),
    (Filter::Hamming, "hamming"),
    (Filter::Hann, "hann"),
];

/// scikit-image's phantom: side, angles.
const N: usize = 64;

fn angles() -> Vec<f64> {
    (0..60).map(|i| 3.0 * f64::from(i)).collect()
}

/// scikit-image's geometry: pixel n ÷ 2 is the middle of both rows and slices.
fn like_scikit_image(method: Method) -> Reconstruction {
    let middle = (N / 2) as f64;
    Reconstruction {
        rays: Rays { angles: angles(), translations: N, axis: middle },
        grid: Grid { x0: -middle, y0: -middle, ..Grid::square(N) },
        method,
        circle: false,
    }
}

fn slices(wanted: &Reconstruction, sinograms: &[f32]) -> Vec<f32> {
    let bins = sinograms.len() / wanted.rays.len();
    let mut slices = vec![0.0; bins * wanted.grid.pixels()];
    let mut maker = HostReconstructor::new(wanted).expect("a sound reconstruction");
    maker.reconstruct(sinograms, &mut slices).expect("reconstructs");
    slices
}

fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the oracle wrote it");
    bytes.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn largest(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|v| f64::from(v.abs())).fold(0.0, f64::max)
}

fn error(found: &[f32], truth: &[f32]) -> f64 {
    let sum: f64 = side_by_side(found, truth).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (sum / found.len() as f64).sqrt()
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let pairs = side_by_side(a, b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    xrdct::tomo::centre::correlation(pairs)
}

/// Whether some rotation sees a pixel exactly at a row's end, where rounding decides if it sees anything.
fn at_an_end(pixel: usize) -> bool {
    let middle = (N / 2) as f64;
    let (y, x) = ((pixel / N) as f64 - middle, (pixel % N) as f64 - middle);
    angles().iter().any(|angle| {
        let (sin, cos) = angle.to_radians().sin_cos();
        let u = middle + x * cos - y * sin;
        u.abs() < 1e-4 || (u - (N as f64 - 1.0)).abs() < 1e-4
    })
}

/// A scan whose maps are known, and its sinograms, one phase after another.
fn phantom(
    rotations: usize,
    translations: usize,
    axis_offset: f64,
) -> (Trajectory, Rays, Vec<Vec<f32>>, Vec<f32>) {
    let scan = Trajectory { rotations, translations, range: 180.0, field: 1.2, diameter: 0.9, axis_offset };
    let truths = truth(&scan, 3);
    assert_eq!(truths.len(), 4, "three phases and glass");
    let middle = (translations as f64 - 1.0) / 2.0;
    let rays = Rays { angles: scan.angles(), translations, axis: middle + axis_offset };
    let sinograms = truths.iter().flat_map(|t| t.sinogram.clone()).collect();
    (scan, rays, truths.into_iter().map(|t| t.map).collect(), sinograms)
}

fn wanted(rays: &Rays, method: Method) -> Reconstruction {
    Reconstruction { rays: rays.clone(), grid: Grid::square(rays.translations), method, circle: true }
}

#[test]
fn every_phase_of_the_phantom_comes_back_right_side_up() {
    for offset in [0.0, 1.7, -2.0] {
        let (scan, rays, maps, sinograms) = phantom(60, 41, offset);
        let found = slices(&wanted(&rays, Method::Fbp { filter: Filter::Ramp }), &sinograms);
        for (phase, (slice, map)) in found.chunks(41 * 41).zip(&maps).take(3).enumerate() {
            let close = correlation(slice, map);
            assert!(close > 0.97, "offset {offset}, phase {phase}: {close}");
            // Lengths in mm per step of so many mm: the volume's part itself.
            let (sum, area): (f64, f64) = slice
                .iter()
                .zip(map)
                .fold((0.0, 0.0), |(a, b), (s, m)| (a + f64::from(*s) / scan.step(), b + f64::from(*m)));
            assert!((sum / area - 1.0).abs() < 0.05, "phase {phase}: {sum} for {area}");
        }
    }
}

#[test]
fn iterations_beat_back_projection_on_few_noisy_projections() {
    let (_, rays, maps, sinograms) = phantom(60, 64, 0.0);
    let each = rays.len();
    // The same noise on every run: a linear congruential generator.
    let mut state = 7_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    };
    let top = sinograms[..each].iter().copied().fold(0.0, f32::max);
    let noisy: Vec<f32> = sinograms[..each]
        .iter()
        .map(|v| {
            (v + 0.25 * top * ((0..12).map(|_| uniform()).sum::<f32>() - 6.0) * (v / top).sqrt()).max(0.0)
        })
        .collect();
    let step = 1.2 / 64.0;
    let map: Vec<f32> = maps[0].iter().map(|v| v * step).collect();
    let off = |method| error(&slices(&wanted(&rays, method), &noisy), &map);
    let fbp = off(Method::Fbp { filter: Filter::Ramp });
    let sirt = off(Method::Sirt { iterations: 60, non_negative: true });
    let mlem = off(Method::Mlem { iterations: 20 });
    assert!(sirt < fbp && mlem < fbp, "FBP {fbp}, SIRT {sirt}, MLEM {mlem}");
}

#[test]
fn projection_and_back_projection_are_transposes() {
    let rays = Rays { axis: 8.3, ..Rays::centred((0..17).map(|i| 11.0 * f64::from(i)).collect(), 19) };
    for pixel in [1.0, 0.6, 1.7] {
        let grid = Grid { rows: 13, columns: 15, x0: -7.2, y0: -5.9, pixel };
        let views = project::views(&rays, &grid);
        let some = |count: usize, seed: usize| -> Vec<[f32; GROUP]> {
            (0..count).map(|i| [((i * 37 + seed) % 101) as f32 / 101.0; GROUP]).collect()
        };
        let (image, rows) = (some(grid.pixels(), 3), some(rays.len(), 5));
        let dot = |a: &[[f32; GROUP]], b: &[[f32; GROUP]]| -> f64 {
            side_by_side(a, b).map(|(a, b)| f64::from(a[0]) * f64::from(b[0])).sum()
        };
        let forward = dot(&project::forward(&rays, &grid, &views, &image), &rows);
        let backward =
            dot(&project::backward(&rays, &grid, &views, &rows, &vec![true; grid.pixels()]), &image);
        assert!((forward - backward).abs() < 1e-5 * forward, "pixel {pixel}: {forward} {backward}");
    }
}

#[test]
fn the_fast_back_projection_is_the_plain_one() {
    let rays = Rays { axis: 9.4, ..Rays::centred((0..23).map(|i| 7.7 * f64::from(i)).collect(), 21) };
    let grid = Grid { rows: 18, columns: 37, x0: -12.3, y0: -8.1, pixel: 0.7 };
    let row: Vec<f32> = (0..rays.len()).map(|i| ((i * 29) % 53) as f32 - 20.0).collect();
    let plain = fbp::back_project_reference(&rays, &grid, &row);
    let lanes: Vec<[f32; GROUP]> = row.iter().map(|v| [*v; GROUP]).collect();
    let top = plain.iter().fold(0.0_f64, |a, v| a.max(v.abs()));
    let fast = fbp::back_project(&rays, &grid, &lanes);
    for (pixel, (fast, plain)) in side_by_side(&fast, &plain).enumerate() {
        assert!(
            fast.iter().all(|v| (f64::from(*v) - plain).abs() < 1e-5 * top),
            "pixel {pixel}: {fast:?} {plain}"
        );
    }
}

#[test]
fn any_order_and_range_of_rotations_will_do() {
    let method = Method::Fbp { filter: Filter::SheppLogan };
    let (_, rays, _, sinograms) = phantom(60, 41, 0.0);
    let (n, each) = (rays.translations, rays.len());
    let row = |r: usize| sinograms[r * n..(r + 1) * n].to_vec();
    let plain = slices(&wanted(&rays, method), &sinograms[..each]);
    // Shuffled.
    let order: Vec<usize> = (0..60).map(|i| i * 37 % 60).collect();
    let shuffled = Rays { angles: order.iter().map(|&r| rays.angles[r]).collect(), ..rays.clone() };
    let rows: Vec<f32> = order.iter().flat_map(|&r| row(r)).collect();
    assert!(error(&slices(&wanted(&shuffled, method), &rows), &plain) < 1e-6);
    // Over the whole turn: the second half mirrors the first.
    let whole = Rays { angles: (0..120).map(|i| 3.0 * f64::from(i)).collect(), ..rays.clone() };
    let mirrored = (0..60).flat_map(|r| row(r).into_iter().rev().collect::<Vec<_>>());
    let rows: Vec<f32> = sinograms[..each].iter().copied().chain(mirrored).collect();
    assert!(error(&slices(&wanted(&whole, method), &rows), &plain) < 1e-5);
    // Every fifth rotation missing: weights fill the gap.
    let kept: Vec<usize> = (0..60).filter(|r| r % 5 != 2).collect();
    let some = Rays { angles: kept.iter().map(|&r| rays.angles[r]).collect(), ..rays.clone() };
    let rows: Vec<f32> = kept.iter().flat_map(|&r| row(r)).collect();
    assert!(correlation(&slices(&wanted(&some, method), &rows), &plain) > 0.98);
    let weights = fbp::weights(&[0.0, 45.0, 90.0, 180.0]);
    assert!((weights.iter().sum::<f64>() - std::f64::consts::PI).abs() < 1e-12);
    assert!((weights[0] - weights[3]).abs() < 1e-12, "0 and 180 degrees share a direction: {weights:?}");
}

#[test]
fn threads_and_neighbours_do_not_change_a_bit() {
    let (_, rays, _, sinograms) = phantom(30, 31, 0.0);
    let each = rays.len();
    for method in [
        Method::Fbp { filter: Filter::Hann },
        Method::Sirt { iterations: 3, non_negative: true },
        Method::Mlem { iterations: 3 },
    ] {
        let wanted = wanted(&rays, method);
        let all = slices(&wanted, &sinograms);
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let again = pool.install(|| slices(&wanted, &sinograms));
            assert!(side_by_side(&all, &again).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} threads");
        }
        let alone = slices(&wanted, &sinograms[each..2 * each]);
        let second = &all[31 * 31..2 * 31 * 31];
        assert!(side_by_side(second, &alone).all(|(a, b)| a.to_bits() == b.to_bits()), "{method:?}");
    }
}

#[test]
fn what_makes_no_image_is_refused_with_the_reason() {
    let fbp = Method::Fbp { filter: Filter::Ramp };
    let (_, rays, _, sinograms) = phantom(30, 31, 0.0);
    let good = wanted(&rays, fbp);
    let mut maker = HostReconstructor::new(&good).expect("sound");
    let mut slice = vec![0.0; 31 * 31];
    let said = |e: xrdct::tomo::ReconstructError| e.to_string();
    assert!(said(maker.reconstruct(&sinograms[..929], &mut slice).expect_err("refused")).contains("929"));
    assert!(
        said(maker.reconstruct(&sinograms[..930], &mut slice[..9]).expect_err("refused")).contains("961")
    );
    let mut holed = sinograms[..930].to_vec();
    holed[31 * 4 + 7] = f32::NAN;
    let hole = said(maker.reconstruct(&holed, &mut slice).expect_err("refused"));
    assert!(hole.contains("rotation 4, translation 7"), "{hole}");
    let one = Rays::centred(vec![0.0], 31);
    assert_eq!(
        HostReconstructor::new(&wanted(&one, fbp)).expect_err("refused"),
        TomoError::TooSmall { rotations: 1, translations: 31 }
    );
    let nothing = Reconstruction { grid: Grid::square(0), ..good.clone() };
    assert!(matches!(HostReconstructor::new(&nothing), Err(TomoError::Impossible(_))));
    let never = Reconstruction { method: Method::Mlem { iterations: 0 }, ..good };
    assert!(matches!(HostReconstructor::new(&never), Err(TomoError::Impossible(_))));
}

mod needs_oracle {
    use super::*;

    #[test]
    fn slices_are_those_of_scikit_image_silx_and_astra() {
        let folder = tempdir().expect("a scratch folder");
        ask_oracle("tomo.py", &[folder.path()]);
        let read = |name: &str| floats(&folder.path().join(format!("{name}.f32")));
        let (sinogram, truth) = (read("sinogram"), read("truth"));
        for (filter, name) in FILTERS {
            let ours = slices(&like_scikit_image(Method::Fbp { filter }), &sinogram);
            let theirs = read(name);
            let differences = (0..N * N).filter(|&i| !at_an_end(i)).map(|i| ours[i] - theirs[i]);
            let off = largest(differences) / largest(theirs.iter().copied());
            assert!(off < 1e-5, "{name}: {off:.1e} of the maximum");
            let (ours, theirs) = (error(&ours, &truth), error(&theirs, &truth));
            assert!(ours <= 1.01 * theirs, "{name}: error {ours} against {theirs}");
        }
        let ramp = slices(&like_scikit_image(Method::Fbp { filter: Filter::Ramp }), &sinogram);
        // silx's axis is where it is told to be, and the slice's middle with it. Beyond a row's end it goes on with the last value,
        // so that only what every rotation sees is the same.
        let theirs = read("silx");
        let seen = |i: &usize| {
            let (y, x) = ((i / N) as f64 - (N / 2) as f64, (i % N) as f64 - (N / 2) as f64);
            x.hypot(y) < N as f64 / 2.0 - 1.0
        };
        let differences = (0..N * N).filter(seen).map(|i| ramp[i] - theirs[i]);
        let off = largest(differences) / largest(theirs.iter().copied());
        assert!(off < 1e-5, "silx: {off:.1e} of the maximum");
        let mirrored: Vec<f32> =
            ramp.chunks(N).flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>()).collect();
        assert!(
            correlation(&ramp, &truth) > 0.9
                && correlation(&ramp, &truth) > correlation(&mirrored, &truth) + 0.02
        );
        // ASTRA's middle lies between pixels; its y runs up while its rows run down: the same array.
        let centred = Reconstruction {
            rays: Rays::centred(angles(), N),
            grid: Grid::square(N),
            ..like_scikit_image(Method::Fbp { filter: Filter::Ramp })
        };
        let close = correlation(&slices(&centred, &sinogram), &read("astra"));
        assert!(close > 0.99, "ASTRA: {close}");
    }
}
