//! The same properties on a GPU. Ignored by default, because a build machine has none; run with
//! `make test-gpu` they fail where there is no device.

mod codec;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xrdct::codec::byte_offset::encode;
use xrdct::cuda::driver::{DeviceBuffer, PinnedBuffer, Stream};
use xrdct::cuda::{CudaEngine, CudaReducer, DevicePatterns, LaneSizes, pinned};
use xrdct::frame::{
    Codec, Digest, Encoding, Frame, FrameHeader, FrameId, FrameStatus, Outcome, Pattern, PixelType, Shape,
    SlotPool,
};
use xrdct::geometry::correction::{normalization, solid_angle};
use xrdct::geometry::detector::Dummy;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::integrate::engine::{Engine, Recipe, Saturation, Scratch};
use xrdct::integrate::reduction::{ErrorModel, Reduction};
use xrdct::integrate::split::{MatrixRequest, Split, build};
use xrdct::reduce::Reducer;

use crate::support::{real_frames, side_by_side};

/// A frame whose bytes begin `offset` bytes into its slot.
fn frame(slots: &SlotPool, id: usize, encoding: Encoding, bytes: &[u8], offset: usize) -> Frame {
    let mut slot = slots.take();
    let payload: Range<usize> = offset..offset + bytes.len();
    slot.memory_mut().grow(payload.end).unwrap();
    slot.memory_mut().bytes_mut()[payload.clone()].copy_from_slice(bytes);
    let origin = std::path::Path::new("frame").into();
    // Now and then a frame with another cutoff than its neighbours in the batch.
    let cutoff = if id % 16 == 15 { 400.0 } else { 500_000.0 };
    // And every frame with a factor of its own.
    let factor = 0.75 + id as f64 * 0.125;
    let header = FrameHeader { count_cutoff: Some(cutoff), ..FrameHeader::default() };
    Frame { id: FrameId(id), origin, encoding, slot: Arc::new(slot), payload, header, factor }
}

fn encoding(recipe: &Recipe, codec: Codec) -> Encoding {
    Encoding { codec, pixel: recipe.pixel, shape: recipe.shape }
}

/// A tilted geometry in the middle of a frame of `shape`, pixels of 172 µm.
fn recipe(shape: Shape, split: Split, npt: usize) -> Recipe {
    let (poni1, poni2) = (shape.slow as f64 * 0.45 * 172e-6, shape.fast as f64 * 0.55 * 172e-6);
    let text = format!(
        "poni_version: 2\nDetector: Detector\nDetector_config: {{\"pixel1\": 0.000172, \"pixel2\": 0.000172, \"max_shape\": [{}, {}]}}\n\
         Distance: 0.2\nPoni1: {poni1}\nPoni2: {poni2}\nRot1: 0.02\nRot2: -0.03\nRot3: 0.0\nWavelength: 1e-10\n",
        shape.slow, shape.fast
    );
    let poni = Poni::parse(&text, "test.poni").unwrap();
    let unit: Unit = "q_nm^-1".parse().unwrap();
    let request = MatrixRequest {
        poni: &poni,
        shape,
        npt,
        npt_azim: None,
        unit,
        split,
        mask: None,
        radial_range: None,
        azimuth_range: None,
        chi_at_zero: false,
    };
    let csr = build(&request).unwrap().matrix;
    let solid = solid_angle(&poni, shape).expect("a grid");
    Recipe {
        csr,
        normalization: normalization(shape.pixels(), 1.0, None, None, Some(&solid)),
        dark: None,
        dummy: Some(Dummy { value: -2.0, delta: 1.5 }),
        saturation: Saturation::default(),
        reduction: Reduction::default(),
        empty: 0.0,
        shape,
        pixel: PixelType::I32,
    }
}

/// Frames of counts with rings, gaps at -1, dead pixels at -2, and now and then a hot one.
fn counts(shape: Shape, seed: u64) -> Vec<i32> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..shape.pixels())
        .map(|pixel| {
            let (y, x) = (pixel / shape.fast, pixel % shape.fast);
            let r = (y as f64 - shape.slow as f64 * 0.45).hypot(x as f64 - shape.fast as f64 * 0.55);
            let mean = 10.0 + 400.0 * (-((r % 97.0) - 40.0).powi(2) / 18.0).exp() + seed as f64;
            match () {
                _ if y % 212 >= 195 => -1,
                _ if rng.random_bool(1e-4) => -2,
                _ if rng.random_bool(1e-5) => 1_000_000,
                _ => (mean + rng.random_range(-3.0..3.0) * mean.sqrt()).max(0.0) as i32,
            }
        })
        .collect()
}

