//! Building the sparse matrix of a Pilatus CdTe 2M (1679 x 1475, 1000 bins), for each pixel splitting, beside its floor:
//! the radial position of each pixel's centre, on as many threads, without which no matrix can be built.
//!
//! The sum of all weights must be the number of pixels that the mask leaves: a bench that builds the wrong matrix fails.

use anyhow::{Context as _, Result, ensure};
use std::hint::black_box;
use std::path::Path;

use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::bench::subject::SIMULATED_PONI;
use xrdct::frame::Shape;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::position::radial;
use xrdct::geometry::units::Unit;
use xrdct::integrate::split::{MatrixRequest, Split, build};

use super::options::{Options, told};

const SHAPE: Shape = Shape { slow: 1679, fast: 1475 };

/// Each splitting.
pub fn measure(options: &Options) -> Result<Vec<Measure>> {
    let poni = Poni::parse(SIMULATED_PONI, Path::new("bench.poni"))?;
    let mask = poni.detector.mask().context("a Pilatus has gaps")?;
    let valid = (SHAPE.pixels() - mask.count()) as f64;
    let mut measures = Vec::new();
    for (name, split) in [("no", Split::No), ("bbox", Split::BBox), ("full", Split::Full)] {
        let name = format!("matrix, {name} splitting");
        if !options.wants(&name) {
            continue;
        }
        let request = MatrixRequest {
            poni: &poni,
            shape: SHAPE,
            npt: 1000,
            npt_azim: None,
            unit: Unit::QNm,
            split,
            mask: Some(&mask),
            radial_range: None,
            azimuth_range: None,
            chi_at_zero: false,
        };
        let csr = build(&request)?.matrix;
        let sum: f64 = csr.weights.iter().map(|w| f64::from(*w)).sum();
        ensure!((sum - valid).abs() < 1e-5 * valid, "{name}: weights sum to {sum}, not to {valid}");
        let entries = csr.indices.iter().zip(&csr.weights);
        let truth =
            digest(entries.map(|(pixel, weight)| u64::from(*pixel) << 32 | u64::from(weight.to_bits())));
        let bytes = csr.bytes();
        drop(csr);
        measures.push(told(Measure::take(
            &name,
            Amount { bytes, pixels: SHAPE.pixels() },
            truth,
            options.seconds,
            &mut || drop(black_box(build(&request))),
            ("the pixels' positions", &mut || {
                black_box(radial(&poni, SHAPE, Unit::QNm).expect("a wavelength"));
            }),
        )));
    }
    Ok(measures)
}
