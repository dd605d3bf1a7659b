//! The engine gives what pyFAI's formulas say, to the last bit, whatever the frames, the neighbours and the instructions.
//!
//! The truth here is [`naive`]: one frame, one bin, one pixel at a time in `f64`, straight from the formulas. Since the
//! engine sums in the same order, equality is exact.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xrdct::codec::byte_offset::{Simd, encode};
use xrdct::codec::{Pixel, blocks, pixel::bytes_of};
use xrdct::frame::{
    ChunkFilter, Codec, Encoding, Frame, FrameHeader, FrameId, FrameStatus, Outcome, Pattern, PixelType,
    Shape, SlotPool,
};
use xrdct::geometry::detector::Dummy;
use xrdct::integrate::csr::Csr;
use xrdct::integrate::engine::{Engine, GROUP, Recipe, RecipeError, Saturation, Scratch, Tuning};
use xrdct::integrate::reduction::{ErrorModel, Reduction};
use xrdct::reduce::{Reducer, host::HostReducer};

use crate::support::side_by_side;

pub const SHAPE: Shape = Shape { slow: 61, fast: 97 };
const NPT: usize = 37;

/// Rings around a point inside the image, each pixel in one to three bins, one pixel in six in none.
fn rings(rng: &mut StdRng) -> Csr {
    let mut rows = vec![Vec::new(); NPT];
    for pixel in 0..SHAPE.pixels() {
        if rng.random_range(0..6) == 0 {
            continue;
        }
        let (y, x) = ((pixel / SHAPE.fast) as f64 - 20.2, (pixel % SHAPE.fast) as f64 - 45.7);
        let bin = (y.hypot(x) / 2.0) as usize;
        match rng.random_range(0..3) {
            0 => push(&mut rows, bin, pixel, 1.0),
            1 => {
                let weight: f32 = rng.random();
                push(&mut rows, bin, pixel, weight);
                push(&mut rows, bin + 1, pixel, 1.0 - weight);
            }
            _ => (0..3).for_each(|next| push(&mut rows, bin + next, pixel, rng.random())),
        }
    }
    let mut csr = Csr { pixels: SHAPE.pixels(), indptr: vec![0], indices: vec![], weights: vec![] };
    for row in rows {
        csr.indices.extend(row.iter().map(|(pixel, _)| *pixel as u32));
        csr.weights.extend(row.iter().map(|(_, weight)| weight));
        csr.indptr.push(csr.indices.len() as u32);
    }
    csr
}

/// Bin 5 stays empty.
fn push(rows: &mut [Vec<(usize, f32)>], bin: usize, pixel: usize, weight: f32) {
    if bin != 5 && bin < rows.len() {
        rows[bin].push((pixel, weight));
    }
}

pub fn recipe(pixel: PixelType, rng: &mut StdRng) -> Recipe {
    Recipe {
        csr: rings(rng),
        normalization: (0..SHAPE.pixels()).map(|_| rng.random_range(0.5..1.5)).collect(),
        dark: None,
        dummy: None,
        saturation: Saturation::default(),
        reduction: Reduction::default(),
        empty: 0.0,
        shape: SHAPE,
        pixel,
    }
}

