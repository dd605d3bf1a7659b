//! What a bin makes of its pixels: the engine gives what `integrate/law.rs` says, to the last bit, for every statistic and error model, whatever
//! the frames, the neighbours and the instructions; and the law says what outliers, medians and errors are.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xrdct::codec::Pixel;
use xrdct::frame::{Frame, FrameHeader, FrameId, FrameStatus, Outcome, Pattern, PixelType};
use xrdct::geometry::detector::Dummy;
use xrdct::integrate::csr::Csr;
use xrdct::integrate::engine::{Engine, GROUP, Recipe, RecipeError, Saturation, Scratch};
use xrdct::integrate::reduction::{ErrorModel, ExactShares, Reduction, Statistic, chauvenet};
use xrdct::integrate::{law, pattern};

use crate::engine::{SHAPE, assert_same, bits, floats, image, in_blocks, packed, raw, recipe, tunings};

/// Every statistic with every error model that it has.
fn reductions(rng: &mut StdRng) -> Vec<Reduction> {
    let image: Arc<[f32]> = (0..SHAPE.pixels()).map(|_| rng.random_range(0.0..9.0)).collect();
    let errors = [
        ErrorModel::None,
        ErrorModel::Poisson,
        ErrorModel::Azimuthal,
        ErrorModel::Hybrid,
        ErrorModel::Variance(image),
    ];
    let statistics = [
        Statistic::Mean,
        Statistic::Clip { cutoff: 0.0, cycles: 5 },
        Statistic::Clip { cutoff: 2.5, cycles: 2 },
        Statistic::Clip { cutoff: 1.5, cycles: 0 },
        Statistic::Clip { cutoff: 1.0, cycles: 100 },
        Statistic::Quantile { from: 0.5, to: 0.5 },
        Statistic::Quantile { from: 0.1, to: 0.8 },
        Statistic::Quantile { from: 0.0, to: 1.0 },
        Statistic::Quantile { from: 1.0, to: 1.0 },
        Statistic::Quantile { from: 0.0, to: 0.0 },
    ];
    let pair =
        |statistic: &Statistic| errors.clone().map(|errors| Reduction { statistic: *statistic, errors });
    statistics.iter().flat_map(pair).collect()
}

/// The pattern that the law gives.
fn lawful<T: Pixel>(recipe: &Recipe, raw: &[T]) -> Outcome {
    let counts: Vec<f32> = raw.iter().map(|pixel| pixel.to_f32()).collect();
    let cutoff = recipe.saturation.cutoff;
    let is_used = |pixel: usize| {
        let entries = recipe.csr.indices.iter().zip(&recipe.csr.weights);
        entries.clone().any(|(at, weight)| *at as usize == pixel && *weight != 0.0) && recipe.is_valid(pixel)
    };
    let is_dummy = |count: f32| match recipe.dummy {
        None => false,
        Some(Dummy { value, delta: 0.0 }) => count == value as f32,
        Some(Dummy { value, delta }) => (count - value as f32).abs() <= delta as f32,
    };
    let high = |(pixel, count): (usize, &f32)| {
        *count >= cutoff && count.is_finite() && !is_dummy(*count) && is_used(pixel)
    };
    let saturated = counts.iter().enumerate().filter(|at| high(*at)).count() as u32;
    let of = pattern::FrameFacts {
        id: FrameId(0),
        origin: &std::path::Path::new("frame").into(),
        header: FrameHeader::default(),
        factor: 1.0,
        saturated,
    };
    pattern::pattern(of, law::sums(recipe, &counts, cutoff), recipe.empty)
}

