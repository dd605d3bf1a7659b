//! Building the sparse matrix of a Pilatus CdTe 2M (1679 x 1475, 1000 bins), for each pixel splitting, beside its floor:
//! the time that writing the finished matrix takes at the rate of a plain fill of the same size on one thread.
//!
//! The sum of all weights must be the number of pixels that the mask leaves: a bench that builds the wrong matrix fails.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use xrdct::frame::Shape;
use xrdct::geometry::detector::Detector;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::integrate::split::{Request, Split, build};

const SHAPE: Shape = Shape { slow: 1679, fast: 1475 };
const RUNS: usize = 7;
const PONI: &str = "poni_version: 2.1\nDetector: PilatusCdTe2M\nDetector_config: {\"orientation\": 3}\nDistance: 0.5\n\
    Poni1: 0.144394\nPoni2: 0.12685\nRot1: 0.01\nRot2: -0.008\nRot3: 0.0\nWavelength: 1.7712e-11\n";

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn timed<T>(mut work: impl FnMut() -> T) -> (f64, T) {
    let mut last = None;
    let times = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            last = Some(std::hint::black_box(work()));
            start.elapsed().as_secs_f64()
        })
        .collect();
    (median(times), last.expect("at least one run"))
}

fn main() -> Result<()> {
    let poni = Poni::parse(PONI, "bench.poni")?;
    let mask = Detector::by_name("PilatusCdTe2M").and_then(|d| d.mask()).context("a mask")?;
    let valid = (SHAPE.pixels() - mask.count()) as f64;
    println!("{SHAPE} pixels, 1000 bins in q_nm^-1, {} threads", rayon::current_num_threads());
    println!("{:<8}{:>12}{:>10}{:>12}{:>10}", "split", "entries", "ms", "floor, ms", "of floor");
    for (name, split) in [("no", Split::No), ("bbox", Split::BBox), ("full", Split::Full)] {
        let request = Request {
            poni: &poni,
            shape: SHAPE,
            npt: 1000,
            unit: Unit::QNm,
            split,
            mask: Some(&mask),
            radial_range: None,
            azimuth_range: None,
        };
        let (seconds, built) = timed(|| build(&request));
        let (_, csr) = built?;
        let sum: f64 = csr.weights.iter().map(|w| f64::from(*w)).sum();
        ensure!((sum - valid).abs() < 1e-5 * valid, "{name}: weights sum to {sum}, not to {valid}");
        let (floor, _) = timed(|| vec![1_u8; csr.bytes()]);
        println!(
            "{name:<8}{:>12}{:>10.1}{:>12.1}{:>10.2}",
            csr.entries(),
            1e3 * seconds,
            1e3 * floor,
            floor / seconds
        );
    }
    Ok(())
}