/// pyFAI's formulas for one frame, one entry after the other.
fn naive<T: Pixel>(recipe: &Recipe, raw: &[T]) -> Pattern {
    let dummy = recipe.dummy.map(|dummy| (dummy.value as f32, dummy.delta as f32));
    let is_dummy = |raw: f32| match dummy {
        None => false,
        Some((value, 0.0)) => raw == value,
        Some((value, delta)) => (raw - value).abs() <= delta,
    };
    let has_variance = recipe.reduction.errors.has_variance();
    let mut pattern = Pattern {
        id: FrameId(0),
        header: FrameHeader::default(),
        intensity: vec![],
        sem: has_variance.then(Vec::new),
        std: has_variance.then(Vec::new),
        count: None,
        signal: vec![],
        variance: has_variance.then(Vec::new),
        norms: Arc::default(),
        saturated: 0,
    };
    let mut norms = xrdct::frame::Norms::default();
    let mut saturated = BTreeSet::new();
    for row in recipe.csr.indptr.windows(2) {
        let [mut s, mut v, mut n, mut n2, mut count] = [0.0_f64; 5];
        for entry in row[0] as usize..row[1] as usize {
            let pixel = recipe.csr.indices[entry] as usize;
            let weight = f64::from(recipe.csr.weights[entry]);
            let raw = raw[pixel].to_f32();
            let signal = recipe.dark.as_ref().map_or(raw, |dark| raw - dark[pixel]);
            let norm = recipe.normalization[pixel];
            if is_dummy(raw) || !signal.is_finite() || !norm.is_finite() || norm == 0.0 {
                continue;
            }
            if raw >= recipe.saturation.cutoff {
                if weight != 0.0 {
                    saturated.insert(pixel);
                }
                if recipe.saturation.masked {
                    continue;
                }
            }
            let w = weight * f64::from(norm);
            s += weight * f64::from(signal);
            v += weight * weight * f64::from(raw.max(1.0));
            n += w;
            n2 += w * w;
            count += weight;
        }
        let is_empty = n2 == 0.0;
        pattern.intensity.push(if is_empty { recipe.empty } else { (s / n) as f32 });
        pattern.signal.push(s);
        pattern.variance.iter_mut().for_each(|variance| variance.push(v));
        let error = if is_empty { recipe.empty } else { (v.sqrt() / n) as f32 };
        pattern.sem.iter_mut().for_each(|sem| sem.push(error));
        let deviation = if is_empty { recipe.empty } else { (v / n2).sqrt() as f32 };
        pattern.std.iter_mut().for_each(|std| std.push(deviation));
        norms.normalization.push(n);
        norms.normalization_squared.push(n2);
        norms.count.push(count);
    }
    pattern.norms = Arc::new(norms);
    pattern.saturated = saturated.len() as u32;
    pattern
}

pub fn frame(id: usize, codec: Codec, pixel: PixelType, bytes: &[u8]) -> Frame {
    let mut slot = SlotPool::on_host(1, bytes.len() + 8).take();
    // Somewhere inside the slot: a file has a header before its pixels.
    let payload = 5..5 + bytes.len();
    slot.memory_mut().bytes_mut()[payload.clone()].copy_from_slice(bytes);
    let encoding = Encoding { codec, pixel, shape: SHAPE };
    let origin = Path::new("frame").into();
    Frame {
        id: FrameId(id),
        origin,
        encoding,
        slot: Arc::new(slot),
        payload,
        header: FrameHeader::default(),
        factor: 1.0,
    }
}

pub fn packed<T: Pixel>(id: usize, pixels: &[T]) -> Frame {
    frame(id, Codec::ByteOffset, T::TYPE, &encode(pixels))
}

pub fn raw<T: Pixel>(id: usize, pixels: &[T]) -> Frame {
    frame(id, Codec::Raw, T::TYPE, bytes_of(pixels))
}

/// Packed with one of HDF5's filters, in blocks that runs do not keep to.
pub fn in_blocks<T: Pixel>(id: usize, pixels: &[T]) -> Frame {
    let filters = [
        ChunkFilter::BitshuffleLz4,
        ChunkFilter::Lz4,
        ChunkFilter::Bitshuffle { block: 72 },
        ChunkFilter::BitshuffleZstd,
    ];
    let filter = filters[id % filters.len()];
    let bytes = blocks::encode(filter, size_of::<T>(), bytes_of(pixels), Some(136));
    frame(id, Codec::Filtered(filter), T::TYPE, &bytes)
}

/// Small counts, a few large ones of either sign, as far as the type goes.
pub fn image<T: Pixel>(rng: &mut StdRng) -> Vec<T> {
    let any = |rng: &mut StdRng| match rng.random_range(0..20) {
        0 => rng.random::<i64>(),
        1 => rng.random_range(-3..0),
        _ => rng.random_range(0..100),
    };
    (0..SHAPE.pixels()).map(|_| T::from_i64(any(rng))).collect()
}

