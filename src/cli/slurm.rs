//! `xrdct slurm`: an integration as a job array, a merge and a tomogram, written as scripts and handed to Slurm.

pub mod args;
mod scripts;
pub mod typed;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail, ensure};

use self::args::SlurmArgs;
use self::scripts::{Batch, PROLOGUE, SUBMIT, TomoJob};
use super::args::IntegrateArgs;
use super::exit::{Exit, Failure, OrExit};
use super::progress::Verbosity;
use super::words::{Sentences, count};
use super::{integrate, say, tomo};
use crate::files;
use crate::output::draft::write_whole;
use crate::session::Plan;
use crate::session::options::ScanPart;

/// Options of `sbatch` that the scripts say themselves.
const OURS: [&str; 12] = [
    "--array",
    "-a",
    "--chdir",
    "-D",
    "--dependency",
    "-d",
    "--kill-on-invalid-dep",
    "--no-requeue",
    "--parsable",
    "--test-only",
    "--wait",
    "--wrap",
];

/// Longest prologue, bytes.
const LONGEST_PROLOGUE: u64 = 1 << 20;

/// Runs the command.
pub(super) fn run(args: &SlurmArgs) -> Result<Exit, Failure> {
    let integration = &args.integrate.args;
    let is_quiet = Verbosity::of(integration.saying) == Verbosity::Quiet;
    let plan = check(integration, args.parts)?;
    let frames = plan.part.as_ref().map_or(plan.frames.count(), |part| part.frames);
    let prologue = args.prologue.as_deref().map(read_prologue).transpose().or_exit(Exit::Usage)?;
    let batch = batch(args, &plan).or_exit(Exit::Usage)?;
    let scripts = batch.files().or_exit(Exit::Usage)?;
    if !is_quiet {
        plan.notes.iter().for_each(|line| say::warn(line));
    }
    if !integration.dry_run {
        write(&batch, &scripts, prologue.as_deref(), integration.resume).or_exit(Exit::Output)?;
    }
    if !is_quiet || integration.dry_run {
        say::summary(&describe(&batch, frames, integration));
    }
    if args.submit && !integration.dry_run {
        submit(&batch.folder)?;
    }
    Ok(Exit::Success)
}

/// What `xrdct integrate --dry-run` finds is found now, and not by jobs that waited for an hour. The nodes have the GPU, if any: it is not
/// looked for here. The plan is that of the first part.
fn check(args: &IntegrateArgs, parts: usize) -> Result<Plan, Failure> {
    if args.output.is_none() {
        return Err(anyhow!("no result file: name one with --output FILE.h5")).or_exit(Exit::Usage);
    }
    for (option, file) in [("--trace", &args.trace), ("--save-config", &args.save_config)] {
        if file.is_some() {
            let said = format!("{option}: for one run, and every part is one; see xrdct integrate");
            return Err(anyhow!(said)).or_exit(Exit::Usage);
        }
    }
    if args.part.is_some() {
        return Err(anyhow!("--part: the tasks of the job array say which; see --parts"))
            .or_exit(Exit::Usage);
    }
    let mut here = args.clone();
    here.part = Some(ScanPart { number: 1, of: parts });
    if args.device.as_deref().is_none_or(|device| device == "auto" || is_gpu(device)) {
        here.device = Some("cpu".to_owned());
        here.strategy = None;
    }
    integrate::check(&here)
}

/// `cuda`, `cuda:1`.
fn is_gpu(device: &str) -> bool {
    device == "cuda" || device.strip_prefix("cuda:").is_some_and(|number| number.parse::<usize>().is_ok())
}

fn batch(args: &SlurmArgs, plan: &Plan) -> anyhow::Result<Batch> {
    let typed = &args.integrate;
    let integration = &typed.args;
    let sbatch = options("--sbatch", args.sbatch.as_deref())?;
    let output = absolute(integration.output.as_deref().unwrap_or(Path::new("")))?;
    let device = match &integration.device {
        Some(device) => device.clone(),
        None if asks_for_gpu(&sbatch) => "cuda".to_owned(),
        None => "cpu".to_owned(),
    };
    let beside = |name: &str, own: Option<&str>| match own {
        Some(own) => options(name, Some(own)),
        None => Ok(sbatch.clone()),
    };
    let tomo = match tomo::after_integration(integration, &plan.options)? {
        None => None,
        Some(read) => {
            let words = shlex::split(integration.tomo_options.as_deref().unwrap_or_default());
            let words = words.unwrap_or_default();
            let says = |option: &str| words.iter().any(|word| word.split('=').next() == Some(option));
            Some(TomoJob {
                output: absolute(read.output.unwrap_or_default())?,
                says_device: says("--device"),
                says_threads: says("--threads"),
                sbatch: beside("--sbatch-tomo", args.sbatch_tomo.as_deref())?,
                typed: words,
            })
        }
    };
    Ok(Batch {
        parts: args.parts,
        program: program(args)?,
        work: std::env::current_dir().context("the current folder")?,
        folder: match &args.folder {
            Some(folder) => absolute(folder)?,
            None => output.with_extension("slurm"),
        },
        output,
        overwrite: integration.overwrite,
        has_prologue: args.prologue.is_some(),
        typed: typed.typed.clone(),
        device,
        threads: integration.threads,
        sbatch_merge: beside("--sbatch-merge", args.sbatch_merge.as_deref())?,
        sbatch,
        tomo,
    })
}

