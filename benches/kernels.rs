//! The kernels on frames of one kind, each beside what bounds it: times on the device come from events around many repetitions over
//! three lanes of 32 frames, so that no cache holds them all. Then pinned memory to patterns, and one live frame.
//!
//! Before anything is timed, every pattern is compared with the host's engine: a bench that computes the wrong thing fails.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::codec::byte_offset::encode;
use xrdct::cuda::driver::{DeviceBuffer, Event, Stream};
use xrdct::cuda::integrate::fused::CudaTuning;
use xrdct::cuda::lane::Lane;
use xrdct::cuda::{CudaEngine, CudaReducer, LaneSizes, pinned};
use xrdct::frame::{Codec, Encoding, Frame, FrameHeader, FrameId, Outcome, PixelType, Shape, SlotPool};
use xrdct::geometry::correction::{normalization, solid_angle};
use xrdct::geometry::detector::{Detector, Dummy};
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::integrate::engine::{Engine, Recipe, Saturation, Scratch};
use xrdct::integrate::reduction::Reduction;
use xrdct::integrate::split::{MatrixRequest, Split, build};
use xrdct::reduce::Reducer;
use xrdct::trace::Timeline;

use super::options::{Options as Asked, told};

const SHAPE: Shape = Shape { slow: 1679, fast: 1475 };
const BINS: usize = 1000;
const BATCH: usize = 32;
const LANES: usize = 3;
const DISTINCT: usize = 16;
const SLOTS: usize = (LANES + 1) * BATCH;

/// Frames of weak signal: 0.2 % of the pixels are escapes.
pub fn weak(asked: &Asked) -> Result<Vec<Measure>> {
    measure(asked, "weak", 0.002)
}

/// Frames of a strong powder: 15 %.
pub fn powder(asked: &Asked) -> Result<Vec<Measure>> {
    measure(asked, "powder", 0.15)
}

/// A stage of the device: what it is called, what bounds it, and how it is put into a lane's stream.
struct Kernel {
    what: &'static str,
    ceiling: &'static str,
    /// How often the floor moves the packed bytes, and the pixels.
    moves: (f64, f64),
    lanes: usize,
    enqueue: fn(&Lane, &DeviceBuffer<u8>) -> Result<()>,
}

const FUSED: Kernel = Kernel {
    what: "decode + integrate, fused",
    ceiling: "reading the bytes",
    moves: (1.0, 0.0),
    lanes: LANES,
    enqueue: |lane, _| {
        lane.enqueue_clear()?;
        lane.enqueue_index()?;
        lane.enqueue_packed()?;
        Ok(lane.enqueue_bins()?)
    },
};

const KERNELS: [Kernel; 9] = [
    Kernel { what: "index (where every code starts)", enqueue: |lane, _| Ok(lane.enqueue_index()?), ..FUSED },
    Kernel {
        what: "decode (index + pixels)",
        ceiling: "reading bytes, writing pixels",
        moves: (1.0, 1.0),
        enqueue: |lane, pixels| {
            lane.enqueue_index()?;
            Ok(lane.enqueue_pixels(pixels)?)
        },
        ..FUSED
    },
    Kernel {
        what: "integrate decoded pixels",
        ceiling: "reading pixels",
        moves: (0.0, 1.0),
        enqueue: |lane, pixels| Ok(lane.enqueue_plain(Some(pixels))?),
        ..FUSED
    },
    Kernel {
        what: "decode + integrate, indexed already",
        enqueue: |lane, _| Ok(lane.enqueue_packed()?),
        ..FUSED
    },
    Kernel { what: "add up partial sums", enqueue: |lane, _| Ok(lane.enqueue_bins()?), ..FUSED },
    Kernel {
        what: "decode + integrate, two kernels",
        ceiling: "bytes, pixels twice",
        moves: (1.0, 2.0),
        enqueue: |lane, pixels| {
            lane.enqueue_clear()?;
            lane.enqueue_index()?;
            lane.enqueue_pixels(pixels)?;
            lane.enqueue_plain(Some(pixels))?;
            Ok(lane.enqueue_bins()?)
        },
        ..FUSED
    },
    FUSED,
    Kernel { what: "the same, 1 lane(s)", lanes: 1, ..FUSED },
    Kernel { what: "the same, 2 lane(s)", lanes: 2, ..FUSED },
];