/// Every number of a pattern as bits, so that NaN equals NaN and 0 is not −0.
pub fn bits(pattern: &Pattern) -> Vec<u64> {
    let norms = &pattern.norms;
    let single = [Some(&pattern.intensity), pattern.sem.as_ref(), pattern.std.as_ref()];
    let double = [
        Some(&pattern.signal),
        pattern.variance.as_ref(),
        Some(&norms.normalization),
        Some(&norms.normalization_squared),
        Some(&norms.count),
    ];
    let single = single.into_iter().flatten().flatten().map(|value| u64::from(value.to_bits()));
    single.chain(double.into_iter().flatten().flatten().map(|value| value.to_bits())).collect()
}

#[track_caller]
pub fn assert_same(outcome: &Outcome, expected: &Pattern, what: &str) {
    if expected.norms.normalization_squared.iter().all(|n2| *n2 == 0.0) {
        let status = outcome.as_ref().map_err(|bad| bad.status);
        assert_eq!(status, Err(FrameStatus::NoPixels), "{what}: there is nothing in it");
        return;
    }
    let pattern = outcome.as_ref().unwrap_or_else(|bad| panic!("{what}: {bad:?}"));
    assert_eq!(pattern.sem.is_some(), expected.sem.is_some(), "{what}");
    for (bin, (got, want)) in side_by_side(&pattern.signal, &expected.signal).enumerate() {
        assert_eq!(got.to_bits(), want.to_bits(), "{what}: signal of bin {bin}: {got}, not {want}");
    }
    assert!(bits(pattern) == bits(expected), "{what}: {pattern:?}, not {expected:?}");
    assert_eq!(pattern.saturated, expected.saturated, "{what}: saturated pixels");
}

/// Every way to run the engine: instructions × tile sizes (odd, common, the whole image), and bin by bin.
pub fn tunings() -> impl Iterator<Item = Tuning> {
    let simd = Simd::ALL.into_iter().filter(|simd| simd.is_available());
    let forms = [(4, usize::MAX), (100, usize::MAX), (1024, usize::MAX), (65536, usize::MAX), (4096, 0)];
    simd.flat_map(move |simd| forms.map(|(tile_pixels, many_bins)| Tuning { simd, tile_pixels, many_bins }))
}

/// All frames of one kind of pixel, packed and raw, in every batch size, against the formulas.
fn check<T: Pixel>(recipe: &Recipe, images: &[Vec<T>]) {
    let expected: Vec<Pattern> = images.iter().map(|image| naive(recipe, image)).collect();
    let mut scratch = Scratch::default();
    for tuning in tunings() {
        let engine = Engine::with_tuning(recipe.clone(), tuning).expect("a recipe that fits");
        for batch in [1, 3, GROUP, GROUP + 1, 32] {
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
                    assert_eq!(outcome.as_ref().map_or_else(|bad| bad.id, |pattern| pattern.id), FrameId(id));
                    assert_same(outcome, expected, &format!("{:?} {tuning:?} batch {batch} {id}", T::TYPE));
                }
            }
        }
    }
}

fn all_corrections<T: Pixel>(seed: u64) {
    all_corrections_of::<T>(seed, image);
}

fn all_corrections_of<T: Pixel>(seed: u64, image: fn(&mut StdRng) -> Vec<T>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut recipe = recipe(T::TYPE, &mut rng);
    let images: Vec<Vec<T>> = (0..11).map(|_| image(&mut rng)).collect();
    check(&recipe, &images);
    recipe.empty = -7.5;
    recipe.dummy = Some(Dummy { value: -2.0, delta: 1.5 });
    recipe.reduction = Reduction::mean(ErrorModel::Poisson);
    check(&recipe, &images);
    recipe.dark = Some((0..SHAPE.pixels()).map(|_| rng.random_range(0.0..3.0)).collect());
    recipe.dummy = Some(Dummy { value: 17.0, delta: 0.0 });
    check(&recipe, &images);
    // Half of the counts, and rare ones: each with its own loops.
    for (cutoff, masked) in [(50.0, true), (101.0, false), (101.0, true)] {
        recipe.saturation = Saturation { cutoff, by_header: true, masked };
        check(&recipe, &images);
    }
    (recipe.dummy, recipe.dark, recipe.reduction) = (None, None, Reduction::default());
    check(&recipe, &images);
    recipe.dummy = Some(Dummy { value: 99.0, delta: 1.5 });
    check(&recipe, &images);
}

