//! The integrators of a recipe, made once and kept warm: the host's, a GPU's, or both.

use std::sync::Arc;

use super::error::{Concern, OrAbout, SessionError};
use crate::cuda::device::OpeningGpu;
use crate::cuda::{CudaEngine, CudaError};
use crate::frame::{BadFrame, Frame, Outcome, SlotPool, Slots};
use crate::integrate::engine::{Engine, Recipe, Scratch};
use crate::source::{Frames, Next};

/// Integrators of one recipe.
pub struct Engines {
    host: Option<Arc<Engine>>,
    gpu: Option<Arc<CudaEngine>>,
    /// Why there is no GPU's.
    why_not: String,
}

impl Engines {
    /// The host's alone.
    ///
    /// # Errors
    /// When the recipe does not fit together.
    pub fn on_host(recipe: Recipe, why_no_gpu: impl Into<String>) -> Result<Engines, SessionError> {
        let host = Engine::new(recipe).or_about(Concern::Calibration)?;
        Ok(Engines { host: Some(Arc::new(host)), gpu: None, why_not: why_no_gpu.into() })
    }

    /// A GPU's alone, which may still be opening.
    ///
    /// # Errors
    /// When the GPU cannot be used.
    pub fn on_gpu(gpu: &OpeningGpu, recipe: &Recipe) -> Result<Engines, CudaError> {
        let gpu = CudaEngine::opening(gpu, recipe)?;
        Ok(Engines { host: None, gpu: Some(Arc::new(gpu)), why_not: String::new() })
    }

    /// The host's and, where there is one, the first GPU's.
    ///
    /// # Errors
    /// When the recipe does not fit together.
    pub fn both(recipe: &Recipe) -> Result<Engines, SessionError> {
        let (gpu, why_not) = match CudaEngine::new(0, recipe) {
            Ok(engine) => (Some(Arc::new(engine)), String::new()),
            Err(reason) => (None, reason.to_string()),
        };
        Ok(Engines { gpu, ..Engines::on_host(recipe.clone(), why_not)? })
    }

    /// The host's engine.
    ///
    /// # Errors
    /// When only a GPU's was made.
    pub fn host(&self) -> Result<&Arc<Engine>, SessionError> {
        let missing = || SessionError::new(Concern::Device, "the cores have no part in this session");
        self.host.as_ref().ok_or_else(missing)
    }

    /// The GPU's engine.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn gpu(&self) -> Result<&Arc<CudaEngine>, SessionError> {
        self.gpu.as_ref().ok_or_else(|| SessionError::new(Concern::Device, self.why_not.clone()))
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
