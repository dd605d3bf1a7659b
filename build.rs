//! Compiles the device half and ties the two halves together.
//!
//! * bindgen turns `cuda/params.h` (structures, constants) into Rust; it always runs.
//! * nvcc, when there is one, compiles each `cuda/**/*.cu` into one fatbin: machine code for every architecture that
//!   this nvcc lists from sm_75 up, and PTX of the newest for GPUs to come. They are embedded in the binary.
//! * without nvcc the table of kernels is empty: everything still builds, and the program says at run time what it lacks.
//!
//! nvcc is looked for in `$XRDCT_CUDA_HOME/bin`, `$CUDA_HOME/bin`, then `PATH`.
//! `XRDCT_CUDA_ARCHS` (`90` or `80,90`) builds for those only, which is quicker while working on kernels; `none`, or `XRDCT_NO_NVCC=1`, builds no kernels.
#![allow(clippy::print_stderr)] // cargo shows it

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::thread;

/// Oldest architecture with what the kernels use (CUDA 13 knows none older anyway).
const OLDEST_ARCHITECTURE: u32 = 75;

// Cargo shows what a build script says on stderr when it fails.
#[allow(clippy::print_stderr)]
fn main() {
    if let Err(error) = build() {
        eprintln!("{error}");
        exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=cuda");
    for name in [
        "XRDCT_CUDA_HOME",
        "CUDA_HOME",
        "XRDCT_CUDA_ARCHS",
        "XRDCT_NO_NVCC",
        "LIBCLANG_PATH",
        "BINDGEN_EXTRA_CLANG_ARGS",
    ] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    bind_parameters(&out)?;
    let wanted = env::var("XRDCT_CUDA_ARCHS").unwrap_or_default();
    let unwanted = wanted.trim() == "none" || env::var_os("XRDCT_NO_NVCC").is_some_and(|value| value != "0");
    let nvcc = if unwanted { None } else { find_nvcc() };
    match nvcc {
        Some(nvcc) => compile_kernels(&nvcc, &wanted, &out),
        None => {
            println!(
                "cargo:warning=no nvcc found: built without CUDA kernels (set XRDCT_CUDA_HOME, or run make setup)"
            );
            write_table(&out, &[], &[], (0, 0))
        }
    }
}

/// `cuda/params.h` → `params.rs`.
fn bind_parameters(out: &Path) -> Result<(), Box<dyn Error>> {
    bindgen::Builder::default()
        .header("cuda/params.h")
        .allowlist_type("Xrdct.*")
        .allowlist_var("XRDCT_.*")
        .derive_default(true)
        .derive_copy(true)
        .derive_partialeq(true)
        .derive_eq(true)
        .layout_tests(true)
        .generate()?
        .write_to_file(out.join("params.rs"))?;
    Ok(())
}

fn find_nvcc() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = ["XRDCT_CUDA_HOME", "CUDA_HOME"]
        .iter()
        .filter_map(env::var_os)
        .map(|home| PathBuf::from(home).join("bin"))
        .collect();
    folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    folders.into_iter().map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file())
}

/// The translation units of the device half: every `cuda/*/*.cu`, under the name of its file.
fn units() -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let mut units = Vec::new();
    for folder in fs::read_dir("cuda")? {
        let folder = folder?.path();
        for file in fs::read_dir(&folder).into_iter().flatten() {
            let file = file?.path();
            if let (Some(name), true) = (file.file_stem(), file.extension().is_some_and(|e| e == "cu")) {
                units.push((name.to_string_lossy().into_owned(), file));
            }
        }
    }
    units.sort();
    match units.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("{:?} and {:?} have one name", pair[0].1, pair[1].1).into()),
        None => Ok(units),
    }
}

/// Architectures to build for, ascending: what was asked for, or all that this nvcc lists.
fn architectures(nvcc: &Path, wanted: &str) -> Result<Vec<u32>, Box<dyn Error>> {
    let mut list: Vec<u32> = if wanted.trim().is_empty() {
        let answer = Command::new(nvcc).arg("--list-gpu-code").output()?;
        String::from_utf8(answer.stdout)?
            .lines()
            .filter_map(|line| line.trim().strip_prefix("sm_")?.parse().ok())
            .filter(|&arch| arch >= OLDEST_ARCHITECTURE)
            .collect()
    } else {
        let parse = |word: &str| {
            word.trim().parse().map_err(|_| {
                format!("XRDCT_CUDA_ARCHS: {word:?} is not an architecture; write numbers such as 80,90")
            })
        };
        wanted.split(',').map(parse).collect::<Result<_, _>>()?
    };
    list.sort_unstable();
    list.dedup();
    if list.is_empty() {
        return Err(
            format!("{} lists no architecture from sm_{OLDEST_ARCHITECTURE} up", nvcc.display()).into()
        );
    }
    Ok(list)
}

