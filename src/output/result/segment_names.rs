//! What the files of segments are called, and which names are theirs.

use std::path::{Component, Path, PathBuf};

/// What the files of segments are called: `scan.h5.parts/0003.h5`, or `scan.h5.parts/0003-2.h5` where a result that is to be replaced has those
/// names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentNames {
    /// The folder, seen from its master's.
    folder: String,
    /// From 1 on.
    generation: u32,
}

/// How the folder of a result's segments is called after it.
const ENDING: &str = ".parts";

impl SegmentNames {
    /// Names for the segments of a result that nobody has yet; `None` where HDF5 cannot say its name.
    pub(super) fn new(master: &Path) -> Option<SegmentNames> {
        let folder = format!("{}{ENDING}", master.file_name()?.to_str()?);
        let there = master.with_file_name(&folder).read_dir().into_iter().flatten().flatten();
        let taken: Vec<u32> = there.filter_map(|entry| generation(entry.file_name().to_str()?)).collect();
        let generation = (1..).find(|number| !taken.contains(number))?;
        Some(SegmentNames { folder, generation })
    }

    /// Those that an earlier result has, of which this is a segment's.
    pub(super) fn like(file: &str) -> Option<SegmentNames> {
        let (folder, name) = file.split_once('/')?;
        Some(SegmentNames { folder: folder.to_owned(), generation: generation(name)? })
    }

    /// The folder, seen from its master's.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    pub(super) fn of(&self, segment: usize) -> String {
        let SegmentNames { folder, generation } = self;
        match generation {
            1 => format!("{folder}/{segment:04}.h5"),
            _ => format!("{folder}/{segment:04}-{generation}.h5"),
        }
    }
}

/// Where the segments of a result are, if it has any.
pub(super) fn folder_of_segments(master: &Path) -> Option<PathBuf> {
    Some(master.with_file_name(format!("{}{ENDING}", master.file_name()?.to_str()?)))
}

/// Which generation a segment's file name is of; `None` where it is none of ours.
fn generation(name: &str) -> Option<u32> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let stem = name.strip_suffix(".h5")?;
    let (number, generation) = stem.split_once('-').unwrap_or((stem, "1"));
    (is_number(number) && is_number(generation)).then(|| generation.parse().ok()).flatten()
}

/// Whether a file can be a segment, as a master may name it: in a folder beside it, under a name of ours. Nothing else is written,
/// or removed, because a file says so.
pub(super) fn is_segment_name(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    let (folder, name, more) = (parts.next(), parts.next(), parts.next());
    let word = |part: Option<Component<'_>>| match part {
        Some(Component::Normal(name)) => name.to_str().map(str::to_owned),
        _ => None,
    };
    more.is_none()
        && word(folder).is_some_and(|folder| folder.len() > ENDING.len() && folder.ends_with(ENDING))
        && word(name).is_some_and(|name| generation(&name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments_are_told_from_all_others() {
        let folder = tempfile::tempdir().unwrap();
        let master = folder.path().join("scan.h5");
        let names = SegmentNames::new(&master).unwrap();
        assert_eq!(
            (names.of(3), names.of(12_345)),
            ("scan.h5.parts/0003.h5".into(), "scan.h5.parts/12345.h5".into())
        );
        std::fs::create_dir(folder.path().join("scan.h5.parts")).unwrap();
        for name in ["0000.h5", "notes.txt", ".0001-2.h5.77.part"] {
            std::fs::write(folder.path().join("scan.h5.parts").join(name), "").unwrap();
        }
        let next = SegmentNames::new(&master).unwrap();
        assert_eq!(next.of(3), "scan.h5.parts/0003-2.h5");
        assert_eq!(SegmentNames::like(&next.of(9)), Some(next));
        for name in ["scan.h5.parts/0003.h5", "a.parts/10000-12.h5"] {
            assert!(is_segment_name(name), "{name}");
        }
        let others = [
            "0003.h5",
            "../0003.h5",
            "/a.parts/0003.h5",
            "a.parts/../0003.h5",
            ".parts/0003.h5",
            "a.parts/x.h5",
            "a.parts/b/0003.h5",
            "a/0003.h5",
            "a.parts/-2.h5",
        ];
        for name in others {
            assert!(!is_segment_name(name), "{name}");
        }
    }
}
