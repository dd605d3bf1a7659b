//! The integrators of a recipe, made once and kept warm: the host's, those of GPUs, or both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::device::Device;
use super::error::{Concern, OrAbout, SessionError};
use crate::cuda::device::OpeningGpus;
use crate::cuda::{CudaEngine, CudaError};
use crate::frame::{BadFrame, Frame, Outcome, SlotPool, Slots};
use crate::integrate::engine::{Engine, Recipe, Scratch};
use crate::source::{Frames, Next};

/// Integrators of one recipe.
pub struct Engines {
    host: Option<Arc<Engine>>,
    gpus: Vec<OnGpu>,
    /// Why there is no GPU's.
    why_not: String,
}

struct OnGpu {
    engine: Arc<CudaEngine>,
    /// Whether the GPU failed.
    lost: AtomicBool,
}

impl OnGpu {
    /// As `--device` names it.
    fn name(&self) -> String {
        format!("cuda:{}", self.engine.context().ordinal())
    }
}

impl Engines {
    /// The host's alone.
    ///
    /// # Errors
    /// When the recipe does not fit together.
    pub fn on_host(recipe: Recipe, why_no_gpu: impl Into<String>) -> Result<Engines, SessionError> {
        let host = Engine::new(recipe).or_about(Concern::Calibration)?;
        Ok(Engines { host: Some(Arc::new(host)), gpus: vec![], why_not: why_no_gpu.into() })
    }

    /// Those of GPUs alone, which may still be opening.
    ///
    /// # Errors
    /// When one of the GPUs cannot be used.
    pub fn on_gpus(gpus: &OpeningGpus, recipe: &Recipe) -> Result<Engines, CudaError> {
        let engines = CudaEngine::opening(gpus, recipe)?.into_iter();
        let gpus = engines.map(|engine| OnGpu { engine: Arc::new(engine), lost: AtomicBool::new(false) });
        Ok(Engines { host: None, gpus: gpus.collect(), why_not: String::new() })
    }

    /// The host's and those of a device's GPUs; none where that is the cores, or where a GPU that nobody asked for cannot be used.
    ///
    /// # Errors
    /// When the recipe does not fit together, or a GPU that was asked for cannot be used.
    pub fn both(recipe: &Recipe, device: &Device) -> Result<Engines, SessionError> {
        let host = |why_not| Engines::on_host(recipe.clone(), why_not);
        match device {
            Device::Cpu { why } => host(why.clone()),
            Device::Cuda { gpus, asked, .. } => match Engines::on_gpus(gpus, recipe) {
                Ok(engines) => Ok(Engines { host: host(String::new())?.host, ..engines }),
                Err(reason) if *asked => Err(reason).or_about(Concern::Device),
                Err(reason) => host(reason.to_string()),
            },
        }
    }

    /// The host's engine.
    ///
    /// # Errors
    /// When only a GPU's was made.
    pub fn host(&self) -> Result<&Arc<Engine>, SessionError> {
        let missing = || SessionError::new(Concern::Device, "the cores have no part in this session");
        self.host.as_ref().ok_or_else(missing)
    }

    /// The engine of the first GPU that has not failed.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn gpu(&self) -> Result<&Arc<CudaEngine>, SessionError> {
        Ok(self.gpus(1)?[0])
    }

    /// Engines of at most so many GPUs, at least one; those that failed are left out.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn gpus(&self, most: usize) -> Result<Vec<&Arc<CudaEngine>>, SessionError> {
        let left = self.gpus.iter().filter(|gpu| !gpu.lost.load(Ordering::Acquire));
        let engines: Vec<_> = left.map(|gpu| &gpu.engine).take(most.max(1)).collect();
        match (engines.is_empty(), self.gpus.is_empty()) {
            (false, _) => Ok(engines),
            (true, true) => Err(SessionError::new(Concern::Device, self.why_not.clone())),
            (true, false) => Err(SessionError::new(Concern::Device, "every GPU has failed")),
        }
    }

    /// How many GPUs there are an engine of.
    pub fn count_of_gpus(&self) -> usize {
        self.gpus.len()
    }

    /// Gives the engine of a GPU that failed to nobody any more; `device` as a reducer [names](crate::reduce::Reducer::device) it.
    pub(super) fn lose(&self, device: &str) {
        if let Some(gpu) = self.gpus.iter().find(|gpu| gpu.name() == device) {
            gpu.lost.store(true, Ordering::Release);
        }
    }

    /// GPUs that failed, as `--device` names them.
    pub(super) fn lost(&self) -> Vec<String> {
        let lost = self.gpus.iter().filter(|gpu| gpu.lost.load(Ordering::Acquire));
        lost.map(|gpu| gpu.name()).collect()
    }

    /// The first of some frames, integrated by itself with the host's engine: what every other way must find.
    ///
    /// # Errors
    /// When there is none, or only a GPU's engine was made.
    pub fn first_of(&self, frames: &dyn Frames) -> Result<Outcome, SessionError> {
        let engine = self.host()?;
        let mut source = frames.source(1, false);
        let slots = SlotPool::on_host(1, 0);
        let mut first = None;
        match source.next(&slots).or_about(Concern::Input)? {
            Next::Read(ticket) => {
                let mut keep = |frame: Result<Frame, BadFrame>| first = first.take().or(Some(frame));
                source.reader().read(ticket, &mut Slots::of(&slots), &mut keep);
            }
            Next::Bad(bad) => first = Some(Err(bad)),
            Next::Quiet | Next::End => {}
        }
        let outcome = match first {
            Some(Ok(frame)) => engine.integrate(&[frame], &mut Scratch::default()).pop(),
            Some(Err(bad)) => Some(Err(bad)),
            None => None,
        };
        outcome.ok_or_else(|| SessionError::new(Concern::Input, "no frames"))
    }

    /// Why there is no GPU's engine; empty when there is one.
    pub fn why_no_gpu(&self) -> &str {
        &self.why_not
    }
}
