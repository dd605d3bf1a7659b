//! Where to compute: what `--device` says, what is there, and why it was chosen.

use super::error::{Concern, OrAbout, SessionError, refuse};
pub use crate::cuda::device::ask_for_few_queues;
use crate::cuda::device::{self, GpuChoice, OpeningGpus};
pub use crate::cuda::device::{Survey, survey};

/// Where frames are reduced, and why there.
#[derive(Debug, Clone)]
pub enum Device {
    /// On this machine's cores.
    Cpu {
        /// Why.
        why: String,
    },
    /// On GPUs, mostly one.
    Cuda {
        /// Open soon, or already: whoever needs them waits for them.
        gpus: OpeningGpus,
        /// Why.
        why: String,
        /// Whether the user named them: then nothing else will do.
        asked: bool,
    },
}

/// What `--device` may be.
const WORDS: &str = "auto, cpu, cuda, cuda:N, cuda:N,N,... or cuda:all";

impl Device {
    /// What `--device` means where one device is enough: `auto`, `cpu`, `cuda` or `cuda:N`; of several GPUs the first, and a note says so.
    /// A GPU that is asked for must be there; `auto` takes the one with most free memory, if there is any.
    ///
    /// # Errors
    /// An unknown word, or the reason why the GPU cannot be used; what only opening it tells comes when it is waited for.
    pub fn choose(word: &str, notes: &mut Vec<String>) -> Result<Device, SessionError> {
        let first = match numbers(word)? {
            Some(GpuChoice::Numbered(numbers)) if numbers.len() > 1 => Some(numbers[0]),
            Some(GpuChoice::All) => Some(0),
            _ => None,
        };
        let mut device = match first {
            None => Device::begin(word)?,
            Some(first) => Device::cuda(GpuChoice::Numbered(vec![first]), ASKED.to_owned())?,
        };
        device.settle()?;
        if let Some(first) = first {
            notes.push(format!("--device {word}: one GPU does this, cuda:{first}"));
        }
        Ok(device)
    }

    /// What `--device` means, several GPUs as well; waits for nothing: a GPU is taken for there until the plan is settled.
    ///
    /// # Errors
    /// An unknown word, or that there is no driver for the GPUs that are asked for.
    pub fn begin(word: &str) -> Result<Device, SessionError> {
        match numbers(word)? {
            Some(choice) => Device::cuda(choice, ASKED.to_owned()),
            None if word == "cpu" => Ok(Device::Cpu { why: ASKED.to_owned() }),
            None => Ok(Device::best()),
        }
    }

    /// Likewise, where a GPU may not do what is asked for, or not yet: `may` says why not.
    ///
    /// # Errors
    /// As [`Device::begin`]; or that a GPU is asked for.
    pub(super) fn begin_for(word: &str, may: Result<(), String>) -> Result<Device, SessionError> {
        match (may, numbers(word)?) {
            (Err(why), Some(_)) => {
                refuse!(Usage, "--device {word}: {why}; leave --device out, or compute with --device cpu")
            }
            (Err(why), None) if word == "auto" => Ok(Device::Cpu { why }),
            _ => Device::begin(word),
        }
    }

    /// How many GPUs it is; waits only where all are asked for.
    ///
    /// # Errors
    /// When there is none of them.
    pub(super) fn gpus(&self) -> Result<usize, SessionError> {
        match self {
            Device::Cpu { .. } => Ok(0),
            Device::Cuda { gpus, .. } => gpus.count().or_about(Concern::Device),
        }
    }

    /// Waits until it is known whether the GPU is there: where it is not and nobody asked for it, the cores take its place.
    ///
    /// # Errors
    /// The reason why a GPU that is asked for cannot be used.
    pub(super) fn settle(&mut self) -> Result<(), SessionError> {
        let Device::Cuda { gpus, asked, .. } = self else { return Ok(()) };
        match gpus.ordinals() {
            Ok(_) => {}
            Err(reason) if *asked => return Err(reason).or_about(Concern::Device),
            Err(reason) => *self = Device::Cpu { why: reason.to_string() },
        }
        Ok(())
    }

    fn cuda(choice: GpuChoice, why: String) -> Result<Device, SessionError> {
        let gpus = OpeningGpus::begin(choice).or_about(Concern::Device)?;
        Ok(Device::Cuda { gpus, why, asked: true })
    }

