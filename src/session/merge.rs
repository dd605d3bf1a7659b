//! The parts of a scan to the whole: all there, each once and complete, of one scan and one recipe.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::configuration;
use super::definition;
use super::error::{Concern, OrAbout, SessionError, refuse};
use super::identity;
use crate::budget;
use crate::files::folder_of;
use crate::output::OutputError;
use crate::output::lock::Lock;
use crate::output::result::{
    EarlierResult, Ending, FileStamp, Layout, MergedFrom, PartOf, Progress, ResultFile, SegmentOf, Segments,
    VirtualPart, Written,
};

/// Things that differ, or are missing, that are named; the rest are counted.
const NAMED: usize = 8;
/// Bytes that are kept of a row while it is known what became of it.
const ROW_BYTES: usize = 64;

/// The parts of a whole, open.
pub struct Merge {
    parts: Vec<OpenPart>,
    /// What the whole is to hold.
    layout: Layout,
    notes: Vec<String>,
}

/// A part, open.
struct OpenPart {
    earlier: EarlierResult,
    of: PartOf,
    layout: Layout,
}

/// A segment of a part, open.
struct Segment {
    earlier: EarlierResult,
    layout: Layout,
    /// Its first frame in the whole.
    first: usize,
}

impl OpenPart {
    fn open(path: &Path) -> Result<OpenPart, SessionError> {
        let earlier = EarlierResult::open(path).or_about(Concern::Input)?;
        // What is in segments is a whole that can be made one file.
        let whole = || earlier.info.segments.as_ref().map(|segments| segments.whole.clone());
        let Some(of) = earlier.info.part.clone().or_else(whole) else {
            let path = path.display();
            if let Some(SegmentOf { number, master, .. }) = &earlier.info.segment {
                refuse!(
                    Input,
                    "{path}: this is segment {number} of {master}: name {master}, which has all of them"
                );
            }
            refuse!(Input, "{path}: this is no part of anything: it was made without --part");
        };
        let layout = earlier.layout_of_part(&of).or_about(Concern::Input)?;
        let mut part = OpenPart { earlier, of, layout };
        if let Some(segments) = &part.earlier.info.segments {
            part.earlier.check_segments().or_about(Concern::Input)?;
            // Their order in the files is that of the checksums.
            let Segment { layout, .. } = part.segment(segments, 0)?;
            part.layout = Layout { columns: layout.columns, header: layout.header, ..part.layout };
        }
        Ok(part)
    }

    /// One of its segments.
    fn segment(&self, segments: &Segments, number: usize) -> Result<Segment, SessionError> {
        let path = segments.path(number);
        let earlier = EarlierResult::open(&path).or_about(Concern::Input)?;
        let layout = earlier.layout_of_part(&segments.part(number)).or_about(Concern::Input)?;
        let (path, master) = (path.display(), self.path());
        if earlier.uuid != self.earlier.uuid {
            refuse!(Input, "{path}: this is no segment of {master}, but of another run");
        }
        if !earlier.is_complete(segments.frames_of(number)) || layout.frames != segments.frames_of(number) {
            refuse!(Input, "{path}: this segment of {master} is not complete");
        }
        Ok(Segment { earlier, layout, first: self.of.first + segments.part(number).first })
    }

    /// Hands on each file that has rows of it: itself, or one segment after the other.
    fn each_file(
        &self,
        see: &mut dyn FnMut(&EarlierResult, &Layout, usize) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        let Some(segments) = &self.earlier.info.segments else {
            return see(&self.earlier, &self.layout, self.of.first);
        };
        for number in 0..segments.count() {
            let Segment { earlier, layout, first } = self.segment(segments, number)?;
            see(&earlier, &layout, first)?;
        }
        Ok(())
    }

    fn path(&self) -> std::path::Display<'_> {
        self.earlier.info.path.display()
    }

    /// Everything that must be the same in every part: what they are parts of, settings, recipe.
    fn shared(&self) -> [Value; 3] {
        let PartOf { number: _, of, first: _, frames, offset, numbers, scan, format, named } = &self.of;
        let whole = json!({
            "parts": of,
            "frames": frames,
            "offset": offset,
            "numbers": numbers,
            "map": scan,
            "format": format,
            "list of files": named,
            "bins": self.layout.npt(),
        });
        [whole, configuration::of_whole(&self.layout.configuration), self.layout.recipe.clone()]
    }

    /// Rows that no frame came for yet.
    fn missing(&self) -> usize {
        self.layout.frames.saturating_sub(self.earlier.info.frames_done())
    }
}

