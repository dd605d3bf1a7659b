//! Which datasets of a file are the images.
//!
//! Somebody who names a dataset is believed. Else these are looked for, and the first that is there is taken:
//!
//! 1. `data` of an entry: a dataset `data` of three or more dimensions in it (NXmx, areaDetector, what `xrdct convert` writes, a
//!    data file of a DECTRIS detector), else all members whose names begin with `data_` (a DECTRIS master: links to data files),
//!    sorted; or such members of the entry itself (older masters);
//! 2. the default of NeXus: `@default` from the root on, to a group whose `@signal` names images;
//! 3. the only dataset of three or four dimensions whose images are large enough to be images (LImA's `entry_0000/measurement/data`,
//!    BLISS's `1.1/measurement/<detector>`, any stack); without one, the only such image.
//!
//! Two that might be meant are an error that names both: which one is right only a person knows.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use super::shelf::{Identity, NotThere, Shelf, Spot, identity};
use crate::h5::links::{Behind, Member, Thing};

/// Sides of the smallest image that nobody has named.
const SMALLEST: usize = 16;

/// Groups and datasets that are looked at in the third way.
const MOST_OBJECTS: usize = 20_000;

/// Depth of names in the third way.
const DEEPEST: usize = 12;

/// Other files that links lead to in the third way.
const MOST_OUTWARD: usize = 64;

/// Arrays as large as images that are none, by the beginning of their names.
const NO_IMAGES: [&str; 8] =
    ["pixel_mask", "mask", "flatfield", "flat_field", "dark", "bad_pixel", "gain", "trimbit"];

/// What the images of a file are in: datasets, one after the other.
#[derive(Debug)]
pub(super) struct ImageDatasets {
    /// Each, or what is missing.
    pub pieces: Vec<Piece>,
    /// The entry that they are in: `/entry`.
    pub entry: String,
}

/// A dataset, or the lack of one.
#[derive(Debug)]
pub(super) enum Piece {
    Dataset(Spot),
    Absent(NotThere),
}

/// The images of a file: those of `named`, or those that are found.
pub(super) fn images(
    shelf: &mut Shelf,
    file: &Arc<Path>,
    named: Option<&str>,
) -> Result<ImageDatasets, NotThere> {
    if let Some(name) = named {
        return of_name(shelf, file, name);
    }
    let entries = entries(shelf, file)?;
    for by in [in_data, in_entry] {
        let mut found = Vec::new();
        for entry in &entries {
            if let Some(pieces) = by(shelf, file, entry)? {
                found.push((entry.clone(), pieces));
            }
        }
        if found.len() > 1 {
            let name = |at: usize| format!("{}::{}/data", file.display(), found[at].0);
            return Err(NotThere::new(
                file,
                format!("{} entries have images: choose one, as in {} or {}", found.len(), name(0), name(1)),
            ));
        }
        if let Some((entry, pieces)) = found.pop() {
            return Ok(ImageDatasets { pieces, entry });
        }
    }
    if let Some(spot) = default(shelf, file)? {
        return Ok(single(spot));
    }
    Search::default().run(shelf, file, "").map(single)
}

fn single(spot: Spot) -> ImageDatasets {
    let entry = spot.path.split('/').nth(1).map(|entry| format!("/{entry}")).unwrap_or_default();
    ImageDatasets { pieces: vec![Piece::Dataset(spot)], entry }
}

/// What somebody named: a dataset, or a group that has images.
fn of_name(shelf: &mut Shelf, file: &Arc<Path>, name: &str) -> Result<ImageDatasets, NotThere> {
    let spot = shelf.follow(file, name)?;
    match spot.what {
        Thing::Dataset { .. } => Ok(single(spot)),
        Thing::Other => Err(NotThere::new(file, format!("`{name}` is neither a dataset nor a group"))),
        Thing::Group { .. } => {
            let entry = spot.path.split('/').nth(1).map(|entry| format!("/{entry}")).unwrap_or_default();
            let (at, path) = (Arc::clone(&spot.file), spot.path.trim_end_matches('/').to_owned());
            if let Some(pieces) = in_group(shelf, &at, &path)? {
                return Ok(ImageDatasets { pieces, entry });
            }
            match signal(shelf, &at, &path)? {
                Some(spot) => Ok(single(spot)),
                None => Search::default().run(shelf, &at, &path).map(single),
            }
        }
    }
}