/// Lanes and frames of a batch, from pinned memory to patterns.
const MEMORY: [(usize, usize); 6] = [(2, 16), (2, 32), (3, 8), (3, 16), (3, 32), (4, 32)];

fn memory(lanes: usize, batch: usize) -> String {
    format!("pinned memory to patterns, {lanes} x {batch}")
}

/// From the hand-over of a frame in pinned memory until its pattern is back.
const LIVE: &str = "one live frame, memory to pattern";

/// The figures of frames of one kind: those that are wanted are printed and handed on.
struct Figures<'a> {
    asked: &'a Asked,
    kind: &'a str,
    measures: Vec<Measure>,
    amount: Amount,
    /// Digest of the patterns that the reducer gives for these frames.
    digest: String,
}

impl Figures<'_> {
    fn wants(&self, what: &str) -> bool {
        self.asked.wants(&format!("{}: {what}", self.kind))
    }

    /// Takes the microseconds of a call and of its floor.
    fn report(&mut self, what: &str, microseconds: f64, ceiling: &str, floor: f64) {
        let name = format!("{}: {what}", self.kind);
        let ceiling = (ceiling, floor * 1e-6);
        let measure = Measure::new(&name, self.amount, self.digest.clone(), microseconds * 1e-6, ceiling);
        self.measures.push(told(measure));
    }
}

fn recipe() -> Result<Recipe> {
    let text = "poni_version: 2\nDetector: PilatusCdTe2M\nDetector_config: {}\nDistance: 0.25\nPoni1: 0.144\nPoni2: 0.127\n\
                Rot1: 0.01\nRot2: -0.008\nRot3: 0.0\nWavelength: 2.5e-11\n";
    let poni = Poni::parse(text, "bench.poni")?;
    let mask = Detector::by_name("PilatusCdTe2M").and_then(|detector| detector.mask());
    let unit: Unit = "q_nm^-1".parse().ok().context("unit")?;
    let request = MatrixRequest {
        poni: &poni,
        shape: SHAPE,
        npt: BINS,
        npt_azim: None,
        unit,
        split: Split::BBox,
        mask: mask.as_ref(),
        radial_range: None,
        azimuth_range: None,
        chi_at_zero: false,
    };
    let start = Instant::now();
    let csr = build(&request)?.matrix;
    println!(
        "matrix of {} entries built in {:.0} ms",
        csr.indices.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
    let solid = solid_angle(&poni, SHAPE).expect("a grid");
    Ok(Recipe {
        csr,
        normalization: normalization(SHAPE.pixels(), 1.0, None, None, Some(&solid)),
        dark: None,
        dummy: Some(Dummy { value: -2.0, delta: 1.5 }),
        saturation: Saturation::default(),
        reduction: Reduction::default(),
        empty: 0.0,
        shape: SHAPE,
        pixel: PixelType::I32,
    })
}

/// What a detector says of each frame that costs something: from which count on pixels are saturated.
fn header() -> FrameHeader {
    FrameHeader { count_cutoff: Some(1_048_575.0), ..FrameHeader::default() }
}

/// Packed frames with rings; `escapes` is the fraction of pixels whose difference does not fit a byte.
fn frames(escapes: f64) -> Vec<Vec<u8>> {
    (0..DISTINCT)
        .map(|seed| {
            let mut rng = StdRng::seed_from_u64(seed as u64);
            let mut strong = 0;
            let counts: Vec<i32> = (0..SHAPE.pixels())
                .map(|pixel| {
                    let (y, x) = (pixel / SHAPE.fast, pixel % SHAPE.fast);
                    if strong == 0 && rng.random_bool(escapes / 150.0) {
                        strong = rng.random_range(100..200);
                    }
                    strong = usize::saturating_sub(strong, 1);
                    match () {
                        _ if y % 212 >= 195 || x % 494 >= 487 => -1,
                        _ if pixel % 40_009 == 17 => -2,
                        _ if strong > 0 => rng.random_range(0..900),
                        _ => 40 + (seed as i32) + rng.random_range(-18..18),
                    }
                })
                .collect();
            encode(&counts)
        })
        .collect()
}

/// Slots that hold the packed frames already, one after another in a circle; the length is in the first 8 bytes.
fn filled_slots(engine: &CudaEngine, packed: &[Vec<u8>], count: usize) -> Result<SlotPool> {
    let longest = packed.iter().map(Vec::len).max().unwrap_or(0);
    let slots = pinned::slots(engine.context(), count, longest + 64)?;
    let mut taken: Vec<_> = (0..count).map(|_| slots.take()).collect();
    for (n, slot) in taken.iter_mut().enumerate() {
        let frame = &packed[n % packed.len()];
        let memory = slot.memory_mut().bytes_mut();
        memory[..8].copy_from_slice(&(frame.len() as u64).to_le_bytes());
        memory[8..16].copy_from_slice(&((n % packed.len()) as u64).to_le_bytes());
        memory[64..64 + frame.len()].copy_from_slice(frame);
    }
    Ok(slots)
}

fn next_frame(slots: &SlotPool, id: usize) -> (Frame, usize) {
    let slot = slots.take();
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&slot.memory().bytes()[at..at + 8]);
        u64::from_le_bytes(bytes) as usize
    };
    let (len, which) = (word(0), word(8));
    let encoding = Encoding { codec: Codec::ByteOffset, pixel: PixelType::I32, shape: SHAPE };
    (
        Frame {
            id: FrameId(id),
            origin: Path::new("simulated").into(),
            encoding,
            slot: Arc::new(slot),
            payload: 64..64 + len,
            header: header(),
            factor: 1.0,
        },
        which,
    )
}

