//! What a stack of decoded frames is made of, and what an earlier run left of it.
//!
//! A stack has its name only when it is complete; what a run leaves that did not end is a draft beside it
//! ([`draft`](crate::output::draft)). So going on looks for drafts, and for a stack whose bad frames are to be tried again.

use serde_json::json;

use super::error::{Concern, OrAbout, SessionError};
use super::identity::{self, FilesThen};
use super::options::Selection;
use crate::frame::FrameStatus;
use crate::output::OutputError;
use crate::output::lock::Lock;
use crate::output::stack::{EarlierStack, StackLayout};
use crate::source::Frames;

/// What a stack of these frames is to hold.
pub fn layout(frames: &dyn Frames, selection: &Selection, verify: bool, gzip: Option<u8>) -> StackLayout {
    let (count, encoding) = (frames.count(), frames.about().encoding);
    StackLayout {
        gzip,
        inputs: frames.files().iter().map(|file| file.display().to_string()).collect(),
        // A header that has a digest is in a file's first bytes.
        stamps: identity::stamps(frames.files(), true),
        recipe: json!({
            "program": concat!("xrdct ", env!("CARGO_PKG_VERSION")),
            "frames": count,
            "size": encoding.shape.to_string(),
            "pixel": encoding.pixel.name(),
            "slice": selection.slice.to_string(),
            "channel": selection.channel,
            "verified": verify,
        }),
        ..StackLayout::new(count, encoding.shape, encoding.pixel)
    }
}

/// What is there of a stack.
pub enum Remains {
    /// Nothing to go on with.
    Nothing,
    /// All of it, with so many bad frames.
    Complete(usize),
    /// What a run goes on with.
    Earlier {
        /// What was left.
        stack: Box<EarlierStack>,
        /// Whether what has the name now may be replaced.
        replaces: bool,
    },
}

/// What a run may do with what is there.
#[derive(Debug, Clone, Copy)]
pub struct Permissions {
    /// Replace a stack of the name.
    pub overwrite: bool,
    /// Try bad frames again.
    pub retry_bad: bool,
}

/// Looks for what earlier runs left of a stack; tells of drafts that are of no use.
///
/// # Errors
/// What changed since, by name; or when there is something else of that name, which may not be replaced.
pub fn earlier(
    lock: &Lock,
    layout: &StackLayout,
    frames: &dyn Frames,
    may: Permissions,
    notes: &mut Vec<String>,
) -> Result<Remains, SessionError> {
    let Permissions { overwrite, retry_bad } = may;
    let path = lock.output();
    let named = path.exists().then(|| {
        EarlierStack::open(path).map(|there| {
            let changed = changed(&there, layout, frames, retry_bad);
            (there, changed)
        })
    });
    if let Some(Ok((there, changed))) = &named
        && changed.is_empty()
        && there.count(|status| status == FrameStatus::Pending) == 0
        && !(retry_bad && there.bad() > 0)
    {
        return Ok(Remains::Complete(there.bad()));
    }
    let is_same = matches!(&named, Some(Ok((_, changed))) if changed.is_empty());
    let mut drafts = Vec::new();
    for path in EarlierStack::left(lock) {
        match EarlierStack::open(&path) {
            Ok(draft) => drafts.push((changed(&draft, layout, frames, retry_bad), draft)),
            Err(why) => notes.push(format!("--resume passes this over: {why}")),
        }
    }
    // Where the stack itself can be gone on with, a draft of another run is no hindrance.
    drafts.retain(|(changed, _)| changed.is_empty() || !is_same);
    // Of several the one with most images.
    drafts.sort_by_key(|(changed, draft)| {
        (!changed.is_empty(), usize::MAX - draft.count(|status| status == FrameStatus::Good))
    });
    if let Some((changed, draft)) = drafts.into_iter().next() {
        identity::refuse_changed(&draft.info.path, &changed, "begin anew without --resume")?;
        if named.is_some() && !overwrite && !is_same {
            return Err(OutputError::Exists { path: path.into() }).or_about(Concern::Output);
        }
        // What it would replace is the same stack, or may be replaced.
        return Ok(Remains::Earlier { stack: Box::new(draft), replaces: named.is_some() || overwrite });
    }
    match named {
        Some(Ok((there, changed))) if changed.is_empty() => {
            Ok(Remains::Earlier { stack: Box::new(there), replaces: true })
        }
        None => Ok(Remains::Nothing),
        Some(_) if overwrite => Ok(Remains::Nothing),
        Some(Ok((_, changed))) => {
            identity::refuse_changed(path, &changed, identity::WITH_OVERWRITE).map(|()| Remains::Nothing)
        }
        Some(Err(other)) => Err(other).or_about_in(Concern::Output, "--resume"),
    }
}

/// What is not as it was, a phrase each.
fn changed(
    earlier: &EarlierStack,
    layout: &StackLayout,
    frames: &dyn Frames,
    retry_bad: bool,
) -> Vec<String> {
    let mut changed = identity::differences(&earlier.recipe, &layout.recipe);
    let comes_again = |frame| match earlier.status(frame) {
        Some(FrameStatus::Good) => false,
        Some(FrameStatus::Pending) | None => true,
        Some(_) => retry_bad,
    };
    let files = FilesThen { names: &earlier.info.inputs, stamps: &earlier.stamps };
    changed.extend(files.changed(frames, comes_again, |_| false));
    changed
}
