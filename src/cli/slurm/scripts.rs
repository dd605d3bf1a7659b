//! The scripts themselves: what is written, word for word. A person who knows Slurm is to read them without a manual.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Beside the scripts, copied.
pub(super) const PROLOGUE: &str = "prologue.sh";
/// What hands the others to Slurm.
pub(super) const SUBMIT: &str = "submit.sh";

/// One integration in parts, as Slurm is to be told. Paths are absolute but for those of `typed`, which are as seen from `work`.
pub(super) struct Batch {
    pub(super) parts: usize,
    /// Program on the nodes.
    pub(super) program: PathBuf,
    /// Where the command was typed.
    pub(super) work: PathBuf,
    /// Where scripts, parts and logs are.
    pub(super) folder: PathBuf,
    /// The whole result.
    pub(super) output: PathBuf,
    pub(super) overwrite: bool,
    pub(super) has_prologue: bool,
    /// Options of the integration and inputs, a line each.
    pub(super) typed: Vec<Vec<String>>,
    pub(super) device: String,
    /// `None`: as many as the job has CPUs.
    pub(super) threads: Option<usize>,
    /// Options of `sbatch`, for the integration and for the merge.
    pub(super) sbatch: Vec<String>,
    pub(super) sbatch_merge: Vec<String>,
    pub(super) tomo: Option<TomoJob>,
}

/// The tomogram that is made of the whole.
pub(super) struct TomoJob {
    pub(super) output: PathBuf,
    /// Words of `--tomo-options`.
    pub(super) typed: Vec<String>,
    pub(super) says_device: bool,
    pub(super) says_threads: bool,
    pub(super) sbatch: Vec<String>,
}

/// As many threads as the job has CPUs: those of --cpus-per-task, else those that Slurm gave it.
const THREADS: &str = "\"${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}\"";

/// How a command ends that may find bad frames.
const BAD_FRAMES_ARE_DATA: &str = r#"
# 10: done, but some frames were bad. They are listed in the result, and no reason to stop the jobs that wait for this one.
if [ "$code" -eq 10 ]; then
    code=0
fi
exit "$code"
"#;

impl Batch {
    /// Names and texts of all files.
    ///
    /// # Errors
    /// When a word cannot stand in a script.
    pub(super) fn files(&self) -> Result<Vec<(&'static str, String)>> {
        // sbatch makes the names of logs of it, in which %a is the number of a task.
        ensure!(
            !text_of(&self.folder)?.contains(['%', '\\']),
            "{}: Slurm takes % and \\ in the name of a folder with logs for its own; see --folder",
            self.folder.display()
        );
        let mut files = vec![("integrate.sbatch", self.integrate()?), ("merge.sbatch", self.merge()?)];
        if let Some(tomo) = &self.tomo {
            files.push(("tomo.sbatch", self.tomo(tomo)?));
        }
        files.push((SUBMIT, self.submit()?));
        Ok(files)
    }

    /// The job array.
    fn integrate(&self) -> Result<String> {
        let Batch { parts, .. } = self;
        let head = self.head(
            "integrate",
            &format!("Part K of {parts} of a scan, where K is the number of the task in the array."),
            &format!("#SBATCH --array=1-{parts}\n#SBATCH --output=logs/integrate_%A_%a.log\n"),
            &self.sbatch,
        )?;
        let threads = self.threads.map_or_else(|| THREADS.to_owned(), |threads| threads.to_string());
        let options: String =
            self.typed.iter().map(|words| Ok(format!(" \\\n    {}", line(words)?))).collect::<Result<_>>()?;
        Ok(format!(
            "{head}\
             # A task that was killed and requeued goes on where it was: --resume.\n\
             part=$(printf 'parts/part_{number}.h5' \"$SLURM_ARRAY_TASK_ID\")\n\
             code=0\n\
             {program} integrate --part \"$SLURM_ARRAY_TASK_ID/{parts}\" --resume \\\n    \
             --output {folder}/\"$part\" \\\n    \
             --device {device} --threads {threads}{options} || code=$?\n\
             {BAD_FRAMES_ARE_DATA}",
            number = if self.width() == 1 { "%d".to_owned() } else { format!("%0{}d", self.width()) },
            program = path(&self.program)?,
            folder = path(&self.folder)?,
            device = word(&self.device)?,
        ))
    }

    /// Waits for every task of the array.
    fn merge(&self) -> Result<String> {
        let Batch { parts, .. } = self;
        let head = self.head(
            "merge",
            &format!("{parts} parts of a scan to the whole."),
            "#SBATCH --output=logs/merge_%j.log\n",
            &self.sbatch_merge,
        )?;
        let overwrite = if self.overwrite { "--overwrite" } else { "${SLURM_RESTART_COUNT:+--overwrite}" };
        let first = format!("{:0width$}", 1, width = self.width());
        Ok(format!(
            "{head}\
             # A merge that was killed and requeued begins again, over what it left.\n\
             code=0\n\
             {program} merge {folder}/parts/part_{{{first}..{parts}}}.h5 \\\n    \
             --output {output} {overwrite} || code=$?\n\
             {BAD_FRAMES_ARE_DATA}",
            program = path(&self.program)?,
            folder = path(&self.folder)?,
            output = path(&self.output)?,
        ))
    }