/// All frames in every batch size with all instructions, against the law.
fn check<T: Pixel>(recipe: &Recipe, images: &[Vec<T>]) {
    let expected: Vec<Outcome> = images.iter().map(|image| lawful(recipe, image)).collect();
    let mut scratch = Scratch::default();
    for tuning in tunings().filter(|tuning| tuning.tile_pixels > 4) {
        if recipe.reduction.statistic.chooses() && tuning.tile_pixels != 1024 {
            continue;
        }
        let engine = Engine::with_tuning(recipe.clone(), tuning).expect("a recipe that fits");
        for batch in [1, 3, GROUP, GROUP + 1] {
            for (group, expected) in images.chunks(batch).zip(expected.chunks(batch)) {
                let pack = |(id, image): (usize, &Vec<T>)| match (id + batch) % 4 {
                    0 => raw(id, image),
                    1 => in_blocks(id, image),
                    _ => packed(id, image),
                };
                let frames: Vec<Frame> = group.iter().enumerate().map(pack).collect();
                let outcomes = engine.integrate(&frames, &mut scratch);
                assert_eq!(outcomes.len(), frames.len());
                for (id, (outcome, expected)) in outcomes.iter().zip(expected).enumerate() {
                    let what = format!("{:?} {:?} {tuning:?} batch {batch} {id}", T::TYPE, recipe.reduction);
                    match expected {
                        Ok(expected) => assert_same(outcome, expected, &what[..what.len().min(300)]),
                        Err(bad) => assert_eq!(outcome.as_ref().err().map(|b| b.status), Some(bad.status)),
                    }
                }
            }
        }
    }
}

fn all_corrections_of<T: Pixel>(seed: u64, image: fn(&mut StdRng) -> Vec<T>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let plain = recipe(T::TYPE, &mut rng);
    let images: Vec<Vec<T>> = (0..9).map(|_| image(&mut rng)).collect();
    let dark: Vec<f32> = (0..SHAPE.pixels()).map(|_| rng.random_range(0.0..3.0)).collect();
    for reduction in reductions(&mut rng) {
        let plain = Recipe { reduction, ..plain.clone() };
        check(&plain, &images);
        let dummy = Some(Dummy { value: -2.0, delta: 1.5 });
        let saturation = Saturation { cutoff: 90.0, by_header: false, masked: true };
        check(&Recipe { dummy, saturation, dark: Some(dark.clone()), ..plain }, &images);
    }
}

#[test]
fn every_statistic_is_its_law_for_signed_counts() {
    all_corrections_of::<i32>(1, image);
}

#[test]
fn every_statistic_is_its_law_for_small_counts() {
    all_corrections_of::<u16>(2, |rng| (0..SHAPE.pixels()).map(|_| rng.random_range(0..7)).collect());
}

#[test]
fn every_statistic_is_its_law_for_floats() {
    all_corrections_of::<f32>(3, |rng| floats(rng).into_iter().map(|value| value as f32).collect());
}

#[test]
fn frames_without_a_valid_pixel_and_damaged_ones_leave_their_neighbours_alone() {
    let mut rng = StdRng::seed_from_u64(4);
    let good: Vec<i32> = image(&mut rng);
    let dummies = vec![-2; SHAPE.pixels()];
    for reduction in reductions(&mut rng) {
        let dummy = Some(Dummy { value: -2.0, delta: 1.5 });
        let recipe = Recipe { dummy, reduction, ..recipe(PixelType::I32, &mut rng) };
        let expected = lawful(&recipe, &good).unwrap();
        let engine = Engine::new(recipe).unwrap();
        let mut scratch = Scratch::default();
        for at in 0..4 {
            let mut frames: Vec<Frame> = (0..4).map(|id| packed(id, &dummies)).collect();
            frames[at] = packed(at, &good);
            let next = (at + 1) % 4;
            frames[next].payload.end -= 3;
            for (id, outcome) in engine.integrate(&frames, &mut scratch).iter().enumerate() {
                let status = outcome.as_ref().map_or_else(|bad| bad.status, |_| FrameStatus::Good);
                match id {
                    id if id == at => assert_same(outcome, &expected, "between others"),
                    id if id == next => assert_eq!(status, FrameStatus::Truncated),
                    _ => assert_eq!(status, FrameStatus::NoPixels),
                }
            }
        }
    }
}

