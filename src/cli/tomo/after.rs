//! The second half of `xrdct integrate --tomo`: its options, and what keeps the patterns for it.

use anyhow::{Context, anyhow, ensure};
use clap::Parser;

use super::args::TomoArgs;
use crate::cli::args::IntegrateArgs;
use crate::session::{self, Options, PatternStore, Plan};

/// What `xrdct integrate --tomo` asks for, its options read like those of `xrdct tomo`.
pub(in crate::cli) fn after_integration(
    args: &IntegrateArgs,
    options: &Options,
) -> anyhow::Result<Option<TomoArgs>> {
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
    let input = options.output.clone().unwrap_or_default();
    let words = [input.clone().into_os_string()].into_iter().chain(words.into_iter().map(Into::into));
    let said = Words::try_parse_from(words).map_err(|e| {
        let text = e.to_string();
        anyhow!("--tomo-options: {}", text.lines().next().unwrap_or_default().trim_start_matches("error: "))
    })?;
    let TomoArgs { device, threads, .. } = said.args.clone();
    ensure!(said.args.output.is_none() && !said.args.dry_run, "--tomo-options: the file is named by --tomo");
    ensure!(
        said.args.sectors.is_none() || options.npt_azim.is_some_and(|npt| npt > 1),
        "--tomo-options: --sectors needs an azimuthal axis, which --npt-azim gives"
    );
    Ok(Some(TomoArgs {
        input,
        output: Some(output.clone()),
        overwrite: args.overwrite,
        device: device.or_else(|| options.device.clone()),
        threads: threads.or(options.threads),
        saying: args.saying,
        ..said.args
    }))
}

/// Room for the patterns, to be kept for the second half; none when that is more than half of the memory to work in.
pub(in crate::cli) fn store(args: &TomoArgs, plan: &Plan) -> Option<PatternStore> {
    session::tomo::store(&args.options(), plan)
}