#[test]
fn formulas_hold_for_every_pixel_type() {
    all_corrections::<i8>(1);
    all_corrections::<u8>(2);
    all_corrections::<i16>(3);
    all_corrections::<u16>(4);
    all_corrections::<i32>(5);
    all_corrections::<u32>(6);
    all_corrections::<i64>(7);
    all_corrections::<u64>(8);
    all_corrections_of::<f32>(9, |rng| floats(rng).into_iter().map(|value| value as f32).collect());
    all_corrections_of::<f64>(10, floats);
}

/// Small counts and fractions, dummies, and what is not finite, in `f64` or as `f32`: those contribute nothing.
pub fn floats(rng: &mut StdRng) -> Vec<f64> {
    let any = |rng: &mut StdRng| match rng.random_range(0..40) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => 1e200,
        4 => -2.0,
        5 => -0.0,
        6 => 17.0,
        other if other % 2 == 0 => rng.random_range(-1.0..150.0),
        _ => f64::from(rng.random_range(0..120)),
    };
    (0..SHAPE.pixels()).map(|_| any(rng)).collect()
}

#[test]
fn each_frame_has_the_cutoff_of_its_own_header() {
    let mut rng = StdRng::seed_from_u64(21);
    let mut recipe = recipe(PixelType::I32, &mut rng);
    let images: Vec<Vec<i32>> =
        (0..9).map(|_| (0..SHAPE.pixels()).map(|p| p as i32 % 120).collect()).collect();
    let own = |id: usize| [None, Some(100.0), Some(119.0)][id % 3];
    let integrate = |recipe: &Recipe| -> Vec<Pattern> {
        let engine = Engine::new(recipe.clone()).unwrap();
        let frames = images.iter().enumerate().map(|(id, image)| {
            let header = FrameHeader { count_cutoff: own(id), ..FrameHeader::default() };
            Frame { header, ..packed(id, image) }
        });
        let outcomes = engine.integrate(&frames.collect::<Vec<_>>(), &mut Scratch::default());
        outcomes.into_iter().map(|outcome| outcome.unwrap()).collect()
    };
    for (by_header, masked) in [(true, false), (true, true), (false, true)] {
        recipe.saturation = Saturation { cutoff: 110.0, by_header, masked };
        for (id, pattern) in integrate(&recipe).iter().enumerate() {
            let cutoff = own(id).filter(|_| by_header).map_or(110.0, |own| own as f32);
            let same = Recipe { saturation: Saturation { cutoff, by_header, masked }, ..recipe.clone() };
            assert_same(&Ok(pattern.clone()), &naive(&same, &images[id]), &format!("frame {id}"));
            assert!(pattern.saturated > 0);
        }
    }
}

#[test]
fn pixels_without_a_use_do_not_count() {
    let mut rng = StdRng::seed_from_u64(9);
    let mut recipe = recipe(PixelType::I32, &mut rng);
    let mut dark = vec![0.5; SHAPE.pixels()];
    for pixel in (0..SHAPE.pixels()).step_by(7) {
        let bad = [0.0, f32::NAN, f32::INFINITY, -0.0];
        recipe.normalization[pixel] = bad[pixel % 4];
        dark[(pixel + 3) % SHAPE.pixels()] = [f32::NAN, f32::NEG_INFINITY][pixel % 2];
    }
    recipe.normalization[101] = -1.0;
    recipe.dark = Some(dark);
    recipe.reduction = Reduction::mean(ErrorModel::Poisson);
    recipe.dummy = Some(Dummy { value: -1.0, delta: 0.0 });
    let images: Vec<Vec<i32>> = (0..9).map(|_| image(&mut rng)).collect();
    check(&recipe, &images);
}