    /// Waits for the merge.
    fn tomo(&self, tomo: &TomoJob) -> Result<String> {
        let head = self.head(
            "tomo",
            "Sinograms and tomograms of the whole.",
            "#SBATCH --output=logs/tomo_%j.log\n",
            &tomo.sbatch,
        )?;
        let output = path(&tomo.output)?;
        let (look, again) = match self.overwrite {
            true => (String::new(), "--overwrite"),
            false => (
                format!(
                    "# Slices that this job made before it was killed and requeued are gone on with.\n\
                     again=\n\
                     if [ -e {output} ]; then\n    again=--resume\nfi\n"
                ),
                "${again:+\"$again\"}",
            ),
        };
        let mut running = " \\\n   ".to_owned();
        if !tomo.says_device {
            running += &format!(" --device {}", word(&self.device)?);
        }
        if !tomo.says_threads {
            let threads = self.threads.map_or_else(|| THREADS.to_owned(), |threads| threads.to_string());
            running += &format!(" --threads {threads}");
        }
        let options =
            if tomo.typed.is_empty() { String::new() } else { format!(" \\\n    {}", line(&tomo.typed)?) };
        Ok(format!(
            "{head}\
             {look}\
             {program} tomo {whole} \\\n    \
             --output {output} {again}{running}{options}\n",
            program = path(&self.program)?,
            whole = path(&self.output)?,
        ))
    }

    fn submit(&self) -> Result<String> {
        let Batch { parts, .. } = self;
        let output = path(&self.output)?;
        let left = if self.tomo.is_some() { "; what is left is: sbatch tomo.sbatch" } else { "" };
        let there = match self.overwrite {
            true => String::new(),
            false => format!(
                "if [ -e {output} ]; then\n    \
                 echo {} >&2\n    \
                 exit 1\n\
                 fi\n\
                 \n",
                word(&format!("submit.sh: {} is there already{left}", text_of(&self.output)?))?
            ),
        };
        let mut text = format!(
            "#!/bin/bash\n\
             # Hands the jobs to Slurm and prints their numbers. May be run again: parts that are complete end at once, others go on.\n\
             # Written by xrdct {version} slurm.\n\
             set -euo pipefail\n\
             cd {folder}\n\
             command -v sbatch >/dev/null || {{\n    \
             echo 'submit.sh: there is no sbatch on the PATH; is this a node that may submit jobs?' >&2\n    \
             exit 1\n\
             }}\n\
             \n\
             # Numbers of an array's tasks must be below MaxArraySize.\n\
             limit=$(scontrol show config | awk '$1 == \"MaxArraySize\" {{ print $3 }}')\n\
             limit=${{limit:-1001}}\n\
             if [ {parts} -ge \"$limit\" ]; then\n    \
             echo \"submit.sh: {parts} parts, and this Slurm takes job arrays up to $((limit - 1)) (MaxArraySize $limit)\" >&2\n    \
             exit 1\n\
             fi\n\
             \n\
             {there}\
             # 'number' or 'number;cluster'.\n\
             integrate=$(sbatch --parsable integrate.sbatch)\n\
             integrate=${{integrate%%;*}}\n\
             echo \"integrate $integrate\"\n\
             \n\
             # What waits for a job that failed or was cancelled is cancelled too, instead of waiting for ever.\n\
             merge=$(sbatch --parsable --dependency=\"afterok:$integrate\" --kill-on-invalid-dep=yes merge.sbatch) || {{\n    \
             scancel \"$integrate\"\n    \
             exit 1\n\
             }}\n\
             merge=${{merge%%;*}}\n\
             echo \"merge $merge\"\n",
            version = env!("CARGO_PKG_VERSION"),
            folder = path(&self.folder)?,
        );
        if self.tomo.is_some() {
            text += "\n\
                     tomo=$(sbatch --parsable --dependency=\"afterok:$merge\" --kill-on-invalid-dep=yes tomo.sbatch) || {\n    \
                     scancel \"$integrate\" \"$merge\"\n    \
                     exit 1\n\
                     }\n\
                     echo \"tomo ${tomo%%;*}\"\n";
        }
        Ok(text)
    }

    /// What every job begins with.
    fn head(&self, job: &str, what: &str, lines: &str, sbatch: &[String]) -> Result<String> {
        let stem = self.output.file_stem().unwrap_or_default().to_string_lossy();
        let mut text = format!(
            "#!/bin/bash\n\
             # {what} Written by xrdct {version} slurm.\n\
             #SBATCH {name}\n\
             #SBATCH {folder}\n\
             {lines}\
             #SBATCH --open-mode=append\n\
             #SBATCH --requeue\n",
            version = env!("CARGO_PKG_VERSION"),
            name = word(&format!("--job-name={job}-{stem}"))?,
            folder = word(&format!("--chdir={}", text_of(&self.folder)?))?,
        );
        if !sbatch.is_empty() {
            text += &format!("#SBATCH {}\n", line(sbatch)?);
        }
        text += "\n";
        if self.has_prologue {
            text += &format!(
                "# shellcheck source=/dev/null\nsource {} || exit\n",
                path(&self.folder.join(PROLOGUE))?
            );
        }
        text += &format!("set -euo pipefail\ncd {}\n\n", path(&self.work)?);
        Ok(text)
    }

    /// Digits of a part's number.
    fn width(&self) -> usize {
        self.parts.to_string().len()
    }
}

/// Words of a command, quoted for bash and for sbatch.
fn line(words: &[String]) -> Result<String> {
    Ok(words.iter().map(|text| word(text)).collect::<Result<Vec<String>>>()?.join(" "))
}

fn word(text: &str) -> Result<String> {
    ensure!(!text.contains(['\n', '\r']), "{text:?}: a line break cannot stand in a script");
    // shlex quotes more than people do; none of these stands where a command would.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+:,.%/@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Ok(shlex::try_quote(text).with_context(|| format!("{text:?} cannot stand in a script"))?.into_owned())
}

fn path(path: &Path) -> Result<String> {
    word(text_of(path)?)
}

fn text_of(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{}: a name that is not UTF-8 cannot stand in a script", path.display()))
}
