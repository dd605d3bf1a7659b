//! What was typed: the options of `xrdct slurm`.

use std::path::PathBuf;

use clap::Args;

use super::typed::TypedIntegrate;
use crate::session::options::MOST_PARTS;

/// An integration as jobs of Slurm: an array for its parts, then a merge, then a tomogram
///
/// Options are those of `xrdct integrate`, checked at once. What is written is a folder of plain scripts: integrate.sbatch (job array 1-N;
/// a task that is killed and requeued goes on where it was), merge.sbatch, with --tomo tomo.sbatch, and submit.sh, which hands them to
/// Slurm, prints the numbers of the jobs, and may be run again. N must be below Slurm's MaxArraySize, 1001 unless the site says otherwise.
#[derive(Debug, Clone, Args)]
pub struct SlurmArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub integrate: TypedIntegrate,

    /// Parts of the scan: tasks of the job array, up to 10000. Slurm takes arrays up to MaxArraySize less one, 1000 unless the site says otherwise
    /// (scontrol show config); submit.sh looks
    #[arg(long, value_name = "N", value_parser = parts, help_heading = "Slurm")]
    pub parts: usize,

    /// Options of sbatch for every job, in quotes: --sbatch '--partition=gpu --time=2:00:00 --gres=gpu:1'. Where a GPU is asked for here, jobs have
    /// --device cuda, otherwise --device cpu, unless --device says; --threads is the job's --cpus-per-task
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true, help_heading = "Slurm")]
    pub sbatch: Option<String>,

    /// The same for the merge alone, which uses one core and no GPU, instead of --sbatch
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true, help_heading = "Slurm")]
    pub sbatch_merge: Option<String>,

    /// The same for the tomogram alone, instead of --sbatch
    #[arg(
        long,
        value_name = "OPTIONS",
        requires = "tomo",
        allow_hyphen_values = true,
        help_heading = "Slurm"
    )]
    pub sbatch_tomo: Option<String>,

    /// Lines of bash that every job begins with (`module load …`); they are copied
    #[arg(long, value_name = "FILE", help_heading = "Slurm")]
    pub prologue: Option<PathBuf>,

    /// The program on the nodes [default: this one]
    #[arg(long, value_name = "FILE", help_heading = "Slurm")]
    pub program: Option<PathBuf>,

    /// Folder of scripts, parts and logs; on a disk that the nodes share [default: the result's name with .slurm]
    #[arg(long, value_name = "FOLDER", help_heading = "Slurm")]
    pub folder: Option<PathBuf>,

    /// Hand the jobs to Slurm: run submit.sh
    #[arg(long, help_heading = "Slurm")]
    pub submit: bool,
}

/// As many parts as `xrdct integrate --part` knows.
fn parts(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(parts) if (1..=MOST_PARTS).contains(&parts) => Ok(parts),
        _ => Err(format!(
            "{text} is not a number of parts from 1 to {MOST_PARTS} (and Slurm's MaxArraySize, 1001 unless the site says \
             otherwise, must be more)"
        )),
    }
}
