//! The segments of a result that another one takes the place of: they stay as long as it does, and go with it.

use std::fs;
use std::path::{Path, PathBuf};

use super::info::opened;
use super::layout::Layout;
use super::segments::Segments;

/// The segments of what is at a path; none where that is no master, or nothing.
pub(super) fn segments_at(path: &Path) -> Vec<PathBuf> {
    let read = || -> Option<Segments> {
        let file = opened(path).ok()?;
        Segments::read(path, &file.group("entry_0000/xrdct").ok()?).ok()?
    };
    if !path.exists() {
        return Vec::new();
    }
    read().map(|segments| (0..segments.count()).map(|n| segments.path(n)).collect()).unwrap_or_default()
}

/// Removes segments that nobody shows any more, and their folder with the last of them: all but those of a result that is at `path` and
/// those that `kept` has.
pub(super) fn remove(segments: &[PathBuf], path: &Path, layout: &Layout, kept: &[PathBuf]) {
    let own: Vec<PathBuf> = match layout.is_master {
        true => layout.shows.iter().map(|segment| path.with_file_name(&segment.file)).collect(),
        false => Vec::new(),
    };
    for segment in segments.iter().filter(|segment| !own.contains(segment) && !kept.contains(segment)) {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_file(segment);
    }
    if let Some(folder) = segments.first().and_then(|segment| segment.parent()) {
        // Only an empty one goes.
        let _ = fs::remove_dir(folder);
    }
}