/// One bin of `counts`, all of them alike but for what they counted.
fn one_bin(counts: &[f32], reduction: Reduction) -> Pattern {
    let mut rng = StdRng::seed_from_u64(5);
    let weights = vec![1.0; counts.len()];
    let indices = (0..counts.len() as u32).collect();
    let csr = Csr { pixels: SHAPE.pixels(), indptr: vec![0, counts.len() as u32], indices, weights };
    let normalization = vec![1.0; SHAPE.pixels()];
    let recipe = Recipe { csr, normalization, reduction, ..recipe(PixelType::F32, &mut rng) };
    let mut image = vec![0.0_f32; SHAPE.pixels()];
    image[..counts.len()].copy_from_slice(counts);
    let engine = Engine::new(recipe.clone()).unwrap();
    let outcome = engine.integrate(&[raw(0, &image)], &mut Scratch::default()).pop().unwrap();
    assert_same(&outcome, &lawful(&recipe, &image).unwrap(), "one bin");
    outcome.unwrap()
}

#[test]
fn outliers_are_thrown_out_and_nothing_else() {
    let mut counts: Vec<f32> = (0..99).map(|at| 10.0 + (at % 3) as f32).collect();
    counts[40] = 1e6;
    counts[41] = 900.0;
    let reduction = |cycles, errors: &ErrorModel| Reduction {
        statistic: Statistic::Clip { cutoff: 5.0, cycles },
        errors: errors.clone(),
    };
    for errors in [ErrorModel::Azimuthal, ErrorModel::Hybrid] {
        let clip = |cycles| one_bin(&counts, reduction(cycles, &errors));
        let found = clip(5);
        assert_eq!(found.norms.count, [97.0], "{errors:?}: both are gone");
        assert!((found.intensity[0] - 11.0).abs() < 0.03, "{errors:?}: {}", found.intensity[0]);
        assert_eq!(clip(0).norms.count, [99.0], "{errors:?}: nothing is without a cycle");
        // The larger one makes the deviation that hides the smaller one.
        assert_eq!(clip(1).norms.count, [98.0], "{errors:?}");
        let std = found.std.as_ref().unwrap()[0];
        let expected = if errors == ErrorModel::Azimuthal { 0.816 } else { 11.0_f32.sqrt() };
        assert!((std - expected).abs() < 0.01, "{errors:?}: {std}");
    }
    // Counts alone say how far a pixel may be off: the same in the first cycle.
    counts[40..42].fill(50.0);
    assert_eq!(one_bin(&counts, reduction(1, &ErrorModel::Poisson)).norms.count, [97.0]);
    assert!(chauvenet(0.0, 1e4) > 4.0 && chauvenet(5.0, 1e4) == 5.0 && chauvenet(0.0, 1.0) < 0.6);
}

#[test]
fn a_median_is_the_middle_and_a_range_what_is_between() {
    let quantile =
        |from, to| Reduction { statistic: Statistic::Quantile { from, to }, errors: ErrorModel::Poisson };
    let odd: Vec<f32> = (0..1001).map(|at| ((at * 317) % 1001) as f32).collect();
    let found = one_bin(&odd, quantile(0.5, 0.5));
    assert_eq!((found.intensity[0], found.norms.count[0]), (500.0, 1.0));
    assert_eq!(found.std.as_ref().unwrap()[0], 500.0_f32.sqrt());
    // Of an even number the two that meet in the middle.
    let even: Vec<f32> = (0..1000).map(|at| ((at * 317) % 1000) as f32).collect();
    let found = one_bin(&even, quantile(0.5, 0.5));
    assert_eq!((found.intensity[0], found.norms.count[0]), (499.5, 2.0));
    let found = one_bin(&even, quantile(0.25, 0.75));
    assert_eq!((found.intensity[0], found.norms.count[0]), (499.5, 500.0));
    let found = one_bin(&even, quantile(0.0, 1.0));
    assert_eq!((found.intensity[0], found.norms.count[0]), (499.5, 1000.0));
    let same = [7.0; 300];
    assert_eq!(one_bin(&same, quantile(0.5, 0.5)).intensity, [7.0]);
}