/// Groups of the root, the default one first.
fn entries(shelf: &mut Shelf, file: &Path) -> Result<Vec<String>, NotThere> {
    let (members, default) = shelf.ask(file, |open| {
        let default = open.root().attribute_texts("default").ok();
        Ok((open.root().members()?, default.and_then(|texts| texts.into_iter().next())))
    })?;
    let mut names = Vec::new();
    for Member { name, behind } in members.into_iter().take(MOST_OBJECTS) {
        let is_group = match behind {
            Behind::Thing(thing) => matches!(thing, Thing::Group { .. }),
            // A link that leads nowhere is no entry, and not worth a word here.
            Behind::Name(_) | Behind::Outward(_) => false,
        };
        if is_group {
            names.push(format!("/{name}"));
        }
    }
    let default = default.map(|name| format!("/{}", name.trim_matches('/')));
    names.sort_by_key(|name| Some(name) != default.as_ref());
    Ok(names)
}

fn in_data(shelf: &mut Shelf, file: &Arc<Path>, entry: &str) -> Result<Option<Vec<Piece>>, NotThere> {
    match shelf.follow(file, &format!("{entry}/data")) {
        Ok(Spot { file, path, what: Thing::Group { .. } }) => in_group(shelf, &file, &path),
        Ok(spot) if rank(&spot) > 2 => Ok(Some(vec![Piece::Dataset(spot)])),
        _ => Ok(None),
    }
}

/// The images of a group: its `data`, or all of `data_…`.
fn in_group(shelf: &mut Shelf, file: &Arc<Path>, group: &str) -> Result<Option<Vec<Piece>>, NotThere> {
    let members = members(shelf, file, group)?;
    if let Some(whole) = members.iter().find(|member| member.name == "data") {
        let piece = piece(shelf, file, group, whole);
        let are_images = match &piece {
            Piece::Dataset(spot) => rank(spot) > 2,
            // Where parts are listed, too, they are better than nothing.
            Piece::Absent(_) => !matches!(whole.behind, Behind::Thing(_)) && !members.iter().any(is_part),
        };
        if are_images {
            return Ok(Some(vec![piece]));
        }
    }
    Ok(parts(shelf, file, group, members))
}

/// Older masters have their links in the entry.
fn in_entry(shelf: &mut Shelf, file: &Arc<Path>, entry: &str) -> Result<Option<Vec<Piece>>, NotThere> {
    let members = members(shelf, file, entry)?;
    Ok(parts(shelf, file, entry, members))
}

fn members(shelf: &mut Shelf, file: &Path, group: &str) -> Result<Vec<Member>, NotThere> {
    shelf.ask(file, |open| match group.trim_matches('/').is_empty() {
        true => open.root().members(),
        false => open.group(group)?.members(),
    })
}