/// Microseconds a frame of what `enqueue` puts into the streams of three lanes, each with a batch, again and again.
fn time(lanes: &[Lane], repeats: usize, enqueue: impl Fn(&Lane) -> Result<()>) -> Result<f64> {
    let context = lanes[0].stream().context();
    let stream = lanes[0].stream();
    for lane in lanes {
        enqueue(lane)?;
        lane.stream().wait()?;
    }
    let mut best: Vec<f64> = Vec::new();
    for _ in 0..5 {
        let (start, end) = (Event::new(context)?, Event::new(context)?);
        start.enqueue(stream)?;
        for lane in &lanes[1..] {
            lane.stream().enqueue_after(&start)?;
        }
        for _ in 0..repeats {
            lanes.iter().try_for_each(&enqueue)?;
        }
        for lane in &lanes[1..] {
            let done = Event::new(context)?;
            done.enqueue(lane.stream())?;
            stream.enqueue_after(&done)?;
        }
        end.enqueue(stream)?;
        end.wait()?;
        let frames: usize = lanes.iter().map(Lane::frames).sum();
        best.push(f64::from(start.milliseconds_to(&end)?) * 1e3 / (repeats * frames) as f64);
    }
    best.sort_by(f64::total_cmp);
    Ok(best[best.len() / 2])
}

fn measure(asked: &Asked, kind: &str, escapes: f64) -> Result<Vec<Measure>> {
    let amount = Amount { bytes: 0, pixels: SHAPE.pixels() };
    let mut figures = Figures { asked, kind, measures: vec![], amount, digest: String::new() };
    let kernels: Vec<&Kernel> = KERNELS.iter().filter(|kernel| figures.wants(kernel.what)).collect();
    let options: Vec<(usize, usize)> =
        MEMORY.into_iter().filter(|(lanes, batch)| figures.wants(&memory(*lanes, *batch))).collect();
    let live = figures.wants(LIVE);
    if kernels.is_empty() && options.is_empty() && !live {
        return Ok(vec![]);
    }
    let recipe = recipe()?;
    let packed = frames(escapes);
    let bytes = packed.iter().map(Vec::len).sum::<usize>() as f64 / packed.len() as f64;
    println!("\n== {kind}: {:.1} % escapes, {:.2} MB a frame", 100.0 * escapes, bytes / 1e6);
    let start = Instant::now();
    let engine = Arc::new(CudaEngine::new(0, &recipe)?);
    let ready = start.elapsed().as_secs_f64() * 1e3;
    println!("matrix of {:.1} MB on the device after {ready:.0} ms", engine.matrix_bytes() as f64 / 1e6);

    let slots = filled_slots(&engine, &packed, SLOTS)?;
    let expected = expected(&recipe, &packed)?;
    figures.amount.bytes = bytes as usize;
    figures.digest = check(&engine, &slots, &expected)?;
    on_device(&mut figures, &engine, &recipe, &slots, &kernels)?;
    from_memory(&mut figures, &engine, &slots, &options)?;
    if live {
        one_frame(&mut figures, &engine, &slots)?;
    }
    if let Some(path) = &asked.trace {
        trace(&engine, &slots, path)?;
    }
    Ok(figures.measures)
}

