//! One dataset of an HDF5 file as an image: `file.h5::/path`, or `file.h5::/path[3]` for one of a stack.

use std::ops::Range;
use std::path::Path;

use super::{Image, Trouble, Wanted};
use crate::frame::Shape;
use crate::h5::{self, Dataset, File};

pub(super) fn read(path: &Path, name: &str, wanted: Wanted) -> Result<Image, Trouble> {
    let file = File::open(path).map_err(|cause| match cause {
        h5::Error::Said(_) => "it is not an HDF5 file, or it is damaged".to_owned(),
        other => other.to_string(),
    })?;
    let (name, chosen) = choice(name);
    let dataset = find(&file, name)?;
    let shape = dataset.shape();
    let numbers = |part: &[Range<usize>], shape: Shape| {
        wanted.claim(shape)?;
        match dataset.read_part(part) {
            Ok(data) => Ok(Image { shape, data }),
            Err(cause) => Err(format!("reading the dataset failed: {cause}").into()),
        }
    };
    match (&shape[..], chosen) {
        (&[slow, fast], None) => numbers(&[0..slow, 0..fast], Shape { slow, fast }),
        (&[1, slow, fast], None) => numbers(&[0..1, 0..slow, 0..fast], Shape { slow, fast }),
        (&[n, _, _], None) => Err(Trouble::Several(n.to_string())),
        (&[n, slow, fast], Some(i)) if i < n => numbers(&[i..i + 1, 0..slow, 0..fast], Shape { slow, fast }),
        (&[n, _, _], Some(i)) => Err(format!("there is no image {i}: it has {n}, counted from 0").into()),
        _ => Err(Trouble::Shape(shape)),
    }
}

/// Splits `/path[3]` into the path and the number.
fn choice(name: &str) -> (&str, Option<usize>) {
    let chosen = name.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    match chosen.and_then(|(path, number)| Some((path, number.parse().ok()?))) {
        Some((path, number)) => (path, Some(number)),
        None => (name, None),
    }
}

/// The dataset of that name, or the signal of the group of that name.
fn find(file: &File, name: &str) -> Result<Dataset, Trouble> {
    let none = || format!("there is no dataset `{name}` in it");
    let found = file.dataset(name).or_else(|_| {
        let group = if name.trim_matches('/').is_empty() { file.root() } else { file.group(name)? };
        let named = group.attribute_texts("signal").ok().and_then(|texts| texts.into_iter().next());
        group.dataset(named.as_deref().unwrap_or("data"))
    });
    found.map_err(|cause| match cause {
        h5::Error::Said(_) => none().into(),
        other => other.to_string().into(),
    })
}