    fn best() -> Device {
        match OpeningGpus::begin(GpuChoice::Roomiest) {
            Ok(gpus) => {
                let why = "the GPU with most free memory".to_owned();
                Device::Cuda { gpus, why, asked: false }
            }
            Err(reason) => Device::Cpu { why: reason.to_string() },
        }
    }

    /// Its word for `--device`.
    pub fn word(&self) -> String {
        match self {
            Device::Cpu { .. } => "cpu".to_owned(),
            Device::Cuda { gpus, .. } => gpus.ordinals().map_or("cuda".to_owned(), |ordinals| {
                let numbers: Vec<String> = ordinals.iter().map(usize::to_string).collect();
                format!("cuda:{}", numbers.join(","))
            }),
        }
    }

    /// What computes, as people call it: `the CPU`, `NVIDIA H100 80GB HBM3 (cuda:0)`.
    pub fn computer(&self) -> String {
        match self {
            Device::Cpu { .. } => "the CPU".to_owned(),
            Device::Cuda { .. } => match self.names().as_str() {
                "" => self.word(),
                names => format!("{names} ({})", self.word()),
            },
        }
    }

    /// How the device is named to people, and why it was chosen.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu { why } => format!("CPU ({why})"),
            Device::Cuda { why, .. } => match self.names().as_str() {
                "" => format!("{} ({why})", self.word()),
                names => format!("{}: {names} ({why})", self.word()),
            },
        }
    }

    /// What NVIDIA calls the GPUs; nothing where nobody knows.
    fn names(&self) -> String {
        let Device::Cuda { gpus, .. } = self else { return String::new() };
        counted(gpus.ordinals().unwrap_or_default().iter().map_while(|gpu| device::name(*gpu).ok()))
    }
}

const ASKED: &str = "asked for with --device";

/// Which GPUs a word for `--device` names; `None` for `auto` and `cpu`.
fn numbers(word: &str) -> Result<Option<GpuChoice>, SessionError> {
    let listed = match word {
        "auto" | "cpu" => return Ok(None),
        "cuda" => return Ok(Some(GpuChoice::Numbered(vec![0]))),
        "cuda:all" => return Ok(Some(GpuChoice::All)),
        _ => word.strip_prefix("cuda:"),
    };
    let numbers = listed.and_then(|listed| listed.split(',').map(|number| number.parse().ok()).collect());
    let Some(numbers): Option<Vec<usize>> = numbers else {
        refuse!(Usage, "--device {word}: unknown; choose {WORDS}")
    };
    if let Some((_, again)) = numbers.iter().enumerate().find(|(n, number)| numbers[..*n].contains(number)) {
        refuse!(Usage, "--device {word}: GPU {again} is named twice");
    }
    Ok(Some(GpuChoice::Numbered(numbers)))
}

/// Names, those that come several times counted: `2 × NVIDIA H100 80GB HBM3`.
pub fn counted(names: impl IntoIterator<Item = String>) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for name in names {
        match counts.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let word = |(name, count): (String, usize)| if count == 1 { name } else { format!("{count} × {name}") };
    counts.into_iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_gpus() {
        let chosen = |word| numbers(word).map_err(|error| error.to_string());
        assert_eq!([chosen("auto"), chosen("cpu")], [Ok(None), Ok(None)]);
        for (word, expected) in [("cuda", vec![0]), ("cuda:3", vec![3]), ("cuda:1,0,12", vec![1, 0, 12])] {
            assert_eq!(chosen(word), Ok(Some(GpuChoice::Numbered(expected))), "{word}");
        }
        assert_eq!(chosen("cuda:all"), Ok(Some(GpuChoice::All)));
        assert_eq!(chosen("cuda:0,1,0"), Err("--device cuda:0,1,0: GPU 0 is named twice".into()));
        for word in
            ["", "gpu", "cuda:", "cuda:0,", "cuda:,1", "cuda:0-1", "cuda:-1", "cuda:0, 1", "cuda:all,0"]
        {
            let expected = format!("--device {word}: unknown; choose {WORDS}");
            assert_eq!(chosen(word), Err(expected));
        }
    }

    #[test]
    fn names_are_counted() {
        let said = |names: &[&str]| counted(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(said(&["A"]), "A");
        assert_eq!(said(&["A", "B", "A"]), "2 × A, B");
        assert_eq!(said(&[]), "");
    }
}
