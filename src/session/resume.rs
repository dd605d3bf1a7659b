//! Going on with a run that did not end: what it left is looked at, compared with what is asked for now, and taken over.

use std::path::Path;

use serde_json::Value;

use super::device::Device;
use super::error::{Concern, OrAbout, SessionError, refuse};
use super::identity::{self, FilesThen};
use super::options::Options;
use super::plan::Plan;
use super::result::RunDraft;
use crate::frame::FrameStatus;
use crate::output::OutputError;
use crate::output::result::{Carried, EarlierResult};
use crate::source::Source;
use crate::source::select::{Select, WantedIds};

/// A run that did not end, open.
pub struct Resume {
    earlier: EarlierResult,
}

impl Resume {
    /// Opens what an earlier run left at `output`; `None` when there is nothing. A run on the CPU goes on there: options that leave the device
    /// open say so afterwards.
    ///
    /// # Errors
    /// When there is something that is not a result, or the options ask for another device.
    pub fn open(output: &Path, options: &mut Options) -> Result<Option<Resume>, SessionError> {
        if !output.exists() {
            return Ok(None);
        }
        let earlier = EarlierResult::open_to_go_on(output).or_about_in(Concern::Output, "--resume")?;
        if earlier.recipe.get("device").and_then(|device| device.as_str()) == Some("cpu") {
            match options.device.as_deref() {
                None | Some("auto") => options.device = Some("cpu".to_owned()),
                Some("cpu") => {}
                Some(other) => refuse!(
                    Usage,
                    "--resume: the CPU made the rows of {}, and those of --device {other} differ from them in their last bits; \
                     leave --device out",
                    output.display()
                ),
            }
        }
        Ok(Some(Resume { earlier }))
    }

    /// Whether all is done already.
    pub fn is_complete(&self, plan: &Plan, retry_bad: bool) -> bool {
        self.earlier.is_complete(plan.frames.count()) && !(retry_bad && self.bad() > 0)
    }

    /// Its rows of bad frames.
    pub fn bad(&self) -> usize {
        let is_bad = |status| !matches!(status, FrameStatus::Good | FrameStatus::Pending);
        let statuses = self.earlier.info.statuses.iter();
        statuses.filter(|(status, _)| is_bad(*status)).map(|(_, count)| count).sum()
    }

    /// Compares what it was made of with a plan. Files of frames that come again may be others.
    ///
    /// # Errors
    /// What changed, by name: options, geometry, calibration images, the list of frames, files.
    pub fn check(&self, plan: &Plan, retry_bad: bool) -> Result<(), SessionError> {
        let earlier = &self.earlier;
        let mut changed =
            identity::differences(&earlier.info.configuration, &super::configuration::to_worker(plan));
        let mut recipe = identity::recipe(plan);
        self.keep_device(plan, &mut recipe);
        changed.extend(identity::differences(&earlier.recipe, &recipe));
        changed.extend(self.changed_files(plan, retry_bad));
        identity::refuse_changed(&earlier.info.path, &changed, identity::WITH_OVERWRITE)?;
        plan.division_of(earlier).map(drop)
    }

    fn changed_files(&self, plan: &Plan, retry_bad: bool) -> Vec<String> {
        let (earlier, frames) = (&self.earlier, plan.frames.as_ref());
        let was = FilesThen { names: &earlier.info.inputs, stamps: &earlier.stamps };
        was.changed(
            frames,
            |number| self.comes_again(plan, number, retry_bad),
            |number| {
                let now =
                    identity::has_one_frame_a_file(frames).then(|| frames.written_digest(number)).flatten();
                now.is_some_and(|now| earlier.digest(number) == Some(now))
            },
        )
    }

    fn comes_again(&self, plan: &Plan, frame: usize, retry_bad: bool) -> bool {
        let row = plan.scan.as_ref().map_or(frame, |scan| scan.point(frame));
        match self.earlier.status(row) {
            Some(FrameStatus::Good) => false,
            Some(FrameStatus::Pending) | None => true,
            Some(_) => retry_bad,
        }
    }

    /// Rows of a GPU's run that the CPU makes are marked: it stays a GPU's run, also for those who go on with it after this.
    pub(super) fn keep_device(&self, plan: &Plan, recipe: &mut Value) {
        if self.goes_over(plan).is_some() {
            recipe["device"] = self.earlier.recipe["device"].clone();
        }
    }

    /// Why rows that come now are made by the CPU although a GPU made the others.
    pub fn goes_over(&self, plan: &Plan) -> Option<String> {
        let by_gpu = self.earlier.recipe.get("device").and_then(|device| device.as_str()) == Some("cuda");
        match &plan.device {
            Device::Cpu { why } if by_gpu => Some(format!("resumed on the CPU: {why}")),
            _ => None,
        }
    }

    /// What it left.
    pub(super) fn earlier(&self) -> &EarlierResult {
        &self.earlier
    }

    /// The run that goes on, and when it began.
    pub(super) fn run(&self) -> (String, String) {
        (self.earlier.uuid.clone(), self.earlier.info.start_time.clone())
    }

    /// Takes its rows over into the file that is to take its place.
    ///
    /// # Errors
    /// As [`crate::output::result::ResultDraft::carry`].
    pub fn carry(&self, draft: &mut RunDraft, retry_bad: bool) -> Result<Carried, OutputError> {
        draft.carry(&self.earlier, retry_bad)
    }
}

/// The frames that are not done.
pub fn what_is_left(source: Box<dyn Source>, carried: &Carried) -> Box<dyn Source> {
    Box::new(Select::new(source, WantedIds::all_but(carried.done.clone())))
}
