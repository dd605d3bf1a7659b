//! The problem of the paper's outlook (section 4): single crystals' spots and gamma hits in powder frames, which spoil the slices of means and not those of
//! clipped means and medians.
//!
//! A simulated scan with 25 spots and 40 hits a frame is integrated with each statistic and reconstructed by the program itself; what is told is the correlation of its slices
//! with the true maps (the mean of three phases; 1 is the truth), and the time of a frame, reading and writing included.
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use xrdct::bench::measure::{Measure, digest};

use super::options::{Options, told};

const ROTATIONS: usize = 30;
const TRANSLATIONS: usize = 31;
/// Pixels of a Pilatus 100k, and bytes of one.
const PIXELS: usize = 195 * 487;
const PIXEL_BYTES: usize = 4;

/// Every statistic.
pub fn measure(options: &Options) -> Result<Vec<Measure>> {
    let statistics = ["mean", "clip", "median"].map(|statistic| (statistic, format!("spots, {statistic}")));
    if !statistics.iter().any(|(_, name)| options.wants(name)) {
        return Ok(vec![]);
    }
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let (rotations, translations) = (ROTATIONS.to_string(), TRANSLATIONS.to_string());
    run(
        at,
        &format!(
            "simulate -o scan --phantom --rotations {rotations} --translations {translations} --spots 25 --hits 40"
        ),
    )?;
    let mut found = Vec::new();
    for (statistic, name) in statistics.iter().filter(|(_, name)| options.wants(name)) {
        let (correlation, seconds) = correlation(at, statistic)?;
        let rate = 1.0 / seconds;
        found.push(told(Measure {
            name: name.clone(),
            digest: digest([correlation.to_bits()]),
            ceiling: "the truth".into(),
            ratio: correlation,
            seconds,
            bytes_per_second: rate * (PIXELS * PIXEL_BYTES) as f64,
            pixels_per_second: rate * PIXELS as f64,
        }));
    }
    Ok(found)
}

/// How much slices are like the truth, and the time of a frame.
fn correlation(at: &Path, statistic: &str) -> Result<(f64, f64)> {
    let begun = Instant::now();
    run(
        at,
        &format!(
            "integrate -p scan/geometry.poni --statistic {statistic} --slow {ROTATIONS} --fast {TRANSLATIONS} --npt 500 --unit q_A^-1 --device cpu -q \
             --overwrite -o scan.h5 scan"
        ),
    )?;
    let seconds = begun.elapsed().as_secs_f64() / (ROTATIONS * TRANSLATIONS) as f64;
    run(
        at,
        "tomo scan.h5 -o tomo.h5 --overwrite --device cpu -q --centre 15 --regions-only --region LaB6=2.077:2.199 --region CeO2=1.950:2.072 \
         --region Al2O3=2.402:2.524",
    )?;
    run(at, "plot tomo.h5 --truth scan/truth.h5 -o overview.svg --overwrite")?;
    let picture = std::fs::read_to_string(at.join("overview.svg"))?;
    let told =
        picture.split("correlation ").skip(1).map(|text| text.split('<').next().unwrap_or_default().trim());
    let told: Vec<f64> = told.map(|text| text.parse().context(text.to_owned())).collect::<Result<_>>()?;
    ensure!(told.len() == 3, "there are {} correlations in the picture, not three", told.len());
    Ok((told.iter().sum::<f64>() / told.len() as f64, seconds))
}

fn run(at: &Path, words: &str) -> Result<()> {
    let done =
        Command::new(env!("CARGO_BIN_EXE_xrdct")).current_dir(at).args(words.split_whitespace()).output()?;
    ensure!(done.status.success(), "xrdct {words}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
