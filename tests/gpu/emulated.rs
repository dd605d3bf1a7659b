//! The kernels themselves, compiled for the host with a small emulator of CUDA (tests/gpu/emulator.h), against the CPU
//! definitions: bit for bit where they decode, within 1e-6 where they integrate. The address and undefined-behaviour
//! sanitizers watch every access. No GPU is needed; races between warps are the sanitizer's business on a real one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xrdct::codec::Pixel;
use xrdct::cuda::integrate::matrix::{CsrRows, Limits, SubTiles};
use xrdct::cuda::params::{self, XrdctBatch, XrdctRecipe, XrdctSpan};

use super::streams::{self, Case};

const TILE: usize = params::XRDCT_TILE_BYTES as usize;

/// Compiles kernels for the emulator.
pub(super) fn build(source: &str, program: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(program);
    let built = Command::new(&compiler)
        .current_dir(root)
        .args(["-std=c++17", "-O1", "-g0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
        .args(["-Icuda", "-Itests/gpu", source, "-o"])
        .arg(&program)
        .output()
        .unwrap_or_else(|e| panic!("{compiler}: {e}; a C++ compiler is needed, CXX names it"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// Gives a program a file of arrays, each after its number of bytes, and takes those that it writes.
pub(super) fn run_on(program: &Path, name: &str, arrays: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut file = Vec::new();
    for array in arrays {
        file.extend((array.len() as u64).to_le_bytes());
        file.extend(*array);
    }
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    fs::write(&input, file).unwrap();
    let ran = Command::new(program)
        .env("ASAN_OPTIONS", "detect_stack_use_after_return=0:detect_leaks=0")
        .args([&input, &output])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    let mut rest = &fs::read(&output).unwrap()[..];
    let mut arrays = Vec::new();
    while let Some((size, after)) = rest.split_at_checked(8) {
        let (array, after) = after.split_at(u64::from_le_bytes(size.try_into().unwrap()) as usize);
        arrays.push(array.to_vec());
        rest = after;
    }
    arrays
}

/// The chain of decoding and integration, built once.
fn emulator() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("tests/gpu/emulate.cpp", "emulate"))
}

pub(super) fn bytes_of<T: Copy>(values: &[T]) -> &[u8] {
    // SAFETY: the types that are passed here are plain numbers and C structures of them without padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

pub(super) fn values_of<T: Copy + Default>(bytes: &[u8]) -> Vec<T> {
    let mut values = vec![T::default(); bytes.len() / size_of::<T>()];
    // SAFETY: plain numbers, as many bytes as the vector has; any bit pattern is valid.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), values.as_mut_ptr().cast(), size_of_val(&values[..]));
    }
    values
}

/// One batch for the emulated kernels.
struct Job {
    pixels: usize,
    pixel: u32,
    frames: Vec<Vec<u8>>,
    /// How far each frame's first byte is from its tile's edge.
    offset: usize,
    tiles: SubTiles,
    recipe: XrdctRecipe,
    dark: Vec<f32>,
    normalization: Vec<f32>,
    variance: bool,
    group: u32,
    cutoff: f32,
    used: Vec<u32>,
}

/// Signal, variance, deficits and saturated pixels of each frame.
type Sums = (Vec<f64>, Vec<f64>, Vec<u64>, Vec<u32>);

struct Answer {
    verdicts: Vec<u32>,
    pixels: Vec<u8>,
    /// Of the plain and of the packed kernels.
    plain: Option<Sums>,
    packed: Option<Sums>,
}

impl Job {
    fn codec<T: Pixel>(pixels: usize, frames: Vec<Vec<u8>>, offset: usize) -> Job {
        Job {
            pixels,
            pixel: T::TYPE as u32,
            frames,
            offset,
            tiles: SubTiles::default(),
            recipe: XrdctRecipe::default(),
            dark: Vec::new(),
            normalization: Vec::new(),
            variance: false,
            group: 8,
            cutoff: f32::INFINITY,
            used: Vec::new(),
        }
    }

    fn run(&self, program: &Path, name: &str) -> Answer {
        let mut batch = XrdctBatch {
            frames: self.frames.len() as u32,
            pixels: self.pixels as u32,
            pixel: self.pixel,
            wide: u32::from(self.pixel >= params::XRDCT_I64),
            subtiles: self.pixels.div_ceil(params::XRDCT_SUBTILE_PIXELS as usize) as u32,
            cutoff: self.cutoff,
            ..XrdctBatch::default()
        };
        let mut arena = Vec::new();
        for (frame, span) in self.frames.iter().zip(&mut batch.span) {
            // What lies around a frame is noise.
            arena.resize(arena.len() + self.offset, 0x80);
            *span = XrdctSpan { first: arena.len() as u32, end: (arena.len() + frame.len()) as u32 };
            arena.extend(frame);
            arena.resize(arena.len().next_multiple_of(TILE).max(TILE), 0x80);
        }
        let (batch, recipe) = ([batch], [self.recipe]);
        let options = [self.tiles.max_slots as u32, u32::from(self.variance), self.group];
        let tiles = &self.tiles;
        let arrays: [&[u8]; 16] = [
            bytes_of(&batch),
            bytes_of(&recipe),
            &arena,
            bytes_of(&options),
            bytes_of(&tiles.items),
            bytes_of(&tiles.parts),
            bytes_of(&tiles.passes),
            bytes_of(&tiles.row_slot),
            bytes_of(&tiles.entry_pixel),
            bytes_of(&tiles.entry_weight),
            bytes_of(&self.dark),
            bytes_of(&self.normalization),
            bytes_of(&tiles.slot_bin),
            bytes_of(&tiles.bin_first),
            bytes_of(&tiles.position),
            bytes_of(&self.used),
        ];
        let arrays = run_on(program, name, &arrays);
        let sums = |at: usize| {
            let array = |n: usize| arrays.get(at + n).map(Vec::as_slice);
            Some((values_of(array(0)?), values_of(array(1)?), values_of(array(2)?), values_of(array(3)?)))
        };
        Answer {
            verdicts: values_of::<[u32; 2]>(&arrays[0]).iter().map(|verdict| verdict[0]).collect(),
            pixels: arrays[1].clone(),
            plain: sums(2),
            packed: sums(6),
        }
    }
}

fn check_codec<T: Pixel + Default + PartialEq + std::fmt::Debug>(
    program: &Path,
    cases: &[Case<T>],
    pixels: usize,
    offset: usize,
) {
    for some in cases.chunks(params::XRDCT_MAX_BATCH as usize) {
        let frames = some.iter().map(|case| case.bytes.clone()).collect();
        let answer = Job::codec::<T>(pixels, frames, offset).run(program, &some[0].name);
        let decoded: Vec<T> = values_of(&answer.pixels);
        for (n, case) in some.iter().enumerate() {
            assert_eq!(answer.verdicts[n], case.status, "{} at offset {offset}", case.name);
            if let Some(expected) = &case.pixels {
                let found = &decoded[n * pixels..][..pixels];
                let wrong = (0..pixels).find(|&p| found[p] != expected[p]);
                assert_eq!(wrong, None, "{} at offset {offset}: first wrong pixel", case.name);
            }
        }
    }
}

#[test]
fn decodes_every_stream_as_the_reference_does() {
    let program = emulator();
    for (seed, pixels) in [1_usize, 17, 3000].into_iter().enumerate() {
        check_codec(program, &streams::corpus::<i32>(pixels, seed as u64 * 100), pixels, seed % 16);
    }
}

#[test]
fn decodes_at_every_alignment() {
    let program = emulator();
    for offset in 0..16 {
        let cases: Vec<_> = streams::corpus::<i32>(200, 1000 + offset as u64);
        check_codec(program, &cases[offset..offset + 20], 200, offset);
    }
}

#[test]
fn decodes_every_pixel_type() {
    let program = emulator();
    check_codec(program, &streams::corpus::<i8>(300, 1)[40..], 300, 1);
    check_codec(program, &streams::corpus::<u8>(300, 2)[40..], 300, 2);
    check_codec(program, &streams::corpus::<i16>(300, 3)[40..], 300, 3);
    check_codec(program, &streams::corpus::<u16>(300, 4)[40..], 300, 4);
    check_codec(program, &streams::corpus::<u32>(300, 5)[40..], 300, 5);
    check_codec(program, &streams::corpus::<i64>(900, 6), 900, 6);
    check_codec(program, &streams::corpus::<u64>(300, 7)[40..], 300, 7);
}

/// A random matrix in which a pixel has one to three bins near each other.
fn random_matrix(bins: usize, pixels: usize, rng: &mut StdRng) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
    let mut rows = vec![Vec::new(); bins];
    for pixel in 0..pixels {
        let centre = (pixel * 31 % 1511) * bins / 1511;
        let width = rng.random_range(1..4);
        for row in rows.iter_mut().skip(centre).take(width) {
            row.push((pixel as u32, rng.random_range(0.05..1.0_f32)));
        }
    }
    let mut indptr = vec![0];
    for row in &rows {
        indptr.push(indptr.last().unwrap() + row.len() as u32);
    }
    let entries: Vec<_> = rows.into_iter().flatten().collect();
    (indptr, entries.iter().map(|e| e.0).collect(), entries.iter().map(|e| e.1).collect())
}

#[derive(Clone, Copy)]
struct Wanted {
    dark: bool,
    dummy: Option<(f32, f32)>,
    variance: bool,
    group: u32,
    limits: Limits,
    /// From which count on pixels are saturated, and whether they are left out.
    saturation: Option<(f32, bool)>,
}

fn check_integration(program: &Path, wanted: &Wanted, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (pixels, bins, count) = (5_500, 130, 3);
    let (indptr, indices, weights) = random_matrix(bins, pixels, &mut rng);
    let frames: Vec<Vec<i32>> = (0..count)
        .map(|_| {
            (0..pixels).map(|_| if rng.random_bool(0.03) { -2 } else { rng.random_range(0..3000) }).collect()
        })
        .collect();
    let packed = frames.iter().map(|frame| xrdct::codec::byte_offset::encode(frame)).collect();
    let dark: Vec<f32> =
        (0..pixels).map(|_| if wanted.dark { rng.random_range(0.0..50.0) } else { 0.0 }).collect();
    let normalization: Vec<f32> = (0..pixels).map(|_| rng.random_range(0.5..1.5)).collect();
    // Pixels that no bin has any more do not count as saturated.
    let is_valid = |pixel: usize| !pixel.is_multiple_of(11);
    let mut used = vec![0_u32; pixels.div_ceil(32)];
    indices.iter().map(|p| *p as usize).filter(|p| is_valid(*p)).for_each(|p| used[p / 32] |= 1 << (p % 32));
    let (cutoff, masked) = wanted.saturation.unwrap_or((f32::INFINITY, false));
    let rows = CsrRows { pixels, indptr: &indptr, indices: &indices, weights: &weights };
    let tiles = SubTiles::build(rows, is_valid, wanted.limits);
    let scale = 2.0_f32.powi(40);
    let recipe = XrdctRecipe {
        bins: bins as u32,
        total_slots: tiles.slot_bin.len() as u32,
        has_invalid: u32::from(wanted.dummy.is_some() || masked),
        mask_saturated: u32::from(masked),
        dummy: wanted.dummy.map_or(f32::NAN, |d| d.0),
        delta_dummy: wanted.dummy.map_or(0.0, |d| d.1),
        scale_n: scale,
        scale_n2: scale,
        scale_c: scale,
    };
    let job = Job {
        tiles,
        recipe,
        dark: if wanted.dark { dark.clone() } else { Vec::new() },
        normalization: normalization.clone(),
        variance: wanted.variance,
        group: wanted.group,
        cutoff,
        used: used.clone(),
        ..Job::codec::<i32>(pixels, packed, 5)
    };
    let answer = job.run(program, "integration");
    assert_eq!(answer.verdicts, vec![0; count]);
    let (plain, packed) = (answer.plain.unwrap(), answer.packed.unwrap());
    assert_eq!(plain, packed, "the two forms differ");
    for (n, frame) in frames.iter().enumerate() {
        let is_dummy = |raw: f32| wanted.dummy.is_some_and(|(value, delta)| (raw - value).abs() <= delta);
        let is_high = |count: i32| count as f32 >= cutoff && !is_dummy(count as f32);
        let is_used = |pixel: &usize| used[pixel / 32] >> (pixel % 32) & 1 == 1;
        let high = (0..pixels).filter(is_used).filter(|&pixel| is_high(frame[pixel])).count();
        assert_eq!(packed.3[n] as usize, high, "frame {n}: saturated pixels");
        for bin in 0..bins {
            let (mut s, mut v, mut d) = (0.0, 0.0, [0.0; 3]);
            for entry in indptr[bin] as usize..indptr[bin + 1] as usize {
                let (pixel, c) = (indices[entry] as usize, f64::from(weights[entry]));
                if !is_valid(pixel) {
                    continue;
                }
                let raw = frame[pixel] as f32;
                let invalid = is_dummy(raw) || (masked && is_high(frame[pixel]));
                if invalid {
                    let norm = f64::from(normalization[pixel]);
                    d = [d[0] + c * norm, d[1] + (c * norm).powi(2), d[2] + c];
                } else {
                    s += c * f64::from(raw - dark[pixel]);
                    v += c * c * f64::from(raw.max(1.0));
                }
            }
            let close = |a: f64, b: f64| (a - b).abs() <= 5e-7 * b.abs();
            let at = n * bins + bin;
            assert!(close(packed.0[at], s), "frame {n} bin {bin}: signal {} is not {s}", packed.0[at]);
            if wanted.variance {
                assert!(close(packed.1[at], v), "frame {n} bin {bin}: variance {} is not {v}", packed.1[at]);
            }
            for (term, expected) in d.into_iter().enumerate() {
                let found = packed.2[(n * 3 + term) * bins + bin] as f64 / f64::from(scale);
                assert!(
                    (found - expected).abs() < 1e-9,
                    "frame {n} bin {bin}: deficit {term} {found} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn integrates_as_the_definition_does() {
    let program = emulator();
    let roomy = Limits { slots: 600, subtiles: 16, row: 16 };
    let tight = Limits { slots: 40, subtiles: 3, row: 4 };
    let dummy = Some((-2.0, 1.5));
    let plain = Wanted { dark: false, dummy, variance: false, group: 8, limits: tight, saturation: None };
    let cases = [
        Wanted { dummy: None, limits: roomy, ..plain },
        plain,
        Wanted { group: 4, limits: roomy, ..plain },
        Wanted { variance: true, group: 4, ..plain },
        Wanted { dark: true, group: 4, limits: roomy, ..plain },
        Wanted { dark: true, dummy: Some((-2.0, 0.0)), variance: true, group: 4, ..plain },
    ];
    for (seed, wanted) in (1..).zip(cases) {
        check_integration(program, &wanted, seed);
    }
}

#[test]
fn counts_and_masks_saturated_pixels_as_the_definition_does() {
    let program = emulator();
    let roomy = Limits { slots: 600, subtiles: 16, row: 16 };
    let tight = Limits { slots: 40, subtiles: 3, row: 4 };
    let dummy = Some((-2.0, 1.5));
    let plain = Wanted { dark: false, dummy, variance: false, group: 8, limits: roomy, saturation: None };
    let cases = [
        // Few, in some sub-tiles only; with bins that more than one item shares.
        Wanted { saturation: Some((2999.0, false)), ..plain },
        Wanted { saturation: Some((2999.0, true)), limits: tight, ..plain },
        // Many, and none of the dummies among them.
        Wanted { saturation: Some((1000.0, true)), dummy: None, group: 4, ..plain },
        Wanted { saturation: Some((1000.0, false)), variance: true, group: 4, limits: tight, ..plain },
        Wanted { saturation: Some((2990.0, true)), dark: true, variance: true, group: 4, ..plain },
        Wanted {
            saturation: Some((2990.0, true)),
            dummy: Some((2999.0, 0.0)),
            dark: true,
            group: 4,
            ..plain
        },
    ];
    for (seed, wanted) in (10..).zip(cases) {
        check_integration(program, &wanted, seed);
    }
}
