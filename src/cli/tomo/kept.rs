//! What `xrdct integrate --tomo` hands on: the options of the second half, and the patterns.

use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use clap::Parser;

use super::args::TomoArgs;
use super::working_memory;
use crate::budget;
use crate::cli::args::IntegrateArgs;
use crate::cuda::DevicePatterns;
use crate::output::result::Patterns;

/// What `xrdct integrate --tomo` asks for, its options read like those of `xrdct tomo`.
pub(in crate::cli) fn after_integration(args: &IntegrateArgs) -> anyhow::Result<Option<TomoArgs>> {
    #[derive(Parser)]
    #[command(name = "--tomo-options", no_binary_name = true, disable_help_flag = true)]
    struct Words {
        #[command(flatten)]
        args: TomoArgs,
    }
    let Some(output) = &args.tomo else { return Ok(None) };
    let text = args.tomo_options.as_deref().unwrap_or_default();
    let words =
        shlex::split(text).with_context(|| format!("--tomo-options {text:?}: a quote is not closed"))?;
    // The result is not there yet: its name takes the place of the input.
    let input = args.output.clone().unwrap_or_default();
    let words = [input.clone().into_os_string()].into_iter().chain(words.into_iter().map(Into::into));
    let said = Words::try_parse_from(words).map_err(|e| {
        let text = e.to_string();
        anyhow!("--tomo-options: {}", text.lines().next().unwrap_or_default().trim_start_matches("error: "))
    })?;
    let TomoArgs { device, threads, .. } = said.args.clone();
    ensure!(said.args.output.is_none() && !said.args.dry_run, "--tomo-options: the file is named by --tomo");
    Ok(Some(TomoArgs {
        input,
        output: Some(output.clone()),
        overwrite: args.overwrite,
        device: device.or_else(|| args.device.clone()),
        threads: threads.or(args.threads),
        saying: args.saying,
        ..said.args
    }))
}

/// Patterns as they come out of the corridor, for a tomogram in the same run: frame by frame, NaN where none came.
pub(in crate::cli) struct PatternStore {
    npt: usize,
    values: Vec<f32>,
    /// The same patterns on the GPU that made them.
    pub(in crate::cli) on_device: Option<Arc<DevicePatterns>>,
}

impl PatternStore {
    /// Room for all patterns; none when that is more than half of the memory to work in: they are read back then.
    pub(in crate::cli) fn new(args: &TomoArgs, frames: usize, npt: usize) -> Option<PatternStore> {
        let fits = budget::bytes_of(&[frames, npt], size_of::<f32>()) <= working_memory(args) as u64 / 2;
        fits.then(|| PatternStore { npt, values: vec![f32::NAN; frames * npt], on_device: None })
    }

    /// Keeps a pattern.
    pub(in crate::cli) fn put(&mut self, frame: usize, intensity: &[f32]) {
        self.values[frame * self.npt..][..self.npt].copy_from_slice(intensity);
    }

    /// The rows of a result.
    pub(super) fn rows(self, patterns: &Patterns) -> Vec<f32> {
        let in_order = patterns.frames.iter().enumerate().all(|(row, frame)| *frame == Some(row));
        if in_order && self.values.len() == patterns.rows() * self.npt {
            return self.values;
        }
        let mut rows = vec![f32::NAN; patterns.rows() * self.npt];
        for (row, frame) in rows.chunks_mut(self.npt).zip(&patterns.frames) {
            if let Some(pattern) = frame.and_then(|n| self.values.get(n * self.npt..(n + 1) * self.npt)) {
                row.copy_from_slice(pattern);
            }
        }
        rows
    }
}