#[test]
fn dummies_nowhere_everywhere_and_in_gaps() {
    let mut rng = StdRng::seed_from_u64(10);
    let mut recipe = recipe(PixelType::I32, &mut rng);
    recipe.reduction = Reduction::mean(ErrorModel::Poisson);
    recipe.dark = Some(vec![0.25; SHAPE.pixels()]);
    recipe.empty = f32::NAN;
    recipe.dummy = Some(Dummy { value: -2.0, delta: 1.5 });
    let fine: Vec<i32> = image::<i32>(&mut rng).iter().map(|count| count.wrapping_abs() & 0xffff).collect();
    let nothing = vec![-2; SHAPE.pixels()];
    let mut gaps = fine.clone();
    gaps[3000..3300].fill(-1);
    gaps.iter_mut().skip(40).step_by(SHAPE.fast).for_each(|count| *count = -1);
    let mut ring = fine.clone();
    let first_bins = &recipe.csr.indices[..recipe.csr.indptr[4] as usize];
    first_bins.iter().for_each(|pixel| ring[*pixel as usize] = -3);
    let images =
        [fine.clone(), nothing.clone(), gaps.clone(), gaps.clone(), ring.clone(), fine, gaps, nothing, ring];
    check(&recipe, &images);

    let engine = Engine::new(recipe).unwrap();
    let frames: Vec<Frame> = images.iter().enumerate().map(|(id, image)| packed(id, image)).collect();
    let patterns = engine.integrate(&frames, &mut Scratch::default());
    let [fine, gaps, again, ring] = [0, 2, 3, 4].map(|at| patterns[at].as_ref().unwrap());
    assert!(Arc::ptr_eq(&fine.norms, &engine.static_norms()), "frames without dummies share one set");
    assert!(Arc::ptr_eq(&gaps.norms, &again.norms), "frames with the same dummies share one set");
    assert!(ring.intensity[..4].iter().all(|intensity| intensity.is_nan()), "empty is what was asked for");
    let zeros = |sums: &[f64]| sums[..4].iter().all(|sum| sum.to_bits() == 0);
    assert!(zeros(&ring.signal) && zeros(ring.variance.as_ref().unwrap()) && zeros(&ring.norms.count));
    assert!(zeros(&ring.norms.normalization) && zeros(&ring.norms.normalization_squared));
    let nothing = patterns[1].as_ref().unwrap_err();
    assert_eq!((nothing.id, nothing.status), (FrameId(1), FrameStatus::NoPixels));
}

#[test]
fn remembered_sets_never_change_a_result() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut recipe = recipe(PixelType::U16, &mut rng);
    recipe.dummy = Some(Dummy { value: 65535.0, delta: 0.0 });
    let images: Vec<Vec<u16>> = (0..40)
        .map(|_| {
            let mut image: Vec<u16> = (0..SHAPE.pixels()).map(|_| rng.random_range(0..50)).collect();
            // More sets than are remembered, some of them again and again, with one pixel more or less.
            for pixel in 0..rng.random_range(0..14) {
                image[pixel * 400 + 7] = 65535;
            }
            image
        })
        .collect();
    check(&recipe, &images);
}

#[test]
fn flat_that_is_a_dummy_is_invalid() {
    let mut rng = StdRng::seed_from_u64(12);
    let mut recipe = recipe(PixelType::I32, &mut rng);
    let norm = |recipe: &Recipe| recipe.normalization.iter().map(|norm| *norm == 0.0).collect::<Vec<_>>();
    let mut flat = vec![1.0; SHAPE.pixels()];
    (flat[3], flat[4], flat[5]) = (0.0, -1.0, 0.5);
    recipe.exclude_flat(&flat);
    assert_eq!(norm(&recipe).iter().filter(|is_zero| **is_zero).count(), 1);
    recipe.dummy = Some(Dummy { value: -1.0, delta: 0.0 });
    recipe.exclude_flat(&flat);
    assert_eq!(norm(&recipe)[3..6], [true, true, false]);
    recipe.dummy = Some(Dummy { value: 0.0, delta: 0.5 });
    recipe.exclude_flat(&flat);
    assert_eq!(norm(&recipe)[3..6], [true, true, true]);
}