/// Stages on frames that are on the device already.
fn on_device(
    figures: &mut Figures,
    engine: &Arc<CudaEngine>,
    recipe: &Recipe,
    slots: &SlotPool,
    kernels: &[&Kernel],
) -> Result<()> {
    let pixel_bytes = (SHAPE.pixels() * 4) as f64;
    let pixels = (0..LANES)
        .map(|_| Ok(DeviceBuffer::take(engine.context(), BATCH * SHAPE.pixels() * 4, "pixels")?))
        .collect::<Result<Vec<_>>>()?;
    let mut lanes = (0..LANES).map(|_| Ok(Lane::new(engine, BATCH)?)).collect::<Result<Vec<_>>>()?;
    for (lane, pixels) in lanes.iter_mut().zip(&pixels) {
        for id in 0..BATCH {
            let (frame, _) = next_frame(slots, id);
            ensure!(lane.has_room(Codec::ByteOffset, frame.payload.len()), "the arena is too small");
            lane.enqueue_upload(frame.encoding.codec, frame.slot, frame.payload)?;
        }
        lane.stream().wait()?;
        lane.release()?;
        // What a stage finds when the ones before it were not asked for.
        lane.enqueue_clear()?;
        lane.enqueue_index()?;
        lane.enqueue_pixels(pixels)?;
        lane.stream().wait()?;
    }
    let of = |lane: &Lane| &pixels[lanes.iter().position(|other| std::ptr::eq(other, lane)).unwrap_or(0)];
    let rate = copy_rate(engine)?;
    println!("device copy: {:.0} GB/s (read + write)", rate / 1e9);
    let repeats = if figures.asked.short { 2 } else { 10 };
    for kernel in kernels {
        let microseconds = time(&lanes[..kernel.lanes], repeats, |lane| (kernel.enqueue)(lane, of(lane)))?;
        let moved = kernel.moves.0 * figures.amount.bytes as f64 + kernel.moves.1 * pixel_bytes;
        figures.report(kernel.what, microseconds, kernel.ceiling, moved / rate * 1e6);
    }
    if figures.asked.sweep {
        sweep(recipe, slots, repeats)?;
    }
    Ok(())
}

/// The fused kernel with other cuts of the matrix.
fn sweep(recipe: &Recipe, slots: &SlotPool, repeats: usize) -> Result<()> {
    for row in [4, 6, 8, 12] {
        for (subtiles, narrow) in [(8, false), (16, false), (24, false)] {
            let tuning = CudaTuning { subtiles, row, narrow, ..CudaTuning::default() };
            let engine = Arc::new(CudaEngine::with_tuning(0, recipe, tuning)?);
            let mut lanes = (0..LANES).map(|_| Ok(Lane::new(&engine, BATCH)?)).collect::<Result<Vec<_>>>()?;
            for lane in &mut lanes {
                for id in 0..BATCH {
                    let (frame, _) = next_frame(slots, id);
                    lane.enqueue_upload(frame.encoding.codec, frame.slot, frame.payload)?;
                }
                lane.stream().wait()?;
                lane.release()?;
                lane.enqueue_index()?;
            }
            let packed = time(&lanes, repeats, |lane| Ok(lane.enqueue_packed()?))?;
            let one = time(&lanes[..1], repeats, |lane| Ok(lane.enqueue_packed()?))?;
            let bins = time(&lanes, repeats, |lane| Ok(lane.enqueue_bins()?))?;
            println!(
                "rows {row}, narrow {narrow}, {subtiles} sub-tiles: packed {packed:.2} us (one lane {one:.2}), bins {bins:.2} us, matrix {:.1} MB",
                engine.matrix_bytes() as f64 / 1e6
            );
        }
    }
    Ok(())
}