/// Feeds all frames to a reducer as the pipeline does; patterns in the order of the frames.
fn reduce(
    engine: &Arc<CudaEngine>,
    recipe: &Recipe,
    frames: &[(Codec, Vec<u8>)],
    options: LaneSizes,
) -> Vec<Outcome> {
    let reducer = CudaReducer::new(Arc::clone(engine), options).unwrap();
    drive(reducer, engine, recipe, frames, &|_| None)
}

/// The same with a reducer that is there, and a digest in the headers of some frames.
fn drive(
    mut reducer: CudaReducer,
    engine: &Arc<CudaEngine>,
    recipe: &Recipe,
    frames: &[(Codec, Vec<u8>)],
    digest: &dyn Fn(usize) -> Option<Digest>,
) -> Vec<Outcome> {
    let kept = Arc::new(DevicePatterns::new(engine.context(), frames.len(), engine.npt()).unwrap());
    reducer.keep(Arc::clone(&kept));
    let slots = pinned::slots(engine.context(), reducer.capacity() + 2, 64).unwrap();
    let mut outcomes: Vec<Option<Outcome>> = frames.iter().map(|_| None).collect();
    let (mut next, mut flying) = (0, 0);
    while next < frames.len() || flying > 0 {
        while next < frames.len() && flying < reducer.capacity() {
            let (codec, bytes) = &frames[next];
            let mut frame = frame(&slots, next, encoding(recipe, *codec), bytes, next % 23);
            frame.header.digest = digest(next);
            reducer.submit(frame).unwrap();
            next += 1;
            flying += 1;
        }
        reducer.flush().unwrap();
        for outcome in reducer.collect().unwrap() {
            let id = match &outcome {
                Ok(pattern) => pattern.id.0,
                Err(bad) => bad.id.0,
            };
            assert!(outcomes[id].replace(outcome).is_none(), "frame {id} came twice");
            flying -= 1;
        }
    }
    let outcomes: Vec<Outcome> =
        outcomes.into_iter().map(|outcome| outcome.expect("every frame comes back")).collect();
    // What stays on the device is what came to the host; bad frames leave no pattern.
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let kept = kept.read().unwrap();
    for (row, outcome) in side_by_side(&kept.chunks(engine.npt()).collect::<Vec<_>>(), &outcomes) {
        match outcome {
            Ok(pattern) => {
                let same = bits(row) == bits(&pattern.intensity);
                assert!(same, "the pattern of frame {} on the device is another", pattern.id.0);
            }
            Err(bad) => assert!(row.iter().all(|v| v.is_nan()), "frame {} is bad", bad.id.0),
        }
    }
    outcomes
}

fn on_the_host(recipe: &Recipe, frames: &[(Codec, Vec<u8>)]) -> Vec<Outcome> {
    let engine = Engine::new(recipe.clone()).unwrap();
    let slots = SlotPool::on_host(frames.len(), 64);
    let frames: Vec<Frame> = frames
        .iter()
        .enumerate()
        .map(|(id, (codec, bytes))| frame(&slots, id, encoding(recipe, *codec), bytes, 0))
        .collect();
    engine.integrate(&frames, &mut Scratch::default())
}

fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "bins of {what}");
    for (bin, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= 1e-6 * expected.abs();
        assert!(close, "{what} of bin {bin}: {found} on the GPU, {expected} on the CPU");
    }
}