fn is_part(member: &Member) -> bool {
    let number = member.name.strip_prefix("data_");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// All of `data_000001` and so on, by number; none if there is none of them.
fn parts(shelf: &mut Shelf, file: &Arc<Path>, group: &str, members: Vec<Member>) -> Option<Vec<Piece>> {
    let mut parts: Vec<Member> = members.into_iter().filter(is_part).collect();
    // As FabIO: by name; names of one length are in the order of their numbers, and others are longer.
    parts.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    let pieces: Vec<Piece> = parts.iter().map(|member| piece(shelf, file, group, member)).collect();
    let is_image = |piece: &Piece| match piece {
        Piece::Dataset(spot) => rank(spot) >= 2,
        Piece::Absent(_) => true,
    };
    (!pieces.is_empty() && pieces.iter().all(is_image)).then_some(pieces)
}

fn piece(shelf: &mut Shelf, file: &Arc<Path>, group: &str, member: &Member) -> Piece {
    let path = format!("{}/{}", group.trim_end_matches('/'), member.name);
    match shelf.follow(file, &path) {
        Ok(spot) if matches!(spot.what, Thing::Dataset { .. }) => Piece::Dataset(spot),
        Ok(spot) => Piece::Absent(NotThere::new(&spot.file, format!("`{}` is no dataset", spot.path))),
        Err(lost) => Piece::Absent(lost),
    }
}

fn rank(spot: &Spot) -> usize {
    match &spot.what {
        Thing::Dataset { shape, .. } => shape.len(),
        Thing::Group { .. } | Thing::Other => 0,
    }
}

/// Where NeXus's defaults lead.
fn default(shelf: &mut Shelf, file: &Arc<Path>) -> Result<Option<Spot>, NotThere> {
    let mut group = String::new();
    for _ in 0..DEEPEST {
        let next = attribute(shelf, file, &group, "default")?;
        let Some(next) = next else { break };
        group = match next.starts_with('/') {
            true => next,
            false => format!("{group}/{next}"),
        };
        match shelf.follow(file, &group) {
            Ok(spot) if matches!(spot.what, Thing::Group { .. }) && spot.file == *file => group = spot.path,
            _ => return Ok(None),
        }
    }
    Ok(signal(shelf, file, &group)?.filter(|spot| is_candidate(spot, 2)))
}

/// The dataset that a group says is its signal.
fn signal(shelf: &mut Shelf, file: &Arc<Path>, group: &str) -> Result<Option<Spot>, NotThere> {
    let Some(name) = attribute(shelf, file, group, "signal")? else { return Ok(None) };
    let found = shelf.follow(file, &format!("{group}/{name}")).ok();
    Ok(found.filter(|spot| matches!(spot.what, Thing::Dataset { .. })))
}

fn attribute(shelf: &mut Shelf, file: &Path, group: &str, name: &str) -> Result<Option<String>, NotThere> {
    shelf.ask(file, |open| {
        let group = if group.trim_matches('/').is_empty() { open.root() } else { open.group(group)? };
        // One that is not a text says nothing of this.
        Ok(group.attribute_texts(name).ok().and_then(|texts| texts.into_iter().next()))
    })
}

/// Whether this may be images although nobody says so.
fn is_candidate(spot: &Spot, rank: usize) -> bool {
    let name = spot.path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let Thing::Dataset { shape, number: Some(_), .. } = &spot.what else { return false };
    let large = shape.iter().rev().take(2).all(|&side| side >= SMALLEST);
    (rank..=4).contains(&shape.len()) && large && !NO_IMAGES.iter().any(|word| name.starts_with(word))
}

/// The third way: everything is looked at.
#[derive(Default)]
struct Search {
    /// Candidates of three or four dimensions, and of two.
    stacks: Vec<Spot>,
    single: Vec<Spot>,
    /// What was met, whatever its name.
    met: BTreeSet<(Identity, u64)>,
    objects: usize,
    outward: usize,
}

impl Search {
    fn run(mut self, shelf: &mut Shelf, file: &Arc<Path>, from: &str) -> Result<Spot, NotThere> {
        let mut ahead = VecDeque::from([(Arc::clone(file), from.to_owned(), 0)]);
        while let Some((at, group, depth)) = ahead.pop_front() {
            let Ok(members) = members(shelf, &at, &group) else { continue };
            for member in members {
                self.objects += 1;
                if self.objects > MOST_OBJECTS {
                    let why = format!(
                        "more than {MOST_OBJECTS} objects are in it: name the images, file.h5::/path"
                    );
                    return Err(NotThere::new(file, why));
                }
                let path = format!("{}/{}", group.trim_end_matches('/'), member.name);
                let spot = match member.behind {
                    Behind::Thing(what) => Spot { file: Arc::clone(&at), path, what },
                    Behind::Outward(_) if self.outward >= MOST_OUTWARD => continue,
                    other => {
                        self.outward += usize::from(matches!(other, Behind::Outward(_)));
                        // Links that lead nowhere are common and no candidates.
                        let Ok(spot) = shelf.follow(&at, &path) else { continue };
                        spot
                    }
                };
                let (Thing::Group { address } | Thing::Dataset { address, .. }) = spot.what else { continue };
                if !self.met.insert((identity(&spot.file)?.0, address)) {
                    continue;
                }
                match &spot.what {
                    Thing::Group { .. } if depth < DEEPEST => {
                        ahead.push_back((spot.file, spot.path, depth + 1))
                    }
                    _ if is_candidate(&spot, 3) => self.stacks.push(spot),
                    _ if is_candidate(&spot, 2) => self.single.push(spot),
                    _ => {}
                }
            }
        }
        let mut found = if self.stacks.is_empty() { self.single } else { self.stacks };
        match &found[..] {
            [] => Err(NotThere::new(
                file,
                "no images were found in it: a dataset of numbers with two to four dimensions is wanted; \
                 if it has another form, name it, file.h5::/path",
            )),
            [_] => Ok(found.remove(0)),
            [one, two, ..] => Err(NotThere::new(
                file,
                format!(
                    "{} datasets might be the images, {} and {}{}: choose one, as in {}::{}",
                    found.len(),
                    described(one),
                    described(two),
                    if found.len() > 2 { " among them" } else { "" },
                    one.file.display(),
                    one.path
                ),
            )),
        }
    }
}

fn described(spot: &Spot) -> String {
    let Thing::Dataset { shape, .. } = &spot.what else { return spot.path.clone() };
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("`{}` ({})", spot.path, sizes.join(" x "))
}