/// The program that the scripts start. One that was named may be on the nodes only.
fn program(args: &SlurmArgs) -> anyhow::Result<PathBuf> {
    match &args.program {
        Some(program) => Ok(absolute(program)?),
        None => {
            let own = std::env::current_exe().context("where this program is; see --program")?;
            ensure!(own.exists(), "{}: this program was replaced; see --program", own.display());
            Ok(own)
        }
    }
}

/// Options of `sbatch`, as words.
fn options(name: &str, text: Option<&str>) -> anyhow::Result<Vec<String>> {
    let text = text.unwrap_or_default();
    let words = shlex::split(text).with_context(|| format!("{name} {text:?}: a quote is not closed"))?;
    if let Some(first) = words.first() {
        ensure!(first.starts_with('-'), "{name} {text:?}: {first} is no option");
    }
    let is_ours = |word: &&String| {
        let option = word.split('=').next().unwrap_or_default();
        let is_short =
            |ours: &&str| !ours.starts_with("--") && !word.starts_with("--") && word.starts_with(*ours);
        OURS.contains(&option) || OURS.iter().any(is_short)
    };
    if let Some(word) = words.iter().find(is_ours) {
        bail!("{name}: {word} is for the scripts to say");
    }
    Ok(words)
}

/// Whether options of `sbatch` ask for a GPU.
fn asks_for_gpu(words: &[String]) -> bool {
    let is_count = |word: &str| word.starts_with("--gpus") || word.starts_with("-G");
    let is_resource = |word: &str| word.starts_with("--gres") || word.starts_with("--tres-per-");
    let value = |at: usize| words.get(at + 1).map_or("", String::as_str);
    words.iter().enumerate().any(|(at, word)| {
        is_count(word)
            || is_resource(word) && (word.contains("gpu") || !word.contains('=') && value(at).contains("gpu"))
    })
}

fn read_prologue(path: &Path) -> anyhow::Result<Vec<u8>> {
    files::read(path, LONGEST_PROLOGUE).with_context(|| format!("--prologue {}", path.display()))
}

/// Writes the folder. What stands there is replaced where that was asked for; parts stay.
fn write(
    batch: &Batch,
    scripts: &[(&'static str, String)],
    prologue: Option<&[u8]>,
    goes_on: bool,
) -> anyhow::Result<()> {
    let Batch { folder, output, overwrite, tomo, .. } = batch;
    let is_filled =
        |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let may_replace = *overwrite || goes_on;
    ensure!(
        may_replace || !is_filled(folder),
        "{}: there is already a folder of that name; --resume goes on with its parts, --folder names another",
        folder.display()
    );
    ensure!(
        goes_on || !is_filled(&folder.join("parts")),
        "{}: there are parts of an earlier run; --resume goes on with them, else delete them or name another --folder",
        folder.display()
    );
    for (option, path) in [("--output", Some(output)), ("--tomo", tomo.as_ref().map(|tomo| &tomo.output))] {
        let Some(path) = path.filter(|path| path.exists() && !overwrite) else { continue };
        bail!("{option} {}: there is already a file of that name; see --overwrite", path.display());
    }
    for name in ["parts", "logs"] {
        let made = std::fs::create_dir_all(folder.join(name));
        made.with_context(|| format!("{}: cannot make this folder", folder.join(name).display()))?;
    }
    if let Some(lines) = prologue {
        write_whole(&folder.join(PROLOGUE), lines, may_replace)?;
    }
    for (name, text) in scripts {
        let path = folder.join(name);
        write_whole(&path, text.as_bytes(), may_replace)?;
        if *name == SUBMIT {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .with_context(|| format!("{}: cannot be made executable", path.display()))?;
        }
    }
    Ok(())
}

fn describe(batch: &Batch, frames: usize, integration: &IntegrateArgs) -> String {
    let (is_said, is_dry) = (integration.device.is_some(), integration.dry_run);
    let mut text = Sentences::default();
    let (parts, each) = (batch.parts, frames.div_ceil(batch.parts));
    text.add("scan", format!("{} in {} of about {each}", count(frames, "frame"), count(parts, "part")));
    let why = match (is_said, batch.device.as_str()) {
        (true, _) => "asked for with --device",
        (false, "cpu") => "no GPU is asked for with --sbatch",
        (false, _) => "asked for with --sbatch",
    };
    text.add("device", format!("{} ({why})", batch.device));
    text.add("scripts", batch.folder.display());
    text.add("result", batch.output.display());
    if let Some(tomo) = &batch.tomo {
        text.add("tomogram", tomo.output.display());
    }
    match is_dry {
        true => text.text() + "nothing done (--dry-run)\n",
        false => {
            text.add("hand it to Slurm", batch.folder.join(SUBMIT).display());
            text.text()
        }
    }
}

/// Runs submit.sh; what it prints are the numbers of the jobs.
fn submit(folder: &Path) -> Result<(), Failure> {
    let script = folder.join(SUBMIT);
    let done = Command::new("bash").arg(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let done =
        done.with_context(|| format!("{}: bash does not start", script.display())).or_exit(Exit::Failure)?;
    say::answer(&String::from_utf8_lossy(&done.stdout))?;
    if !done.status.success() {
        let said = format!("{}: {}; Slurm's words are above", script.display(), done.status);
        return Err(anyhow!(said)).or_exit(Exit::Failure);
    }
    Ok(())
}