#[test]
fn azimuthal_errors_are_the_spread_of_the_pixels() {
    let counts: Vec<f32> = (0..1000).map(|at| ((at * 317) % 1000) as f32).collect();
    let found = one_bin(&counts, Reduction::mean(ErrorModel::Azimuthal));
    let spread = ((1000.0_f64 * 1000.0 - 1.0) / 12.0).sqrt();
    assert!((f64::from(found.std.as_ref().unwrap()[0]) - spread).abs() < 1e-4);
    assert!((f64::from(found.sem.as_ref().unwrap()[0]) - spread / 1000_f64.sqrt()).abs() < 1e-5);
    // Counts that are all the same have none, whatever rounding says.
    let found = one_bin(&[0.1; 777], Reduction::mean(ErrorModel::Azimuthal));
    assert!(found.std.as_ref().unwrap()[0] < 1e-7);
}

#[test]
fn hybrid_and_poisson_means_are_one_and_a_given_variance_is_the_users() {
    let mut rng = StdRng::seed_from_u64(6);
    let pixels: Vec<i32> = (0..SHAPE.pixels()).map(|_| rng.random_range(1..90)).collect();
    let plain = recipe(PixelType::I32, &mut rng);
    let given: Arc<[f32]> = pixels.iter().map(|count| *count as f32).collect();
    let find = |errors| {
        let recipe = Recipe { reduction: Reduction::mean(errors), ..plain.clone() };
        Engine::new(recipe)
            .unwrap()
            .integrate(&[packed(0, &pixels)], &mut Scratch::default())
            .remove(0)
            .unwrap()
    };
    let poisson = bits(&find(ErrorModel::Poisson));
    assert_eq!(bits(&find(ErrorModel::Hybrid)), poisson);
    assert_eq!(bits(&find(ErrorModel::Variance(given.clone()))), poisson);
    // A pixel whose variance is not known counts for nothing, in the norms too.
    let mut holes = given.to_vec();
    holes[3000..3200].fill(f32::NAN);
    let holes = find(ErrorModel::Variance(holes.into()));
    let without: Vec<f32> = plain
        .normalization
        .iter()
        .enumerate()
        .map(|(at, n)| if (3000..3200).contains(&at) { 0.0 } else { *n })
        .collect();
    let recipe = Recipe {
        normalization: without,
        reduction: Reduction::mean(ErrorModel::Variance(given)),
        ..plain.clone()
    };
    let engine = Engine::new(recipe).unwrap();
    let expected = engine.integrate(&[packed(0, &pixels)], &mut Scratch::default()).remove(0).unwrap();
    assert_eq!(bits(&holes), bits(&expected));
    let short = Reduction::mean(ErrorModel::Variance([1.0].into()));
    let refused = Engine::new(Recipe { reduction: short, ..plain }).err();
    assert_eq!(refused, Some(RecipeError::Length { what: "the variance", found: 1, shape: SHAPE }));
}

#[test]
fn shares_are_added_without_rounding() {
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..50 {
        let count = rng.random_range(1..5000);
        let mut shares: Vec<f32> =
            (0..count).map(|_| rng.random::<f32>() * 2.0_f32.powi(rng.random_range(-30..3))).collect();
        let exact = ExactShares::of(shares.iter().copied());
        let round = |share: f32| exact.sum(exact.units(share));
        let sum = |shares: &[f32]| shares.iter().fold(0.0, |sum, share| sum + round(*share));
        let forwards = sum(&shares);
        shares.reverse();
        assert_eq!(sum(&shares).to_bits(), forwards.to_bits());
        assert_eq!(exact.sum(shares.iter().map(|share| exact.units(*share)).sum()), forwards);
        let largest = shares.iter().copied().fold(0.0, f32::max);
        assert_eq!(round(largest), f64::from(largest), "the largest is itself");
        assert!(
            shares.iter().all(|share| (round(*share) - f64::from(*share)).abs() < f64::from(largest) * 1e-9)
        );
    }
    assert_eq!(ExactShares::of([0.0_f32; 0].into_iter()).units(f32::NAN), 0);
}