fn assert_agree(name: &str, found: &[Outcome], expected: &[Outcome]) {
    for (found, expected) in side_by_side(found, expected) {
        let (found, expected): (&Pattern, &Pattern) = match (found, expected) {
            (Ok(found), Ok(expected)) => (found, expected),
            (Err(found), Err(expected)) => {
                assert_eq!((found.id, found.status), (expected.id, expected.status), "{name}");
                continue;
            }
            _ => panic!("{name}: {found:?} on the GPU, {expected:?} on the CPU"),
        };
        let name = format!("{name}, frame {}", found.id.0);
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        assert_close(&format!("{name}: signal"), &found.signal, &expected.signal);
        assert_close(&format!("{name}: N"), &found.norms.normalization, &expected.norms.normalization);
        assert_close(
            &format!("{name}: N2"),
            &found.norms.normalization_squared,
            &expected.norms.normalization_squared,
        );
        assert_close(&format!("{name}: count"), &found.norms.count, &expected.norms.count);
        assert_close(&format!("{name}: intensity"), &wide(&found.intensity), &wide(&expected.intensity));
        assert_eq!(found.saturated, expected.saturated, "{name}: saturated pixels");
        match (&found.variance, &found.sem, &expected.variance, &expected.sem) {
            (None, None, None, None) => {}
            (Some(variance), Some(errors), Some(expected_variance), Some(expected_errors)) => {
                assert_close(&format!("{name}: variance"), variance, expected_variance);
                assert_close(&format!("{name}: errors"), &wide(errors), &wide(expected_errors));
            }
            _ => panic!("{name}: variance and errors on both sides or on none"),
        }
    }
}