/// CUDA version of an nvcc: major, minor.
fn toolkit(nvcc: &Path) -> Result<(usize, usize), Box<dyn Error>> {
    let said = String::from_utf8(Command::new(nvcc).arg("--version").output()?.stdout)?;
    let number = said.split("release ").nth(1).and_then(|rest| rest.split(',').next());
    let version = number.and_then(|number| {
        let (major, minor) = number.trim().split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    version.ok_or_else(|| format!("{} --version does not say its release: {said}", nvcc.display()).into())
}

fn compile_kernels(nvcc: &Path, wanted: &str, out: &Path) -> Result<(), Box<dyn Error>> {
    let list = architectures(nvcc, wanted)?;
    let toolkit = toolkit(nvcc)?;
    let units = units()?;
    let jobs: Vec<_> = units
        .iter()
        .map(|(name, source)| {
            let (nvcc, list) = (nvcc.to_owned(), list.clone());
            let (source, fatbin) = (source.clone(), out.join(format!("{name}.fatbin")));
            thread::spawn(move || compile_one(&nvcc, toolkit, &list, &source, &fatbin))
        })
        .collect();
    for job in jobs {
        job.join().map_err(|_| "a thread that ran nvcc panicked")??;
    }
    let names: Vec<&str> = units.iter().map(|(name, _)| name.as_str()).collect();
    write_table(out, &names, &list, toolkit)
}

fn compile_one(
    nvcc: &Path,
    toolkit: (usize, usize),
    list: &[u32],
    source: &Path,
    fatbin: &Path,
) -> Result<(), String> {
    let mut command = Command::new(nvcc);
    command.args(["--fatbin", "-O3", "-std=c++17", "--threads", "0", "-I", "cuda"]);
    // Twelve architectures are 30 MB, or 3 MB packed. Every driver that runs what nvcc 13 makes unpacks that; of those that run what
    // nvcc 12 makes, the older ones (525 to 545) do not.
    if toolkit.0 >= 13 {
        command.arg("--compress-mode=size");
    }
    command.args(["-Xcompiler", "-Wall,-Wextra", "-Werror", "all-warnings"]);
    for arch in list {
        command.arg(format!("-gencode=arch=compute_{arch},code=sm_{arch}"));
    }
    if let Some(newest) = list.last() {
        command.arg(format!("-gencode=arch=compute_{newest},code=compute_{newest}"));
    }
    command.arg("-o").arg(fatbin).arg(source);
    let answer = command.output().map_err(|e| format!("{}: {e}", nvcc.display()))?;
    if answer.status.success() {
        return Ok(());
    }
    Err(format!("nvcc could not compile {}:\n{}", source.display(), String::from_utf8_lossy(&answer.stderr)))
}

/// The kernel table that `src/cuda/image.rs` includes.
fn write_table(
    out: &Path,
    names: &[&str],
    list: &[u32],
    toolkit: (usize, usize),
) -> Result<(), Box<dyn Error>> {
    let mut table = String::new();
    writeln!(
        table,
        "/// Compiled kernels: name of the unit, fatbin.\npub static UNITS: &[(&str, &[u8])] = &["
    )?;
    for name in names {
        writeln!(table, "    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.fatbin\"))),")?;
    }
    writeln!(table, "];")?;
    writeln!(table, "/// Architectures they hold machine code for, ascending (90 is sm_90).")?;
    writeln!(table, "pub static ARCHITECTURES: &[u32] = &{list:?};")?;
    writeln!(table, "/// CUDA version of the nvcc that made them: major, minor; zeros when there are none.")?;
    writeln!(table, "pub static TOOLKIT: (usize, usize) = {toolkit:?};")?;
    fs::write(out.join("kernels.rs"), table)?;
    Ok(())
}