/// The host's patterns of the distinct frames.
fn expected(recipe: &Recipe, packed: &[Vec<u8>]) -> Result<Vec<Outcome>> {
    let slots = SlotPool::on_host(packed.len(), 0);
    let encoding = Encoding { codec: Codec::ByteOffset, pixel: PixelType::I32, shape: SHAPE };
    let frames: Vec<Frame> = packed
        .iter()
        .enumerate()
        .map(|(id, bytes)| {
            let mut slot = slots.take();
            slot.memory_mut().grow(bytes.len())?;
            slot.memory_mut().bytes_mut()[..bytes.len()].copy_from_slice(bytes);
            Ok(Frame {
                origin: Path::new("simulated").into(),
                id: FrameId(id),
                encoding,
                slot: Arc::new(slot),
                payload: 0..bytes.len(),
                header: header(),
                factor: 1.0,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Engine::new(recipe.clone())?.integrate(&frames, &mut Scratch::default()))
}

/// Every pattern is the host's within 1e-6; the digest of their sums, in the order of the distinct frames.
fn check(engine: &Arc<CudaEngine>, slots: &SlotPool, expected: &[Outcome]) -> Result<String> {
    let mut reducer = CudaReducer::new(Arc::clone(engine), LaneSizes { lanes: 1, batch: BATCH })?;
    let mut which = Vec::new();
    for id in 0..BATCH {
        let (frame, number) = next_frame(slots, id);
        which.push(number);
        reducer.submit(frame)?;
    }
    let mut worst = 0.0_f64;
    let mut by_frame = vec![Vec::new(); expected.len()];
    for outcome in reducer.collect()? {
        let found = outcome.map_err(|bad| anyhow::anyhow!(bad.message))?;
        let expected =
            expected[which[found.id.0]].as_ref().map_err(|bad| anyhow::anyhow!(bad.message.clone()))?;
        let sums = found.signal.iter().zip(&expected.signal);
        by_frame[which[found.id.0]].clone_from(&found.signal);
        let norms = found.norms.normalization.iter().zip(&expected.norms.normalization);
        for (found, expected) in sums.chain(norms) {
            if found != expected {
                worst = worst.max((found - expected).abs() / expected.abs());
            }
        }
    }
    println!("largest relative difference to the host's sums: {worst:.1e}");
    ensure!(worst <= 1e-6, "the GPU's patterns are not the host's");
    Ok(digest(by_frame.iter().flatten().map(|sum| sum.to_bits())))
}

/// Bytes a second that a device copy reads and writes.
fn copy_rate(engine: &CudaEngine) -> Result<f64> {
    let stream = Stream::new(engine.context())?;
    let len = 1_usize << 30;
    let (from, to) = (
        DeviceBuffer::<u8>::take(engine.context(), len, "a copy")?,
        DeviceBuffer::<u8>::take(engine.context(), len, "a copy")?,
    );
    let (start, end) = (Event::new(engine.context())?, Event::new(engine.context())?);
    let mut best = 0.0_f64;
    for _ in 0..5 {
        start.enqueue(&stream)?;
        stream.enqueue_copy(&from, &to, from.len())?;
        end.enqueue(&stream)?;
        end.wait()?;
        best = best.max(2.0 * len as f64 / (f64::from(start.milliseconds_to(&end)?) * 1e-3));
    }
    Ok(best)
}

/// From pinned memory to patterns, and uploads alone.
fn from_memory(
    figures: &mut Figures,
    engine: &Arc<CudaEngine>,
    slots: &SlotPool,
    options: &[(usize, usize)],
) -> Result<()> {
    if options.is_empty() {
        return Ok(());
    }
    let count = if figures.asked.short { 2000 } else { 20_000 };
    let ceiling = upload_ceiling(engine, slots, count)?;
    println!(
        "pinned upload alone: {:.1} GB/s, {ceiling:.0} frames/s ({:.2} us)",
        ceiling * figures.amount.bytes as f64 / 1e9,
        1e6 / ceiling
    );
    for &(lanes, batch) in options {
        let mut reducer = CudaReducer::new(Arc::clone(engine), LaneSizes { lanes, batch })?;
        let start = Instant::now();
        let (mut next, mut flying, mut done) = (0, 0, 0);
        while done < count {
            while next < count && flying < reducer.capacity() {
                reducer.submit(next_frame(slots, next).0)?;
                next += 1;
                flying += 1;
            }
            let outcomes = reducer.collect()?;
            ensure!(outcomes.iter().all(Result::is_ok), "a frame came back bad");
            flying -= outcomes.len();
            done += outcomes.len();
        }
        let fps = count as f64 / start.elapsed().as_secs_f64();
        figures.report(&memory(lanes, batch), 1e6 / fps, "pinned upload", 1e6 / ceiling);
    }
    Ok(())
}

/// How soon one frame is through, in the median, beside its upload.
fn one_frame(figures: &mut Figures, engine: &Arc<CudaEngine>, slots: &SlotPool) -> Result<()> {
    const TIMES: usize = 200;
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let mut reducer = CudaReducer::new(Arc::clone(engine), LaneSizes::default())?;
    let stream = Stream::new(engine.context())?;
    let longest = (figures.amount.bytes + figures.amount.bytes / 4).next_multiple_of(4096);
    let target = DeviceBuffer::take(engine.context(), longest, "an upload")?;
    let (mut through, mut uploaded) = (Vec::new(), Vec::new());
    for id in 0..TIMES {
        let (frame, _) = next_frame(slots, id);
        ensure!(frame.payload.len() <= longest, "a frame of {} bytes", frame.payload.len());
        let start = Instant::now();
        // SAFETY: the frame is held until the stream has been waited for.
        unsafe { stream.enqueue_upload(&target, 0, frame.bytes()) }?;
        stream.wait()?;
        uploaded.push(start.elapsed().as_secs_f64() * 1e6);
        let start = Instant::now();
        reducer.submit(frame)?;
        reducer.flush()?;
        ensure!(reducer.collect()?.len() == 1, "one frame in, one pattern out");
        through.push(start.elapsed().as_secs_f64() * 1e6);
    }
    figures.report(LIVE, median(through), "its upload", median(uploaded));
    Ok(())
}

/// The timeline of a few batches, in Chrome's trace format.
fn trace(engine: &Arc<CudaEngine>, slots: &SlotPool, path: &Path) -> Result<()> {
    let timeline = Timeline::default();
    let mut reducer = CudaReducer::new(Arc::clone(engine), LaneSizes::default())?;
    reducer.record(timeline.clone(), "GPU".to_owned())?;
    let (mut next, mut done) = (0, 0);
    while done < 12 * BATCH {
        while next < 12 * BATCH && next - done < reducer.capacity() {
            reducer.submit(next_frame(slots, next).0)?;
            next += 1;
        }
        done += reducer.collect()?.len();
    }
    timeline.write_chrome(std::io::BufWriter::new(std::fs::File::create(path)?))?;
    Ok(())
}

/// Frames a second when they are uploaded and nothing else.
fn upload_ceiling(engine: &CudaEngine, slots: &SlotPool, count: usize) -> Result<f64> {
    let streams = [Stream::new(engine.context())?, Stream::new(engine.context())?];
    let (held, _): (Vec<_>, Vec<_>) = (0..SLOTS).map(|id| next_frame(slots, id)).unzip();
    let longest = held.iter().map(|frame| frame.payload.len()).max().unwrap_or(0).next_multiple_of(4096);
    let target = DeviceBuffer::take(engine.context(), held.len() * longest, "uploads")?;
    let start = Instant::now();
    for n in 0..count {
        let at = n % held.len();
        // SAFETY: the slots are held until the streams have been waited for.
        unsafe { streams[n % 2].enqueue_upload(&target, at * longest, held[at].bytes()) }?;
        if n % 256 == 255 {
            streams.iter().try_for_each(Stream::wait)?;
        }
    }
    streams.iter().try_for_each(Stream::wait)?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