#[test]
fn bad_frames_leave_their_neighbours_alone() {
    let mut rng = StdRng::seed_from_u64(13);
    let mut recipe = recipe(PixelType::I32, &mut rng);
    recipe.reduction = Reduction::mean(ErrorModel::Poisson);
    recipe.dummy = Some(Dummy { value: -2.0, delta: 1.5 });
    let images: Vec<Vec<i32>> = (0..20).map(|_| image(&mut rng)).collect();
    for tuning in tunings() {
        let engine = Engine::with_tuning(recipe.clone(), tuning).unwrap();
        for only_bad in [false, true] {
            let frames: Vec<Frame> = images
                .iter()
                .enumerate()
                .filter(|(id, _)| !only_bad || id % 5 != 0)
                .map(|(id, image)| {
                    let (bytes, raw) = (encode(image), bytes_of(image));
                    let more = [&bytes[..], &[0]].concat();
                    match id % 5 {
                        0 => packed(id, image),
                        1 => frame(id, Codec::ByteOffset, PixelType::I32, &bytes[..bytes.len() * id / 20]),
                        2 => frame(id, Codec::ByteOffset, PixelType::I32, &more),
                        3 => frame(id, Codec::Raw, PixelType::I32, &raw[..raw.len() - 1]),
                        _ => frame(id, Codec::ByteOffset, PixelType::U32, &bytes),
                    }
                })
                .collect();
            let outcomes = engine.integrate(&frames, &mut Scratch::default());
            assert_eq!(outcomes.len(), frames.len());
            for outcome in outcomes {
                let Err(bad) = outcome else {
                    let pattern = outcome.as_ref().unwrap();
                    assert_eq!(pattern.id.0 % 5, 0);
                    assert_same(&outcome, &naive(&recipe, &images[pattern.id.0]), "beside a bad frame");
                    continue;
                };
                let (status, word) = match bad.id.0 % 5 {
                    1 => (FrameStatus::Truncated, "before pixel"),
                    2 => (FrameStatus::Overlong, "1 compressed bytes are left"),
                    3 => (FrameStatus::Truncated, "61 x 97 int32 are 23668"),
                    4 => (FrameStatus::OtherShape, "uint32"),
                    _ => panic!("{bad:?}"),
                };
                assert_eq!(bad.status, status, "{bad:?}");
                assert!(bad.message.contains(word), "{bad:?}");
            }
        }
    }
}

#[test]
fn recipes_that_do_not_fit_are_refused() {
    let mut rng = StdRng::seed_from_u64(14);
    let good = recipe(PixelType::I32, &mut rng);
    let refused = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = good.clone();
        change(&mut recipe);
        Engine::new(recipe).err()
    };
    assert_eq!(refused(&|_| ()), None);
    let length = |what, found| Some(RecipeError::Length { what, found, shape: SHAPE });
    assert_eq!(refused(&|r| r.csr.pixels = 3), length("the sparse matrix", 3));
    assert_eq!(refused(&|r| r.normalization.truncate(9)), length("the normalisation", 9));
    assert_eq!(refused(&|r| r.dark = Some(vec![])), length("the dark image", 0));
    let matrix = |change: &dyn Fn(&mut Recipe)| match refused(change) {
        Some(RecipeError::Matrix { bin, .. }) => bin,
        other => panic!("{other:?}"),
    };
    assert_eq!(matrix(&|r| r.csr.indices.swap(0, 1)), 0);
    assert_eq!(matrix(&|r| r.csr.indptr[3] = 0), 2);
    assert_eq!(matrix(&|r| r.csr.indptr[3] = u32::MAX), 2);
    assert_eq!(matrix(&|r| r.csr.indices[r.csr.indptr[9] as usize - 1] = u32::MAX), 8);
    assert_eq!(matrix(&|r| r.csr.weights.truncate(5)), NPT);
    let empty = refused(&|r| r.csr = Csr { pixels: SHAPE.pixels(), ..Csr::default() });
    assert_eq!(empty, None);
}

