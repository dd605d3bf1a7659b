//! The options of `xrdct integrate` as they were typed, to be said again in a script.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

use crate::cli::args::IntegrateArgs;

/// Options that a script says its own way, or not at all.
const OTHERS: [&str; 9] =
    ["dry_run", "device", "output", "overwrite", "resume", "save_config", "threads", "tomo", "tomo_options"];

/// What an integration is told, read and typed.
#[derive(Debug, Clone)]
pub struct TypedIntegrate {
    /// As `xrdct integrate` reads it.
    pub args: IntegrateArgs,
    /// Options with their values, each as the words of a command line; inputs come last. Where results go, devices and threads are left
    /// out.
    pub typed: Vec<Vec<String>>,
}

impl FromArgMatches for TypedIntegrate {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(TypedIntegrate { args: IntegrateArgs::from_arg_matches(matches)?, typed: typed(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for TypedIntegrate {
    fn augment_args(command: Command) -> Command {
        IntegrateArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        IntegrateArgs::augment_args_for_update(command)
    }
}

/// Every option that was typed; positionals last.
fn typed(matches: &ArgMatches) -> Result<Vec<Vec<String>>, Error> {
    let command = IntegrateArgs::augment_args(Command::new("integrate"));
    let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let (mut options, mut inputs) = (Vec::new(), Vec::new());
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        if !is_typed(id) || OTHERS.contains(&id) {
            continue;
        }
        let Some(long) = argument.get_long() else {
            inputs = matches.get_raw(id).into_iter().flatten().map(word).collect::<Result<_, _>>()?;
            continue;
        };
        if !argument.get_action().takes_values() {
            options.push(vec![format!("--{long}")]);
            continue;
        }
        for occurrence in matches.get_raw_occurrences(id).into_iter().flatten() {
            let values = occurrence.map(word).collect::<Result<Vec<String>, Error>>()?;
            options.push(match values.as_slice() {
                // An option whose value may be left out takes it no other way, and a value may begin with a dash.
                [value] if argument.is_require_equals_set() || value.starts_with('-') => {
                    vec![format!("--{long}={value}")]
                }
                _ => [vec![format!("--{long}")], values].concat(),
            });
        }
    }
    if inputs.iter().any(|input: &String| input.starts_with('-')) {
        options.push(vec!["--".to_owned()]);
    }
    options.extend(inputs.into_iter().map(|input| vec![input]));
    Ok(options)
}

fn word(raw: &std::ffi::OsStr) -> Result<String, Error> {
    let refused = || {
        let said = format!("{}: a name that is not UTF-8 cannot stand in a script\n", raw.display());
        Error::raw(clap::error::ErrorKind::InvalidUtf8, said)
    };
    raw.to_str().map(ToOwned::to_owned).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        integrate: TypedIntegrate,
    }

    fn said_again(words: Vec<String>) -> Vec<String> {
        Line::parse_from(["x".to_owned()].into_iter().chain(words)).integrate.typed.concat()
    }

    #[test]
    fn what_was_typed_is_said_again() {
        for (line, expected) in [
            ("scan -p a.poni -c 100 -o r.h5", "--poni a.poni --npt 100 scan"),
            ("'my scan' '*.cbf' @list.txt", "'my scan' '*.cbf' @list.txt"),
            ("-d a -d b scan", "--dark a --dark b scan"),
            ("--azimuth-range -10 20 scan", "--azimuth-range -10 20 scan"),
            ("--frames -10: --polarization -0.5 s", "--polarization=-0.5 --frames=-10: s"),
            ("--zigzag -r 4 -t 5 s", "--slow 4 --fast 5 --zigzag=true s"),
            ("--zigzag=false s", "--zigzag=false s"),
            ("--saturation header --method full s", "--saturation header --method full s"),
            ("-q s", "--quiet s"),
            ("--device cuda --threads 3 --tomo t.h5 --tomo-options '--air 2' --overwrite -o r.h5 s", "s"),
            ("-- -scan", "-- -scan"),
        ] {
            let [line, expected] = [line, expected].map(|words| shlex::split(words).unwrap());
            let said = said_again(line.clone());
            assert_eq!(said, expected, "{line:?}");
            // What was said again means the same.
            assert_eq!(said_again(said), expected, "{line:?}");
        }
    }
}