/// Packed frames, some of them corrupt, and a plain one.
fn mixed_frames(shape: Shape, count: usize) -> Vec<(Codec, Vec<u8>)> {
    (0..count)
        .map(|n| {
            let counts = counts(shape, n as u64);
            let packed = encode(&counts);
            match n % 7 {
                3 => (Codec::Raw, counts.iter().flat_map(|count| count.to_le_bytes()).collect()),
                4 => (Codec::ByteOffset, packed[..packed.len() - 5].to_vec()),
                5 => (Codec::ByteOffset, [&packed[..], &[1, 2]].concat()),
                6 => (Codec::ByteOffset, packed[..100].to_vec()),
                _ => (Codec::ByteOffset, packed),
            }
        })
        .collect()
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn patterns_agree_with_the_host() {
    let shape = Shape { slow: 619, fast: 487 };
    let frames = mixed_frames(shape, 14);
    let mut rng = StdRng::seed_from_u64(5);
    let dark: Vec<f32> = (0..shape.pixels()).map(|_| rng.random_range(0.0..5.0)).collect();
    for (split, npt) in [(Split::No, 100), (Split::BBox, 777), (Split::Full, 1000), (Split::BBox, 6000)] {
        for error_model in [ErrorModel::None, ErrorModel::Poisson] {
            for dark in [None, Some(dark.clone())] {
                let name = format!("{split:?} {npt} {error_model:?} dark {}", dark.is_some());
                let recipe = Recipe {
                    reduction: Reduction::mean(error_model.clone()),
                    dark,
                    ..recipe(shape, split, npt)
                };
                let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
                let found = reduce(&engine, &recipe, &frames, LaneSizes { lanes: 2, batch: 8 });
                assert_agree(&name, &found, &on_the_host(&recipe, &frames));
            }
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn patterns_are_clean_under_the_sanitizer() {
    // Small enough for compute-sanitizer, which runs this one.
    let shape = Shape { slow: 61, fast: 87 };
    let frames = mixed_frames(shape, 7);
    for error_model in [ErrorModel::None, ErrorModel::Poisson] {
        for dark in [None, Some(vec![0.5; shape.pixels()])] {
            for masked in [false, true] {
                let saturation = Saturation { cutoff: 405.0, by_header: false, masked };
                let dark = dark.clone();
                let recipe = Recipe {
                    reduction: Reduction::mean(error_model.clone()),
                    dark,
                    saturation,
                    ..recipe(shape, Split::BBox, 60)
                };
                let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
                let found = reduce(&engine, &recipe, &frames, LaneSizes { lanes: 2, batch: 3 });
                assert_agree("small", &found, &on_the_host(&recipe, &frames));
            }
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn saturated_pixels_agree_with_the_host() {
    let shape = Shape { slow: 619, fast: 487 };
    let frames = mixed_frames(shape, 18);
    let dark = Some(vec![0.5; shape.pixels()]);
    // So few bins that many pixels have one; so many that items share their sub-tiles.
    for (npt, split) in [(60, Split::No), (6000, Split::BBox)] {
        for (cutoff, by_header) in [(430.0, false), (1_000_000.0, false), (1.0, true)] {
            for masked in [false, true] {
                for (error_model, dark) in [(ErrorModel::None, None), (ErrorModel::Poisson, dark.clone())] {
                    let name = format!("{split:?} {npt} from {cutoff} {by_header} {masked} {error_model:?}");
                    let saturation = Saturation { cutoff, by_header, masked };
                    let mut recipe = Recipe {
                        reduction: Reduction::mean(error_model.clone()),
                        dark,
                        saturation,
                        ..recipe(shape, split, npt)
                    };
                    if npt == 60 {
                        recipe.dummy = None;
                    }
                    let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
                    let found = reduce(&engine, &recipe, &frames, LaneSizes { lanes: 2, batch: 8 });
                    assert!(found.iter().flatten().any(|pattern| pattern.saturated > 0), "{name}: none");
                    assert_agree(&name, &found, &on_the_host(&recipe, &frames));
                }
            }
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn frames_of_nothing_leave_no_pattern() {
    let shape = Shape { slow: 195, fast: 487 };
    let frames: Vec<(Codec, Vec<u8>)> = (0..9)
        .map(|n| match n % 3 {
            1 => (Codec::ByteOffset, encode(&vec![-2_i32; shape.pixels()])),
            _ => (Codec::ByteOffset, encode(&counts(shape, n))),
        })
        .collect();
    let good = recipe(shape, Split::BBox, 300);
    let beyond = Recipe {
        dark: Some(vec![-3e38; shape.pixels()]),
        normalization: vec![0.1; shape.pixels()],
        ..good.clone()
    };
    for (recipe, bad, status) in [(good, 3, FrameStatus::NoPixels), (beyond, 9, FrameStatus::NotFinite)] {
        let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
        // `reduce` looks at what is left on the device, too.
        let found = reduce(&engine, &recipe, &frames, LaneSizes { lanes: 2, batch: 4 });
        let bad_ones = found.iter().filter_map(|outcome| outcome.as_ref().err());
        assert_eq!(bad_ones.clone().count(), bad);
        assert!(bad_ones.clone().any(|bad| bad.status == status));
        assert_agree("nothing", &found, &on_the_host(&recipe, &frames));
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn patterns_of_64_bit_pixels_agree_with_the_host() {
    let shape = Shape { slow: 195, fast: 487 };
    let recipe = Recipe { pixel: PixelType::I64, ..recipe(shape, Split::BBox, 300) };
    let frames: Vec<_> = (0..3)
        .map(|n| {
            let wide: Vec<i64> = counts(shape, n).into_iter().map(|count| i64::from(count) * 3).collect();
            (Codec::ByteOffset, encode(&wide))
        })
        .collect();
    let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
    let found = reduce(&engine, &recipe, &frames, LaneSizes::default());
    assert_agree("int64", &found, &on_the_host(&recipe, &frames));
}

/// Id, float32 numbers, float64 numbers.
type Bits = (FrameId, Vec<u32>, Vec<Vec<u64>>);

/// All numbers of an outcome, bit by bit.
fn bits(outcome: &Outcome) -> Result<Bits, String> {
    let pattern = outcome.as_ref().map_err(|bad| bad.message.clone())?;
    let narrow = pattern.intensity.iter().chain(pattern.sem.iter().flatten()).map(|v| v.to_bits()).collect();
    let Pattern { signal, variance, norms, .. } = pattern;
    let variance = variance.clone().unwrap_or_default();
    let wide = [signal, &variance, &norms.normalization, &norms.normalization_squared, &norms.count];
    Ok((pattern.id, narrow, wide.map(|values| values.iter().map(|v| v.to_bits()).collect()).to_vec()))
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn patterns_have_the_same_bits_always() {
    let shape = Shape { slow: 619, fast: 487 };
    let recipe =
        Recipe { reduction: Reduction::mean(ErrorModel::Poisson), ..recipe(shape, Split::BBox, 1000) };
    let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
    let frames = mixed_frames(shape, 40);
    let first = reduce(&engine, &recipe, &frames, LaneSizes { lanes: 1, batch: 1 });
    let mut runs: Vec<_> = [(1, 3), (1, 32), (2, 1), (2, 3), (2, 32), (4, 1), (4, 3), (4, 32)]
        .map(|(lanes, batch)| LaneSizes { lanes, batch })
        .to_vec();
    runs.extend([LaneSizes::default(); 10]);
    for options in runs {
        for (found, first) in side_by_side(&reduce(&engine, &recipe, &frames, options), &first) {
            assert!(bits(found) == bits(first), "{options:?} gives other bits");
        }
    }
}

/// Frames of which every fifth has a digest that is not its own and every ninth has none, through reducers that look at
/// them on the device (with more batches than can be looked at together) and on the host.
fn digests_decide(shape: Shape, count: usize, batch: usize) {
    let recipe = recipe(shape, Split::BBox, 100);
    let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
    let frames = mixed_frames(shape, count);
    let options = LaneSizes { lanes: 2, batch };
    let plain = reduce(&engine, &recipe, &frames, options);
    let written = |n: usize| -> Option<Digest> {
        let mut digest = xrdct::codec::md5::digest(&frames[n].1);
        if n % 5 == 2 {
            digest[n % 16] ^= 1 << (n % 8);
        }
        (n % 9 != 4).then_some(digest)
    };
    for on_device in [true, false] {
        let mut reducer = CudaReducer::new(Arc::clone(&engine), options).unwrap();
        if on_device {
            reducer.verify(count).unwrap();
            assert!(reducer.capacity() > options.lanes * batch, "there is memory for digests");
        }
        let found = drive(reducer, &engine, &recipe, &frames, &written);
        for (n, (found, plain)) in side_by_side(&found, &plain).enumerate() {
            let is_damaged = n % 5 == 2 && n % 9 != 4 && frames[n].0 == Codec::ByteOffset;
            match found {
                Err(bad) if is_damaged => {
                    assert_eq!(bad.status, FrameStatus::Md5Mismatch, "{n}: {}", bad.message);
                    assert!(
                        bad.message.contains("frame: the MD5 of the compressed bytes"),
                        "{}",
                        bad.message
                    );
                }
                _ => assert!(!is_damaged && bits(found) == bits(plain), "{n}, on the device: {on_device}"),
            }
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn damaged_frames_are_found() {
    digests_decide(Shape { slow: 619, fast: 487 }, 400, 4);
    digests_decide(Shape { slow: 619, fast: 487 }, 70, 64);
    digests_decide(Shape { slow: 13, fast: 17 }, 300, 1);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn digests_are_clean_under_the_sanitizer() {
    digests_decide(Shape { slow: 61, fast: 87 }, 60, 3);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn slots_are_apart_and_grow_alone() {
    let context = xrdct::cuda::device::open(0).unwrap();
    let (pool, count) = pinned::Ready::new(5, 5000, &[]).lock(&[Arc::clone(&context)], 5).unwrap();
    assert_eq!(count, 5);
    let mut slots: Vec<_> = (0..5).map(|_| pool.take()).collect();
    for (number, slot) in (1_u8..).zip(&mut slots) {
        let memory = slot.memory_mut();
        assert_eq!(memory.bytes(), [0; 5000]);
        memory.bytes_mut().fill(number);
    }
    slots[2].memory_mut().grow(100_000).unwrap();
    slots[2].memory_mut().bytes_mut().fill(9);
    let (device, stream) =
        (DeviceBuffer::<u8>::take(&context, 5000, "a test").unwrap(), Stream::new(&context).unwrap());
    for (slot, expected) in slots.iter().zip([1, 2, 9, 4, 5]) {
        let mut back = PinnedBuffer::take(&context, 5000).unwrap();
        // SAFETY: both copies are waited for before the memory is touched.
        unsafe {
            stream.enqueue_upload(&device, 0, &slot.memory().bytes()[..5000]).unwrap();
            stream.enqueue_download(&device, 0, back.bytes_mut()).unwrap();
        }
        stream.wait().unwrap();
        assert_eq!(back.bytes(), [expected; 5000]);
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn what_is_given_up_is_named_and_the_reducer_goes_on() {
    let shape = Shape { slow: 195, fast: 487 };
    let recipe = recipe(shape, Split::BBox, 300);
    let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
    let frames = mixed_frames(shape, 12);
    let options = LaneSizes { lanes: 2, batch: 5 };
    let plain = reduce(&engine, &recipe, &frames, options);
    for verifies in [false, true] {
        let mut reducer = CudaReducer::new(Arc::clone(&engine), options).unwrap();
        if verifies {
            reducer.verify(100).unwrap();
        }
        // One batch under way, one that gathers; every slot comes home.
        let slots = pinned::slots(engine.context(), 7, 64).unwrap();
        for (id, (codec, bytes)) in frames[..7].iter().enumerate() {
            let mut frame = frame(&slots, id, encoding(&recipe, *codec), bytes, 3);
            frame.header.digest = Some(xrdct::codec::md5::digest(bytes));
            reducer.submit(frame).unwrap();
        }
        let mut given_up: Vec<usize> = reducer.abandon().into_iter().map(|id| id.0).collect();
        given_up.sort_unstable();
        assert_eq!(given_up, (0..7).collect::<Vec<_>>());
        assert!(reducer.abandon().is_empty() && reducer.collect().unwrap().is_empty());
        let _home: Vec<_> = (0..7).map(|_| slots.take()).collect();
        let again = drive(reducer, &engine, &recipe, &frames, &|_| None);
        for (again, plain) in side_by_side(&again, &plain) {
            assert!(bits(again) == bits(plain), "verifies: {verifies}");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_small_card_gets_smaller_batches() {
    let recipe = recipe(Shape { slow: 1679, fast: 1475 }, Split::BBox, 1000);
    let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
    let wanted = LaneSizes { lanes: 4, batch: 64 };
    // What a card of 2 GB has left, a very small one, and too little for one frame.
    let small = CudaReducer::with_memory(Arc::clone(&engine), wanted, 1_000_000_000).unwrap().options();
    assert!(small.lanes == 4 && (8..64).contains(&small.batch), "{small:?}");
    let smaller = CudaReducer::with_memory(Arc::clone(&engine), wanted, 100_000_000).unwrap().options();
    assert!(smaller.lanes < 4 && smaller.batch == 1, "{smaller:?}");
    let refused = CudaReducer::with_memory(Arc::clone(&engine), wanted, 10_000_000).err().unwrap();
    assert!(refused.to_string().contains("10 MB are free"), "{refused}");
}

#[test]
fn what_is_missing_or_other_does_not_agree() {
    let shape = Shape { slow: 31, fast: 37 };
    let recipe = Recipe { reduction: Reduction::mean(ErrorModel::Poisson), ..recipe(shape, Split::BBox, 20) };
    let host = on_the_host(&recipe, &mixed_frames(shape, 7));
    assert_agree("the host", &host, &host);
    let refused = |why: &str, change: &dyn Fn(&mut Vec<Outcome>)| {
        let mut found = host.clone();
        change(&mut found);
        let compared = std::panic::catch_unwind(|| assert_agree("other", &found, &host));
        assert!(compared.is_err(), "{why} was taken for the host's answer");
    };
    refused("an answer short of a frame", &|found| drop(found.pop()));
    refused("no answer at all", &|found| found.clear());
    refused("a bad frame that came back good", &|found| found[4] = found[0].clone());
    let pattern = |why: &str, change: &dyn Fn(&mut Pattern)| {
        refused(why, &|found| change(found[1].as_mut().expect("a good frame")));
    };
    pattern("a pattern short of a bin", &|pattern| pattern.signal.truncate(3));
    pattern("a pattern without intensities", &|pattern| pattern.intensity.clear());
    pattern("a pattern without errors", &|pattern| pattern.sem = None);
    pattern("a pattern without variance", &|pattern| pattern.variance = None);
    pattern("a pixel more that is saturated", &|pattern| pattern.saturated += 1);
    pattern("NaN", &|pattern| pattern.intensity[3] = f32::NAN);
    pattern("a wrong sum", &|pattern| pattern.signal[7] *= 1.0 + 1e-5);
}

mod needs_data {
    use super::*;

    /// Every real frame: packed bytes and encoding.
    pub(super) fn packed_frames() -> Vec<(PathBuf, Encoding, Vec<u8>)> {
        let packed = |path: PathBuf| {
            let (header, file) = xrdct::source::cbf::read(&path).unwrap();
            (path, header.encoding, file[header.payload].to_vec())
        };
        real_frames().into_iter().map(packed).collect()
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn real_frames_agree_with_the_host() {
        for (path, encoding, bytes) in packed_frames() {
            let recipe = recipe(encoding.shape, Split::BBox, 1000);
            let engine = Arc::new(CudaEngine::new(0, &recipe).unwrap());
            let frames = [(Codec::ByteOffset, bytes)];
            let found = reduce(&engine, &recipe, &frames, LaneSizes { lanes: 1, batch: 1 });
            assert_agree(&path.display().to_string(), &found, &on_the_host(&recipe, &frames));
        }
    }
}
