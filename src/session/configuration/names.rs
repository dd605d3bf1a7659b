//! Names of files in a configuration: what does not exist from where the program runs is looked for beside the file
//! that names it, as in `@list.txt`; then every name is made absolute, so that it means the same tomorrow.

use std::path::{Path, PathBuf};

use crate::session::options::{Options, is_auto};
use crate::source::listing::expand;

/// A file that the configuration at `config` names.
pub(super) fn found(name: &str, config: &Path) -> PathBuf {
    let (file, _) = name.split_once("::").unwrap_or((name, ""));
    match beside(config) {
        Some(folder) if !Path::new(file).exists() && folder.join(file).exists() => folder.join(name),
        _ => PathBuf::from(name),
    }
}

/// A frame, folder, list or pattern that the configuration at `config` names.
fn found_files(name: &str, config: &Path) -> String {
    let Some(folder) = beside(config) else { return name.to_owned() };
    let there = joined(folder, name);
    let is = |name: &str| expand(std::slice::from_ref(&name.to_owned())).is_ok();
    if Path::new(name).is_relative() && !is(name) && is(&there) { there } else { name.to_owned() }
}

fn beside(config: &Path) -> Option<&Path> {
    config.parent().filter(|folder| *folder != Path::new(""))
}

/// All names of a configuration, as seen from where the program runs.
pub(super) fn find_all(args: &mut Options, config: &Path) {
    let at = |name: &mut String| {
        *name = match is_pattern(name) {
            true => found_files(name, config),
            false => found(name, config).display().to_string(),
        }
    };
    args.dark.iter_mut().for_each(at);
    args.flat.iter_mut().for_each(at);
    args.mask.iter_mut().for_each(at);
    args.variance.iter_mut().for_each(at);
    let is_file =
        |name: &&mut String| may_be_file(name) && (name.contains("::") || found(name, config).is_file());
    args.monitor.iter_mut().filter(is_file).for_each(at);
    if let Some(poni) = args.poni.as_mut().filter(|poni| !is_auto(poni)) {
        *poni = found(&poni.to_string_lossy(), config);
    }
    args.inputs.iter_mut().for_each(|name| *name = found_files(name, config));
}

/// Names as they stand, seen from any folder.
///
/// # Errors
/// When the current folder cannot be told.
pub fn made_absolute(mut args: Options) -> std::io::Result<Options> {
    let here = std::env::current_dir()?;
    let fix = |name: &mut String| {
        if Path::new(&*name).is_relative() {
            *name = joined(&here, name);
        }
    };
    args.inputs.iter_mut().for_each(fix);
    args.dark.iter_mut().for_each(fix);
    args.flat.iter_mut().for_each(fix);
    args.mask.iter_mut().for_each(fix);
    args.variance.iter_mut().for_each(fix);
    // What is no file is a number of headers.
    let is_file =
        |name: &&mut String| may_be_file(name) && (name.contains("::") || Path::new(&**name).is_file());
    args.monitor.iter_mut().filter(is_file).for_each(fix);
    if let Some(poni) = args.poni.as_mut().filter(|poni| !is_auto(poni)) {
        *poni = here.join(&*poni);
    }
    Ok(args)
}

/// Whether a monitor's name may be that of a file: numbers of headers have neither a point nor a path.
fn may_be_file(name: &str) -> bool {
    name.contains(['.', '/'])
}

/// Whether a name may stand for several: `::` names a part of one file.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[']) && !name.contains("::")
}

/// A relative name in a folder. What is a pattern must stay one, and nothing of the folder may become one.
fn joined(folder: &Path, name: &str) -> String {
    let exists = |name: &str| folder.join(name).exists();
    match name.strip_prefix('@') {
        Some(list) if !exists(name) => format!("@{}", folder.join(list).display()),
        _ if is_pattern(name) && !exists(name) => {
            format!("{}/{name}", glob::Pattern::escape(&folder.to_string_lossy()))
        }
        _ => folder.join(name).display().to_string(),
    }
}
