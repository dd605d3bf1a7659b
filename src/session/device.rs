//! Where to compute: what `--device` says, what is there, and why it was chosen.

use super::error::{Concern, OrAbout, SessionError, refuse};
use crate::cuda::device::OpeningGpu;
pub use crate::cuda::device::ask_for_few_queues;
pub use crate::cuda::device::{Survey, survey};

/// Where frames are reduced, and why there.
#[derive(Debug, Clone)]
pub enum Device {
    /// On this machine's cores.
    Cpu {
        /// Why.
        why: String,
    },
    /// On a GPU.
    Cuda {
        /// Open soon, or already: whoever needs it waits for it.
        gpu: OpeningGpu,
        /// Why.
        why: String,
        /// Whether the user named it: then nothing else will do.
        asked: bool,
    },
}

impl Device {
    /// What `--device` means: `auto`, `cpu`, `cuda` or `cuda:N`. A GPU that is asked for must be there; `auto` takes the
    /// one with most free memory, if there is any.
    ///
    /// # Errors
    /// An unknown word, or the reason why the GPU cannot be used; what only opening it tells comes when it is waited for.
    pub fn choose(word: &str) -> Result<Device, SessionError> {
        let mut device = Device::begin(word)?;
        device.settle()?;
        Ok(device)
    }

    /// [`Device::choose`] that waits for nothing: a GPU is taken for there until [`Device::settle`] says otherwise.
    ///
    /// # Errors
    /// An unknown word, or that there is no driver for the GPU that is asked for.
    pub(super) fn begin(word: &str) -> Result<Device, SessionError> {
        let asked = || "asked for with --device".to_owned();
        match word {
            "cpu" => Ok(Device::Cpu { why: asked() }),
            "auto" => Ok(Device::best()),
            "cuda" => Device::cuda(0, asked()),
            _ => match word.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
                Some(ordinal) => Device::cuda(ordinal, asked()),
                None => refuse!(Usage, "--device {word}: unknown; choose auto, cpu, cuda or cuda:N"),
            },
        }
    }

    /// Waits until it is known whether the GPU is there: where it is not and nobody asked for it, the cores take its place.
    ///
    /// # Errors
    /// The reason why a GPU that is asked for cannot be used.
    pub(super) fn settle(&mut self) -> Result<(), SessionError> {
        let Device::Cuda { gpu, asked, .. } = self else { return Ok(()) };
        match gpu.ordinal() {
            Ok(_) => {}
            Err(reason) if *asked => return Err(reason).or_about(Concern::Device),
            Err(reason) => *self = Device::Cpu { why: reason.to_string() },
        }
        Ok(())
    }

    fn cuda(ordinal: usize, why: String) -> Result<Device, SessionError> {
        let gpu = OpeningGpu::begin(Some(ordinal)).or_about(Concern::Device)?;
        Ok(Device::Cuda { gpu, why, asked: true })
    }

    fn best() -> Device {
        match OpeningGpu::begin(None) {
            Ok(gpu) => {
                let why = "the GPU with most free memory".to_owned();
                Device::Cuda { gpu, why, asked: false }
            }
            Err(reason) => Device::Cpu { why: reason.to_string() },
        }
    }

    /// Its word for `--device`.
    pub fn word(&self) -> String {
        match self {
            Device::Cpu { .. } => "cpu".to_owned(),
            Device::Cuda { gpu, .. } => {
                gpu.ordinal().map_or("cuda".to_owned(), |ordinal| format!("cuda:{ordinal}"))
            }
        }
    }

    /// What computes, as people call it: `the CPU`, `NVIDIA H100 80GB HBM3 (cuda:0)`.
    pub fn computer(&self) -> String {
        match self {
            Device::Cpu { .. } => "the CPU".to_owned(),
            Device::Cuda { gpu, .. } => {
                gpu.name().map_or_else(|_| self.word(), |name| format!("{name} ({})", self.word()))
            }
        }
    }

    /// How the device is named to people, and why it was chosen.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu { why } => format!("CPU ({why})"),
            Device::Cuda { why, .. } => format!("{} ({why})", self.word()),
        }
    }
}