#[test]
fn reducer_returns_every_frame_and_every_slot() {
    let mut rng = StdRng::seed_from_u64(15);
    let recipe = recipe(PixelType::I32, &mut rng);
    let image: Vec<i32> = image(&mut rng);
    let expected = naive(&recipe, &image);
    let engine = Arc::new(Engine::new(recipe).unwrap());
    for batch in [1, 4, 8, 20] {
        let mut reducer = HostReducer::with_batch(Arc::clone(&engine), batch);
        assert!(reducer.collect().unwrap().is_empty(), "nothing in flight");
        let slots = SlotPool::on_host(20, 8);
        let mut seen = vec![];
        for round in 0..3 {
            for id in 0..20 {
                let mut frame = packed(round * 20 + id, &image);
                // A slot of the pool under test holds the bytes.
                let mut slot = slots.take();
                slot.memory_mut().grow(frame.payload.end).unwrap();
                slot.memory_mut().bytes_mut()[frame.payload.clone()].copy_from_slice(frame.bytes());
                frame.slot = Arc::new(slot);
                reducer.submit(frame).unwrap();
            }
            reducer.flush().unwrap();
            let held: Vec<_> = (0..20).map(|_| slots.take()).collect();
            drop(held);
            for outcome in reducer.collect().unwrap() {
                assert_same(&outcome, &expected, "through the reducer");
                seen.push(outcome.unwrap().id.0);
            }
        }
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
    }
}

#[test]
fn threads_share_an_engine() {
    let mut rng = StdRng::seed_from_u64(16);
    let mut recipe = recipe(PixelType::I32, &mut rng);
    recipe.dummy = Some(Dummy { value: -2.0, delta: 1.5 });
    let images: Vec<Vec<i32>> = (0..6).map(|_| image(&mut rng)).collect();
    let expected: Vec<Pattern> = images.iter().map(|image| naive(&recipe, image)).collect();
    let engine = Engine::new(recipe).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (engine, images, expected) = (&engine, &images, &expected);
            scope.spawn(move || {
                let mut scratch = Scratch::default();
                for round in 0..8 {
                    let which: Vec<usize> = (0..thread + 1).map(|at| (at * 5 + round) % 6).collect();
                    let frames: Vec<Frame> = which.iter().map(|at| packed(*at, &images[*at])).collect();
                    let outcomes = engine.integrate(&frames, &mut scratch);
                    assert_eq!(outcomes.len(), frames.len());
                    for outcome in outcomes {
                        let id = outcome.as_ref().unwrap().id.0;
                        assert_same(&outcome, &expected[id], "shared");
                    }
                }
            });
        }
    });
}

#[test]
fn a_factor_of_a_frame_divides_its_pattern_and_leaves_the_norms_to_all() {
    let mut rng = StdRng::seed_from_u64(17);
    let recipe = Recipe {
        reduction: Reduction::mean(ErrorModel::Poisson),
        dummy: None,
        ..recipe(PixelType::I32, &mut rng)
    };
    let engine = Engine::new(recipe).unwrap();
    let counts: Vec<i32> = (0..SHAPE.pixels() as i32).map(|pixel| 3 + pixel % 90).collect();
    let factors = [1.0, 4.0, 0.3, 0.0, -1.0, f64::NAN, f64::INFINITY];
    let frames: Vec<Frame> =
        factors.iter().enumerate().map(|(id, &factor)| Frame { factor, ..packed(id, &counts) }).collect();
    let outcomes = engine.integrate(&frames, &mut Scratch::default());
    let first = outcomes[0].as_ref().unwrap();
    for (outcome, factor) in outcomes.iter().zip(factors).take(3) {
        let pattern = outcome.as_ref().unwrap();
        assert!(Arc::ptr_eq(&pattern.norms, &first.norms) || pattern.norms == first.norms);
        assert_eq!(pattern.signal, first.signal);
        let (errors, variance) = (pattern.sem.as_ref().unwrap(), pattern.variance.as_ref().unwrap());
        for bin in (0..pattern.signal.len()).filter(|&bin| pattern.norms.count[bin] > 0.0) {
            let n = pattern.norms.normalization[bin] * factor;
            assert_eq!(
                pattern.intensity[bin],
                (pattern.signal[bin] / n) as f32,
                "factor {factor}, bin {bin}"
            );
            assert_eq!(errors[bin], (variance[bin].sqrt() / n) as f32, "factor {factor}, bin {bin}");
        }
    }
    for (outcome, factor) in outcomes.iter().zip(factors).skip(3) {
        let bad = outcome.as_ref().expect_err("no pattern can be divided by that");
        assert_eq!(bad.status, FrameStatus::NotFinite, "{factor}");
        assert!(bad.message.contains("factor"), "{}", bad.message);
    }
}