impl Merge {
    /// Opens the parts, in any order, and looks whether they make a whole.
    ///
    /// # Errors
    /// What is not a part; what differs between parts, by name; parts that are missing, come twice, or are not complete.
    pub fn open(paths: &[PathBuf]) -> Result<Merge, SessionError> {
        // Each is looked into by a process of its own.
        let mut parts = paths.par_iter().map(|path| OpenPart::open(path)).collect::<Result<Vec<_>, _>>()?;
        parts.sort_by_key(|part| part.of.number);
        let [first, others @ ..] = &parts[..] else { refuse!(Usage, "no parts: name their files") };
        others.iter().try_for_each(|other| check_same(first, other))?;
        check_all_there(&parts)?;
        parts.iter().try_for_each(check_complete)?;
        let layout = whole(&parts)?;
        let notes = lost_columns(&parts, &layout);
        Ok(Merge { parts, layout, notes })
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Frames of the whole.
    pub fn frames(&self) -> usize {
        self.layout.frames
    }

    /// What somebody should know, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Refuses an output that is one of the parts.
    ///
    /// # Errors
    /// Which part it is.
    pub fn check_output(&self, output: &Path) -> Result<(), SessionError> {
        let Ok(there) = output.canonicalize() else { return Ok(()) };
        let is_it = |part: &&OpenPart| {
            let segments = part.earlier.info.segments.as_ref();
            let segments =
                segments.into_iter().flat_map(|all| (0..all.count()).map(|number| all.path(number)));
            let mut files = segments.chain([part.earlier.info.path.clone()]);
            files.any(|file| file.canonicalize().is_ok_and(|path| path == there))
        };
        match self.parts.iter().find(is_it) {
            Some(part) => refuse!(Output, "--output {}: that is the part {}", output.display(), part.path()),
            None => Ok(()),
        }
    }

    /// Makes the whole: the rows of all parts in one file, with the bits that one run would have given. It gets its name when all are in
    /// it. Rayon's threads of the caller do it; `see` is told how many more frames are there.
    ///
    /// # Errors
    /// A damaged row, by its file and frame; what goes wrong while reading and writing.
    pub fn copy(
        &self,
        lock: Lock,
        overwrite: bool,
        see: &(dyn Fn(usize) + Sync),
    ) -> Result<Written, SessionError> {
        let written = |error| SessionError::because(about(&error), Box::new(error));
        let mut draft = ResultFile::draft_to_fill(lock, &self.layout, overwrite).map_err(written)?;
        for part in &self.parts {
            part.each_file(&mut |file, layout, first| {
                draft.copy_part(file, layout, first, see).map_err(written)
            })?;
            draft.keep_lost_devices(&part.earlier).map_err(written)?;
        }
        draft.publish().and_then(|file| file.finish(&Ending::Complete)).map_err(written)
    }

    /// Makes a whole that shows the rows of the parts where they are, by virtual datasets with names seen from its own folder.
    ///
    /// # Errors
    /// When a name cannot be said in HDF5, or what goes wrong while writing.
    pub fn show(&self, lock: Lock, overwrite: bool) -> Result<Written, SessionError> {
        let folder = folder_of(lock.output()).to_path_buf();
        let mut shows = Vec::new();
        for part in &self.parts {
            part.each_file(&mut |file, layout, first| {
                shows.push(shown_from(&folder, file, layout, first)?);
                Ok(())
            })?;
        }
        let layout = Layout { shows, ..self.layout.clone() };
        let written = |error| SessionError::because(about(&error), Box::new(error));
        let mut draft = ResultFile::draft_to_fill(lock, &layout, overwrite).map_err(written)?;
        for part in &self.parts {
            part.each_file(&mut |file, layout, first| draft.show_part(file, layout, first).map_err(written))?;
            draft.keep_lost_devices(&part.earlier).map_err(written)?;
        }
        draft.publish().and_then(|file| file.finish(&Ending::Complete)).map_err(written)
    }
}

/// A part that is not what it should be is an input.
fn about(error: &OutputError) -> Concern {
    match error {
        OutputError::NotAResult { .. } => Concern::Input,
        _ => Concern::Output,
    }
}

fn shown_from(
    folder: &Path,
    part: &EarlierResult,
    layout: &Layout,
    first: usize,
) -> Result<VirtualPart, SessionError> {
    let cannot = |path: &Path| format!("{}: cannot be found", path.display());
    let path = &part.info.path;
    let file = path.canonicalize().or_about_in(Concern::Input, cannot(path))?;
    let folder = folder.canonicalize().or_about_in(Concern::Output, cannot(folder))?;
    let Some(file) = seen_from(&folder, &file).into_os_string().into_string().ok() else {
        refuse!(Input, "{}: HDF5 cannot say this name, which is not UTF-8", path.display());
    };
    Ok(VirtualPart {
        file,
        first,
        frames: layout.frames,
        gone_over: part.info.gone_over.as_ref().map(|(_, why)| why.clone()),
    })
}

/// A file's name as seen from a folder; both are absolute.
fn seen_from(folder: &Path, file: &Path) -> PathBuf {
    let common = folder.components().zip(file.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| Path::new(".."));
    let down = file.components().skip(common).map(|part| Path::new(part.as_os_str()));
    up.chain(down).collect()
}

fn check_same(first: &OpenPart, other: &OpenPart) -> Result<(), SessionError> {
    let (one, two) = (first.shared(), other.shared());
    let changed: Vec<String> =
        one.iter().zip(&two).flat_map(|(one, two)| identity::differences(one, two)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let (named, rest) = changed.split_at(changed.len().min(NAMED));
    let more = if rest.is_empty() { String::new() } else { format!("; and {} more", rest.len()) };
    refuse!(
        Input,
        "{} and {} are not parts of one whole: from the first to the second, {}{more}",
        first.path(),
        other.path(),
        named.join("; ")
    )
}

/// Every part once, one after the other.
fn check_all_there(parts: &[OpenPart]) -> Result<(), SessionError> {
    let mut neighbours = parts.iter().zip(parts.iter().skip(1));
    if let Some((one, other)) = neighbours.find(|(one, other)| one.of.number == other.of.number) {
        let PartOf { number, of, .. } = one.of;
        refuse!(Input, "{} and {} are both part {number} of {of}", one.path(), other.path());
    }
    let of = parts.first().map_or(0, |part| part.of.of);
    let there: HashSet<usize> = parts.iter().map(|part| part.of.number).collect();
    let missing: Vec<usize> = (1..=of).filter(|number| !there.contains(number)).collect();
    if !missing.is_empty() {
        refuse!(Input, "{}", missing_words(&missing, of));
    }
    let mut next = 0;
    for part in parts {
        if part.of.first != next {
            let (first, path) = (part.of.first, part.path());
            refuse!(
                Input,
                "{path}: it begins with frame {first} of the whole, the part before it ends before frame {next}"
            );
        }
        next += part.layout.frames;
    }
    let frames = parts.first().map_or(0, |part| part.of.frames);
    match next == frames {
        true => Ok(()),
        false => refuse!(Input, "the parts have {next} frames together, the whole has {frames}"),
    }
}

/// `parts 2 and 5 of 8 are missing`.
fn missing_words(missing: &[usize], of: usize) -> String {
    let (named, rest) = missing.split_at(missing.len().min(NAMED));
    let named: Vec<String> = named.iter().map(ToString::to_string).collect();
    match (&named[..], rest.len()) {
        ([one], 0) => format!("part {one} of {of} is missing"),
        ([some @ .., last], 0) => format!("parts {} and {last} of {of} are missing", some.join(", ")),
        (some, more) => format!("parts {} and {more} more of {of} are missing", some.join(", ")),
    }
}

fn check_complete(part: &OpenPart) -> Result<(), SessionError> {
    let (path, PartOf { number, of, .. }) = (part.path(), &part.of);
    let missing = part.missing();
    let why = match &part.earlier.info.progress {
        Progress::Complete if missing == 0 => return Ok(()),
        Progress::Complete => "it says that it is".to_owned(),
        Progress::Running => "its run goes on, or was killed".to_owned(),
        Progress::Interrupted => "its run was stopped".to_owned(),
        Progress::Failed(reason) => format!("its run failed: {reason}"),
    };
    let with = match part.earlier.info.part {
        Some(_) => format!("--part {number}/{of} and --resume"),
        None => "--resume".to_owned(),
    };
    refuse!(
        Input,
        "{path}: this part is not complete: {missing} of {} frames are missing ({why}). \
         xrdct integrate with {with} goes on with it",
        part.layout.frames
    )
}

/// What the whole is to hold: what the first part says, but for what the others add.
fn whole(parts: &[OpenPart]) -> Result<Layout, SessionError> {
    let Some(first) = parts.first() else { refuse!(Usage, "no parts") };
    let PartOf { frames, offset, numbers, scan, .. } = first.of.clone();
    let (inputs, stamps) = joined_files(parts)?;
    let configuration = configuration::of_whole(&first.layout.configuration);
    let layout = Layout {
        definition: definition::of(&configuration),
        frames,
        scan,
        offset,
        numbers,
        inputs,
        stamps,
        configuration,
        merged_from: parts
            .iter()
            .map(|part| MergedFrom { name: part.path().to_string(), uuid: part.earlier.uuid.clone() })
            .collect(),
        ..first.layout.clone()
    };
    let rows = layout.rows();
    budget::allow(format_args!("what is known of {rows} rows"), budget::bytes_of(&[rows], ROW_BYTES))
        .or_about(Concern::Usage)?;
    Ok(layout)
}

/// The input files as one run would list them: of CBF one a frame, of other images a file once for all of its frames that follow one another,
/// of HDF5 each file once.
fn joined_files(parts: &[OpenPart]) -> Result<(Vec<String>, Vec<FileStamp>), SessionError> {
    let format = parts.first().map_or("", |part| part.of.format.as_str());
    let mut files: Vec<(String, FileStamp)> = Vec::new();
    let mut known: BTreeMap<&str, (FileStamp, &OpenPart)> = BTreeMap::new();
    for part in parts {
        let files_of_part = part.layout.inputs.iter().zip(&part.layout.stamps);
        for (at, (name, stamp)) in files_of_part.enumerate() {
            let (before, earlier) = *known.entry(name).or_insert((*stamp, part));
            if !before.is_same_file(stamp) {
                refuse!(Input, "{name} changed between {} and {}", earlier.path(), part.path());
            }
            let is_listed = match format {
                "CBF" => false,
                "HDF5" => !std::ptr::eq(earlier, part),
                _ => at == 0 && files.last().is_some_and(|(last, _)| last == name),
            };
            if !is_listed {
                files.push((name.clone(), *stamp));
            }
        }
    }
    Ok(files.into_iter().unzip())
}

/// Numbers of the frames that not all parts have.
fn lost_columns(parts: &[OpenPart], whole: &Layout) -> Vec<String> {
    let names = |layout: &Layout| layout.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let of_whole = names(whole);
    let mut notes = Vec::new();
    for part in parts {
        let of_part = names(&part.layout);
        let without = |has: &[String], other: &[String]| -> Vec<String> {
            has.iter().filter(|name| !other.contains(name)).cloned().collect()
        };
        let (absent, more) = (without(&of_whole, &of_part), without(&of_part, &of_whole));
        if !absent.is_empty() {
            notes.push(format!("{}: its first frame has no {}: NaN there", part.path(), absent.join(", ")));
        }
        if !more.is_empty() {
            notes.push(format!(
                "{}: it has {}, which the first frame of all has not: left out",
                part.path(),
                more.join(", ")
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing_words(&[3], 4), "part 3 of 4 is missing");
        assert_eq!(missing_words(&[2, 5], 8), "parts 2 and 5 of 8 are missing");
        assert_eq!(missing_words(&[2, 5, 6], 8), "parts 2, 5 and 6 of 8 are missing");
        let many: Vec<usize> = (1..=20).collect();
        let expected = "parts 1, 2, 3, 4, 5, 6, 7, 8 and 12 more of 40 are missing";
        assert_eq!(missing_words(&many, 40), expected);
    }

    #[test]
    fn names_are_seen_from_a_folder() {
        let seen = |folder, file| seen_from(Path::new(folder), Path::new(file)).display().to_string();
        assert_eq!(seen("/a/b", "/a/b/part.h5"), "part.h5");
        assert_eq!(seen("/a/b", "/a/parts/1.h5"), "../parts/1.h5");
        assert_eq!(seen("/a", "/a/b/c/1.h5"), "b/c/1.h5");
        assert_eq!(seen("/", "/1.h5"), "1.h5");
    }
}
