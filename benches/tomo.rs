//! Filtered back-projection, beside what cannot be beaten: on the cores the multiply-adds alone, on the GPU the first-level caches
//! and the link.
//!
//! Slices of the phantom, 150 rotations x 150 translations. The GPU's are compared with the host's before anything is timed.
#![allow(dead_code)] // one module, two benches

use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::bench::tomo::{SliceSubject, cache_floor, host_floor, link_floor};
use xrdct::cuda::tomo::SliceSizes;
use xrdct::cuda::{CudaReconstructor, device};
use xrdct::tomo::GROUP;
use xrdct::tomo::{HostReconstructor, Reconstructor};

use super::options::{Options, told};

const SIDE: usize = 150;

fn amount(subject: &SliceSubject, bins: usize) -> Amount {
    let bytes = bins * subject.wanted.rays.len() * size_of::<f32>();
    Amount { bytes, pixels: bins * subject.wanted.grid.pixels() }
}

fn slices(maker: &mut dyn Reconstructor, subject: &SliceSubject, bins: usize) -> Result<Vec<f32>> {
    let mut slices = vec![0.0; bins * subject.wanted.grid.pixels()];
    maker.reconstruct(&subject.sinograms(bins), &mut slices).map_err(|e| anyhow!(e))?;
    Ok(slices)
}

fn bits(slices: &[f32]) -> String {
    digest(slices.iter().map(|value| u64::from(value.to_bits())))
}

/// All cores.
pub fn measure(options: &Options) -> Result<Vec<Measure>> {
    const NAME: &str = "tomo, FBP on the CPU";
    if !options.wants(NAME) {
        return Ok(vec![]);
    }
    let subject = SliceSubject::new(SIDE, SIDE);
    let bins = 4 * GROUP;
    let mut maker = HostReconstructor::new(&subject.wanted)?;
    let truth = bits(&slices(&mut maker, &subject, bins)?);
    let sinograms = subject.sinograms(bins);
    let mut target = vec![0.0; bins * subject.wanted.grid.pixels()];
    let (mut own, mut floor) = (f64::INFINITY, f64::INFINITY);
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() < options.seconds {
        let start = Instant::now();
        maker.reconstruct(&sinograms, &mut target).map_err(|e| anyhow!(e))?;
        own = own.min(start.elapsed().as_secs_f64());
        floor = floor.min(host_floor(&subject, 1) * bins as f64);
    }
    let ceiling = ("the multiply-adds alone", floor);
    Ok(vec![told(Measure::new(NAME, amount(&subject, bins), truth, own, ceiling))])
}

/// The first GPU.
pub fn on_gpu(options: &Options) -> Result<Vec<Measure>> {
    const BINS: usize = 1024;
    const RUNS: usize = 10;
    const KERNELS: &str = "tomo, FBP kernels";
    const WHOLE: &str = "tomo, FBP memory to memory";
    if options.sweep {
        sweep()?;
    }
    let wanted = [KERNELS, WHOLE].map(|name| options.wants(name));
    if wanted == [false, false] {
        return Ok(vec![]);
    }
    let subject = SliceSubject::new(SIDE, SIDE);
    let context = device::open(0)?;
    let expected = slices(&mut HostReconstructor::new(&subject.wanted)?, &subject, subject.distinct())?;
    let largest = expected.iter().fold(0.0_f32, |all, v| all.max(v.abs()));
    let sinograms = subject.sinograms(BINS);
    let mut target = vec![0.0; BINS * subject.wanted.grid.pixels()];
    let mut fastest = |options: SliceSizes, kernels: bool| -> Result<(f64, String)> {
        let mut maker = CudaReconstructor::new(&context, &subject.wanted, options).map_err(|e| anyhow!(e))?;
        let mut seconds = f64::INFINITY;
        for _ in 0..RUNS {
            let start = Instant::now();
            maker.reconstruct(&sinograms, &mut target).map_err(|e| anyhow!(e))?;
            let whole = start.elapsed().as_secs_f64();
            seconds = seconds.min(if kernels { maker.kernel_milliseconds() * 1e-3 } else { whole });
        }
        let off =
            target.iter().zip(expected.iter().cycle()).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
        ensure!(off <= 5e-6 * largest, "the GPU's slices are not the host's: {off}");
        Ok((seconds, bits(&target)))
    };
    let (kernels, truth) = fastest(SliceSizes { lanes: 1, bins: BINS }, true)?;
    let (whole, again) = fastest(SliceSizes::default(), false)?;
    ensure!(truth == again, "blocks changed the bits of slices");
    let amount = amount(&subject, BINS);
    let caches = cache_floor(&subject, &context)? * BINS as f64;
    let link = link_floor(&subject, &context)? * BINS as f64;
    let measures = [
        Measure::new(KERNELS, amount, truth, kernels, ("the first-level caches", caches)),
        Measure::new(WHOLE, amount, again, whole, ("the link", link.max(caches))),
    ];
    Ok(measures
        .into_iter()
        .zip(wanted)
        .filter(|(_, wanted)| *wanted)
        .map(|(measure, _)| told(measure))
        .collect())
}

/// Lanes and bins of a block, 1000 slices of 300 x 300: seconds from memory to memory.
fn sweep() -> Result<()> {
    const BINS: usize = 1000;
    let subject = SliceSubject::new(300, 300);
    let context = device::open(0)?;
    let sinograms = subject.sinograms(BINS);
    let mut target = vec![0.0; BINS * subject.wanted.grid.pixels()];
    let start = Instant::now();
    subject.wanted.bins_of(&sinograms, &target)?;
    println!("looking for holes: {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
    for bins in [16, 32, 64, 128, 256] {
        for lanes in [1, 2, 3, 4] {
            let start = Instant::now();
            let options = SliceSizes { lanes, bins };
            let mut maker =
                CudaReconstructor::new(&context, &subject.wanted, options).map_err(|e| anyhow!(e))?;
            let made = start.elapsed().as_secs_f64() * 1e3;
            let mut fastest = f64::INFINITY;
            for _ in 0..5 {
                let start = Instant::now();
                maker.reconstruct(&sinograms, &mut target).map_err(|e| anyhow!(e))?;
                fastest = fastest.min(start.elapsed().as_secs_f64());
            }
            println!(
                "{lanes} lanes of {bins} bins: {:.2} ms, kernels {:.2} ms; made in {made:.1} ms",
                fastest * 1e3,
                maker.kernel_milliseconds()
            );
        }
    }
    println!("the link: {:.2} ms", link_floor(&subject, &context)? * 1e3 * BINS as f64);
    Ok(())
}
